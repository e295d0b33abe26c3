"""Normalisations, and how the noise level steers the normalised activations of a block."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


def at_least_float32(h: Tensor) -> Tensor:
    """A mean of squares taken in bfloat16 keeps two digits, and a tangent through it fewer."""
    return h.to(torch.promote_types(h.dtype, torch.float32))


class Norm(nn.Module):
    """Group normalisation in at least float32, whatever autocast does around it.

    On a CPU autocast hands bfloat16 to group normalisation, whose forward-mode derivative then
    mixes two types and fails; and torch.compile fails on the derivative of normalisation and
    affine part together. Here the type is float32 and the two are apart.
    """

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.groups = math.gcd(8, channels)
        self.scale = nn.Parameter(torch.ones(channels, 1, 1)) if affine else None
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1)) if affine else None

    def forward(self, h: Tensor) -> Tensor:
        h = functional.group_norm(at_least_float32(h), self.groups)
        if self.scale is None or self.shift is None:
            return h
        return h * self.scale + self.shift


def pixel_norm(a: Tensor) -> Tensor:
    """a / √(mean a² + 1e-8), the mean over the channels: (b, channels, …) -> the same shape."""
    a = at_least_float32(a)
    return a / (a.square().mean(1, keepdim=True) + 1e-8).sqrt()


class Modulated(nn.Module):
    """combine(norm(h), s, b), where one linear layer reads s and b from e.

    h (b, channels, n, n), e (b, width_e) -> the shape of h. The layer's weights bear the names
    that networks already saved know them by.
    """

    def __init__(
        self, width_e: int, channels: int, combine: Callable[[Tensor, Tensor, Tensor], Tensor]
    ) -> None:
        super().__init__()
        read = nn.Linear(width_e, 2 * channels)
        self.weight, self.bias = read.weight, read.bias
        self.norm, self.combine = Norm(channels, affine=False), combine

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        read = functional.linear(e, self.weight, self.bias)
        s, b = read[:, :, None, None].chunk(2, dim=1)
        return self.combine(self.norm(h), s, b)


class Modulation(ABC):
    """How a block is told the noise level (and the class): a choice that builds a module."""

    @abstractmethod
    def build(self, width_e: int, channels: int) -> Modulated:
        """The module (h, e) -> modulated norm of h. Its weights are drawn globally."""


def scale_shift(h: Tensor, s: Tensor, b: Tensor) -> Tensor:
    return h * (1 + s) + b


def double_norm(h: Tensor, s: Tensor, b: Tensor) -> Tensor:
    return h * pixel_norm(s) + pixel_norm(b)


@dataclass(frozen=True)
class ScaleShift(Modulation):
    """norm(h) · (1 + s(e)) + b(e), as in most diffusion networks. Nothing bounds s."""

    def build(self, width_e: int, channels: int) -> Modulated:
        return Modulated(width_e, channels, scale_shift)


@dataclass(frozen=True)
class DoubleNorm(Modulation):
    """norm(h) · pnorm(s(e)) + pnorm(b(e)): adaptive double normalisation, sCM section 4.1.

    Scale and shift keep a mean square of 1 over the channels, so that the noise level turns them
    but cannot blow them up. There is no 1 + s, and the linear layer must not start at 0, as is
    common elsewhere: the block would answer 0, and there the slope of pnorm is 1e4.
    """

    def build(self, width_e: int, channels: int) -> Modulated:
        return Modulated(width_e, channels, double_norm)
