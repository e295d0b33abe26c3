"""Runs by name: functions that return a recipe, each with its command, seconds and scores.

A function becomes a preset by `@preset("data.method")`; its module is found in this folder.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from .. import discovery
from ..train.recipe import Recipe

MARK = "__preset__"
DATA = ("toy", "digits", "shapes", "music", "cifar10")  # the order in which presets are listed

Preset = Callable[..., Recipe]
P = TypeVar("P", bound=Preset)


def preset(name: str) -> Callable[[P], P]:
    """Make a function a preset under this name. A decorator."""

    def mark(build: P) -> P:
        setattr(build, MARK, name)
        return build

    return mark


class Presets(Mapping[str, Preset]):
    """All presets by name, found when they are first asked for; those of the labs load late."""

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
    """The presets of a module, or of all modules of a package. Raises ValueError for a double."""
    found: dict[str, Preset] = {}
    for thing in discovery.public_objects(package):
        name = getattr(thing, MARK, "")
        if name in found:
            raise ValueError(f"two presets are called {name}; rename one")
        if name:
            found[name] = thing
    return found


def _rank(name: str) -> int:
    """Where the presets of this data stand in the list."""
    data = name.partition(".")[0]
    return DATA.index(data) if data in DATA else len(DATA)


def _elsewhere(name: str, build: Preset) -> bool:
    """Whether a preset is not in the module named after its data, which is listed first."""
    return build.__module__.rpartition(".")[2] != name.partition(".")[0]


PRESETS = Presets()
