"""Embeddings of the noise level (Fourier or positional features) and of the class label."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..ingredients import ingredient
from ..ops import on_host
from ..types import NonNegative, Positive, Times, Width


class Embed(ABC):
    """Embedding of a number c as cos(ω c) and sin(ω c): a choice of the frequencies ω."""

    @abstractmethod
    def frequencies(self) -> Tensor:
        """The frequencies ω, in radians per unit of c_noise, (count,)."""


@ingredient
@dataclass(frozen=True)
class Fourier(Embed):
    """Random Fourier features: ω ~ 2π · scale · N(0, 1), from torch's global generator.

    A consistency model needs a small scale: at 16 (NCSN++) the features of two neighbouring noise
    levels have nothing in common, and the tangent df/dt is hundreds of times too long.

    Args:
        count: of the frequencies.
        scale: standard deviation of ω / 2π, per unit of c_noise.
    """

    count: Width = 32
    scale: NonNegative = 1.0

    def frequencies(self) -> Tensor:
        return 2 * math.pi * self.scale * torch.randn(self.count)


@ingredient
@dataclass(frozen=True)
class Positional(Embed):
    """Positional features: geometric frequencies from 1 down to 1 / longest.

    sCM feeds them the time itself, c_noise = t ≤ π/2: no feature turns by more than a quarter, and
    none moves faster than t. With ln tan t in its place, d/dt would carry 1 / (sin t cos t).

    Args:
        count: of the frequencies.
        longest: the inverse of the lowest.
    """

    count: Width = 32
    longest: Positive = 10_000.0

    def frequencies(self) -> Tensor:
        return self.longest ** -torch.linspace(0, 1, self.count)


@ingredient
@dataclass(frozen=True)
class TwoTimes(Embed):
    """Embedding of two times, for networks that are flow maps: features of each, side by side.

    Args:
        first: frequencies for the time input of t.
        second: for the difference between the time inputs of t and s; as many.
    """

    first: Embed = Fourier(16, 0.5)
    second: Embed = Fourier(16, 0.5)

    def frequencies(self) -> Tensor:
        """The frequencies of both, (2, count)."""
        return torch.stack([self.first.frequencies(), self.second.frequencies()])


class Waves(nn.Module):
    """Features of the noise level: c (b,) -> [cos(ω c), sin(ω c)], (b, 2 · count).

    With the frequencies of `TwoTimes` c is (b, 2). ω is a buffer, saved with the weights.
    """

    frequencies: Tensor

    def __init__(self, embed: Embed) -> None:
        super().__init__()
        self.register_buffer("frequencies", embed.frequencies())
        self.width = 2 * self.frequencies.numel()

    @property
    def two_times(self) -> bool:
        return self.frequencies.ndim == 2

    def forward(self, c: Times) -> Tensor:
        angle = (c[..., None] * self.frequencies.to(c.dtype)).flatten(1)
        return torch.cat([angle.cos(), angle.sin()], dim=1)


class Labels(nn.Module):
    """Class embedding, a learned vector per class: cond (b,), int64 in [0, classes) -> (b, width).

    Without classes it returns 0, and a label raises ValueError rather than being ignored.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classes = classes
        self.vector = nn.Embedding(classes, width) if classes else None

    def forward(self, cond: Tensor | None) -> Tensor | float:
        self.check(cond)
        return 0.0 if self.vector is None else self.vector(cond)

    def check(self, cond: Tensor | None) -> None:
        """Raise ValueError for labels that do not fit the network."""
        if self.vector is None and cond is not None:
            raise ValueError(
                "This network has no classes: leave cond out or build it with classes."
            )
        if self.vector is None:
            return
        last = self.classes - 1
        if cond is None:
            raise ValueError(f"This network needs cond: one label in 0…{last} per sample.")
        if cond.is_floating_point() or cond.ndim != 1:
            got = f"{cond.dtype} of shape {tuple(cond.shape)}"
            raise ValueError(f"cond must hold whole numbers, one per sample, not {got}.")
        # Compiled or exported, a look at the numbers would cut the graph in two, and len(cond)
        # would fix the batch.
        looks = not torch.compiler.is_compiling() and on_host(cond) and len(cond)
        if looks and not 0 <= int(cond.min()) <= int(cond.max()) <= last:
            raise ValueError(
                f"cond must hold labels in 0…{last}, not {int(cond.min())}…{int(cond.max())}."
            )
