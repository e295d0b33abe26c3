"""From the words of a command line to a recipe, refused in one sentence when they make none."""

import inspect
import json
import sys
from ast import literal_eval
from dataclasses import replace
from typing import Any

import torch

from ..data.toy import TOYS
from ..ops import seeded
from ..presets import PRESETS
from ..train.config import TrainConfig
from ..train.recipe import Recipe, change


class Refused(ValueError):
    """What was asked for cannot be done, and what can, in one sentence."""


def recipe_of(preset: str, seed: int, settings: list[str]) -> Recipe:
    """The preset's recipe with settings applied. Raises Refused, saying what is allowed."""
    if preset not in PRESETS:
        raise Refused(f"there is no preset {preset!r}; allowed: {', '.join(PRESETS)}")
    build = PRESETS[preset]
    knobs = inspect.signature(build).parameters
    pairs = [word.partition("=")[::2] for word in settings]
    own = {key: knob(preset, key, text, knobs) for key, text in pairs if key in knobs}
    recipe = build(**({"seed": seed} | own))
    for key, text in pairs:
        if key not in knobs:
            try:
                recipe = change(recipe, key, value_of(text))
            except ValueError as error:
                raise Refused(
                    f"--set {key}={text}: {error}; or one of {preset}'s own: {', '.join(knobs)}"
                ) from error
    return recipe


def knob(preset: str, key: str, text: str, knobs: Any) -> Any:
    """The value of a preset's own setting."""
    if key == "data":
        if text not in TOYS:
            raise Refused(f"--set data={text}: allowed: {', '.join(TOYS)}")
        return TOYS[text]
    value, default = value_of(text), knobs[key].default
    if type(value) is not type(default) or (isinstance(value, int) and value < 0):
        raise Refused(
            f"--set {key}={text}: {preset} takes a {type(default).__name__} of 0 or more"
        )
    return value


def rehearse(recipe: Recipe) -> None:
    """A loss and two samples in memory: a setting of the right sort may still make no sense."""
    try:
        sizes = set()
        for part in (recipe.start or recipe, recipe):
            trainer = replace(part, train=lightened(part.train)).trainer()
            sizes.add(tuple(weight.shape for weight in trainer.model.parameters()))
            if len(sizes) > 1:
                raise ValueError("net and start.net have to be alike")
            trainer.backward(0)
        with seeded(trainer.fabric.device, 0):
            x, cond = trainer.batches.draw()  # on the device of the model
            process, model = recipe.precond.process, trainer.ema.model
            recipe.sampler(process, lambda x_t, t: model(x_t, t, cond), torch.randn_like(x), 2)
    except (ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refused(f"these settings make no run, change one of --set: {said}") from error


def lightened(config: TrainConfig) -> TrainConfig:
    """The same with a batch of a few samples: a rehearsal should not take minutes."""
    return replace(config, batch=config.parts * min(config.batch // config.parts, 8))


def value_of(text: str) -> Any:
    """A Python number, truth value or tuple; anything else stays text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


# How the command line answers: one JSON object on one line


def say(facts: dict[str, Any]) -> None:
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in facts.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")
