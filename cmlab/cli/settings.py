"""Settings: from a preset and `--set key=value` to a recipe, checked by a dry run."""

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
    """The command cannot be carried out; the message says in one sentence what can."""


def recipe_of(preset: str, seed: int, settings: list[str]) -> Recipe:
    """The recipe of a preset with settings applied.

    Args:
        preset: its name, such as "toy.ict".
        seed: the seed of the run.
        settings: words "key=value": a parameter of the preset, or a dotted path in the recipe.

    Raises:
        Refused: for an unknown name or a wrong value, saying what is allowed.
    """
    if preset not in PRESETS:
        raise Refused(f"there is no preset {preset!r}; allowed: {', '.join(PRESETS)}")
    build = PRESETS[preset]
    known = inspect.signature(build).parameters
    pairs = [word.partition("=")[::2] for word in settings]
    own = {key: preset_value(preset, key, text, known) for key, text in pairs if key in known}
    recipe = build(**({"seed": seed} | own))
    for key, text in pairs:
        if key not in known:
            try:
                recipe = change(recipe, key, parse_value(text))
            except ValueError as error:
                raise Refused(
                    f"--set {key}={text}: {error}; or one of {preset}'s own: {', '.join(known)}"
                ) from error
    return recipe


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


def dry_run(recipe: Recipe) -> None:
    """Compute one loss and draw samples: settings of the right type may still make no sense.

    Raises:
        Refused: if that fails.
    """
    try:
        sizes = set()
        for part in (recipe.start or recipe, recipe):
            trainer = replace(part, train=with_small_batch(part.train)).trainer()
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


def with_small_batch(config: TrainConfig) -> TrainConfig:
    """The same with a batch of a few samples: a dry run should not take minutes."""
    return replace(config, batch=config.parts * min(config.batch // config.parts, 8))


def parse_value(text: str) -> Any:
    """A Python number, Boolean or tuple; anything else stays text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def say(facts: dict[str, Any]) -> None:
    """Print one JSON object on one line, numbers rounded to five digits."""
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in facts.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")
