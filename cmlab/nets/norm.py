"""Normalisation layers, and their modulation by the noise level (adaptive normalisation).

`NonScalingNorm` is the layer normalisation of sLCT (Dao et al. 2025), without a learned scale,
since a scale can amplify the channels that hold outliers. In the authors' code the weight of the
norm is fixed at 1 and the bias is learned, and the mean and the variance are those of all channels
and pixels of a sample.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional

from ..ingredients import ingredient
from ..types import Positive


def at_least_float32(h: Tensor) -> Tensor:
    """h in at least float32: a mean of squares in bfloat16 has two digits, its tangent fewer."""
    return h.to(torch.promote_types(h.dtype, torch.float32))


class Norm(nn.Module):
    """Group normalisation in at least float32, also under autocast: h (b, channels, n, n).

    On a CPU autocast hands bfloat16 to group normalisation, whose forward-mode derivative then
    mixes two types and fails; and torch.compile fails on the derivative of normalisation and
    affine part together. Here the type is float32 and the two are apart. Its derivative also wants
    an image's pixels together in memory, as its kernel on a GPU does: channels_last is copied.

    Under autocast on a CPU, where no forward-mode derivative is being taken, one kernel does it
    all in float32, in either layout. Without autocast the last bits stay what they always were.

    Args:
        channels: of h.
        affine: whether a scale and a shift are learned for each channel.
        groups: their number; 0 is as many as divide the channels, at most 8.
        eps: added to the variance.

    Raises:
        ValueError: for a number of groups that does not divide the channels.
    """

    def __init__(
        self, channels: int, affine: bool = True, groups: int = 0, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.groups, self.eps = groups or math.gcd(8, channels), eps
        if channels % self.groups:
            raise ValueError(
                f"{self.groups} groups do not divide {channels} channels: take another width."
            )
        self.scale = nn.Parameter(torch.ones(channels, 1, 1)) if affine else None
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1)) if affine else None

    def forward(self, h: Tensor) -> Tensor:
        h, affine = at_least_float32(h), (self.scale, self.shift)
        if in_one_kernel(h, *affine):
            weight, bias = (a if a is None else a.flatten() for a in affine)
            if torch.compiler.is_compiling():
                return group_norm(h, self.groups, weight, bias, self.eps)[0]
            return functional.group_norm(h, self.groups, weight, bias, self.eps)
        h = functional.group_norm(h.contiguous(), self.groups, eps=self.eps)
        if self.scale is None or self.shift is None:
            return h
        return h * self.scale + self.shift


def in_one_kernel(*tensors: Tensor | None) -> bool:
    """Whether autocast is on and these, on a CPU, carry no forward-mode tangent."""
    there = [a for a in tensors if a is not None]
    if there[0].is_cuda or not torch.is_autocast_enabled("cpu"):
        return False
    if torch.compiler.is_compiling():  # what has tangents is not compiled, see compile_network
        return there[0].ndim == 4
    return all(forward_ad.unpack_dual(a).tangent is None for a in there)


BuildNorm = Callable[[int, bool], nn.Module]  # (channels, affine) -> a layer's normalisation


@ingredient
@dataclass(frozen=True)
class Grouped:
    """Group normalisation as a network's choice: builds `Norm` with at most 8 groups."""

    def __call__(self, channels: int, affine: bool = True) -> Norm:
        return Norm(channels, affine)


def uncast(device: torch.device) -> AbstractContextManager:
    """Autocast switched off; on devices without autocast, such as "meta", a null context."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def read(e: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer of the embedding e as an image of one pixel: (b, width_e) -> (b, c, 1, 1).

    Not in bfloat16, to whose two digits neighbouring noise levels are equal.
    """
    with uncast(e.device):
        return functional.linear(e.to(weight.dtype), weight, bias)[:, :, None, None]


def pixel_norm(a: Tensor) -> Tensor:
    """Pixel norm a / √(mean a² + 1e-8), the mean over the channels of a (b, channels, …)."""
    a = at_least_float32(a)
    return a / (a.square().mean(1, keepdim=True) + 1e-8).sqrt()


class Modulated(nn.Module):
    """Adaptive normalisation combine(norm(h), s, b), with s and b linear in the embedding e.

    h (b, channels, n, n), e (b, width_e) -> the shape of h. The linear layer's weights keep the
    names under which checkpoints hold them.
    """

    def __init__(
        self,
        width_e: int,
        channels: int,
        combine: Callable[[Tensor, Tensor, Tensor], Tensor],
        norm: BuildNorm = Norm,
    ) -> None:
        super().__init__()
        layer = nn.Linear(width_e, 2 * channels)
        self.weight, self.bias = layer.weight, layer.bias
        self.norm, self.combine = norm(channels, False), combine

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        s, b = read(e, self.weight, self.bias).chunk(2, dim=1)
        return self.combine(self.norm(h), s, b)


class Shifted(nn.Module):
    """Normalisation after a shift, norm(h + b), with b linear in e and an affine norm."""

    def __init__(self, width_e: int, channels: int, norm: BuildNorm = Norm) -> None:
        super().__init__()
        layer = nn.Linear(width_e, channels)
        self.weight, self.bias = layer.weight, layer.bias
        self.norm = norm(channels, True)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        return self.norm(at_least_float32(h) + read(e, self.weight, self.bias))


