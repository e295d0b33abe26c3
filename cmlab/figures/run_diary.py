"""What a shipped run wrote down while it trained, its start first: losses, sheets of samples."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..callbacks import LEVELS
from ..checkpoint import BadFile, read_json
from ..diary import CALLS
from ..ship import beside


@dataclass(frozen=True)
class Diary:
    """One run, its start in front of it: what its log and its sheets of samples hold."""

    before: int  # images seen by the start
    samples: np.ndarray  # (rows,) images seen, the start's counted
    losses: np.ndarray  # (rows, levels), NaN where no image had that noise
    seen: np.ndarray  # (sheets,) images seen at each sheet
    sheets: np.ndarray  # (sheets, rows of calls, h, w, 3) uint8

    def strip(self, index: int, calls: int = 1) -> np.ndarray:
        """The row of samples after so many calls on one sheet: uint8 (h, w, 3)."""
        return self.sheets[index, CALLS.index(calls)]


def diary(path: Path) -> Diary:
    """Read what `cmlab ship RUN --out PATH` wrote. Raises BadFile where a file is none of it."""
    rows, record = read_log(beside(path, ".jsonl")), read_json(beside(path, ".json"))
    with Image.open(beside(path, ".png")) as file:
        whole = np.asarray(file.convert("RGB"))
    samples = np.array([row["samples"] for row in rows])
    losses = [[np.nan if v is None else v for v in row["by_level"]] for row in rows]
    first = [row["samples"] for row in rows if row["stage"] < rows[-1]["stage"]]
    seen = np.array(record["sheets"])
    sheets = whole.reshape(len(seen), len(CALLS), -1, *whole.shape[1:])
    return Diary(max(first, default=0), samples, np.array(losses, float), seen, sheets)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Its lines. Raises BadFile for those of another kind of log, or for none."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        complete = all(len(row["by_level"]) == len(LEVELS) and row["samples"] for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        rows, complete = [], False
    if not rows or not complete:
        raise BadFile(f"{path} is no log of a run; make it with `cmlab ship RUN --out NAME`")
    return rows
