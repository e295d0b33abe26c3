"""Recipe: the configuration of a whole run as one frozen dataclass, to JSON and back.

Every ingredient is a dataclass, so a recipe is too: `to_dict` writes {"kind": …, fields}, and
`from_dict` looks each kind up by name among the package's ingredients and never runs anything
else.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from math import inf, isfinite
from types import UnionType
from typing import Any, Protocol, Union, get_args, get_origin, get_type_hints, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import nn

from ..ingredients import (
    ADDED,
    FIELDS,
    FORMER,
    HASH,
    REMOVED,
    check_hash,
    file_hash,
    first_kind,
    ingredient,
    is_ingredient,
    kind_of,
    ranges_of,
    resolve,
)
from ..methods.base import Method, grid_of
from ..model import Denoiser, Precond
from ..ops import seeded
from ..process import Process
from ..sampling import Sampler
from ..schedules import GridSchedule
from .config import Source, TrainConfig
from .trainer import Trainer


@runtime_checkable
class Evaluator(Protocol):
    """An evaluator: (model, data, sampler) -> scores by name."""

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]: ...


@runtime_checkable
class Shape(Protocol):
    """The configuration of a network: its arguments, and `build` to make it."""

    def build(self) -> nn.Module: ...


@ingredient
@dataclass(frozen=True)
class Recipe:
    """All that a run is a function of.

    Args:
        data: the training data.
        net: the network's configuration.
        precond: the preconditioning around it, with the noise process.
        method: the loss.
        train: steps, batch, optimizer and seed.
        sampler: how samples are drawn from the trained model.
        evaluator: the evaluator that scores it.
        start: a recipe to train first; this one starts from its averaged weights.
    """

    data: Source
    net: Shape
    precond: Precond
    method: Method
    train: TrainConfig
    sampler: Sampler
    evaluator: Evaluator
    start: "Recipe | None" = None

    def build(self) -> Denoiser:
        """The denoiser with its initial weights, which are a function of the seed."""
        with seeded(torch.device("cpu"), self.train.seed):
            return Denoiser(self.net.build(), self.precond)

    def trainer(self, model: Denoiser | None = None, fabric: Fabric | None = None) -> Trainer:
        """A trainer at step 0, for a new model or for the one given."""
        return Trainer(model or self.build(), self.method, self.data, self.train, fabric)

    @property
    def trainings(self) -> list["Recipe"]:
        """The trainings of the whole run in order: its start's, and then its own."""
        return [*(self.start.trainings if self.start else ()), self]

    @property
    def samples(self) -> int:
        """Training samples of the whole run, its start included."""
        return sum(part.train.steps * part.train.batch for part in self.trainings)


def to_dict(thing: Any) -> Any:
    """A recipe or an ingredient as a JSON value, which `from_dict` turns back.

    Raises:
        TypeError: for anything that a record cannot hold.
    """
    if isinstance(thing, float) and thing == inf:
        return "inf"  # JSON has no infinity
    plain = thing is None or isinstance(thing, bool | int | str)
    if plain or (isinstance(thing, float) and isfinite(thing)):
        return thing
    if isinstance(thing, tuple | list):
        return [to_dict(part) for part in thing]
    if inspect.isfunction(thing) and is_ingredient(thing):
        return {"kind": kind_of(thing), **file_hash(thing)}
    if is_dataclass(thing) and is_ingredient(type(thing)):
        on_grid = isinstance(thing, GridSchedule)  # a record says which N(k) it followed
        names = [f.name for f in fields(thing) if f.init or (on_grid and f.name == "points")]
        inner = {name: to_dict(getattr(thing, name)) for name in names}
        return {"kind": kind_of(type(thing)), **file_hash(type(thing)), **inner}
    raise TypeError(
        f"a record cannot hold {thing!r}; use one of cmlab's own ingredients, or one in a module "
        f"of yours that you allow, see docs/first-method.md"
    )


DEEPEST = 32  # ingredients within one another in a record


def from_dict(value: Any, depth: int = 0) -> Any:
    """The recipe or ingredient that a record describes, whichever version wrote it.

    A field that is not in the record has its default.

    Args:
        value: the record's JSON value.
        depth: how many ingredients it lies in.

    Raises:
        ValueError: for a kind or field that this cmlab lacks, or a value of another type than
            the field's.
    """
    if depth > DEEPEST:
        raise ValueError(f"the record nests ingredients more than {DEEPEST} deep")
    if isinstance(value, list):
        return tuple(from_dict(part, depth + 1) for part in value)
    if not isinstance(value, dict):
        return inf if value == "inf" else value
    kind = value.get("kind")
    if HASH in value:
        check_hash(kind, value[HASH])
    thing = resolve(kind)
    if inspect.isfunction(thing):
        return thing
    first = first_kind(thing)
    earlier = FIELDS.get(first, {}) | FORMER.get(first, {})
    names = [name for name in value if name not in ("kind", HASH, *REMOVED.get(first, ()))]
    inner = {
        earlier.get(str(name), str(name)): from_dict(value[name], depth + 1) for name in names
    }
    _check_fields(thing, kind, inner)
    try:
        return _made(thing, inner)
    except (TypeError, ArithmeticError) as error:
        raise ValueError(f"the record's {kind} does not fit this cmlab: {error}") from error