class Modulation(ABC):
    """How the embedding of noise level and class modulates a block; it builds the module."""

    @abstractmethod
    def build(self, width_e: int, channels: int, norm: BuildNorm = Norm) -> Modulated | Shifted:
        """The module (h, e) -> modulated norm of h; its weights come from torch's generator."""


def scale_shift(h: Tensor, s: Tensor, b: Tensor) -> Tensor:
    return h * (1 + s) + b


def double_norm(h: Tensor, s: Tensor, b: Tensor) -> Tensor:
    return h * pixel_norm(s) + pixel_norm(b)


@ingredient
@dataclass(frozen=True)
class Shift(Modulation):
    """norm(h + b(e)), as in DDPM++: the shift is added before the normalisation."""

    def build(self, width_e: int, channels: int, norm: BuildNorm = Norm) -> Shifted:
        return Shifted(width_e, channels, norm)


@ingredient
@dataclass(frozen=True)
class ScaleShift(Modulation):
    """norm(h) · (1 + s(e)) + b(e), as in most diffusion networks. Nothing bounds s."""

    def build(self, width_e: int, channels: int, norm: BuildNorm = Norm) -> Modulated:
        return Modulated(width_e, channels, scale_shift, norm)


@ingredient
@dataclass(frozen=True)
class DoubleNorm(Modulation):
    """norm(h) · pnorm(s(e)) + pnorm(b(e)): adaptive double normalisation, sCM section 4.1.

    Scale and shift have a mean square of 1 over the channels, so that the noise level can rotate
    but not amplify them. There is no 1 + s, and the linear layer must not start at 0, as is common
    elsewhere: the block's output would be 0, and there the slope of pnorm is 1e4.
    """

    def build(self, width_e: int, channels: int, norm: BuildNorm = Norm) -> Modulated:
        return Modulated(width_e, channels, double_norm, norm)


# Non-scaling layer normalisation: the factor that a norm learns is left out, its shift stays


class NonScalingNorm(nn.Module):
    """Layer normalisation without a learned scale: (h - mean h) / √(var h + eps) + shift.

    Mean and variance are those of a whole sample of h (b, channels, n, n) or (b, c). Without
    `affine` there is no shift either. In at least float32, as `Norm`.
    """

    def __init__(self, channels: int, affine: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.shift = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, h: Tensor) -> Tensor:
        h = functional.group_norm(at_least_float32(h).contiguous(), 1, eps=self.eps)
        if self.shift is None:
            return h
        return h + self.shift.reshape(-1, *(1,) * (h.ndim - 2))


@ingredient
@dataclass(frozen=True)
class NonScaling:
    """Non-scaling layer normalisation as a network's choice: builds `NonScalingNorm`."""

    eps: Positive = 1e-5

    def __call__(self, channels: int, affine: bool = True) -> NonScalingNorm:
        return NonScalingNorm(channels, affine, self.eps)


# Group normalisation as one operator for torch.compile. The code that torch 2.13 generates for it
# with the channels last takes three to five times as long as torch's own kernel, which the
# operator calls. It has no forward-mode derivative.


@torch.library.custom_op("cmlab::group_norm", mutates_args=())
def group_norm(
    h: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Group normalisation on a CPU: the result, and each group's mean and inverse deviation."""
    b, c, *sides = h.shape
    return torch.native_group_norm(h, weight, bias, b, c, sides[0] * sides[1], groups, eps)


@group_norm.register_fake
def _(
    h: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    mean = h.new_empty(h.shape[0], groups)
    return torch.empty_like(h), mean, torch.empty_like(mean)


@torch.library.custom_op("cmlab::group_norm_backward", mutates_args=())
def group_norm_backward(
    g: Tensor, h: Tensor, mean: Tensor, inverse: Tensor, weight: Tensor | None, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of image, weight and bias; the last two are empty without a weight."""
    b, c, *sides = h.shape
    last = h.is_contiguous(memory_format=torch.channels_last)
    g = g.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    wanted = [True, weight is not None, weight is not None]
    found = torch.ops.aten.native_group_norm_backward(
        g, h, mean, inverse, weight, b, c, sides[0] * sides[1], groups, wanted
    )
    g_h, g_weight, g_bias = (h.new_empty(0) if a is None else a for a in found)
    return g_h, g_weight, g_bias


@group_norm_backward.register_fake
def _(
    g: Tensor, h: Tensor, mean: Tensor, inverse: Tensor, weight: Tensor | None, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    one = h.new_empty(0 if weight is None else len(weight))
    return torch.empty_like(h), one, torch.empty_like(one)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    h, ctx.groups, weight, _, _ = inputs
    ctx.save_for_backward(h, *output[1:], weight)


def _backward(ctx: Any, g: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    weight = ctx.saved_tensors[3]
    g_h, g_weight, g_bias = group_norm_backward(g, *ctx.saved_tensors, ctx.groups)
    affine = (None, None) if weight is None else (g_weight, g_bias)
    return g_h, None, *affine, None


group_norm.register_autograd(_backward, setup_context=_save)
