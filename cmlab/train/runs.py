"""Runs: train a recipe in a folder, resume it, score it, load it.

A run on disk: a folder that a kill at any moment leaves fit to resume.

record.json             the recipe, versions, commit, the method's source; then the scores
checkpoint.safetensors  everything that resuming needs, replaced whole
model.safetensors       the averaged weights with the record in the header: what is shipped
log.jsonl, strips/      the diary, see run_log.py
state.json, want        for those who watch, see control.py
start/                  the run that was trained first, if the recipe has one
"""

import inspect
import platform
import subprocess
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from math import ceil, isfinite
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from ..methods.base import Method
from ..metrics.evaluators import AgainstTest
from ..model import Denoiser, carried
from . import checkpoint
from .callbacks import Callback, Progress, every
from .checkpoint import BadFile
from .control import Sitting, Watched
from .distributed import Engine, share
from .nonfinite import NotFinite
from .recipe import Recipe, from_dict, to_dict
from .run_log import Autosave, Log, Strip, pictured, shorten
from .trainer import Trainer, compile_network

# What a reader needs to judge a run: recipe, versions, commit, and the loss's own source

ROOT = Path(__file__).parents[2]


def provenance(recipe: Recipe) -> dict[str, Any]:
    """The part of a record that is known before the first step."""
    return {
        "recipe": to_dict(recipe),
        "versions": versions(),
        "commit": commit(),
        "method_source": source(type(recipe.method)),
    }


def source(method: type[Method]) -> str:
    """The source of a method's file, and of its loss where that stands in another."""
    text = inspect.getsource(inspect.getmodule(method) or method)
    loss = inspect.getsource(method.loss)
    return text if loss in text else f"{text}\n\n{loss}"


def versions() -> dict[str, str]:
    """What a result may depend on."""
    names = ("cmlab", "torch", "numpy", "lightning-fabric")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def commit() -> str | None:
    """The git commit of this checkout, "+changes" when files differ from it; None outside one."""
    git = ["git", "-C", str(ROOT)]
    try:
        head, status = (
            subprocess.run([*git, *words], capture_output=True, text=True, encoding="utf-8")
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except OSError:
        return None
    if head.returncode:
        return None
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")


# A run on disk: a folder that a kill at any moment leaves fit to resume

CHECKPOINT, MODEL, RECORD = "checkpoint.safetensors", "model.safetensors", "record.json"


def samples_seen(trainer: Trainer, recipe: Recipe) -> int:
    """Training samples so far, those of the start counted."""
    return trainer.samples_seen + (recipe.start.samples if recipe.start else 0)


def seconds(trainer: Trainer, recipe: Recipe, folder: Path) -> float:
    """Seconds of training, those of the start counted; callbacks and scoring are not."""
    path = folder / "start" / CHECKPOINT
    if recipe.start is None or not path.exists():  # a start of 0 steps has none
        return trainer.seconds
    return trainer.seconds + checkpoint.read(path)[1]["seconds"]


def cpu_hours(trainer: Trainer, recipe: Recipe, folder: Path) -> float:
    """Hours of processor time spent on training steps, by one process, those of the start too."""
    path, before = folder / "start" / CHECKPOINT, 0.0
    if recipe.start is not None and path.exists():
        before = checkpoint.read(path)[1].get("cpu_seconds", 0.0)
    return (trainer.cpu_seconds + before) / 3600


def save(trainer: Trainer, recipe: Recipe, folder: Path) -> None:
    """Everything that resuming needs, in one file."""
    tensors = trainer.tensors()
    state = {
        "step": trainer.step,
        "seconds": trainer.seconds,
        "average": trainer.average,
        "cpu_seconds": trainer.cpu_seconds,
    }
    if trainer.fabric.is_global_zero:
        record = {"recipe": to_dict(recipe), **state}
        checkpoint.write(folder / CHECKPOINT, tensors, record)


def resume(trainer: Trainer, recipe: Recipe, folder: Path) -> None:
    """Go on from the folder's checkpoint, if it has one. Raises BadFile for another recipe's."""
    path = folder / CHECKPOINT
    if trainer.fabric.is_global_zero:  # which alone writes
        for part in folder.glob(".*.part"):  # what a kill left of a write
            part.unlink(missing_ok=True)
    if not path.exists():
        return
    tensors, record = checkpoint.read(path)
    try:  # through `from_dict`, which knows earlier names and gives later fields their defaults
        before = to_dict(from_dict(record["recipe"]))
    except ValueError as error:
        raise BadFile(f"{path} does not fit this cmlab: {error}") from error
    if other := difference(before, to_dict(recipe)):
        raise BadFile(
            f"{folder} holds a run of another recipe, {other}; choose another --out, or its recipe"
        )
    cpu_seconds = record.get("cpu_seconds", 0.0)  # older checkpoints did not count them
    trainer.load(tensors, record["step"], record["seconds"], record["average"], cpu_seconds)
    if trainer.fabric.is_global_zero:
        shorten(folder, trainer.step)


def difference(before: Any, now: Any, name: str = "") -> str:
    """Where two records of recipes first differ, in words; empty if they do not."""
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        parts = (difference(before[k], now[k], f"{name}.{k}".strip(".")) for k in before)
        return next(filter(None, parts), "")
    if before == now:
        return ""
    said = [str(v["kind"] if isinstance(v, dict) and "kind" in v else v) for v in (before, now)]
    return f"whose {name} is {said[0][:60]} and not {said[1][:60]}"


def finish(trainer: Trainer, recipe: Recipe, folder: Path, facts: dict[str, Any]) -> None:
    """Write the averaged weights and the whole record: one process of all."""
    if not trainer.fabric.is_global_zero:
        return
    record = provenance(recipe) | facts
    checkpoint.write(folder / MODEL, trainer.ema.model.state_dict(), record)
    checkpoint.write_json(folder / RECORD, record)


def load(path: Path) -> tuple[Denoiser, Recipe, dict[str, Any]]:
    """A trained denoiser, its recipe and its record, from a run's folder or a shipped file.

    Raises BadFile in one sentence for what is no such thing.
    """
    file = path / MODEL if path.is_dir() else path
    begun = any((path / name).exists() for name in (CHECKPOINT, RECORD, "start"))
    if path.is_dir() and not file.exists() and begun:
        raise BadFile(f"{path} is not finished; go on with the same command and --resume")
    tensors, record = checkpoint.read(file)
    try:
        recipe = from_dict(record["recipe"])
        model = recipe.build()
        model.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise BadFile(f"{file} does not fit this cmlab: {str(error).splitlines()[0]}") from error
    return model.eval(), recipe, record


SHEETS = 40  # of samples in the whole of a run
LINES = 100  # steps between two lines of the log, fewer in a short run


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
