"""Noise levels: distributions of t, grids, and pairs (t, r) for training.

When a method looks: proposals of noise levels, grids, and pairs of times t > r.

Everything is stated in the noise level; `process.time` translates. EDM, CD, CT, iCT and ECT
differ mostly here: EDM is the row r = 0.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .ingredients import ingredient
from .process import Process
from .types import Data, Schedule, Time


@runtime_checkable
class Proposal(Protocol):
    """A law of noise levels: continuous, and as masses on the intervals of a grid."""

    def sample(self, x: Data) -> Time: ...

    def masses(self, levels: Tensor) -> Tensor: ...


@ingredient
@dataclass(frozen=True)
class LogNormal:
    """ln level ~ N(mean, std²), restricted to [low, high]."""

    mean: float = -1.1
    std: float = 2.0
    low: float = 0.0
    high: float = inf

    def cdf(self, level: Tensor) -> Tensor:
        """The unrestricted distribution function, in float64."""
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
        # 1 - F above the median: there the differences of F cancel.
        low, high = torch.special.ndtr(z).diff(), -torch.special.ndtr(-z).diff()
        mass = torch.where(z[:-1] > 0, high, low)
        return mass / mass.sum()


@ingredient
@dataclass(frozen=True)
class UniformIndex:
    """Every interval of the grid alike, as in CT and CD; `grid` gives the continuous law."""

    grid: "KarrasGrid"

    def sample(self, x: Data) -> Time:
        """One level for each sample of x, uniform in the grid's own coordinate."""
        return self.grid.at(torch.rand(len(x), device=x.device, dtype=torch.float64)).to(x.dtype)

    def masses(self, levels: Tensor) -> Tensor:
        return torch.full((len(levels) - 1,), 1 / (len(levels) - 1), dtype=torch.float64)


@ingredient
@dataclass(frozen=True)
class KarrasGrid:
    """σ_i = (σ_min^{1/ρ} + (i-1)/(N-1) (σ_max^{1/ρ} - σ_min^{1/ρ}))^ρ, i = 1 … N, ascending.

    The papers count upwards; the authors' code of CM and EDM counts down.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def at(self, u: Tensor) -> Tensor:
        """The level at the share u of the way from σ_min (u = 0) to σ_max (u = 1)."""
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return (low + u * (high - low)) ** self.rho

    def up(self, points: int) -> Tensor:
        """N levels, ascending, in float64."""
        return self.at(torch.linspace(0, 1, points, dtype=torch.float64))

    def down(self, points: int) -> Tensor:
        """N levels, descending, and 0 at the end: a sampler's grid of N steps."""
        u = torch.linspace(1, 0, points, dtype=torch.float64)  # one point is σ_max
        return torch.cat([self.at(u), torch.zeros(1, dtype=torch.float64)])


@ingredient
@dataclass(frozen=True)
class Neighbours:
    """t and r are neighbours on a grid of N(k) levels, the interval drawn by the proposal."""

    points: Schedule
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
    """The grid's levels (points,) and the proposal's masses (points - 1,) on a device."""
    levels = grid.up(points)
    return levels.to(device), proposal.masses(levels).to(device)


@ingredient
@dataclass(frozen=True)
class ToData:
    """t from a continuous law and r = 0: denoising."""

    proposal: Proposal = LogNormal(-1.2, 1.2)

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        level = self.proposal.sample(x)
        return process.time(level), process.time(torch.zeros_like(level))


@ingredient
@dataclass(frozen=True)
class Together:
    """t from a continuous law and r = t, the limit of no gap."""

    proposal: Proposal = LogNormal(-1.0, 1.4)

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        t = process.time(self.proposal.sample(x))
        return t, t


@ingredient
@dataclass(frozen=True)
class At:
    """Always the same noise level, and r at a ratio of it: for a loss against noise plot."""

    level: float
    ratio: float = 0.0

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        level = x.new_full((len(x),), self.level)
        return process.time(level), process.time(level * self.ratio)
