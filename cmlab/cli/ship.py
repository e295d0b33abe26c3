"""A finished run made small enough to go with a repository, with what shows how it came about.

NAME.safetensors  the averaged weights in bfloat16, the record in the header
NAME.json         the record: recipe, budget, scores
NAME.jsonl        the log of all its trainings, one after the other, thinned
NAME.png          sheets of samples from the same noise, one below the other, oldest first
"""

import json
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..train import checkpoint
from ..train.checkpoint import BadFile
from ..train.run_log import LOG, STRIPS
from ..train.runs import load

ROWS, SHEETS = 120, 16  # of the log and of the sheets, at most


def ship(run: Path, out: Path) -> dict[str, Any]:
    """Write the four files beside `out`, a path without a suffix; the record.

    Raises BadFile for a run that is not finished.
    """
    model, _, record = load(run)
    if not run.is_dir():
        raise BadFile(f"{run} is one file; give the run's folder, which has its log and sheets")
    rows, sheets = history(run)
    chosen = [sheets[i] for i in spread(len(sheets), SHEETS)]
    record = record | {"dtype": "bfloat16", "sheets": [samples for samples, _ in chosen]}
    small = {
        name: value.to(torch.bfloat16) if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    checkpoint.write(with_suffix(out, ".safetensors"), small, record)
    checkpoint.write_json(with_suffix(out, ".json"), record)
    lines = "".join(json.dumps(rows[i]) + "\n" for i in spread(len(rows), ROWS))
    checkpoint.replace(with_suffix(out, ".jsonl"), lambda path: path.write_text(lines, "utf-8"))
    if chosen:
        picture = Image.fromarray(np.concatenate([np.asarray(Image.open(p)) for _, p in chosen]))
        write = lambda path: picture.save(path, format="PNG", optimize=True)  # noqa: E731
        checkpoint.replace(with_suffix(out, ".png"), write)
    return record


def with_suffix(out: Path, suffix: str) -> Path:
    """The path with a suffix more; a dot in its name is part of the name."""
    return out.with_name(out.name + suffix)


def history(run: Path) -> tuple[list[dict[str, Any]], list[tuple[int, Path]]]:
    """The lines of the log and the sheets, each with the samples seen by then, start included."""
    before, rows, sheets = 0, [], []
    for stage, folder in enumerate(f for f in (run / "start", run) if (f / LOG).exists()):
        mine = [json.loads(line) for line in (folder / LOG).read_text("utf-8").splitlines()]
        batch = mine[-1]["samples"] // mine[-1]["step"]
        rows += [row | {"samples": before + row["samples"], "stage": stage} for row in mine]
        pictures = sorted((folder / STRIPS).glob("*.png"))
        sheets += [(before + int(path.stem) * batch, path) for path in pictures]
        before += mine[-1]["samples"]
    return rows, sheets


def spread(n: int, most: int) -> list[int]:
    """At most so many of n indices, evenly apart, the first and the last among them."""
    if n <= most:
        return list(range(n))
    return sorted({ceil(i * (n - 1) / (most - 1)) for i in range(most)})
