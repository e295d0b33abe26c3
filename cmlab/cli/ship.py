"""`cmlab ship`: export a finished run as four files small enough for a repository.

NAME.safetensors  the averaged weights in bfloat16, the record in the header
NAME.json         the record: recipe, budget, scores
NAME.jsonl        the log of all its trainings, one after the other, thinned
NAME.png          sheets of samples from the same noise during training, oldest at the top
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
from ..train.run_log import LOG, STRIPS, read_log
from ..train.runs import load

ROWS, SHEETS = 120, 16  # of the log and of the sheets, at most


def ship(run: Path, out: Path) -> dict[str, Any]:
    """Export a run.

    Args:
        run: the folder of a finished run.
        out: the path of the four files, without a suffix.

    Returns:
        The record that was written.

    Raises:
        BadFile: if the run is not finished, or is one file without a log.
    """
    model, _, record = load(run)
    if not run.is_dir():
        raise BadFile(f"{run} is one file; give the run's folder, which has its log and sheets")
    if out.is_dir():
        raise BadFile(f"{out} is a folder; give the name of the files, as {out / 'small'}")
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
        picture = Image.fromarray(stacked([path for _, path in chosen]))
        write = lambda path: picture.save(path, format="PNG", optimize=True)  # noqa: E731
        checkpoint.replace(with_suffix(out, ".png"), write)
    return record


def with_suffix(out: Path, suffix: str) -> Path:
    """The path with a suffix appended; a dot in its name is part of the name."""
    return out.with_name(out.name + suffix)


def history(run: Path) -> tuple[list[dict[str, Any]], list[tuple[int, Path]]]:
    """Log lines and sheets, each with the training samples seen by then, all starts included."""
    rows: list[dict[str, Any]] = []
    sheets: list[tuple[int, Path]] = []
    first = trainings(run)[0]  # that of a file which was given has no log
    before = 0 if (first / LOG).exists() or first == run else load(first)[1].samples
    for stage, folder in enumerate(f for f in trainings(run) if (f / LOG).exists()):
        if not (mine := read_log(folder / LOG)):
            continue
        batch = mine[-1]["samples"] // max(mine[-1]["step"], 1)
        rows += [row | {"samples": before + row["samples"], "stage": stage} for row in mine]
        pictures = sorted((folder / STRIPS).glob("*.png"))
        pictures = [path for path in pictures if path.stem.isdigit()]
        sheets += [(before + int(path.stem) * batch, path) for path in pictures]
        before += mine[-1]["samples"]
    return rows, sheets


def trainings(run: Path) -> list[Path]:
    """The folders of a run's trainings, the first one first: a start may have its own start."""
    start = run / "start"
    return [*(trainings(start) if start.is_dir() else ()), run]


def stacked(paths: list[Path]) -> np.ndarray:
    """The pixels of sheets, one above the other. Raises BadFile for one that does not fit."""
    sheets: list[np.ndarray] = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                sheets.append(np.asarray(picture.convert("RGB")))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise BadFile(f"{path} is damaged or no picture; remove it and ship again") from error
        if sheets[-1].shape != sheets[0].shape:
            raise BadFile(f"{path} is of another size than the first; remove it and ship again")
    return np.concatenate(sheets)


def spread(n: int, most: int) -> list[int]:
    """At most `most` of n indices, evenly spaced, with the first and the last."""
    if n <= most:
        return list(range(n))
    return sorted({ceil(i * (n - 1) / (most - 1)) for i in range(most)})
