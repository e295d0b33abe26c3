"""Oracle: data distributions whose score, denoiser and consistency function are known exactly.

Each is a mixture of isotropic Gaussians: one (`Gaussian`), several (`Mixture`, `Mixture1D`), or a
point mass at each data point (`Empirical`). With x_σ = x + σ z, σ the noise level, and p_σ the
distribution of x_σ:

    score        ∇ ln p_σ(x)
    denoiser     D(x, σ) = E[x | x_σ] = x + σ² ∇ ln p_σ(x)                     (Tweedie)
    PF-ODE       dx/dσ = (x - D(x, σ)) / σ = -σ ∇ ln p_σ(x)                    (Karras et al. 2022)
    flow         f*(x, t → s): the solution that passes through x at t, read at s
    consistency  f*(x, t → σ_min)                                              (Song et al. 2023)

Everything is computed in float64, on the device of the distribution's tensors; results have the
dtype and device of x. No gradient passes through a flow.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from . import gaussian_mixture
from .gaussian_mixture import Components, require
from .types import Data, PerSample, Time

ENTRIES = 2**18  # samples times components computed at once: 2 MiB, about a core's cache


class Oracle(ABC):
    """A data distribution with its exact noisy marginals p_σ.

    In all methods x_t is (b, *d), of any shape with the right number of coordinates, and `level`
    (b,) holds noise levels σ ≥ 0. σ = 0 is allowed where every component has a std above 0.

    Raises:
        ValueError: for wrong sizes and levels, and when made of wrong parameters.
    """

    closed: ClassVar[bool] = False  # whether the flow has a closed form

    def __post_init__(self) -> None:
        _ = self.components  # wrong parameters fail here, not in the middle of a run

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""

    @property
    @abstractmethod
    def components(self) -> Components:
        """The Gaussians of the mixture, over flattened samples."""

    @property
    def sigma_data(self) -> float:
        """The standard deviation σ_d of the data, root mean square over coordinates."""
        return float(self.components.variance.mean().sqrt())

    def sample(self, n: int, generator: torch.Generator | None = None) -> Data:
        """n clean samples (n, *d), in torch's default dtype."""
        return self.components.sample(n, generator).reshape(n, *self.shape)

    def log_density(self, x_t: Data, level: Time) -> PerSample:
        """The log-density ln p_σ(x_t) (b,), in nats."""
        return self._exactly(lambda x, s: self.components.log_terms(x, s).logsumexp(0), x_t, level)

    def score(self, x_t: Data, level: Time) -> Data:
        """The score ∇ ln p_σ(x_t)."""
        return self._exactly(self.components.score, x_t, level)

    def denoise(self, x_t: Data, level: Time) -> Data:
        """The exact denoiser, the posterior mean E[x | x_t]."""
        return self._exactly(lambda x, s: x + s**2 * self.components.score(x, s), x_t, level)

    def velocity(self, x_t: Data, level: Time) -> Data:
        """The velocity dx/dσ = (x_t - D) / σ of the probability-flow ODE at x_t."""
        return self._exactly(lambda x, s: -s * self.components.score(x, s), x_t, level)

    @torch.no_grad()
    def flow(self, x_t: Data, level: Time, to: Time) -> Data:
        """The flow map f*(x_t, level → to) of the PF-ODE, to higher or lower noise.

        Without a closed form it is solved to within 1e-5, tested on the toy data.
        """
        require(bool(x_t.isfinite().all()), "x_t is not finite everywhere: no path starts there")
        return self._exactly(self._flow, x_t, level, to)

    def consistency(self, x_t: Data, level: Time, sigma_min: float = 0.002) -> Data:
        """The exact consistency function: the PF-ODE solution through x_t, at σ_min."""
        return self.flow(x_t, level, torch.full_like(level, sigma_min))

    def path(self, x_t: Data, levels: Tensor) -> Tensor:
        """The PF-ODE solution through x_t at levels (m,): (m, b, *d). x_t lies at levels[0]."""
        b, m = len(x_t), len(levels)
        if self.closed:
            start, to = levels[:1].expand(m * b), levels.repeat_interleave(b)
            return self.flow(torch.cat([x_t] * m), start, to).reshape(m, *x_t.shape)
        states = [x_t.double()]
        for t, s in pairwise(levels):
            states.append(self.flow(states[-1], t.expand(b), s.expand(b)))
        return torch.stack(states).to(x_t.dtype)

    @abstractmethod
    def _flow(self, x: Tensor, level: Tensor, to: Tensor) -> Tensor:
        """The flow of x (b, D) between levels (b, 1), in float64."""

    def _exactly(self, function: Callable[..., Tensor], x_t: Tensor, *levels: Tensor) -> Tensor:
        """Apply a function of x (b, D) and levels (b, 1) in float64 to a batch of any shape."""
        means, given = self.components.means, tuple(x_t.shape[1:])
        fits = math.prod(given) == means.shape[1]
        require(fits, f"samples of shape {given} do not fit this distribution: give {self.shape}")
        for level in levels:
            _require_levels(level, len(x_t), self.components.std_min)
        flat = x_t.reshape(len(x_t), means.shape[1])
        wide = (v.to(means) for v in (flat, *(level[:, None] for level in levels)))
        rows = max(1, ENTRIES // max(means.shape))
        parts = zip(*(v.split(rows) for v in wide), strict=True)
        answer = torch.cat([function(*part) for part in parts]).to(x_t)
        return answer.reshape(x_t.shape) if answer.ndim > 1 else answer


@dataclass(frozen=True, eq=False)
class Gaussian(Oracle):
    """One Gaussian N(mean, std² I), mean (*d). With std = 0, a point mass and straight paths.

    f*(x, t → s) = μ + (x - μ) √((std² + s²) / (std² + t²)).
    """

    mean: Tensor
    std: float = 1.0

    closed: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.mean.shape)

    @cached_property
    def components(self) -> Components:
        one = torch.ones(1, device=self.mean.device, dtype=torch.float64)
        return Components(one, self.mean.reshape(1, -1), one * self.std)

    def _flow(self, x: Tensor, level: Tensor, to: Tensor) -> Tensor:
        mean, std = self.components.means, self.components.stds
        return mean + (x - mean) * ((std**2 + to**2) / (std**2 + level**2)).sqrt()


