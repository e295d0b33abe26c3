"""Non-scaling layer normalisation: the factor that a norm learns is left out, its shift stays.

sLCT (Dao et al. 2025): a learned factor can blow up the channels that hold outliers. In the
authors' code the weight of the norm is held at 1 and the bias is learned, and the mean and the
variance are those of all channels and pixels of a sample.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..ingredients import ingredient
from .norm import at_least_float32


class NonScalingNorm(nn.Module):
    """(h - mean h) / √(var h + eps) + shift, over a whole sample: (b, channels, n, n) or (b, c).

    Without `affine` there is no shift either. In at least float32, as `Norm`.
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
    """Builds `NonScalingNorm` where a network asks for a norm."""

    eps: float = 1e-5

    def __call__(self, channels: int, affine: bool = True) -> NonScalingNorm:
        return NonScalingNorm(channels, affine, self.eps)
