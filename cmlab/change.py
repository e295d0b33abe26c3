"""A recipe, or any ingredient, with one thing changed."""

from dataclasses import fields, is_dataclass, replace
from typing import Any


def change(thing: Any, path: str, value: Any) -> Any:
    """A copy with the field at a dotted path set. Raises ValueError naming what is allowed."""
    name, _, rest = path.partition(".")
    if name not in (names := knobs(thing)):
        raise ValueError(f"there is no {name!r} here; allowed: {', '.join(names) or 'nothing'}")
    old = getattr(thing, name)
    if rest:
        return replace(thing, **{name: change(old, rest, value)})
    return replace(thing, **{name: like(old, value, path)})


def knobs(thing: Any) -> list[str]:
    """The fields that can be set; none for a number or a function."""
    return [f.name for f in fields(thing) if f.init] if is_dataclass(thing) else []


def like(old: Any, value: Any, name: str) -> Any:
    """The value, if it is of the old one's sort; a whole number will do for a float or None."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (old is None or isinstance(old, float)):
        return float(value)
    if type(old) is not type(value) or is_dataclass(old):
        raise ValueError(f"{name} takes a {type(old).__name__} such as {old!r}, not {value!r}")
    return value
