"""A run on disk: a folder that a kill at any moment leaves fit to resume.

record.json             the recipe, versions, commit, the method's source; then the scores
checkpoint.safetensors  everything that resuming needs, replaced whole
model.safetensors       the averaged weights with the record in the header: what is shipped
log.jsonl               one line now and then
start/                  the run that was trained first, if the recipe has one
"""

import inspect
import platform
import subprocess
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

from . import checkpoint
from .callbacks import Callback, JsonLog, Progress, every
from .checkpoint import BadFile
from .convert import carried
from .model import Denoiser
from .recipe import Recipe, from_dict, to_dict
from .train import Trainer

CHECKPOINT, MODEL, RECORD = "checkpoint.safetensors", "model.safetensors", "record.json"
ROOT = Path(__file__).parents[1]


def provenance(recipe: Recipe) -> dict[str, Any]:
    """What a reader needs to judge a run: recipe, versions, commit, and the loss's own source."""
    return {
        "recipe": to_dict(recipe),
        "versions": versions(),
        "commit": commit(),
        "method_source": inspect.getsource(inspect.getmodule(type(recipe.method)) or Recipe),
    }


def versions() -> dict[str, str]:
    """What a result may depend on."""
    names = ("cmlab", "torch", "numpy", "lightning-fabric")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def commit() -> str | None:
    """The git commit of this checkout, "+changes" when files differ from it; None outside one."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    except OSError:
        return None
    if head.returncode:
        return None
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")


def samples_seen(trainer: Trainer, recipe: Recipe) -> int:
    """Training samples so far, those of the start counted."""
    return trainer.samples_seen + (recipe.start.samples if recipe.start else 0)


def seconds(trainer: Trainer, recipe: Recipe, folder: Path) -> float:
    """Seconds of training, those of the start counted; callbacks and scoring are not."""
    path = folder / "start" / CHECKPOINT
    if recipe.start is None or not path.exists():  # a start of 0 steps has none
        return trainer.seconds
    return trainer.seconds + checkpoint.read(path)[1]["seconds"]


def save(trainer: Trainer, recipe: Recipe, folder: Path) -> None:
    """Everything that resuming needs, in one file."""
    state = {"step": trainer.step, "seconds": trainer.seconds, "average": trainer.average}
    checkpoint.write(folder / CHECKPOINT, trainer.tensors(), {"recipe": to_dict(recipe), **state})


def resume(trainer: Trainer, recipe: Recipe, folder: Path) -> None:
    """Go on from the folder's checkpoint, if it has one. Raises BadFile for another recipe's."""
    path = folder / CHECKPOINT
    for part in folder.glob(".*.part"):  # what a kill left of a write
        part.unlink(missing_ok=True)
    if not path.exists():
        return
    tensors, record = checkpoint.read(path)
    if record["recipe"] != to_dict(recipe):
        raise BadFile(
            f"{folder} holds a run of another recipe; choose another --out, or its recipe"
        )
    trainer.load(tensors, record["step"], record["seconds"], record["average"])


def fit(
    recipe: Recipe,
    folder: Path | None = None,
    *callbacks: Callback,
    keep: int = 500,
    bar: bool = False,
) -> Trainer:
    """Train a recipe, its start first, and go on where the folder's checkpoints end.

    `keep` is the number of steps between two checkpoints; without a folder nothing is written.
    The callbacks hear of the recipe itself, not of its start.
    """
    trainer = recipe.trainer(begin(recipe, folder, keep, bar))
    heard = list(callbacks)
    if folder:
        resume(trainer, recipe, folder)
        checkpoint.write_json(folder / RECORD, provenance(recipe))
        heard += [every(100, JsonLog(folder / "log.jsonl"))]
        heard += [every(keep, lambda trainer: save(trainer, recipe, folder))]
    if bar:
        heard += [every(20, Progress(type(recipe.method).__name__))]
    return trainer.fit(*heard)


def begin(recipe: Recipe, folder: Path | None, keep: int, bar: bool) -> Denoiser:
    """The model at step 0: fresh, or with the averaged weights that the start ends with."""
    model = recipe.build()
    if recipe.start:
        first = fit(recipe.start, folder / "start" if folder else None, keep=keep, bar=bar)
        model.net.load_state_dict(carried(first.ema.model, recipe.precond).net.state_dict())
    return model


def finish(trainer: Trainer, recipe: Recipe, folder: Path, facts: dict[str, Any]) -> None:
    """Write the averaged weights and the whole record."""
    record = provenance(recipe) | facts
    checkpoint.write(folder / MODEL, trainer.ema.model.state_dict(), record)
    checkpoint.write_json(folder / RECORD, record)


def judged(model: Denoiser, recipe: Recipe) -> dict[str, float | None]:
    """The scores of a model by its recipe's judge; None for one that is not finite."""
    scores = recipe.judge(model, recipe.data, recipe.sampler)
    return {name: score if isfinite(score) else None for name, score in scores.items()}


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
