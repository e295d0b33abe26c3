"""Settings: from a preset and `--set key=value` to a recipe, checked by a dry run."""

import argparse
import inspect
import json
import re
import sys
from ast import literal_eval
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import psutil
import torch
from torch import Tensor

from ..data.own import Points
from ..data.toy import TOYS
from ..ingredients import ALLOWED
from ..model import carried, conditioned
from ..ops import seeded
from ..presets import PRESETS
from ..train.checkpoint import BadFile
from ..train.config import TrainConfig
from ..train.cost import least_memory
from ..train.distributed import accelerator
from ..train.recipe import Recipe, change, settable_fields
from ..types import Range
from .doctor import container_limit


class Refused(ValueError):
    """The command cannot be carried out; the message says in one sentence what can."""


def read_from(data: Any, path: str) -> Any:
    """A data set with its files at this path. Raises Refused for one that reads no files."""
    names = settable_fields(data)
    if "path" in names:
        return change(data, "path", path)
    if "data" in names:
        return replace(data, data=read_from(data.data, path))
    raise Refused(f"{type(data).__name__} is made here and not read from files; leave out --data")


def recipe_of(preset: str, seed: int, settings: list[str], points: Points | None = None) -> Recipe:
    """The recipe of a preset with settings applied.

    Args:
        preset: its name, such as "toy.ict".
        seed: the seed of the run.
        settings: words "key=value": a parameter of the preset, or a dotted path in the recipe.
        points: own points, for a preset that takes any toy data.

    Raises:
        Refused: for an unknown name or a wrong value, saying what is allowed.
    """
    build = preset_of(preset)
    known = inspect.signature(build).parameters
    pairs = [word.partition("=")[::2] for word in settings]
    own = {key: preset_value(preset, key, text, known) for key, text in pairs if key in known}
    if points:
        own["data"] = points
    try:
        recipe = build(**({"seed": seed} | own))
    except (ValueError, TypeError) as error:
        raise Refused(f"{preset} cannot be made of {' '.join(settings)}: {error}") from error
    if not isinstance(recipe, Recipe):
        raise Refused(f"{preset} gives a {type(recipe).__name__} and no Recipe")
    for key, text in pairs:
        if key not in known:
            try:
                recipe = change(recipe, key, parse_value(text))
            except ValueError as error:
                raise Refused(
                    f"--set {key}={text}: {error}; or one of {preset}'s own: {', '.join(known)}"
                ) from error
    return recipe


def preset_of(name: str) -> Callable[..., Recipe]:
    """The function that makes a preset's recipe; module:function for one of one's own.

    Raises:
        Refused: for an unknown name, saying which are allowed.
    """
    place, _, function = name.partition(":")
    if function and place not in ALLOWED:
        raise Refused(f"{name} is in a module of yours: give --allow {place} too, which runs it")
    build = getattr(sys.modules[place], function, None) if function else PRESETS.get(name)
    if function and not callable(build):
        raise Refused(f"{place}.py has no function {function}")
    if build is None:
        raise Refused(f"there is no preset {name!r}; allowed: {', '.join(PRESETS)}")
    return cast(Callable[..., Recipe], build)


def add_allow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow",
        metavar="MODULE",
        action="append",
        default=[],
        help="run this module of yours, whose ingredients the run's record names",
    )


def own_points(preset: str) -> Points | None:
    """The points that --data names, for a preset that takes any toy data; None for others."""
    takes = preset in PRESETS and "data" in inspect.signature(PRESETS[preset]).parameters
    return Points.given() if takes else None


def preset_value(preset: str, key: str, text: str, parameters: Any) -> Any:
    """The value of a preset's own parameter."""
    if key == "data":
        if text not in TOYS:
            raise Refused(f"--set data={text}: allowed: {', '.join(TOYS)}")
        return TOYS[text]
    value, default = parse_value(text), parameters[key].default
    if type(value) is not type(default) or (isinstance(value, int) and value < 0):
        raise Refused(
            f"--set {key}={text}: {preset} takes a {type(default).__name__} of 0 or more"
        )
    return value


SEED, SEEDS, COUNT = Range("[-1e18, 1e18]"), Range("[0, 1e18]"), Range("[1, 1e6]")


def whole(allowed: Range) -> Callable[[str], int]:
    """An argument's type: a whole number in this range, in the digits 0 to 9."""

    def parse(text: str) -> int:
        if not re.fullmatch("[+-]?[0-9]{1,30}", text) or int(text) not in allowed:
            raise argparse.ArgumentTypeError(f"must be a whole number in {allowed}, not {text!r}")
        return int(text)

    return parse


def whole_numbers(allowed: Range) -> Callable[[str], list[int]]:
    """An argument's type: whole numbers in this range with commas between, such as 1,2,4."""

    def parse(text: str) -> list[int]:
        try:
            return [whole(allowed)(word.strip()) for word in text.split(",")]
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(
                f"takes whole numbers in {allowed} such as 1,2,4, not {text}"
            ) from error

    return parse


def check_memory(recipe: Recipe, samples: int = 0) -> None:
    """Compare what a step takes with the memory that is free, before anything is allocated.

    Args:
        recipe: the recipe; its start is checked too.
        samples: of a step in one process; by default a part of the batch.

    Raises:
        Refused: if there is too little, saying how much of what.
    """
    for part in recipe.trainings:
        n = samples or part.train.batch // part.train.parts
        needed, free = least_memory(part, n), free_memory(part.train)
        if needed > free:
            raise Refused(
                f"a step on {n} samples takes at least {needed / 1e9:,.1f} GB, and "
                f"{free / 1e9:,.1f} GB are free; take a smaller network or a smaller train.batch, "
                f"or cut it by train.parts"
            )


def free_memory(config: TrainConfig) -> float:
    """Bytes that are free on the device of a training."""
    if accelerator(config) == "cuda" and torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    return min(psutil.virtual_memory().available, container_limit())


def dry_run(recipe: Recipe) -> None:
    """Compute one loss and draw samples: settings of the right type may still make no sense.

    Raises:
        Refused: if that fails, or would take more memory than there is.
    """
    check_memory(recipe)
    try:
        sizes = set()
        for part in recipe.trainings:
            trainer = replace(part, train=with_small_batch(part.train)).trainer()
            sizes.add(tuple(weight.shape for weight in trainer.model.parameters()))
            if len(sizes) > 1:
                raise ValueError("net and start.net have to be alike")
            carried(trainer.ema.model, recipe.precond)
            require_finite(trainer.backward(0), "loss of the first step")
        with seeded(trainer.fabric.device, 0):
            x, cond = trainer.batches.draw()  # on the device of the model
            process, model = recipe.precond.process, trainer.ema.model
            z = torch.randn_like(x)
            sampled = recipe.sampler(process, conditioned(model, cond), z, 2)
        require_finite(sampled, "first samples")
    except BadFile:
        raise
    except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refused(f"these settings make no run, change one of --set: {said}") from error


def require_finite(found: Tensor, what: str) -> None:
    """Raise ValueError unless all the numbers are finite."""
    if not bool(torch.isfinite(found).all()):
        raise ValueError(f"the {what} would not be finite")


def with_small_batch(config: TrainConfig) -> TrainConfig:
    """The same with a batch of a few samples: a dry run should not take minutes."""
    return replace(config, batch=config.parts * min(config.batch // config.parts, 8))


def parse_value(text: str) -> Any:
    """A Python number, Boolean or tuple; anything else stays text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text  # nesting too deep for the parser ends in one of the last two


def say(facts: dict[str, Any]) -> None:
    """Print one JSON object on one line, numbers rounded to five digits."""
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in facts.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")
