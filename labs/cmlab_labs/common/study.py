"""Study: variants that differ in one thing, trained on several seeds, and their recordings."""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmlab.train.checkpoint import BadFile, replace
from cmlab.train.nonfinite import NotFinite
from cmlab.train.recipe import Recipe
from cmlab.train.runs import ROOT, begin, judged, versions
from cmlab.train.trainer import Trainer

from .watch import AgainstLaw, Arrays, Watch

# What was seen while runs trained: small compressed arrays, and the command that made them

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


SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Study:
    """Arms by name: seed -> recipe. Looks are evenly spaced over a run, its beginning included."""

    name: str
    arms: Mapping[str, Callable[[int], Recipe]]
    watch: Watch = AgainstLaw()
    looks: int = 40

    def record(self, arm: str, seeds: Sequence[int] = SEEDS) -> Recording:
        """Train this arm on each seed, and keep what was seen."""
        recipes = (self.arms[arm](seed) for seed in seeds)
        runs = [(recipe, *self.watched(recipe)) for recipe in recipes]
        record = {
            "command": f"cmlab record {self.name} {arm} --seeds {','.join(map(str, seeds))}",
            "study": self.name,
            "arm": arm,
            "seeds": list(seeds),
            "samples": runs[0][0].samples,
            "seconds": [round(trainer.seconds, 2) for _, trainer, _, _ in runs],
            "scores": [scores for _, _, scores, _ in runs],
            "versions": versions(),
        }
        seen = [arrays for *_, arrays in runs]
        return Recording({name: np.stack([a[name] for a in seen]) for name in seen[0]}, record)

    def watched(self, recipe: Recipe) -> tuple[Trainer, dict[str, float | None], Arrays]:
        """One run: the trainer at its end, the judge's scores, and the arrays.

        steps (looks + 1,) the moments; loss (looks + 1,) the running mean of the loss, nan at 0.
        A run whose loss is not finite keeps the weights that it had, and is looked at as it was.
        """
        trainer = recipe.trainer(begin(recipe, None, recipe.train.steps, False))
        rows = list(self.moments(trainer, recipe))
        seen = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        seen |= self.watch.last(trainer, recipe)
        return trainer, judged(trainer.ema.model, recipe), seen

    def moments(self, trainer: Trainer, recipe: Recipe) -> Iterator[Arrays]:
        """What is seen at each moment."""
        whole, run, alive = recipe.train.steps, trainer.run(), True
        for look in range(self.looks + 1):
            moment = round(look * whole / self.looks)
            try:
                while alive and trainer.step < moment:
                    next(run)
            except NotFinite:
                alive = False
            here = {"steps": np.array(trainer.step), "loss": np.float32(trainer.average)}
            yield {k: np.asarray(v) for k, v in here.items()} | self.watch.look(trainer, recipe)
