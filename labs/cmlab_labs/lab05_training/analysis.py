"""Analysis of lab 05: the exact distribution of consistency-training targets, and fixed points.

For data on the line, p(x | x_t) is a mixture of Gaussians. So is that of the neighbour,

    shared noise  x_r = x + r z, with the z = (x_t - x) / t that led to x_t
    fresh noise   x_r = x + r z', with a z' of its own

and f* maps it to the distribution of the training target f*(x_r, r).

The fixed point of training is what an unlimited network reaches with unlimited data and steps: at
every point the answer of least loss. From the boundary upwards that determines it, level by level:
f(x, ε) = x, and

    ‖·‖², shared or fresh noise  f(x_t, t) = E[f(x_r, r) | x_t]           mean_of(shared), …
    |·|                          f(x_t, t) = the median of f(x_r, r)      median_of(shared)
    an exact teacher's Euler     f(x_t, t) = f(x_t + (r - t) dx/dt, r)    euler
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from cmlab import gaussian_mixture
from cmlab.oracle import Mixture1D

QUADRATURE_STDS = 5.5  # standard deviations on each side that a quadrature covers


@dataclass(frozen=True, eq=False)
class MixtureBatch:
    """b mixtures of K Gaussians on the line: weights, means and stds (b, K), float64."""

    weights: Tensor
    means: Tensor
    stds: Tensor

    @cached_property
    def mean(self) -> Tensor:
        """(b,)."""
        return (self.weights * self.means).sum(1)

    @cached_property
    def std(self) -> Tensor:
        """(b,)."""
        square = self.stds**2 + (self.means - self.mean[:, None]) ** 2
        return (self.weights * square).sum(1).sqrt()

    def cdf(self, y: Tensor) -> Tensor:
        """P(value ≤ y) for y (b, n) or (1, n): (b, n)."""
        z = (y[:, None] - self.means[..., None]) / self.stds[..., None]
        return (self.weights[..., None] * torch.special.ndtr(z)).sum(1)

    def median(self) -> Tensor:
        """(b,)."""

        def curve(y: Tensor) -> tuple[Tensor, Tensor]:
            z = (y[:, None] - self.means) / self.stds
            slope = (self.weights * (-(z**2) / 2).exp() / self.stds).sum(1) / (2 * np.pi) ** 0.5
            return self.cdf(y[:, None])[:, 0] - 0.5, slope

        reach = 8 * self.stds
        return gaussian_mixture.root(
            curve, (self.means - reach).amin(1), (self.means + reach).amax(1)
        )

    def expect(self, f: Callable[[Tensor], Tensor], nodes: int = 101) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of f(value), f elementwise, by an even quadrature: (b,)."""
        z = torch.linspace(-QUADRATURE_STDS, QUADRATURE_STDS, nodes).double()
        share = self.weights[..., None] * torch.softmax(-(z**2) / 2, 0)
        said = f(self.means[..., None] + self.stds[..., None] * z)
        mean = (share * said).sum((1, 2))
        square = (share * (said - mean[:, None, None]) ** 2).sum((1, 2))
        return mean, square.sqrt()


Neighbour = Callable[
    [Mixture1D, Tensor, Tensor, Tensor], MixtureBatch
]  # (distribution, x_t, t, r) -> of x_r


def posterior(oracle: Mixture1D, x_t: Tensor, t: Tensor) -> MixtureBatch:
    """p(x | x_t) for x_t (b,) at levels t (b,) above 0."""
    own = oracle.components
    mean, spread, noise = own.means[:, 0], own.stds**2, t.double()[:, None] ** 2
    x = x_t.double()[:, None]
    share = own.log_terms(x, t.double()[:, None]).softmax(0).T
    stds = (spread * noise / (spread + noise)).sqrt()
    return MixtureBatch(share, (mean * noise + x * spread) / (spread + noise), stds)


def shared(oracle: Mixture1D, x_t: Tensor, t: Tensor, r: Tensor) -> MixtureBatch:
    """Of x_r = x + r z given x_t = x + t z: the line from x_t to x, at level r."""
    x, keep = posterior(oracle, x_t, t), (r / t).double()[:, None]
    return MixtureBatch(
        x.weights, keep * x_t.double()[:, None] + (1 - keep) * x.means, (1 - keep) * x.stds
    )


def fresh(oracle: Mixture1D, x_t: Tensor, t: Tensor, r: Tensor) -> MixtureBatch:
    """Of x_r = x + r z' given x_t = x + t z, where z' is independent of z."""
    x = posterior(oracle, x_t, t)
    return MixtureBatch(x.weights, x.means, (x.stds**2 + r.double()[:, None] ** 2).sqrt())


