"""Presets: recipes by name, each function with its command, its duration and its scores.

A function becomes a preset by `@preset("data.method")`; its module is found in this folder.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from .. import discovery
from ..schedules import WarmupCosine
from ..train.config import Adam, TrainConfig
from ..train.recipe import Recipe
from ..types import Schedule

MARK = "__preset__"
DATA = (
    "toy",
    "digits",
    "shapes",
    "music",
    "cifar10",
    "images",
)  # the order in which presets are listed

Preset = Callable[..., Recipe]
P = TypeVar("P", bound=Preset)


def preset(name: str) -> Callable[[P], P]:
    """Make a function that returns a recipe a preset under this name. A decorator."""

    def mark(build: P) -> P:
        setattr(build, MARK, name)
        return build

    return mark


def cosine_training(
    steps: int, batch: int, adam: Adam, ema: Schedule, seed: int, warmup: int = 100
) -> TrainConfig:
    """The training settings of most presets: Adam with a cosine schedule, and an EMA.

    Args:
        steps: optimizer steps.
        batch: samples a step.
        adam: the optimizer with its highest learning rate, reached after the warm-up.
        ema: decay of the average of the weights, by step.
        seed: of the run.
        warmup: steps of linear warm-up, a tenth of the run at most.
    """
    return TrainConfig(
        steps=steps,
        batch=batch,
        optimizer=adam,
        rate=WarmupCosine(steps, warmup=min(warmup, steps // 10)),
        ema=ema,
        seed=seed,
    )


class Presets(Mapping[str, Preset]):
    """All presets by name, found at the first look-up; those of the labs are imported late."""

    @cached_property
    def _here(self) -> dict[str, Preset]:
        found = _marked(__name__)
        here = {name: found[name] for name in found if name not in discovery.PRESETS}
        return dict(sorted(here.items(), key=lambda item: _elsewhere(*item)))

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(sorted((*self._here, *discovery.PRESETS), key=_rank))

    def __getitem__(self, name: str) -> Preset:
        if name in discovery.PRESETS:
            return _marked(discovery.late_import(name).__name__)[name]
        return self._here[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _marked(package: str) -> dict[str, Preset]:
    """The presets of a module, or of all modules of a package.

    Raises:
        ValueError: when two have the same name.
    """
    found: dict[str, Preset] = {}
    for thing in discovery.public_objects(package):
        name = getattr(thing, MARK, "")
        if name in found:
            raise ValueError(f"two presets are called {name}; rename one")
        if name:
            found[name] = thing
    return found


def _rank(name: str) -> int:
    """The position in the list of presets of the same data."""
    data = name.partition(".")[0]
    return DATA.index(data) if data in DATA else len(DATA)


def _elsewhere(name: str, build: Preset) -> bool:
    """Whether a preset is outside the module named after its data, which is listed first."""
    return build.__module__.rpartition(".")[2] != name.partition(".")[0]


PRESETS = Presets()
