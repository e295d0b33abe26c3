"""Lengthening a finished run: more steps from its weights, averages and optimizer, as a new run.

The new run lies in a folder of its own, which begins as a copy of the checkpoint, with the longer
recipe. Its record names the parent by name and hash. From there on it is resumed like any other.

Every schedule is a function of the step. Those of the learning rate and of the momentum follow the
new length, since most end at zero: the rate goes on as that of the longer run would. Those of the
method, such as N(k), stay at their ends, unless the settings say otherwise. Both are listed. If
nothing in a recipe depends on its length, the longer run equals, bit for bit on a CPU, one that
had been that long from the beginning.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..train import checkpoint
from ..train.checkpoint import BadFile
from ..train.lock import LOCK, check_lock
from ..train.recipe import Recipe, change, from_dict, to_dict
from ..train.runs import CHECKPOINT, MODEL, PARENT, RECORD

FOLLOW = ("train.rate.", "train.momentum.")
FREE = ("steps", "rate", "momentum", "ema", "ema_ramp", "clip", "accelerator")  # of train


def lengthen(recipe: Recipe, parent: Path, folder: Path) -> str:
    """Begin a run in `folder` where the finished run in `parent` ended.

    Returns:
        What differs from the parent, and which schedules were made for its length: one sentence.

    Raises:
        BadFile: if the parent is not finished or has no checkpoint, or if the recipe is not the
            parent's with more steps. Nothing is written then.
    """
    if not (parent / MODEL).is_file() or "scores" not in checkpoint.read_json(parent / RECORD):
        raise BadFile(f"{parent} is not finished; go on with it by --resume alone")
    tensors, state = checkpoint.read(parent / CHECKPOINT)
    try:
        old = from_dict(state["recipe"])
    except (KeyError, ValueError) as error:
        raise BadFile(f"{parent / CHECKPOINT} does not fit this cmlab: {error}") from error
    refuse_another_run(old, recipe, parent)
    changed = list(changes(to_dict(old), to_dict(recipe)))
    facts = {
        "run": parent.resolve().name,
        "checkpoint": hashlib.sha256((parent / CHECKPOINT).read_bytes()).hexdigest(),
        "step": state["step"],
        "changed": changed,
    }
    check_lock(folder)
    checkpoint.write_json(folder / PARENT, facts)
    if (parent / "start").is_dir():
        others = shutil.ignore_patterns("*.part", LOCK, "want")
        shutil.copytree(parent / "start", folder / "start", ignore=others, dirs_exist_ok=True)
    # Last: without it the run has not begun, and is refused until it has.
    checkpoint.write(folder / CHECKPOINT, tensors, state | {"recipe": to_dict(recipe)})
    return sentence(old, recipe, facts)


def stretch(recipe: Recipe, parent: Path | None, folder: Path) -> Recipe:
    """The recipe of a run that goes on from another: its learning rate follows the new length.

    Args:
        parent: the finished run; None for a run that has begun and names it.
        folder: the new run's folder.
    """
    place, key = (parent / RECORD, "steps") if parent else (folder / PARENT, "step")
    done = checkpoint.read_json(place).get(key) if place.exists() else None
    if isinstance(done, int):
        for name in made_for(done, to_dict(recipe)):
            if name.startswith(FOLLOW):
                recipe = change(recipe, name, recipe.train.steps)
    return recipe


def refuse_another_run(old: Recipe, new: Recipe, parent: Path) -> None:
    """Raise BadFile unless a recipe is another's with more steps, and schedules of its own."""
    free = {name: getattr(new.train, name) for name in FREE}
    same = replace(old, train=replace(old.train, **free))
    same = replace(same, sampler=new.sampler, evaluator=new.evaluator)
    if type(old.method) is type(new.method):
        same = replace(same, method=new.method)
    if wrong := next(changes(to_dict(same), to_dict(new)), ""):
        raise BadFile(
            f"{parent} is a run of another recipe, with {wrong}; give its own settings and seed, "
            f"and --set train.steps=N (schedules may change too, network and optimizer may not)"
        )
    done, steps = old.train.steps, new.train.steps
    if steps <= done:
        raise BadFile(f"{parent} has {done} steps; give more, as in --set train.steps={2 * done}")
    if not any(new.train.rate(step) for step in {done, (done + steps) // 2, steps - 1}):
        raise BadFile(
            f"the learning rate is 0 after step {done}, so that more steps would change nothing; "
            f"change its schedule by --set train.rate.NAME=VALUE"
        )


def changes(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """The fields in which two recorded recipes differ, each with both values."""
    both = isinstance(before, dict) and isinstance(now, dict)
    if both and before.get("kind") == now.get("kind"):
        for key in before | now:
            yield from changes(before.get(key), now.get(key), f"{name}.{key}".strip("."))
    elif before != now:
        yield f"{name} {said(before)} → {said(now)}"


def said(value: Any) -> str:
    """A recorded value in a few characters."""
    kind = str(value["kind"]).rpartition(".")[2] if isinstance(value, dict) else str(value)
    return kind[:60]


def made_for(steps: int, record: Any, name: str = "") -> Iterator[str]:
    """The fields of a recorded recipe that hold this number of steps, those of its start apart."""
    if isinstance(record, dict):
        for key, value in record.items():
            if (name, key) not in (("", "start"), ("train", "steps")):
                yield from made_for(steps, value, f"{name}.{key}".strip("."))
    elif record == steps and isinstance(record, int) and "." in name:
        yield name


def sentence(old: Recipe, new: Recipe, facts: dict[str, Any]) -> str:
    """What is continued, what changed with it, and which schedules stay at their ends."""
    kept = [name for name in made_for(old.train.steps, to_dict(new)) if name != "train.batch"]
    text = f"continues {facts['run']} from step {facts['step']} to {new.train.steps}; "
    text += f"changed: {', '.join(facts['changed'])}"
    if kept:
        text += f"; still made for {old.train.steps} steps, set it to stretch it: "
        text += ", ".join(kept)
    return text
