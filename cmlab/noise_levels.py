"""Noise levels for training: the proposal distribution of t, the Karras grid, and pairs t > r.

All is stated in noise levels σ; `process.time` turns them into t and r. EDM, CD, CT, iCT and ECT
differ mostly here; EDM is the case r = 0.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf
from typing import Annotated, Protocol, runtime_checkable

import torch
from torch import Tensor

from .ingredients import ingredient
from .process import Process
from .types import Data, NonNegative, Positive, Range, Schedule, Share, Time


@runtime_checkable
class Proposal(Protocol):
    """A proposal distribution of noise levels: continuous, and discretised on a grid."""

    def sample(self, x: Data) -> Time:
        """A noise level for each sample of x."""
        ...

    def masses(self, levels: Tensor) -> Tensor:
        """The probability (N - 1,) of each interval between N ascending levels, in float64."""
        ...


@ingredient
@dataclass(frozen=True)
class LogNormal:
    """Log-normal noise levels, ln σ ~ N(mean, std²), restricted to σ in [low, high]."""

    mean: Annotated[float, Range("[-15, 15]")] = -1.1
    std: Annotated[float, Range("[0.01, 30]")] = 2.0
    low: NonNegative = 0.0
    high: Annotated[float, Range("(0, inf]")] = inf

    def __post_init__(self) -> None:
        if self.mean + 7.04 * self.std > 43 and self.high > 1e18:  # drawn at most, and e^43
            raise ValueError(
                f"exp N({self.mean:g}, {self.std:g}²) reaches levels that float32 cannot square: "
                f"give a high of 1e18 or less"
            )
        low, high = self.cdf(torch.tensor([self.low, self.high])).tolist()
        if not high - low > 1e-9:
            raise ValueError(
                f"exp N({self.mean:g}, {self.std:g}²) has no mass in [{self.low:g}, "
                f"{self.high:g}]: give low and high around its median {exp(self.mean):.3g}"
            )

    def cdf(self, level: Tensor) -> Tensor:
        """The cumulative distribution function without the restriction, in float64."""
        return torch.special.ndtr((level.double().log() - self.mean) / self.std)

    def sample(self, x: Data) -> Time:
        """One level for each sample of x."""
        low, high = self.cdf(torch.tensor([self.low, self.high])).tolist()
        u = torch.rand(len(x), device=x.device, dtype=torch.float64)
        z = torch.special.ndtri((low + u * (high - low)).clamp(1e-12, 1 - 1e-12))
        return (self.mean + self.std * z).exp().to(x.dtype)

    def masses(self, levels: Tensor) -> Tensor:
        """p(i) ∝ erf((ln σ_{i+1} - mean)/√2 std) - erf((ln σ_i - mean)/√2 std). iCT, eq. 10."""
        z = (levels.double().log() - self.mean) / self.std
        # 1 - F above the median: there the differences of F cancel. By erfc, since torch's ndtr,
        # (1 + erf)/2, cancels in its lower tail.
        low, high = torch.special.erfc(-z / 2**0.5).diff(), -torch.special.erfc(z / 2**0.5).diff()
        mass = torch.where(z[:-1] > 0, high, low)
        return mass / mass.sum()


@ingredient
@dataclass(frozen=True)
class UniformIndex:
    """Uniform over the intervals of a grid, as in CT and CD; continuous, uniform in σ^{1/ρ}."""

    grid: "KarrasGrid"

    def sample(self, x: Data) -> Time:
        """One level for each sample of x, uniform in the grid's coordinate σ^{1/ρ}."""
        return self.grid.at(torch.rand(len(x), device=x.device, dtype=torch.float64)).to(x.dtype)

    def masses(self, levels: Tensor) -> Tensor:
        return torch.full((len(levels) - 1,), 1 / (len(levels) - 1), dtype=torch.float64)


@ingredient
@dataclass(frozen=True)
class KarrasGrid:
    """The Karras grid of noise levels, even in σ^{1/ρ}. Karras et al. 2022, eq. 5.

        σ_i = (σ_min^{1/ρ} + (i-1)/(N-1) (σ_max^{1/ρ} - σ_min^{1/ρ}))^ρ,  i = 1 … N, ascending

    The consistency models papers count upwards; the authors' code of CM and EDM counts down.
    """

    sigma_min: Positive = 0.002
    sigma_max: Positive = 80.0
    rho: Annotated[float, Range("[0.1, 100]")] = 7.0

    def __post_init__(self) -> None:
        if not self.sigma_min < self.sigma_max:
            raise ValueError(
                f"a grid rises from sigma_min to sigma_max, not from {self.sigma_min:g} to "
                f"{self.sigma_max:g}; swap them"
            )

    def at(self, u: Tensor) -> Tensor:
        """The noise level at the coordinate u, from σ_min at u = 0 to σ_max at u = 1."""
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return (low + u * (high - low)) ** self.rho

    def up(self, points: int) -> Tensor:
        """`points` noise levels (N,), ascending, in float64."""
        return self.at(torch.linspace(0, 1, points, dtype=torch.float64))

    def down(self, points: int) -> Tensor:
        """`points` noise levels, descending, then 0: a sampler's grid (N + 1,) of N steps."""
        u = torch.linspace(1, 0, points, dtype=torch.float64)  # one point is σ_max
        return torch.cat([self.at(u), torch.zeros(1, dtype=torch.float64)])


@ingredient
@dataclass(frozen=True)
class AdjacentLevels:
    """Adjacent levels t > r of a grid of N(k) noise levels; the proposal draws the interval.

    Args:
        points: N(k), the number of grid points at each step.
        proposal: the distribution over the intervals.
        grid: where the levels lie.
    """

    points: Annotated[Schedule, Range("[2, 1e7]")]
    proposal: Proposal = LogNormal(-1.1, 2.0)
    grid: KarrasGrid = KarrasGrid()

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        levels, masses = intervals(self.grid, self.proposal, int(self.points(step)), x.device)
        i = torch.multinomial(masses, len(x), replacement=True)
        t, r = levels[i + 1].to(x), levels[i].to(x)
        return process.time(t), process.time(r)


@lru_cache(maxsize=64)  # a copy to a GPU makes the host wait, and erf on a CPU is not free
def intervals(
    grid: KarrasGrid, proposal: Proposal, points: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The grid's levels (points,) and the intervals' probabilities (points - 1,) on a device."""
    levels = grid.up(points)
    return levels.to(device), proposal.masses(levels).to(device)


@ingredient
@dataclass(frozen=True)
class DenoisingPairs:
    """Pairs for denoising: t from a continuous proposal, and r = 0."""

    proposal: Proposal = LogNormal(-1.2, 1.2)

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        level = self.proposal.sample(x)
        return process.time(level), process.time(torch.zeros_like(level))


@ingredient
@dataclass(frozen=True)
class SameTime:
    """Pairs for continuous time: t from a continuous proposal and r = t, the limit t - r -> 0."""

    proposal: Proposal = LogNormal(-1.0, 1.4)

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        t = process.time(self.proposal.sample(x))
        return t, t


@ingredient
@dataclass(frozen=True)
class At:
    """One fixed noise level σ for t, and ratio · σ for r: for the loss at given noise levels."""

    level: NonNegative
    ratio: Share = 0.0

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        level = x.new_full((len(x),), self.level)
        return process.time(level), process.time(level * self.ratio)
