"""Runs: train a recipe in a folder, resume from its checkpoint, evaluate and load the model.

A run's folder can be resumed after a kill at any moment. It holds

record.json             the recipe, versions, commit, the method's source; then the scores
checkpoint.safetensors  everything that resuming needs, replaced whole
model.safetensors       the averaged weights with the record in the header: what is shipped
log.jsonl, strips/      the run log, see run_log.py
state.json, want        run control, see control.py
start/                  the run that was trained first, if the recipe has one; of a model that
                        was given in its place, its weights, log and strips
parent.json             the finished run that this one goes on from, see lengthen.py
run.lock                the process that writes here, while one does, see lock.py
"""

import inspect
import platform
import subprocess
import sys
from contextlib import nullcontext, suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from math import ceil, isfinite
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

from ..discovery import CHECKOUT
from ..discovery import ROOT as ROOT  # labs and copies of them take it from here
from ..methods.base import Method
from ..metrics.evaluators import CIFAR10Evaluator
from ..model import Denoiser, carried
from . import checkpoint, cost
from .checkpoint import BadFile
from .control import NotSaved, ObeyRequests, RunControl, heed_signals
from .distributed import Engine, parts_per_process
from .lock import check_lock, hold_folder, is_abandoned
from .nonfinite import NotFinite
from .recipe import Recipe, from_dict, to_dict
from .run_log import (
    Autosave,
    Callback,
    JsonlLogger,
    Progress,
    SampleSheet,
    every,
    has_images,
    truncate_log,
)
from .trainer import Trainer, compile_network

# Provenance: recipe, versions, commit, and the source of the loss


def provenance(recipe: Recipe) -> dict[str, Any]:
    """The part of a record that is known before the first step: what the run is a function of."""
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
    """The versions of Python and of the packages that a result may depend on."""
    names = ("cmlab", "torch", "numpy", "lightning-fabric")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def commit() -> str | None:
    """The git commit of this checkout, "+changes" when files differ from it; None outside one."""
    if CHECKOUT is None:  # an installed package, perhaps within somebody's own repository
        return None
    git = ["git", "-C", str(CHECKOUT)]
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


# The budget, the checkpoint and the record of a run

CHECKPOINT, MODEL, RECORD = "checkpoint.safetensors", "model.safetensors", "record.json"
PARENT = "parent.json"


def parent_of(folder: Path) -> dict[str, Any]:
    """The part of a record that names what this run goes on from: a run, or a given model."""
    path, model = folder / PARENT, given(folder)
    found = {"parent": checkpoint.read_json(path)} if path.exists() else {}
    return found | ({"start_sha256": sha256(model.read_bytes()).hexdigest()} if model else {})


def given(folder: Path) -> Path | None:
    """The file of the trained model that a run was given as its start, if it was given one."""
    start = folder / "start"
    lone = (start / MODEL).exists() and not (start / CHECKPOINT).exists()
    return start / MODEL if lone else None


def samples_seen(trainer: Trainer, recipe: Recipe) -> int:
    """Training samples so far, those of the start included."""
    return trainer.samples_seen + (recipe.start.samples if recipe.start else 0)


def seconds(trainer: Trainer, recipe: Recipe, folder: Path) -> float:
    """Seconds of training, those of the start included, without callbacks and evaluation."""
    return trainer.seconds + _before(recipe, folder, "seconds")


def cpu_hours(trainer: Trainer, recipe: Recipe, folder: Path) -> float:
    """Processor hours of one process in training steps, those of the start included."""
    return (trainer.cpu_seconds + _before(recipe, folder, "cpu_seconds")) / 3600


def _before(recipe: Recipe, folder: Path, name: str) -> float:
    """What the checkpoints of a run's start, and of that one's own start, have of a number."""
    place, model = folder / "start", given(folder)
    if model:  # also of a start of 0 steps, which leaves no checkpoint
        spent = {"seconds": 0.0, "cpu_hours": 0.0} | checkpoint.read(model)[1]
        checkpoint.with_fields(spent, {"seconds": float, "cpu_hours": float}, str(model))
        return spent["seconds"] if name == "seconds" else 3600 * spent["cpu_hours"]
    if recipe.start is None or not (place / CHECKPOINT).exists():
        return 0.0
    return read_state(place / CHECKPOINT)[1][name] + _before(recipe.start, place, name)