def target(
    oracle: Mixture1D, x_r: MixtureBatch, r: Tensor, nodes: int = 101
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of f*(x_r, r), r (b,): two rows (b,)."""

    def f(x: Tensor) -> Tensor:
        level = r.double()[:, None, None].expand_as(x).flatten()
        return oracle.consistency(x.reshape(-1, 1), level).reshape(x.shape)

    return x_r.expect(f, nodes)


def losses(
    oracle: Mixture1D, f: Callable[..., Tensor], x_t: Tensor, t: Tensor, r: Tensor
) -> tuple[float, float, float]:
    """L_CD, L_CT and their gradients' relative difference, for f(x (b, 1), level) at x_t (b,).

    ‖·‖², λ = 1, means over b; CD takes an exact teacher's Euler step. The gradient is that of
    f(x_t, t) alone, with the target held fixed: twice the distance to the target's mean.
    """

    def below(x: Tensor) -> Tensor:
        level = r.double()[:, None, None].expand_as(x).flatten()
        return f(x.reshape(-1, 1), level).reshape(x.shape)

    x = x_t.double()[:, None]
    f_t, step = f(x, t)[:, 0], x + (r - t)[:, None] * oracle.velocity(x, t)
    mean, scatter = shared(oracle, x_t, t, r).expect(below)
    cd, ct = f_t - f(step, r)[:, 0], f_t - mean
    square = (cd.square().mean(), (ct.square() + scatter**2).mean(), (ct - cd).square().mean())
    return float(square[0]), float(square[1]), float((square[2] / square[0]).sqrt())


def target_cdf(
    oracle: Mixture1D, x_r: MixtureBatch, r: float, y: Tensor, sigma_min: float = 0.002
) -> Tensor:
    """P(f*(x_r, r) ≤ y) for y (n,): f* keeps order, so y is carried up to level r. (b, n)."""
    up = oracle.flow(y[:, None], torch.full_like(y, sigma_min), torch.full_like(y, r))
    return x_r.cdf(up[:, 0][None])


# Fixed points of training

GRID_STDS = 6.0  # standard deviations of the noisy data, on each side
NODES = 15  # of the Gauss rule for each component

Answer = Callable[[Tensor], Tensor]  # f(·, r)
Rule = Callable[[Mixture1D, Answer, Tensor, Tensor, Tensor], Tensor]  # law, f(·, r), x_t, t, r


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A function of x at each of N levels, ascending: places x (N, P) and answers f (N, P)."""

    oracle: Mixture1D
    levels: Tensor
    x: Tensor
    f: Tensor

    def __call__(self, x: Tensor, level: int = -1) -> Tensor:
        """The answers at points x of the level with this index."""
        return interpolate(x, self.x[level], self.f[level])

    def error(self, level: int = -1) -> float:
        """√ E‖f - f*‖² over the noisy distribution at the level with this index."""
        share, gap = self.misses(level)
        return float((share * gap**2).sum().sqrt())

    def misses(self, level: int) -> tuple[Tensor, Tensor]:
        """The share of the noisy points at each place of a level, and |f - f*| there: (P,)."""
        x, t = self.x[level][:, None], self.levels[level].expand(self.x.shape[1])
        share = self.oracle.log_density(x, t).softmax(0)
        exact = self.oracle.consistency(x, t, float(self.levels[0]))[:, 0]
        return share, (self.f[level] - exact).abs()

    def typical_and_worst(self, level: int = -1) -> tuple[float, float]:
        """The median of |f - f*|, and the worst tenth of the points' share of E‖f - f*‖²."""
        share, gap = self.misses(level)
        gap, at = gap.sort()
        ranks, square = share[at].cumsum(0), share[at] * gap**2
        return float(gap[ranks >= 0.5][0]), float(square[ranks > 0.9].sum() / square.sum())

    def rms(self, levels: int = 10) -> float:
        """The error over the whole grid, root mean square over about so many of its levels."""
        at = torch.linspace(0, len(self.levels) - 1, min(levels, len(self.levels))).round().int()
        return float(np.sqrt(np.mean([self.error(i) ** 2 for i in at.tolist()])))


def fixed_point(oracle: Mixture1D, levels: Tensor, rule: Rule, places: int = 1201) -> FixedPoint:
    """The fixed point of a rule: from the identity at levels[0], level by level up the grid."""
    levels = levels.double()
    wide = (levels**2 + oracle.sigma_data**2).sqrt()
    centre = oracle.components.weights @ oracle.components.means[:, 0]
    x = centre + wide[:, None] * torch.linspace(-GRID_STDS, GRID_STDS, places).double()
    f = [x[0]]
    for i in range(1, len(levels)):
        t, r = (levels[j].expand(places) for j in (i, i - 1))
        f.append(rule(oracle, interpolant(x[i - 1], f[-1]), x[i], t, r))
    return FixedPoint(oracle, levels, x, torch.stack(f))


def interpolant(x: Tensor, f: Tensor) -> Answer:
    return lambda points: interpolate(points, x, f)


def interpolate(points: Tensor, x: Tensor, f: Tensor) -> Tensor:
    """Straight lines between the values f at x, ascending; constant beyond."""
    return torch.from_numpy(np.interp(points.numpy(), x.numpy(), f.numpy()))


def mean_of(neighbour: Neighbour) -> Rule:
    """The squared loss: the mean of the targets."""
    nodes, weights = (torch.from_numpy(row) for row in hermegauss(NODES))

    def rule(oracle: Mixture1D, f: Answer, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        blend = neighbour(oracle, x, t, r)
        said = f(blend.means[..., None] + blend.stds[..., None] * nodes)
        return (blend.weights * (said @ (weights / weights.sum()))).sum(1)

    return rule


def median_of(neighbour: Neighbour) -> Rule:
    """The absolute loss: f rises with x on the line, so the median goes where x_r's goes."""
    return lambda oracle, f, x, t, r: f(neighbour(oracle, x, t, r).median())


def euler(oracle: Mixture1D, f: Answer, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
    """Distillation by one Euler step of the exact denoiser."""
    return f(x + (r - t) * oracle.velocity(x[:, None], t)[:, 0])
