"""What a run has written so far, read as it grows: the log of each phase, and its pace."""

import json
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..callbacks import LEVELS
from ..checkpoint import BadFile, read_json
from ..diary import LOG
from ..figures.desk import Phase
from ..folder import RECORD
from ..recipe import from_dict
from .standing import Standing


class Follow:
    """The rows of a log, of which `read` takes in only what is new."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.forget()

    def forget(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.offset, self.file = 0, 0

    def read(self) -> bool:
        """Whether there was anything new. A line that is half written waits for its end."""
        try:
            with self.path.open("rb") as file:
                return self.take(file.fileno(), file)
        except OSError:
            known = bool(self.rows)
            self.forget()
            return known

    def take(self, number: int, file: Any) -> bool:
        size, same = self.path.stat().st_size, self.path.stat().st_ino
        if same != self.file or size < self.offset:  # a resumed run puts a shorter one in place
            self.forget()
        self.file = same
        file.seek(self.offset)
        whole = file.read().rpartition(b"\n")[0]
        self.offset += len(whole) + bool(whole)
        rows = [row for line in whole.splitlines() if (row := parsed(line))]
        self.rows += rows
        return bool(rows)


def parsed(line: bytes) -> dict[str, Any] | None:
    """A row of the log; None for a line that is none."""
    try:
        row = json.loads(line)
        known = all(isinstance(row[name], int | float) for name in ("step", "samples", "loss"))
        return row if known and len(row["by_level"]) == len(LEVELS) else None
    except (ValueError, TypeError, KeyError):
        return None


class Trace:
    """A run's phases, one or two: names and batches from its records, rows from its logs."""

    def __init__(self, folder: Path) -> None:
        self.folders = (folder / "start", folder)
        self.logs = tuple(Follow(place / LOG) for place in self.folders)
        self.known: dict[Path, tuple[str, int]] = {}

    def read(self) -> bool:
        return any([log.read() for log in self.logs])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Those of the latest phase that has any."""
        return self.logs[1].rows or self.logs[0].rows

    def facts(self, place: Path) -> tuple[str, int]:
        """The method's name and the samples of a step; ("", 0) before the record is written."""
        if place not in self.known:
            try:
                recipe = from_dict(read_json(place / RECORD)["recipe"])
                self.known[place] = type(recipe.method).__name__, recipe.train.batch
            except (BadFile, AttributeError, KeyError, TypeError, ValueError):
                return "", 0
        return self.known[place]

    def phases(self) -> list[Phase]:
        """What there is to draw: samples counted through both phases."""
        before, found = 0, []
        for place, log in zip(self.folders, self.logs, strict=True):
            if log.rows:
                found.append(phase(self.facts(place)[0], log.rows, before, len(found) + 1))
                before += int(log.rows[-1]["samples"])
        return found

    def here(self, now: Standing) -> tuple[str, int]:
        """The method's name and the samples of a step, in the phase that the run is in."""
        return self.facts(self.folders[now.stage[0] == now.stage[1]])

    def samples(self, now: Standing) -> int:
        """Samples seen so far, those of the first phase counted."""
        first = self.logs[0].rows if now.stage == (2, 2) else []
        return now.step * self.here(now)[1] + (int(first[-1]["samples"]) if first else 0)


def phase(name: str, rows: Sequence[dict[str, Any]], before: int, number: int) -> Phase:
    levels = np.array([[np.nan if v is None else v for v in r["by_level"]] for r in rows], float)
    samples = np.array([before + r["samples"] for r in rows], float)
    title = f"phase {number}" + (f": {name}" if name else "")
    return Phase(title, samples, np.array([r["loss"] for r in rows], float), levels)


class Pace:
    """Steps a second over the last half minute of training, from what the run tells of itself."""

    def __init__(self) -> None:
        self.seen: deque[tuple[float, int]] = deque(maxlen=30)
        self.kind: tuple[object, ...] = ()

    def see(self, now: Standing) -> None:
        kind = (now.word, now.pid, now.stage)
        if kind != self.kind:
            self.seen.clear()
        self.kind = kind
        if now.word == "training" and (not self.seen or now.time > self.seen[-1][0]):
            self.seen.append((now.time, now.step))

    @property
    def steps(self) -> float:
        """0 as long as it is not known."""
        if len(self.seen) < 2:
            return 0.0
        (start, first), (end, last) = self.seen[0], self.seen[-1]
        return (last - first) / (end - start)
