"""Train a recipe in a folder, its start first, on however many devices; and score it."""

from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import ceil, isfinite
from pathlib import Path

from lightning_fabric import Fabric

from . import checkpoint
from .callbacks import Callback, Progress, every
from .checkpoint import BadFile
from .compiling import compile_network
from .convert import carried
from .diary import Autosave, Log, Strip, pictured
from .engine import Engine, share
from .finite import NotFinite
from .folder import (
    CHECKPOINT, MODEL, RECORD, cpu_hours, finish, load, resume, samples_seen, save, seconds,
)  # fmt: skip
from .judge import AgainstTest
from .model import Denoiser
from .provenance import ROOT, commit, provenance, versions
from .recipe import Recipe, from_dict
from .sitting import Sitting, Watched
from .train import Trainer

SHEETS = 40  # of samples in the whole of a run
LINES = 100  # steps between two lines of the log, fewer in a short run

__all__ = [
    "CHECKPOINT", "MODEL", "RECORD", "ROOT", "begin", "commit", "cpu_hours", "finish", "fit",
    "judged", "load", "provenance", "resume", "samples_seen", "save", "seconds", "shared", "versions",
]  # fmt: skip


def shared(recipe: Recipe, processes: int, folder: Path | None = None) -> Recipe:
    """The recipe with a batch in parts that so many processes can share.

    A run that was begun keeps its parts, whatever it was begun on: so it draws the same batches.
    Raises ValueError when its parts cannot be shared, or a batch cannot be cut so.
    """
    parts = recipe.train.parts
    record = folder / RECORD if folder else None
    if record and record.exists():
        parts = from_dict(checkpoint.read_json(record)["recipe"]).train.parts
        share(parts, processes)
    elif parts % processes:
        parts = processes
    start = recipe.start and shared(recipe.start, processes, folder and folder / "start")
    return replace(recipe, train=replace(recipe.train, parts=parts), start=start)


def fit(
    recipe: Recipe,
    folder: Path | None = None,
    *callbacks: Callback,
    keep: int = 500,
    bar: bool = False,
    fabric: Fabric | None = None,
    sitting: Sitting | None = None,
    compiled: bool = False,
) -> Trainer:
    """Train a recipe, its start first, and go on where the folder's checkpoints end.

    `keep` is the number of steps between two checkpoints; without a folder nothing is written.
    The callbacks hear of the recipe itself, not of its start. A launched `fabric` shares the work
    among its processes, `sitting` is where the run is watched from: the folder, unless given.
    """
    fabric = fabric or Engine().fabric(recipe.train)
    sitting = sitting or (begun(folder, recipe) if folder else None)
    trainer = recipe.trainer(begin(recipe, folder, keep, bar, fabric, sitting, compiled), fabric)
    note = compile_network(trainer) if compiled else ""
    heard = list(callbacks)
    if folder and sitting:
        resume(trainer, recipe, folder)
        heard += diary(trainer, recipe, folder, keep, sitting, note)
    if bar and fabric.is_global_zero:
        heard += [every(20, Progress(type(recipe.method).__name__))]
    return to_the_end(trainer, heard, sitting)


def to_the_end(trainer: Trainer, heard: list[Callback], sitting: Sitting | None) -> Trainer:
    """Train; a run that fails leaves the reason for those who watch."""
    try:
        return trainer.fit(*heard)
    except (NotFinite, BadFile) as error:
        if sitting and trainer.fabric.is_global_zero:
            with suppress(BadFile):  # a full disk may have no room for this either
                sitting.tell("failed", trainer, str(error))
        raise


def begun(folder: Path, recipe: Recipe) -> Sitting:
    """A new sitting, in which nothing is wanted yet."""
    sitting = Sitting(folder, (2, 2) if recipe.start else (1, 1))
    sitting.ask("")  # what an earlier one left behind
    return sitting


def diary(
    trainer: Trainer, recipe: Recipe, folder: Path, keep: int, sitting: Sitting, note: str
) -> list[Callback]:
    """Begin the folder's record; the callbacks that write the rest of it."""

    def kept(trainer: Trainer) -> None:
        save(trainer, recipe, folder)

    watched = Watched(sitting, kept, note)
    if not trainer.fabric.is_global_zero:
        return [watched]
    # After a step in which all processes have looked for bad numbers: one alone cannot.
    saved = every(ceil(keep / trainer.patience) * trainer.patience, Autosave(kept))
    if trainer.step < trainer.config.steps:  # the record of a finished run says more
        checkpoint.write_json(folder / RECORD, provenance(recipe))
    now_and_then = max(recipe.train.steps // SHEETS, 1)
    written: list[Callback] = [every(min(LINES, now_and_then), Log(folder))]
    if pictured(recipe):
        written += [every(now_and_then, Strip(recipe, folder))]
    return [*written, saved, watched]


def begin(
    recipe: Recipe,
    folder: Path | None,
    keep: int,
    bar: bool,
    fabric: Fabric | None = None,
    sitting: Sitting | None = None,
    compiled: bool = False,
) -> Denoiser:
    """The model at step 0: fresh, or with the averaged weights that the start ends with."""
    model = recipe.build()
    if recipe.start:
        place = folder / "start" if folder else None
        first = replace(sitting, stage=(1, 2)) if sitting else None
        train = partial(fit, keep=keep, bar=bar, fabric=fabric, compiled=compiled)
        before = train(recipe.start, place, sitting=first)
        if place and not (place / MODEL).exists():
            finish(before, recipe.start, place, {"samples_seen": before.samples_seen})
        average = before.ema.model.cpu()
        model.net.load_state_dict(carried(average, recipe.precond).net.state_dict())
    return model


def judged(model: Denoiser, recipe: Recipe) -> dict[str, float | None]:
    """The scores of a model by its recipe's judge; None for one that is not finite.

    Judges of small data draw on the CPU, so there they get a copy of a model on a GPU.
    """
    there = isinstance(recipe.judge, AgainstTest) or not next(model.parameters()).is_cuda
    model = model if there else deepcopy(model).cpu()
    scores = recipe.judge(model, recipe.data, recipe.sampler)
    return {name: score if isfinite(score) else None for name, score in scores.items()}
