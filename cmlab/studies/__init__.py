"""Studies that the labs replay, by name; `cmlab record STUDY ARM` trains and watches one arm.

Every `Study` that a module of this folder defines at its top level is found by its name.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

from ..discovery import public_objects
from .base import SEEDS, Study
from .recording import Recording, ranged, read, write

PLACE = "cmlab.studies"  # where studies are looked for


class Studies(Mapping[str, Study]):
    """All studies by name, found when they are first asked for."""

    @cached_property
    def _found(self) -> dict[str, Study]:
        all_of_them = (thing for thing in public_objects(PLACE) if isinstance(thing, Study))
        return {study.name: study for study in all_of_them}

    def __getitem__(self, name: str) -> Study:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


STUDIES = Studies()

__all__ = ["SEEDS", "STUDIES", "Recording", "Study", "ranged", "read", "write"]
