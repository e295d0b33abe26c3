"""A whole run as one frozen record, and the record as JSON.

Every ingredient is a dataclass, so a recipe is too: `to_dict` writes {"kind": …, fields},
`from_dict` looks each kind up in one explicit table and never runs anything else.
"""

import inspect
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from math import inf, isfinite
from typing import Any, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import nn

# isort: off
from . import (
    adversary, balance, by_ends, by_walk, coupling, curriculum, decoded, distance, guidance, guide,
    judge, methods, model, momentum, optimizer, phases, process, sample, schedule, tangent,
    tightening, times,
)  # fmt: skip
from .config import Source, TrainConfig
from .data import (
    cifar10, coder, digits, impulses, latents, line, outliers, parts, shapes, sound, toy, tunes,
    unlabelled,
)  # fmt: skip
from .evaluate import inception, music, spaces
from .judge import Judge
from .methods.base import Method
from .model import Denoiser, Precond
from .nets import critic, ddpmpp, ear, embedding, mlp, nonscaling, norm, patches, shipped, strip, unet
from .ops import seeded
from .sample import Sampler
from .train import Trainer
# isort: on


@runtime_checkable
class Shape(Protocol):
    """The record of a network: its arguments, and how to build it."""

    def build(self) -> nn.Module: ...


@dataclass(frozen=True)
class Recipe:
    """All that a run is a function of. `start` is trained first; its average is where we begin."""

    data: Source
    net: Shape
    precond: Precond
    method: Method
    train: TrainConfig
    sampler: Sampler
    judge: Judge
    start: "Recipe | None" = None

    def build(self) -> Denoiser:
        """The denoiser with its initial weights, a function of the seed."""
        with seeded(torch.device("cpu"), self.train.seed):
            return Denoiser(self.net.build(), self.precond)

    def trainer(self, model: Denoiser | None = None, fabric: Fabric | None = None) -> Trainer:
        """A trainer at step 0, of a fresh model or of the one given."""
        return Trainer(model or self.build(), self.method, self.data, self.train, fabric)

    @property
    def samples(self) -> int:
        """Training samples of the whole recipe, its start included."""
        before = self.start.samples if self.start else 0
        return before + self.train.steps * self.train.batch


MODULES = (
    adversary, balance, by_ends, by_walk, cifar10, coder, coupling, critic, curriculum, ddpmpp,
    decoded, digits, distance, ear, embedding, guidance, guide, impulses, inception, judge,
    latents, line, methods, mlp, model, momentum, music, nonscaling, norm, optimizer, outliers,
    parts, patches, phases, process, sample, schedule, shapes, shipped, sound, spaces, strip, tangent,
    tightening, times, toy, tunes, unet, unlabelled,
)  # fmt: skip


@cache
def table() -> dict[str, Any]:
    """Kind -> dataclass or function, for all that a record may name."""
    kinds: dict[str, Any] = {kind_of(c): c for c in (Recipe, TrainConfig)}
    for module in MODULES:
        for thing in vars(module).values():
            own = getattr(thing, "__module__", "").startswith(module.__name__)
            if own and (
                inspect.isclass(thing) and is_dataclass(thing) or inspect.isfunction(thing)
            ):
                kinds[kind_of(thing)] = thing
    return kinds


def kind_of(thing: Any) -> str:
    """The name of a class or function in a record: its place below cmlab."""
    return f"{thing.__module__.removeprefix('cmlab.')}.{thing.__qualname__}"


def to_dict(thing: Any) -> Any:
    """A JSON value that `from_dict` turns back. Raises TypeError for what no record can hold."""
    if isinstance(thing, float) and thing == inf:
        return "inf"  # JSON has no infinity
    plain = thing is None or isinstance(thing, bool | int | str)
    if plain or (isinstance(thing, float) and isfinite(thing)):
        return thing
    if isinstance(thing, tuple | list):
        return [to_dict(part) for part in thing]
    if inspect.isfunction(thing) and kind_of(thing) in table():
        return {"kind": kind_of(thing)}
    if is_dataclass(thing) and kind_of(type(thing)) in table():
        inner = {f.name: to_dict(getattr(thing, f.name)) for f in fields(thing) if f.init}
        return {"kind": kind_of(type(thing)), **inner}
    raise TypeError(f"a record cannot hold {thing!r}; use one of cmlab's own ingredients")


def from_dict(value: Any) -> Any:
    """The thing a record speaks of. Raises ValueError for a kind or field that cmlab lacks."""
    if isinstance(value, list):
        return tuple(from_dict(part) for part in value)
    if not isinstance(value, dict):
        return inf if value == "inf" else value
    kinds, kind = table(), value.get("kind")
    if kind not in kinds:
        raise ValueError(f"the record names {kind!r}, which this cmlab lacks; update cmlab")
    if inspect.isfunction(kinds[kind]):
        return kinds[kind]
    inner = {name: from_dict(part) for name, part in value.items() if name != "kind"}
    try:
        return kinds[kind](**inner)
    except TypeError as error:
        raise ValueError(f"the record's {kind} does not fit this cmlab: {error}") from error
