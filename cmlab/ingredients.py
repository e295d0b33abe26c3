"""What a record may name: dataclasses and functions of the package marked as ingredients.

A kind is the full dotted name of an ingredient, such as "cmlab.distance.PseudoHuber". Records
written under earlier names are read through the tables in `aliases`.
"""

import inspect
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from .aliases import ALIASES, PRINTED
from .discovery import KINDS, late_import, module_names

PACKAGE = "cmlab"
MARK = "__ingredient__"
LONGEST = 200  # characters of a kind
FIRST = {now: then for then, now in reversed((ALIASES | PRINTED).items())}

Thing = TypeVar("Thing")


def ingredient(thing: Thing) -> Thing:
    """Mark a dataclass or function as one that records may name. A decorator.

    A dataclass is frozen; one that holds state, as methods do, is compared by identity instead.

    Raises:
        TypeError: for anything else.
    """
    if not (inspect.isfunction(thing) or inspect.isclass(thing) and _is_fixed(thing)):
        raise TypeError(f"an ingredient is a frozen dataclass or a function, not {thing!r}")
    setattr(thing, MARK, True)
    return thing


def _is_fixed(thing: type) -> bool:
    params = vars(thing).get("__dataclass_params__")  # absent where only a base is a dataclass
    return params is not None and (params.frozen or not params.eq)


def kind_of(thing: Any) -> str:
    """The name of a class or function in a record: its module and its own name."""
    return f"{thing.__module__}.{thing.__qualname__}"


def first_kind(thing: Any) -> str:
    """The earliest recorded name of a class or function, which stays when it is renamed."""
    return FIRST.get(kind_of(thing), kind_of(thing))


def is_ingredient(thing: Any) -> bool:
    """Whether a record can name this class or function."""
    if not (inspect.isclass(thing) or inspect.isfunction(thing)) or MARK not in vars(thing):
        return False
    try:
        return resolve(kind_of(thing)) is thing
    except ValueError:
        return False


def resolve(kind: object) -> Any:
    """The class or function that a record names, under its current or an earlier name.

    Nothing outside the package is imported or looked at; of the labs only what `discovery.KINDS`
    lists.

    Raises:
        ValueError: for a name that is no ingredient of this cmlab.
    """
    thing = None
    if isinstance(kind, str) and len(kind) <= LONGEST:
        thing = _find(ALIASES.get(kind, kind))
    if thing is None:
        said = repr(kind) if len(repr(kind)) <= LONGEST else repr(kind)[:LONGEST] + "…"
        raise ValueError(f"the record names {said}, which this cmlab lacks; update cmlab")
    return thing


@lru_cache(maxsize=1024)
def _find(kind: str) -> Any:
    """The ingredient of this dotted name, or None."""
    place, _, name = kind.rpartition(".")
    if not all(p.isidentifier() and not p.startswith("_") for p in kind.split(".")):
        return None
    if kind in KINDS:
        module = late_import(kind)
    elif _is_ours(place):
        module = import_module(place)
    else:
        return None
    thing = vars(module).get(name)
    own = getattr(thing, "__module__", "") == place and getattr(thing, "__qualname__", "") == name
    return thing if own and MARK in vars(thing) else None


def _is_ours(place: str) -> bool:
    """Whether a module of this name is a file of the package; it is not imported."""
    if place not in module_names(PACKAGE):
        return False
    spec, package = find_spec(place), Path(str(import_module(PACKAGE).__file__)).parent
    return bool(spec and spec.origin and Path(spec.origin).is_relative_to(package))
