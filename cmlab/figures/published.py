"""One- and few-step generators of CIFAR-10 as their papers report them, and what ours has cost.

Every FID here is Inception's, of 50 000 samples against the training images, unconditional, as
published. Distances measured in this repository are in other spaces and have other tables.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..presets import PRESETS

READ, REPORTED = "read in the paper", "as reported"
NOT_RUN = "not run here"
SPACE = "Inception, 50 000 samples against train"


@dataclass(frozen=True)
class Published:
    """A row: FIDs by number of calls, and millions of images seen; NaN or None is unknown."""

    method: str
    source: str
    one: float | None
    two: float | None
    before: float | None  # millions of images that the denoiser had seen, 0 without one
    images: float | None  # millions of images after it
    standing: str
    note: str = ""


ROWS = (
    Published("EDM, diffusion, 35 calls", "2206.00364", None, None, 0, 200, REPORTED,
              "1.97 with 35 calls; flips and geometric augmentation"),
    Published("CD, LPIPS", "2303.01469", 3.55, 2.93, None, 409.6, READ,
              "from a denoiser of their own; its images are not counted here"),
    Published("CT, LPIPS", "2303.01469", 8.70, 5.83, 0, 409.6, READ),
    Published("iCT", "2310.14189", 2.83, 2.46, 0, 409.6, REPORTED),
    Published("iCT-deep", "2310.14189", 2.51, 2.24, 0, None, REPORTED, "a network twice as deep"),
    Published("ECT, 100 000 steps of 128", "2406.14548", 4.54, 2.20, 200, 12.8, REPORTED,
              "from EDM's network"),
    Published("ECT, 200 000 steps", "2406.14548", 3.86, 2.15, 200, 25.6, REPORTED),
    Published("ECT, 400 000 steps", "2406.14548", 3.60, 2.11, 200, 51.2, REPORTED),
    Published("sCT", "2410.11081", 2.85, 2.06, 204.8, None, READ,
              "the length of the second part is not stated"),
    Published("sCD", "2410.11081", 3.66, 2.52, 204.8, None, READ,
              "the length of the second part is not stated"),
)  # fmt: skip

OURS = ("cifar10.ect-sprint", "cifar10.ect-paper", "cifar10.ict-paper")
HEADS = ("method", "FID, 1 call", "FID, 2 calls", "images before, M", "images, M", "how known",
         "note")  # fmt: skip


def cells(row: Published) -> tuple[str, ...]:
    """One published row as text; what is not known is a dash."""
    paper = f"{row.method} ([{row.source}](https://arxiv.org/abs/{row.source}))"
    fids = (f"{v:.2f}" if v is not None else "–" for v in (row.one, row.two))
    seen = (f"{v:g}" if v is not None else "–" for v in (row.before, row.images))
    return paper, *fids, *seen, row.standing, row.note


def ours(preset: str, record: Path | None = None) -> tuple[str, ...]:
    """The same for one of our presets: images from the recipe, FIDs from a run's record if any."""
    recipe = PRESETS[preset]()
    before = recipe.start.samples if recipe.start else 0
    fids = measured(record) if record else {}
    seen = (f"{round(count / 1e6, 2):g}" for count in (before, recipe.samples - before))
    known = "measured here" if fids else "images from the preset"
    one, two = (fids.get(calls, NOT_RUN) for calls in ("1", "2"))
    return f"here: `{preset}`", one, two, *seen, known, ""


def measured(record: Path) -> dict[str, str]:
    """FIDs by calls in a run's record: readings of Inception's space, 50 000 against train."""
    if not record.exists():
        return {}
    readings = json.loads(record.read_text(encoding="utf-8")).get("readings", [])
    return {
        row["of"].split()[0]: f"{row['value']:.2f} ± {row['error']:.2f}"
        for row in readings
        if (row["space"], row["name"]) == ("inception", "fd")
        and (row["samples"], row["reference"]) == (50_000, "train")
    }


def table(records: Sequence[Path | None] = (None,) * len(OURS)) -> str:
    """The whole as Markdown: published rows, then ours."""
    rows = [cells(row) for row in ROWS]
    rows += [ours(preset, record) for preset, record in zip(OURS, records, strict=True)]
    lines = ["| " + " | ".join(row) + " |" for row in (HEADS, *rows)]
    lines.insert(1, "|---|---:|---:|---:|---:|---|---|")
    return "\n".join(lines)
