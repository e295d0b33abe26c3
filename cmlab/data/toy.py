"""Toy data: Gaussian mixtures in one and two dimensions, known in closed form.

Their score, posterior mean and consistency function are exact, see `oracle`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..oracle import Mixture, Mixture1D, Oracle
from ..types import BelowOne, Data, NonNegative, Positive, Range, Real


class ToyData(ABC):
    """Data with an exactly known distribution. Fields that define none raise ValueError."""

    sigma_min = 0.002  # far below the smallest standard deviation
    sigma_max = 10.0  # ten times the data's size: almost pure noise

    def __post_init__(self) -> None:
        _ = self.oracle  # a wrong field fails here

    @property
    @abstractmethod
    def oracle(self) -> Oracle:
        """The exact distribution."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.oracle.shape

    @property
    def sigma_data(self) -> float:
        """The standard deviation of the data, root mean square over coordinates."""
        return self.oracle.sigma_data

    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Data, None]:
        """n samples (n, *shape), and None: there are no classes."""
        return self.oracle.sample(n, generator), None


@ingredient
@dataclass(frozen=True)
class Ring(ToyData):
    """Gaussians evenly spaced on a circle: the usual ring of `modes` modes."""

    modes: Annotated[int, Range("[1, 1e4]")] = 8
    radius: NonNegative = 1.0
    std: Positive = 0.1

    @cached_property
    def oracle(self) -> Mixture:
        angle = torch.arange(self.modes).double() * 2 * math.pi / self.modes
        return _even(self.radius * _circle(angle), self.std)


@ingredient
@dataclass(frozen=True)
class Moons(ToyData):
    """Two moons: interleaved half circles, 100 Gaussians along each."""

    radius: NonNegative = 0.7
    std: Positive = 0.06

    @cached_property
    def oracle(self) -> Mixture:
        moon = _circle(torch.linspace(0, math.pi, 100, dtype=torch.float64))
        moon = self.radius * (moon - torch.tensor([0.5, 0.25]))
        return _even(torch.cat([moon, -moon]), self.std)


@ingredient
@dataclass(frozen=True)
class Checkerboard(ToyData):
    """A checkerboard: 8 fields of 4 × 4 on [-1, 1]², each a grid of 6 × 6 Gaussians."""

    std: Positive = 0.05

    @cached_property
    def oracle(self) -> Mixture:
        line = (torch.arange(24).double() + 0.5) / 12 - 1
        means = torch.cartesian_prod(line, line)
        return _even(means[(2 * means).floor().sum(1) % 2 == 0], self.std)


@ingredient
@dataclass(frozen=True)
class Spiral(ToyData):
    """Two spirals that wind outwards to `radius`, 100 Gaussians almost evenly along each."""

    turns: Annotated[float, Range("[-100, 100]")] = 1.25
    radius: NonNegative = 1.2
    std: Positive = 0.05

    @cached_property
    def oracle(self) -> Mixture:
        share = torch.linspace(0.15**2, 1, 100, dtype=torch.float64).sqrt()
        one = self.radius * share[:, None] * _circle(2 * math.pi * self.turns * share)
        return _even(torch.cat([one, -one]), self.std)


@ingredient
@dataclass(frozen=True)
class TwoGaussians(ToyData):
    """Two Gaussians, `distance` apart along the first of `dim` coordinates."""

    dim: Annotated[int, Range("[1, 1e4]")] = 2
    distance: Real = 2.0
    std: Positive = 0.2

    @cached_property
    def oracle(self) -> Mixture:
        mean = self.distance / 2 * torch.eye(1, self.dim)
        return _even(torch.cat([-mean, mean]), self.std)


def _circle(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


def _even(means: Tensor, std: float) -> Mixture:
    """The mixture with equal weights and standard deviations, in float64."""
    one = torch.ones(len(means), dtype=torch.float64)
    return Mixture(one / len(means), means.double(), one * std)


TOYS: dict[str, ToyData] = dict(
    ring=Ring(),
    moons=Moons(),
    checkerboard=Checkerboard(),
    spiral=Spiral(),
    two_gaussians=TwoGaussians(),
)


@ingredient
@dataclass(frozen=True)
class Bumps(ToyData):
    """A Gaussian mixture on the line, with a closed-form consistency function; samples (n, 1)."""

    weights: tuple[Annotated[float, Range("(0, 1]")], ...] = (0.3, 0.5, 0.2)
    means: tuple[Real, ...] = (-1.2, 0.2, 1.4)
    stds: tuple[Positive, ...] = (0.15, 0.25, 0.1)

    @cached_property
    def oracle(self) -> Mixture1D:
        rows = (self.weights, self.means, self.stds)
        return Mixture1D(*(torch.tensor(row, dtype=torch.float64) for row in rows))


@ingredient
@dataclass(frozen=True)
class Contaminated(ToyData):
    """Toy data with outliers: a share of the samples is replaced by draws of N(0, spread² I).

    `oracle` is the contaminated distribution, which is sampled; `clean.oracle` the one to learn.

    Args:
        clean: the data without outliers.
        share: probability of an outlier, in [0, 1).
        spread: standard deviation of the outliers.
    """

    clean: ToyData = Ring()
    share: BelowOne = 0.05
    spread: Positive = 3.5

    @property
    def sigma_data(self) -> float:
        """The clean data's, so that contamination changes nothing but the samples."""
        return self.clean.sigma_data

    @cached_property
    def oracle(self) -> Oracle:
        if self.share == 0:
            return self.clean.oracle
        clean = self.clean.oracle.components
        far = torch.full((1,), self.spread, dtype=torch.float64)
        weights = torch.cat([(1 - self.share) * clean.weights, torch.full_like(far, self.share)])
        means = torch.cat([clean.means, torch.zeros_like(clean.means[:1])])
        return Mixture(weights, means, torch.cat([clean.stds, far]))


@dataclass(frozen=True)
class TwoRings(ToyData):
    """Two concentric rings of `modes` Gaussians each; their mean lies where no data are."""

    modes: int = 8
    inner: float = 0.5
    outer: float = 1.0
    std: float = 0.05

    @cached_property
    def oracle(self) -> Mixture:
        rings = [Ring(self.modes, r, self.std).oracle for r in (self.inner, self.outer)]
        means, stds = (torch.cat([getattr(o, n) for o in rings]) for n in ("means", "stds"))
        return Mixture(torch.cat([o.weights for o in rings]) / 2, means, stds)
