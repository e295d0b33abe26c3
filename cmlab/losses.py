"""Loss metrics d(a, b) and loss weights λ(t, r), one number per sample.

A metric sums over a sample, so the norm inside pseudo-Huber and Cauchy is that of the whole
vector. Taking it element by element is another loss, and a common mistake.
Those that a paper introduced stand in its file: `PseudoHuber` and `InverseGap` in methods/ict,
`Cauchy` in methods/slct, `EDMWeight` in methods/edm.
"""

from dataclasses import dataclass

import torch

from .ingredients import ingredient
from .ops import sum_squares
from .types import Data, PerSample, Positive, Time


@ingredient
@dataclass(frozen=True)
class SquaredL2:
    """Squared L2 metric ‖a - b‖²."""

    def __call__(self, a: Data, b: Data) -> PerSample:
        return sum_squares(a - b)


@ingredient
@dataclass(frozen=True)
class L1:
    """L1 metric ‖a - b‖₁, the sum of absolute differences."""

    def __call__(self, a: Data, b: Data) -> PerSample:
        return (a - b).abs().flatten(1).sum(1)


@ingredient
@dataclass(frozen=True)
class GemanMcClure:
    """Geman-McClure metric ‖a - b‖² / (‖a - b‖² + c²): at most 1, flat beyond c.

    The code of sLCT has 2 m / (m + 4 c²) with a mean m: this with 2 c, times 2.
    """

    c: Positive = 0.03

    def __call__(self, a: Data, b: Data) -> PerSample:
        s = sum_squares(a - b)
        return s / (s + self.c**2)


@ingredient
@dataclass(frozen=True)
class Uniform:
    """The constant loss weight λ = 1."""

    def __call__(self, t: Time, r: Time) -> PerSample:
        return torch.ones_like(t)


@ingredient
@dataclass(frozen=True)
class TrigWeight:
    """TrigFlow's loss weight for denoising, λ = 1 / (σ_d sin t)². Lu & Song 2025, Sec. 3.

    It is EDM's weight as a function of the angle: λ ‖D - x‖² is ‖σ_d F - v_t‖² / σ_d².
    """

    sigma_data: Positive = 0.5

    def __call__(self, t: Time, r: Time) -> PerSample:
        return 1 / (self.sigma_data * t.sin()) ** 2