def save(trainer: Trainer, recipe: Recipe, folder: Path) -> None:
    """Write the checkpoint: everything that resuming needs, in one file."""
    tensors = trainer.tensors()
    state = {
        "step": trainer.step,
        "seconds": trainer.seconds,
        "average": trainer.average,
        "cpu_seconds": trainer.cpu_seconds,
    }
    if trainer.fabric.is_global_zero:
        check_lock(folder)
        record = {"recipe": to_dict(recipe), **state}
        checkpoint.write(folder / CHECKPOINT, tensors, record)


def resume(trainer: Trainer, recipe: Recipe, folder: Path) -> None:
    """Load the folder's checkpoint into the trainer, if there is one.

    Raises:
        BadFile: if it is damaged, or was written by a run of another recipe.
    """
    path = folder / CHECKPOINT
    if trainer.fabric.is_global_zero:  # the only process that writes
        for part in folder.glob(".*.part"):  # left by a kill in the middle of a write
            if is_abandoned(part):
                part.unlink(missing_ok=True)
    if not path.exists():
        if trainer.fabric.is_global_zero:
            truncate_log(folder, 0)  # of an attempt that did not come to its first checkpoint
        return
    tensors, record = read_state(path)
    # Both are written out again, so that later fields and names are filled in before they compare.
    if other := difference(to_dict(recipe_in(record, path)), to_dict(recipe)):
        raise BadFile(
            f"{folder} holds a run of another recipe, {other} (begun with {_writer(folder)}, this "
            f"is {_version(provenance(recipe))}); choose another --out, or its recipe"
        )
    if record["step"] > recipe.train.steps:
        raise BadFile(f"{path} says step {record['step']} of {recipe.train.steps}; restore it")
    try:
        trainer.load(tensors, *(record[name] for name in STATE if name != "recipe"))
    except (RuntimeError, ValueError, LookupError) as error:
        raise BadFile(f"{path} does not fit its recipe: {_reason(error)}; restore it") from error
    if trainer.fabric.is_global_zero:
        truncate_log(folder, trainer.step)


STATE = {"recipe": dict, "step": int, "seconds": float, "average": float, "cpu_seconds": float}


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the record of a checkpoint. Raises BadFile if something is missing."""
    tensors, record = checkpoint.read(path)
    record = {"cpu_seconds": 0.0} | record  # older checkpoints did not count them
    return tensors, checkpoint.with_fields(record, STATE, str(path))


def recipe_in(record: dict[str, Any], path: Path) -> Recipe:
    """The recipe in a record, whichever version of cmlab wrote it.

    Raises:
        BadFile: in one sentence, if there is none or this cmlab cannot read it.
    """
    try:
        recipe = from_dict(checkpoint.with_fields(record, {"recipe": dict}, str(path))["recipe"])
    except BadFile:
        raise
    except ValueError as error:
        raise BadFile(f"{path} does not fit this cmlab: {error}") from error
    if not isinstance(recipe, Recipe):
        raise BadFile(f"{path} holds the record of no run; give a run's folder or its file")
    return recipe


def difference(before: Any, now: Any, name: str = "") -> str:
    """Where two recorded recipes first differ, in words; empty if they do not."""
    if before == now:
        return ""
    alike = isinstance(before, dict) and isinstance(now, dict)
    if alike and before.get("kind") == now.get("kind"):
        names = [*before, *(field for field in now if field not in before)]
        pairs = ((before.get(k, "unset"), now.get(k, "unset"), k) for k in names)
        parts = (difference(a, b, f"{name}.{k}".strip(".")) for a, b, k in pairs)
        return next(filter(None, parts), "")
    said = [str(v["kind"] if isinstance(v, dict) and "kind" in v else v) for v in (before, now)]
    return f"whose {name} is {said[0][:60]} and not {said[1][:60]}"


def _writer(folder: Path) -> str:
    """The cmlab that began a run, by its record."""
    try:
        return _version(checkpoint.read_json(folder / RECORD))
    except BadFile:
        return "an unknown cmlab"


def _version(record: dict[str, Any]) -> str:
    """The version and the commit of cmlab in a record, in words."""
    numbers, head = record.get("versions"), record.get("commit")
    number = numbers.get("cmlab") if isinstance(numbers, dict) else None
    return f"cmlab {number or 'of unknown version'}" + (f" at {str(head)[:7]}" if head else "")


def _reason(error: Exception) -> str:
    """An error's own words on one line; torch takes several."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def finish(trainer: Trainer, recipe: Recipe, folder: Path, facts: dict[str, Any]) -> None:
    """Write the averaged weights and the whole record, from the first process."""
    if not trainer.fabric.is_global_zero:
        return
    check_lock(folder)
    record = provenance(recipe) | parent_of(folder) | facts
    checkpoint.write(folder / MODEL, trainer.ema.model.state_dict(), record)
    checkpoint.write_json(folder / RECORD, record)


