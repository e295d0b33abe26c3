"""Registry: the labs' studies and animations, found by their modules' names.

Animations: each the key idea of its lab, from exact results or from recordings.

A function is one by `@animation("10")`, with the number of the lab that shows it.

Studies that the labs replay, by name; `cmlab record STUDY ARM` trains and watches one arm.

Every `Study` that a lab's study.py, or common/studies_shared.py, defines at its top level is
found by its name.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from cmlab.discovery import public_objects

from .common.animation import MARK, Moving
from .common.study import Study

# Animations: each the key idea of its lab, from exact results or from recordings

ANIMATION_MODULES = ("animation",)  # a lab's file that holds its animations


def animations() -> dict[str, tuple[Callable[[], Moving], ...]]:
    """What makes the animations of a lab, by its number; made on demand, as some take a second."""
    found: dict[str, tuple[Callable[[], Moving], ...]] = {}
    for thing in public_objects("cmlab_labs", ANIMATION_MODULES):
        if lab := getattr(thing, MARK, ""):
            found[lab] = (*found.get(lab, ()), thing)
    return dict(sorted(found.items()))


# Studies that the labs replay, by name; `cmlab record STUDY ARM` trains and watches one arm

STUDY_MODULES = ("study", "studies_shared")  # files that hold studies


class Studies(Mapping[str, Study]):
    """All studies by name, found when they are first asked for."""

    @cached_property
    def _found(self) -> dict[str, Study]:
        all_of_them = (
            thing
            for thing in public_objects("cmlab_labs", STUDY_MODULES)
            if isinstance(thing, Study)
        )
        return {study.name: study for study in all_of_them}

    def __getitem__(self, name: str) -> Study:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


STUDIES = Studies()
