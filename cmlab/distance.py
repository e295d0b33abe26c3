"""How far apart, and how much it counts: metrics d(a, b) and weights λ(t, r), one per sample.

A metric sums over a sample, so the norm inside pseudo-Huber and Cauchy is that of the whole
vector. Taking it element by element is another loss, and the commonest slip in public code.
"""

from dataclasses import dataclass
from math import sqrt

import torch

from .ingredients import ingredient
from .ops import sum_squares
from .vocabulary import Data, PerSample, Time


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
class PseudoHuber:
    """√(‖a - b‖² + c²) - c. With c = None it is iCT's rule c = 0.00054 √d, d numbers a sample.

    iCT (Song & Dhariwal 2024), Sec. 3.3. With a tiny c it is ECT's norm ‖a - b‖, and keeps a
    gradient at a = b, where the root alone gives NaN.
    """

    c: float | None = None

    def __call__(self, a: Data, b: Data) -> PerSample:
        c = 0.00054 * sqrt(a[0].numel()) if self.c is None else self.c
        s = sum_squares(a - b)
        return s / ((s + c * c).sqrt() + c)  # the same number; √(s + c²) - c cancels


@ingredient
@dataclass(frozen=True)
class Cauchy:
    """ln(1 + ‖a - b‖² / (2 c²)): its pull falls off beyond √2 c. sLCT (Dao et al. 2025)."""

    c: float = 0.03

    def __call__(self, a: Data, b: Data) -> PerSample:
        return torch.log1p(sum_squares(a - b) / (2 * self.c**2))


@ingredient
@dataclass(frozen=True)
class GemanMcClure:
    """‖a - b‖² / (‖a - b‖² + c²): bounded by 1, it all but forgets what is far beyond c."""

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
class InverseGap:
    """λ = 1 / (t - r) in the process's own time: iCT's and ECT's weight under EDM."""

    def __call__(self, t: Time, r: Time) -> PerSample:
        return 1 / (t - r)


@ingredient
@dataclass(frozen=True)
class EDMWeight:
    """λ = (t² + σ_d²) / (t σ_d)², which makes every level's loss about 1 at the start.

    Karras et al. 2022, Table 1. Written for EDM's clock, where t is the noise level.
    """

    sigma_data: float = 0.5

    def __call__(self, t: Time, r: Time) -> PerSample:
        return 1 / t**2 + 1 / self.sigma_data**2


@ingredient
@dataclass(frozen=True)
class TrigWeight:
    """λ = 1 / (σ_d sin t)²: EDM's weight in TrigFlow's clock, by which λ ‖D - x‖² is the paper's
    ‖σ_d F - v_t‖² / σ_d². Lu & Song 2025, Sec. 3.
    """

    sigma_data: float = 0.5

    def __call__(self, t: Time, r: Time) -> PerSample:
        return 1 / (self.sigma_data * t.sin()) ** 2