def load(path: Path) -> tuple[Denoiser, Recipe, dict[str, Any]]:
    """Load a trained denoiser, its recipe and its record.

    Args:
        path: a run's folder or a shipped .safetensors file.

    Raises:
        BadFile: in one sentence, if there is no finished run or it does not fit this cmlab.
    """
    file = path / MODEL if path.is_dir() else path
    started = any((path / name).exists() for name in (CHECKPOINT, RECORD, "start"))
    if path.is_dir() and not file.exists() and started:
        raise BadFile(f"{path} is not finished; go on with the same command and --resume")
    tensors, record = checkpoint.read(file)
    recipe = recipe_in(record, file)
    try:
        cost.check_size(recipe.net)  # before anything of that size is made
        model = recipe.build()
        model.load_state_dict(_weights(tensors, model))
    except BadFile:
        raise
    except (ValueError, RuntimeError, TypeError, AttributeError, LookupError) as error:
        raise BadFile(f"{file} does not fit this cmlab: {_reason(error)}") from error
    return model.eval(), recipe, record


def _weights(tensors: dict[str, Tensor], model: Denoiser) -> dict[str, Tensor]:
    """Tensors of a file in float32. Raises ValueError for those that are no weights."""
    for name, weight in model.state_dict().items():
        if name not in tensors or not weight.is_floating_point():
            continue
        if not tensors[name].is_floating_point():
            raise ValueError(f"{name} holds {tensors[name].dtype} and no weights")
        if not bool(tensors[name].float().isfinite().all()):
            raise ValueError(f"{name} holds weights that are not finite")
    return {name: value.float() for name, value in tensors.items()}


# Training a recipe in a folder

SHEETS = 40  # of samples in a whole run
LINES = 100  # steps between two lines of the log, fewer in a short run


def with_parts(recipe: Recipe, processes: int, folder: Path | None = None) -> Recipe:
    """The recipe with its batch in parts that so many processes can share.

    A run that was started keeps its parts, on whatever machine, so it draws the same batches.

    Raises:
        ValueError: if its parts cannot be shared, or the batch cannot be divided so.
    """
    parts = recipe.train.parts
    record = folder / RECORD if folder else None
    if record and record.exists():
        parts = recipe_in(checkpoint.read_json(record), record).train.parts
        parts_per_process(parts, processes)
    elif parts % processes:
        parts = processes
    start = recipe.start
    if start and not (folder and given(folder)):
        start = with_parts(start, processes, folder and folder / "start")
    return replace(recipe, train=replace(recipe.train, parts=parts), start=start)