@dataclass(frozen=True, eq=False)
class Mixture(Oracle):
    """A Gaussian mixture Σ_k w_k N(μ_k, s_k² I): weights (K,), means (K, D), stds (K,)."""

    weights: Tensor
    means: Tensor
    stds: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.means.shape[1:])

    @cached_property
    def components(self) -> Components:
        return Components(self.weights, self.means, self.stds)

    def _flow(self, x: Tensor, level: Tensor, to: Tensor) -> Tensor:
        return self.components.flow(x, level, to)


@dataclass(frozen=True, eq=False)
class Empirical(Oracle):
    """The empirical distribution of points (N, *d): a point mass at each.

    Its denoiser is the ideal one for a finite data set. Its paths end in the points; noise levels
    must be above 0.
    """

    points: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.points.shape[1:])

    @cached_property
    def components(self) -> Components:
        even = torch.ones(len(self.points), device=self.points.device) / max(len(self.points), 1)
        return Components(even, self.points.flatten(1), torch.zeros_like(even))

    def _flow(self, x: Tensor, level: Tensor, to: Tensor) -> Tensor:
        return self.components.flow(x, level, to)


@dataclass(frozen=True, eq=False)
class Mixture1D(Oracle):
    """A one-dimensional Gaussian mixture: weights, means, stds (K,); samples (b, 1) or (b,).

    Paths on the line never cross, so the flow keeps every quantile: f*(x, t → s) = F_s⁻¹(F_t(x)),
    F_σ the cumulative distribution function at level σ. It is solved for ln F in the left half and
    for ln (1 - F) in the right one, so that the far tails are as exact as the middle: 1e-9 where
    the density at s exceeds 1e-6. In an empty gap between two modes F is flat, and the quantile
    does not determine where the path ends.
    """

    weights: Tensor
    means: Tensor
    stds: Tensor

    closed: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, ...]:
        return (1,)

    @cached_property
    def components(self) -> Components:
        return Components(self.weights, self.means.reshape(-1, 1), self.stds)

    def cdf(self, x_t: Data, level: Time) -> PerSample:
        """The cumulative distribution function F_σ(x_t) (b,)."""
        return self._exactly(lambda x, s: self._tail(x, s, 1.0).exp().flatten(), x_t, level)

    def _tail(self, x: Tensor, level: Tensor, side: Tensor | float) -> Tensor:
        """ln F_σ(x) where side is 1, ln (1 - F_σ(x)) where it is -1."""
        z = side * self._standard(x, level)
        return (self.components.weights.log() + torch.special.log_ndtr(z)).logsumexp(1)[:, None]

    def _standard(self, x: Tensor, level: Tensor) -> Tensor:
        """x standardised by the mean and noisy std of each component: (b, K)."""
        return (x - self.components.means.T) / (self.components.stds**2 + level**2).sqrt()

    def _flow(self, x: Tensor, level: Tensor, to: Tensor) -> Tensor:
        z, wide = self._standard(x, level), (self.components.stds**2 + to**2).sqrt()
        # F_t(x) lies between the Φ(z_k), so the answer lies between the components' own answers.
        low = (self.components.means.T + wide * z.amin(1, keepdim=True)).amin(1, keepdim=True)
        high = (self.components.means.T + wide * z.amax(1, keepdim=True)).amax(1, keepdim=True)
        side = torch.where(self._tail(x, level, 1.0) > math.log(0.5), -1.0, 1.0)
        goal = self._tail(x, level, side)

        def curve(y: Tensor) -> tuple[Tensor, Tensor]:
            height = self._tail(y, to, side) - goal
            density = self.components.log_terms(y, to).logsumexp(0)[:, None]
            # Below rounding counts as 0: in an empty gap it keeps y where symmetry puts it.
            height = torch.where(height.abs() < 4e-16, 0.0, height)
            return side * height, (density - goal - height).exp()

        return gaussian_mixture.root(curve, low, high)


def _require_levels(level: Tensor, b: int, std_min: float) -> None:
    shape, low = tuple(level.shape), float(level.min()) if level.numel() else 1.0
    require(shape == (b,), f"{b} samples came with levels of shape {shape}: give one level each")
    require(low >= 0, f"a noise level is {low:g}: give levels of at least 0")
    require(low > 0 or std_min > 0, "a noise level is 0 and a component has std 0: stay above 0")
