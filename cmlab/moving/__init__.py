"""Animations: each the key idea of its lab, from exact results or from recordings.

A function is one by `@animation("10")`, with the number of the lab that shows it.
"""

from collections.abc import Callable

from ..discovery import public_objects
from .base import MARK, Moving

PLACE = "cmlab.moving"  # where animations are looked for


def animations() -> dict[str, tuple[Callable[[], Moving], ...]]:
    """What makes the animations of a lab, by its number; made on demand, as some take a second."""
    found: dict[str, tuple[Callable[[], Moving], ...]] = {}
    for thing in public_objects(PLACE):
        if lab := getattr(thing, MARK, ""):
            found[lab] = (*found.get(lab, ()), thing)
    return dict(sorted(found.items()))


__all__ = ["Moving", "animations"]
