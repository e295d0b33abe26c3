"""The tables of README and docs/results.md: from what `cmlab train` printed, and from the atlas.

python scripts/results_table.py            prints them
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

from cmlab_labs.lab17_atlas import benchmark
from cmlab_labs.lab17_atlas.benchmark import read_rows

from cmlab.train.checkpoint import read_lines

RESULTS = Path(__file__).parents[1] / "docs" / "results.jsonl"
NAMES = {
    "rmse1": "RMS error, 1 call", "rmse_jump": "of any jump", "rmse_velocity": "of the velocity",
    "rmse": "RMS error", "rmse_max": "RMS error at σ_max", "sw1": "sliced W₂, 1 call",
    "sw4": "sliced W₂, 4 calls",
    "sw2": "sliced W₂, 2 calls", "hq": "near a mode", "modes": "modes covered",
    "fd1": "Fréchet distance, 1 call", "fd2": "2 calls", "fd_floor": "training digits",
    "memorised": "memorised", "accuracy": "right class",
}  # fmt: skip
COLUMNS = {
    "toy": {"rmse": 3, "rmse_max": 3, "sw1": 3, "sw2": 3, "hq": 3, "modes": 0},
    "toy maps": {"rmse1": 3, "rmse_jump": 3, "rmse_velocity": 3, "sw1": 3, "sw2": 3, "sw4": 3},
    "digits": {"fd1": 1, "fd2": 1, "fd_floor": 1, "memorised": 4, "accuracy": 3},
}


def table(kind: str) -> str:
    """Mean and range over the seeds of each preset of a kind, as Markdown."""
    runs, columns = defaultdict(list), COLUMNS[kind]
    for line in read_lines(RESULTS):
        run = json.loads(line)
        if run["preset"].startswith(f"{kind.split()[0]}.") and columns.keys() <= run.keys():
            runs[run["preset"]].append(run)
    head = ["preset", "seeds", "samples seen", *(NAMES[key] for key in columns)]
    rows = [head, ["---"] * len(head)]
    for preset, some in sorted(runs.items()):
        seeds = ", ".join(str(run["seed"]) for run in some)
        seen = f"{some[0]['samples_seen']:,}"
        numbers = [cell([run[key] for run in some], digits) for key, digits in columns.items()]
        rows.append([f"`{preset}`", seeds, seen, *numbers])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def cell(values: list[float], digits: int) -> str:
    """Mean, and the range where there is one."""
    mean, low, high = (
        f"{v:.{digits}f}" for v in (sum(values) / len(values), min(values), max(values))
    )
    return mean if low == high else f"{mean} ({low} to {high})"


def atlas() -> list[str]:
    """The four tables of the atlas."""
    rows = read_rows()
    return [
        benchmark.few_step_table(rows),
        benchmark.cost_table(rows),
        benchmark.diffusion_table(rows),
        benchmark.posterior_table(rows),
    ]


if __name__ == "__main__":
    sys.stdout.write("\n\n".join([*atlas(), *(table(kind) for kind in COLUMNS)]) + "\n")
