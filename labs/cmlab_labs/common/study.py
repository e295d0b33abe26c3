"""Studies: variants that differ in one ingredient, trained on several seeds, and recordings."""

import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmlab.discovery import SHIPPED
from cmlab.train.checkpoint import BadFile, is_pointer, parse_json, replace, with_fields
from cmlab.train.nonfinite import NotFinite
from cmlab.train.recipe import Recipe
from cmlab.train.runs import begin, evaluate_model, versions
from cmlab.train.trainer import Trainer

from .observers import Arrays, ErrorObserver, Observer

FOLDER = SHIPPED / "runs"
RECORD = "record"  # the entry that holds the JSON


@dataclass(frozen=True, eq=False)
class Recording:
    """What was measured on one variant of a study. The first axis of every array is the seed.

    Args:
        arrays: by name; see the observers in observers.py.
        record: {"command", "study", "arm" (the variant), "seeds", "samples" a run, "seconds" of
            each run, "scores" a list with one {name: number} for each seed, "versions"}.
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
        """One evaluation score for each seed; nan for a run that diverged."""
        scores = [each[name] for each in self.record["scores"]]
        return np.array([np.nan if score is None else score for score in scores])


def ranged(values: Sequence[float] | np.ndarray, form: str = ".3f") -> str:
    """One number for each seed as text: mean (lowest to highest); a single number as it is."""
    v = np.asarray(values, dtype=float)
    mean, low, high = (format(x, form) for x in (v.mean(), v.min(), v.max()))
    return mean if len(v) == 1 else f"{mean} ({low} to {high})"


@dataclass(frozen=True)
class Fact:
    """A statement on scores: one is below others, or like them; each as "variant score".

    Args:
        claim: the statement in words.
        first: the score that is below the others, such as "lsd rmse1".
        others: the scores that it is compared with.
        times: how many times `first` the others are at least; 0 if they are like it.
    """

    claim: str
    first: str
    others: tuple[str, ...]
    times: float = 1.0

    def scores(self, runs: Mapping[str, Recording]) -> dict[str, np.ndarray]:
        """One number for each seed, by "variant score"."""
        return {name: runs[name.split()[0]].score(name.split()[1]) for name in self.names}

    @property
    def names(self) -> tuple[str, ...]:
        return (self.first, *self.others)

    def verdict(self, runs: Mapping[str, Recording]) -> str:
        """Whether the recorded seeds say the same."""
        first, *others = self.scores(runs).values()
        if self.times == 0:
            if any(first.max() < v.min() for v in others):
                return "not seen at this scale: the first score is lower, the ranges disjoint"
            higher = any(v.max() < first.min() for v in others)
            return "not seen at this scale: disjoint ranges" if higher else "confirmed here"
        least, factor = min(v.min() for v in others), min(v.mean() for v in others) / first.mean()
        if first.max() * self.times < least:
            return "confirmed here"
        if first.max() < least and factor < self.times:
            return f"partly: the ranges are disjoint, but the factor is {factor:.1f}"
        if first.max() < least:
            near = least / first.max()
            means = f"partly: a factor of {factor:.1f} between the means"
            return f"{means}, but only {near:.1f} between the closest seeds"
        return "partly: the ranges overlap" if factor > 1 else "not seen at this scale"


def findings_table(
    findings: Sequence[Fact], runs: Mapping[str, Recording], titles: Mapping[str, str]
) -> str:
    """A Markdown table: each statement, the numbers of the recorded seeds, and the verdict."""
    rows = ["| statement | three seeds | verdict |", "|---" * 3 + "|"]
    for one in findings:
        here, verdict = "", "not run here"
        if all(name.split()[0] in runs for name in one.names):
            scores, verdict = one.scores(runs), one.verdict(runs)
            here = "; ".join(f"{title_of(n, titles)} {ranged(v)}" for n, v in scores.items())
        rows.append(f"| {one.claim} | {here} | {verdict} |")
    return "\n".join(rows)


def title_of(name: str, titles: Mapping[str, str]) -> str:
    """The title of a "variant score"; of a variant with several scores they have their own."""
    return titles.get(name) or titles[name.split()[0]]


def path_of(study: str, variant: str, folder: Path = FOLDER) -> Path:
    """The file of a recording."""
    return folder / study / f"{variant}.npz"


def write(recording: Recording, folder: Path = FOLDER) -> Path:
    """Write a recording atomically and return its path. Raises BadFile if the disk refuses."""
    path = path_of(recording.record["study"], recording.record["arm"], folder)
    text = json.dumps(dict(recording.record), ensure_ascii=False, allow_nan=False)
    entries: dict[str, Any] = {RECORD: np.array(text), **recording.arrays}

    def fill(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **entries)

    replace(path, fill)
    return path


def read(study: str, variant: str, folder: Path = FOLDER) -> Recording:
    """Read a recording by name. Raises BadFile if it is missing or damaged."""
    path = path_of(study, variant, folder)
    remake = f"make it with `cmlab record {study} {variant}`"
    if not path.is_file():
        raise BadFile(f"there is no recording {path.name} of {study}; {remake}")
    if is_pointer(path):
        raise BadFile(f"{path} is a Git LFS pointer; fetch it with `git lfs pull`")
    try:
        arrays = _unpacked(path)
        record = with_fields(parse_json(str(arrays.pop(RECORD))), WHOLE, str(path))
        if not _are_scores(record.get("scores", [])):
            raise ValueError("its scores are no numbers by name")
        return Recording(arrays, record)
    except DAMAGE as error:
        raise BadFile(f"{path} is damaged or no recording; {remake}") from error


def recorded(study: str, variants: Iterable[str]) -> dict[str, Recording]:
    """The recordings of these variants, as far as they were made."""
    return {name: read(study, name) for name in variants if path_of(study, name).exists()}


WHOLE = {"command": str, "study": str, "arm": str, "seeds": list}
UNPACKED = 64_000_000  # bytes of a whole recording at most; those of the labs take 400 kB
DAMAGE = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile,
    zlib.error, struct.error,
)  # fmt: skip


def _unpacked(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive. Raises one of DAMAGE."""
    with zipfile.ZipFile(path) as archive:  # it reads no more of a part than the size given here
        if sum(part.file_size for part in archive.infolist()) > UNPACKED:
            raise ValueError("it is too large")
    # Opened here, since numpy leaves a file open that turns out to be no archive.
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _are_scores(rows: Any) -> bool:
    """Whether these are scores of runs: {name: number or None} for each, with the same names."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return False
    numbers = [value for row in rows for value in row.values() if value is not None]
    alike = len({frozenset(row) for row in rows}) <= 1
    return alike and all(isinstance(value, int | float) for value in numbers)


SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Study:
    """An ablation study: variants to train on several seeds, and what to observe while they train.

    Args:
        variants: by name; each makes a recipe from a seed.
        observer: what is measured during training and at its end.
        observations: how often, evenly spaced over a run; the first, at step 0, not counted.
    """

    name: str
    variants: Mapping[str, Callable[[int], Recipe]]
    observer: Observer = ErrorObserver()
    observations: int = 40

    def record(self, variant: str, seeds: Sequence[int] = SEEDS) -> Recording:
        """Train one variant on each seed and keep what its observer measured."""
        recipes = (self.variants[variant](seed) for seed in seeds)
        runs = [(recipe, *self.train_and_observe(recipe)) for recipe in recipes]
        record = {
            "command": f"cmlab record {self.name} {variant} --seeds {','.join(map(str, seeds))}",
            "study": self.name,
            "arm": variant,
            "seeds": list(seeds),
            "samples": runs[0][0].samples,
            "seconds": [round(trainer.seconds, 2) for _, trainer, _, _ in runs],
            "scores": [scores for _, _, scores, _ in runs],
            "versions": versions(),
        }
        rows = [arrays for *_, arrays in runs]
        return Recording({name: np.stack([a[name] for a in rows]) for name in rows[0]}, record)

    def train_and_observe(self, recipe: Recipe) -> tuple[Trainer, dict[str, float | None], Arrays]:
        """Train one run: the trainer at its end, the evaluator's scores, and the arrays.

        steps (observations + 1,) when it was observed; loss (observations + 1,) the running mean
        of the loss, nan at 0. A run whose loss is not finite stops with the weights that it had,
        and these are observed from then on.
        """
        trainer = recipe.trainer(begin(recipe, None, recipe.train.steps, False))
        rows = list(self._observe_training(trainer, recipe))
        arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        arrays |= self.observer.observe_end(trainer, recipe)
        return trainer, evaluate_model(trainer.ema.model, recipe), arrays

    def _observe_training(self, trainer: Trainer, recipe: Recipe) -> Iterator[Arrays]:
        """The arrays of each observation, in order."""
        total, run, alive = recipe.train.steps, trainer.run(), True
        for number in range(self.observations + 1):
            step = round(number * total / self.observations)
            try:
                while alive and trainer.step < step:
                    next(run)
            except NotFinite:
                alive = False
            here = {"steps": np.array(trainer.step), "loss": np.float32(trainer.average)}
            arrays = {name: np.asarray(value) for name, value in here.items()}
            yield arrays | self.observer.observe(trainer, recipe)
