"""Registry of the labs' studies and animations, found by the names of their modules.

A function marked `@animation` in the animation.py of a lab's folder is an animation of that lab.
Every `Study` that a lab's study.py or common/studies_shared.py defines at its top level is found
by its name; `cmlab record STUDY VARIANT` trains one variant of it and records what its observer
sees.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from cmlab.discovery import public_objects

from .common.animation import MARK, Moving
from .common.study import Study

ANIMATION_MODULES = ("animation",)  # a lab's file that holds its animations


def animations() -> dict[str, tuple[Callable[[], Moving], ...]]:
    """The functions that make a lab's animations, by its number; some take a second to run."""
    found: dict[str, tuple[Callable[[], Moving], ...]] = {}
    for thing in public_objects("cmlab_labs", ANIMATION_MODULES):
        if hasattr(thing, MARK):
            lab = thing.__module__.split(".")[1][3:5]  # cmlab_labs.lab10_scm.animation: 10
            found[lab] = (*found.get(lab, ()), thing)
    return dict(sorted(found.items()))


STUDY_MODULES = ("study", "studies_shared")  # files that hold studies


class Studies(Mapping[str, Study]):
    """All studies by name, found when they are first asked for."""

    @cached_property
    def _by_name(self) -> dict[str, Study]:
        things = public_objects("cmlab_labs", STUDY_MODULES)
        return {thing.name: thing for thing in things if isinstance(thing, Study)}

    def __getitem__(self, name: str) -> Study:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


STUDIES = Studies()
