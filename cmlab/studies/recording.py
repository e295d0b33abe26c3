"""What was seen while runs trained: small compressed arrays, and the command that made them."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import BadFile, replace
from ..runs import ROOT

FOLDER = ROOT / "data" / "runs"
RECORD = "record"  # the entry that holds the JSON


@dataclass(frozen=True, eq=False)
class Recording:
    """One arm of a study. The first axis of every array is the seed.

    arrays  by name, see `studies.watch`
    record  {"command", "study", "arm", "seeds", "samples" a run, "seconds" of each, "scores" a
            list with one {name: number} for each seed, "versions"}
    """

    arrays: Mapping[str, np.ndarray]
    record: Mapping[str, Any]

    def __getitem__(self, name: str) -> np.ndarray:
        """An array in float64 where it holds fractions. Raises KeyError naming what there is."""
        if name not in self.arrays:
            raise KeyError(f"this recording has no {name!r}; it has {', '.join(self.arrays)}")
        array = self.arrays[name]
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    def score(self, name: str) -> np.ndarray:
        """One number for each seed; nan for a run that came to nothing."""
        found = [scores[name] for scores in self.record["scores"]]
        return np.array([np.nan if score is None else score for score in found])


def ranged(values: Sequence[float] | np.ndarray, form: str = ".3f") -> str:
    """One number for each seed in words: mean (lowest to highest); of a single one, itself."""
    v = np.asarray(values, dtype=float)
    mean, low, high = (format(x, form) for x in (v.mean(), v.min(), v.max()))
    return mean if len(v) == 1 else f"{mean} ({low} to {high})"


def path_of(study: str, arm: str, folder: Path = FOLDER) -> Path:
    """Where a recording lies."""
    return folder / study / f"{arm}.npz"


def write(recording: Recording, folder: Path = FOLDER) -> Path:
    """Write atomically, and say where. Raises BadFile when the disk refuses."""
    path = path_of(recording.record["study"], recording.record["arm"], folder)
    text = json.dumps(dict(recording.record), ensure_ascii=False, allow_nan=False)
    entries: dict[str, Any] = {RECORD: np.array(text), **recording.arrays}

    def fill(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **entries)

    replace(path, fill)
    return path


def read(study: str, arm: str, folder: Path = FOLDER) -> Recording:
    """A recording by name. Raises BadFile when it is missing or damaged."""
    path = path_of(study, arm, folder)
    remake = f"make it with `cmlab record {study} {arm}`"
    if not path.is_file():
        raise BadFile(f"there is no recording {path.name} of {study}; {remake}")
    try:
        # Opened here, since numpy leaves a file open that turns out to be no archive.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return Recording(arrays, json.loads(str(arrays.pop(RECORD))))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadFile(f"{path} is damaged or no recording; {remake}") from error
