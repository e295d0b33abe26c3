"""Write data/SHA256SUMS, by which `cmlab doctor` tells a damaged file from one that was shipped.

    python scripts/checksums.py

Run it after `cmlab record`, `cmlab bench` or `cmlab ship` has made a shipped file anew.
`sha256sum --check SHA256SUMS` in data/ reads the same list.
"""

from pathlib import Path

from cmlab.cli.doctor import SUMS, checksums
from cmlab.train.checkpoint import replace

DATA = Path(__file__).resolve().parents[1] / "data"


def main() -> None:
    text = checksums(DATA)
    replace(DATA / SUMS, lambda path: path.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
