"""A run on disk: a folder that a kill at any moment leaves fit to resume.

record.json             the recipe, versions, commit, the method's source; then the scores
checkpoint.safetensors  everything that resuming needs, replaced whole
model.safetensors       the averaged weights with the record in the header: what is shipped
log.jsonl, strips/      the diary, see diary.py
state.json, want        for those who watch, see sitting.py
start/                  the run that was trained first, if the recipe has one
"""

from pathlib import Path
from typing import Any

from . import checkpoint
from .checkpoint import BadFile
from .diary import shorten
from .model import Denoiser
from .provenance import provenance
from .recipe import Recipe, from_dict, to_dict
from .train import Trainer

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