def fit(
    recipe: Recipe,
    folder: Path | None = None,
    *callbacks: Callback,
    keep: int = 500,
    bar: bool = False,
    fabric: Fabric | None = None,
    control: RunControl | None = None,
    compiled: bool = False,
) -> Trainer:
    """Train a recipe, its start first, resuming from the folder's checkpoints if there are any.

    Args:
        recipe: what to train.
        folder: the run's folder; without one nothing is written.
        callbacks: called after each step of the recipe itself, not of its start.
        keep: steps between two checkpoints.
        bar: whether to show a progress bar.
        fabric: Lightning Fabric, launched if several processes share the work.
        control: run control; by default that of the folder.
        compiled: whether to compile the network with torch.compile.

    Raises:
        NotFinite: if a loss or a gradient is NaN or infinite.
        BadFile: if a checkpoint cannot be used or a file cannot be written.
        InUse: if another process is writing into the folder.
        Stopped: if the run was asked to stop.
        NotSaved: if it was, and its checkpoint could not be written.
    """
    fabric = fabric or Engine().fabric(recipe.train)
    with hold_folder(folder) if folder and fabric.is_global_zero else nullcontext():
        control = control or (_new_control(folder, recipe) if folder else None)
        start = begin(recipe, folder, keep, bar, fabric, control, compiled)
        trainer = recipe.trainer(start, fabric)
        note = compile_network(trainer) if compiled else ""
        if note and fabric.is_global_zero:
            sys.stderr.write(f"{type(recipe.method).__name__}: {note}.\n")
        calls = list(callbacks)
        if folder and control:
            resume(trainer, recipe, folder)
            calls += _writers(trainer, recipe, folder, keep, control, note)
        if bar and fabric.is_global_zero:
            calls += [every(20, Progress(type(recipe.method).__name__))]
        try:
            with heed_signals() if folder and control else nullcontext():
                return trainer.fit(*calls)
        except (NotFinite, NotSaved, BadFile) as error:
            if control and fabric.is_global_zero:
                with suppress(BadFile):  # a full disk may have no room for this either
                    control.write_state("failed", trainer, str(error))
            raise


def begin(
    recipe: Recipe,
    folder: Path | None,
    keep: int,
    bar: bool,
    fabric: Fabric | None = None,
    control: RunControl | None = None,
    compiled: bool = False,
) -> Denoiser:
    """The model at step 0: initialised, or with the averaged weights of the trained start."""
    model = recipe.build()
    if recipe.start:
        if folder and (file := given(folder)):
            average = load(file)[0]
        else:
            place = folder / "start" if folder else None
            first = replace(control, stage=(1, 2)) if control else None
            train = partial(fit, keep=keep, bar=bar, fabric=fabric, compiled=compiled)
            before = train(recipe.start, place, control=first)
            if place and not (place / MODEL).exists():
                seen = samples_seen(before, recipe.start)
                finish(before, recipe.start, place, {"samples_seen": seen})
            average = before.ema.model.cpu()
        model.net.load_state_dict(carried(average, recipe.precond).net.state_dict())
    return model


def stage_of(recipe: Recipe, folder: Path) -> tuple[int, int]:
    """That this training is the k-th of n in the folder, (k, n)."""
    return (2, 2) if recipe.start and not given(folder) else (1, 1)


def _new_control(folder: Path, recipe: Recipe) -> RunControl:
    """Run control of the folder, without a request that an earlier run left behind."""
    control = RunControl(folder, stage_of(recipe, folder))
    control.ask("")
    return control


def _writers(
    trainer: Trainer, recipe: Recipe, folder: Path, keep: int, control: RunControl, note: str
) -> list[Callback]:
    """The callbacks that write log, sheets, checkpoints and state; writes the record at once."""

    def checkpoint_now(trainer: Trainer) -> None:
        save(trainer, recipe, folder)

    obey = ObeyRequests(control, checkpoint_now, note)
    if not trainer.fabric.is_global_zero:
        return [obey]
    # After a step in which all processes have checked for bad numbers: one alone cannot.
    after = ceil(keep / trainer.check_every) * trainer.check_every
    if trainer.step < trainer.config.steps:  # the record of a finished run says more
        checkpoint.write_json(folder / RECORD, provenance(recipe) | parent_of(folder))
    between_sheets = max(recipe.train.steps // SHEETS, 1)
    written: list[Callback] = [every(min(LINES, between_sheets), JsonlLogger(folder))]
    if has_images(recipe):
        written += [every(between_sheets, SampleSheet(recipe, folder))]
    return [*written, every(after, Autosave(checkpoint_now)), obey]


def evaluate_model(model: Denoiser, recipe: Recipe) -> dict[str, float | None]:
    """The scores of a model by its recipe's evaluator; None for one that is not finite.

    Evaluators of small data draw on the CPU, so there they get a copy of a model on a GPU.
    """
    in_place = (
        isinstance(recipe.evaluator, CIFAR10Evaluator) or not next(model.parameters()).is_cuda
    )
    model = model if in_place else deepcopy(model).cpu()
    scores = recipe.evaluator(model, recipe.data, recipe.sampler)
    return {name: score if isfinite(score) else None for name, score in scores.items()}
