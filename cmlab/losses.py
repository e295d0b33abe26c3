"""Loss metrics d(a, b) and loss weights λ(t, r), one number per sample.

How far apart, and how much it counts: metrics d(a, b) and weights λ(t, r), one per sample.

A metric sums over a sample, so the norm inside pseudo-Huber and Cauchy is that of the whole
vector. Taking it element by element is another loss, and the commonest slip in public code.
"""

from dataclasses import dataclass

import torch

from .ingredients import ingredient
from .ops import sum_squares
from .types import Data, PerSample, Time


@ingredient
@dataclass(frozen=True)
class SquaredL2:
    """‖a - b‖²."""

    def __call__(self, a: Data, b: Data) -> PerSample:
        return sum_squares(a - b)


@ingredient
@dataclass(frozen=True)
class L1:
    """‖a - b‖₁, the sum of absolute differences: element by element by its nature."""

    def __call__(self, a: Data, b: Data) -> PerSample:
        return (a - b).abs().flatten(1).sum(1)


@ingredient
@dataclass(frozen=True)
class GemanMcClure:
    """‖a - b‖² / (‖a - b‖² + c²): bounded by 1, it all but forgets what is far beyond c.

    The code of sLCT has 2 m / (m + 4 c²) with a mean m: this with 2 c, times 2.
    """

    c: float = 0.03

    def __call__(self, a: Data, b: Data) -> PerSample:
        s = sum_squares(a - b)
        return s / (s + self.c**2)


@ingredient
@dataclass(frozen=True)
class Uniform:
    """λ = 1."""

    def __call__(self, t: Time, r: Time) -> PerSample:
        return torch.ones_like(t)


@ingredient
@dataclass(frozen=True)
class TrigWeight:
    """λ = 1 / (σ_d sin t)²: EDM's weight in TrigFlow's clock, by which λ ‖D - x‖² is the paper's
    ‖σ_d F - v_t‖² / σ_d². Lu & Song 2025, Sec. 3.
    """

    sigma_data: float = 0.5

    def __call__(self, t: Time, r: Time) -> PerSample:
        return 1 / (self.sigma_data * t.sin()) ** 2
