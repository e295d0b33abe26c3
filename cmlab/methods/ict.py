"""Improved consistency training (Song & Dhariwal 2024, arXiv:2310.14189, Table 1).

    sample x, z and n ~ p(n), the log-normal's mass on the grid of N(k) levels (eq. 10)
    L(θ) = λ(σ_n) d( f_θ(x + σ_{n+1} z, σ_{n+1}), f_θ⁻(x + σ_n z, σ_n) ),  θ⁻ = stopgrad(θ)
    d = √(‖·‖² + c²) - c with c = 0.00054 √d;  λ(σ_n) = 1 / (σ_{n+1} - σ_n)

Code t, r are the paper's σ_{n+1}, σ_n; k is `step`. Grid, proposal and weight are the paper's:
N(k) goes from 11 to 1281, the intervals doubling; P_mean = -1.1, P_std = 2. The authors released
no code. Ports often take the norm per element or draw two dropout masks; neither is this loss.
"""

from dataclasses import dataclass, field
from math import floor, log2, sqrt
from typing import Annotated

from ..ingredients import ingredient
from ..noise_levels import AdjacentLevels
from ..ops import sum_squares
from ..teacher import StopGrad, Target
from ..types import Data, Metric, Natural, Pairs, PerSample, Positive, Range, Time, Weight
from .base import ConsistencyTraining


@ingredient
@dataclass(frozen=True)
class PseudoHuber:
    """Pseudo-Huber metric √(‖a - b‖² + c²) - c. iCT (Song & Dhariwal 2024), Sec. 3.3.

    With a tiny c it is ECT's norm ‖a - b‖, and keeps a gradient at a = b, where the root alone
    gives NaN.

    Args:
        c: where the metric turns from quadratic to linear; None is iCT's rule c = 0.00054 √d for
            samples of d numbers.
    """

    c: Positive | None = None

    def __call__(self, a: Data, b: Data) -> PerSample:
        c = 0.00054 * sqrt(a[0].numel()) if self.c is None else self.c
        s = sum_squares(a - b)
        return s / ((s + c * c).sqrt() + c)  # the same number; √(s + c²) - c cancels


@ingredient
@dataclass(frozen=True)
class InverseGap:
    """iCT's loss weight λ = 1 / (t - r), in the process's own time; ECT's too, under EDM."""

    def __call__(self, t: Time, r: Time) -> PerSample:
        return 1 / (t - r)


@ingredient
@dataclass(frozen=True)
class Doubling:
    """iCT's schedule of the number of grid points, N(k) = min(s0 2^⌊k/K'⌋, s1) + 1.

    Song & Dhariwal 2024, Table 1, with K' = ⌊K/(log2⌊s1/s0⌋ + 1)⌋. A run that stops early misses
    the fine grids, so `total` must be the length of the run itself.

    Args:
        s0: the number of intervals at the start.
        s1: the number of intervals at the end.
        total: K, the steps of the run.
    """

    s0: Annotated[int, Range("[1, 1e6]")] = 10
    s1: Annotated[int, Range("[1, 1e6]")] = 1280
    total: Natural = 400_000

    def __post_init__(self) -> None:
        if self.s0 > self.s1:
            raise ValueError(f"s0 must be s1 or less, not {self.s0} and {self.s1}")

    def __call__(self, step: int) -> float:
        stage_length = max(floor(self.total / (log2(self.s1 // self.s0) + 1)), 1)
        return min(self.s0 * 2 ** (step // stage_length), self.s1) + 1


@ingredient
@dataclass(eq=False)
class ICT(ConsistencyTraining):
    """Consistency training without an EMA target, on doubling grids; see `ConsistencyTraining`."""

    pairs: Pairs = AdjacentLevels(Doubling())
    metric: Metric = PseudoHuber()
    weight: Weight = InverseGap()
    target: Target = field(default_factory=StopGrad)