def _check_fields(thing: type, kind: object, inner: dict[str, Any]) -> None:
    """Raise ValueError for a field that the ingredient lacks, or a value of another type."""
    hints = _hints(thing)
    for name, value in inner.items():
        if name not in hints:
            raise ValueError(
                f"the record's {kind} does not fit this cmlab, which has no field {name!r} there; "
                f"use the cmlab that wrote it"
            )
        if not _fits(value, hints[name]):
            said = kind_of(type(value)) if is_dataclass(value) else repr(value)
            raise ValueError(
                f"the record's {kind} does not fit this cmlab: {name} cannot be {said[:60]}"
            )


@cache
def _hints(thing: type) -> dict[str, Any]:
    """The types of an ingredient's fields."""
    hints = get_type_hints(thing, localns={"Process": Process})  # types.py imports it for types
    return {f.name: hints[f.name] for f in fields(thing)}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a field's type; any number will do for a float."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(part, inner[0]) for part in value)
    if hint in (int, float):
        number = isinstance(value, int if hint is int else int | float)
        return number and not isinstance(value, bool)
    if origin is Callable:
        return _takes(value, len(inner[0]))
    if getattr(hint, "_is_protocol", False) and "__call__" in vars(hint):
        return _takes(value, len(inspect.signature(hint.__call__).parameters) - 1)
    return isinstance(value, hint)


def _takes(value: Any, count: int) -> bool:
    """Whether a value can be called with so many arguments."""
    try:
        inspect.signature(value).bind(*range(count))
        return True
    except (TypeError, ValueError):
        return False


def _made(thing: type, inner: dict[str, Any]) -> Any:
    """An ingredient of these fields. Its schedules follow the N(k) that the record says.

    A method reads that N(k) from its pairs. Records from when it was set by hand may say another
    one, and their runs must stay what they were.
    """
    if issubclass(thing, GridSchedule):
        points = inner.pop("points", None)
        return thing(**inner) if points is None else thing(**inner).on_grid(points)
    made = thing(**inner)
    if isinstance(made, Method):
        vars(made).update({n: part for n, part in inner.items() if grid_of(part) is not None})
    return made


def _first_names(thing: Any) -> tuple[str, dict[str, str]]:
    """A class's or function's earliest recorded kind, and its fields' earlier names by today's."""
    kind = first_kind(thing)
    return kind, {now: then for then, now in FIELDS.get(kind, {}).items()}


def canonical(thing: Any) -> Any:
    """As `to_dict`, with each kind and field under its earliest recorded name: for hashes.

    It stays the same when classes and fields move or are renamed, when a field is added that
    `ingredients.ADDED` lists and that holds its default, and when one goes that
    `ingredients.REMOVED` lists.
    """
    return _canonical(to_dict(thing))


def _canonical(record: Any) -> Any:
    if isinstance(record, list):
        return [_canonical(part) for part in record]
    if not isinstance(record, dict):
        return record
    thing = resolve(record["kind"])
    kind, names = _first_names(thing)
    plain = {f.name: f.default for f in fields(thing)} if is_dataclass(thing) else {}
    kept = {
        name: value
        for name, value in record.items()
        if name not in ADDED.get(kind, ()) or value != to_dict(plain[name])
    }
    written = {names.get(k, k): _canonical(v) for k, v in kept.items()}
    return REMOVED.get(kind, {}) | written | {"kind": kind}


def canonical_repr(thing: Any) -> str:
    """As `repr`, with each dataclass and field under its earliest name: for hashes."""
    if isinstance(thing, tuple):
        inner = ", ".join(map(canonical_repr, thing))
        return f"({inner},)" if len(thing) == 1 else f"({inner})"
    if not is_dataclass(thing) or isinstance(thing, type):
        return repr(thing)
    kind, names = _first_names(type(thing))
    shown = [
        f"{names.get(f.name, f.name)}={canonical_repr(getattr(thing, f.name))}"
        for f in fields(thing)
        if f.repr
    ]
    return f"{kind.rpartition('.')[2]}({', '.join(shown)})"


# Settings: a recipe, or any ingredient, with one field changed

LARGEST = 1e308  # a whole number above has no float


def change(thing: Any, path: str, value: Any) -> Any:
    """A copy of a recipe or an ingredient with the field at a dotted path set.

    A field may go by an earlier name, as it may in records.

    Raises:
        ValueError: for an unknown field or a value of another type, naming what is allowed.
    """
    name, _, rest = path.partition(".")
    name = FIELDS.get(first_kind(type(thing)), {}).get(name, name)  # as records are read
    if name not in (names := settable_fields(thing)):
        raise ValueError(f"there is no {name!r} here; allowed: {', '.join(names) or 'nothing'}")
    old = getattr(thing, name)
    if rest:
        return replace(thing, **{name: change(old, rest, value)})
    if old is None and name in ranges_of(type(thing)):
        old = 0.0
    return replace(thing, **{name: check_type(old, value, path)})


def settable_fields(thing: Any) -> list[str]:
    """The fields that can be set; none for a number or a function."""
    return [f.name for f in fields(thing) if f.init] if is_dataclass(thing) else []


def check_type(old: Any, value: Any, name: str) -> Any:
    """The value, if it has the old one's type; any number will do for a float."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and isinstance(old, float):
        return float(value) if abs(value) < LARGEST else (inf if value > 0 else -inf)
    if old is None:
        raise ValueError(f"{name} is None here and can only be set in a recipe, not to {value!r}")
    if type(old) is not type(value) or is_dataclass(old):
        raise ValueError(f"{name} takes a {type(old).__name__} such as {old!r}, not {value!r}")
    return value
