"""What a pair of neighbours tells a network at x_t, exactly, for a law on the line.

Behind x_t lie many data: p(x | x_t) is a mixture of Gaussians. So is the law of the neighbour,

    shared noise  x_r = x + r z, with the z = (x_t - x) / t that led to x_t
    fresh noise   x_r = x + r z', with a z' of its own

and f* carries it to the law of the training target f*(x_r, r).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .. import solve
from ..oracle import Mixture1D

HALF = 5.5  # standard deviations on each side that a quadrature covers


@dataclass(frozen=True, eq=False)
class Blend:
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
        return solve.root(curve, (self.means - reach).amin(1), (self.means + reach).amax(1))

    def expect(self, f: Callable[[Tensor], Tensor], nodes: int = 101) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of f(value), f elementwise, by an even quadrature: (b,)."""
        z = torch.linspace(-HALF, HALF, nodes).double()
        share = self.weights[..., None] * torch.softmax(-(z**2) / 2, 0)
        said = f(self.means[..., None] + self.stds[..., None] * z)
        mean = (share * said).sum((1, 2))
        square = (share * (said - mean[:, None, None]) ** 2).sum((1, 2))
        return mean, square.sqrt()


Neighbour = Callable[[Mixture1D, Tensor, Tensor, Tensor], Blend]  # (law, x_t, t, r) -> of x_r


def posterior(law: Mixture1D, x_t: Tensor, t: Tensor) -> Blend:
    """p(x | x_t) for x_t (b,) at levels t (b,) above 0."""
    own = law.components
    mean, spread, noise = own.means[:, 0], own.stds**2, t.double()[:, None] ** 2
    x = x_t.double()[:, None]
    share = own.log_terms(x, t.double()[:, None]).softmax(0).T
    stds = (spread * noise / (spread + noise)).sqrt()
    return Blend(share, (mean * noise + x * spread) / (spread + noise), stds)


def shared(law: Mixture1D, x_t: Tensor, t: Tensor, r: Tensor) -> Blend:
    """Of x_r = x + r z given x_t = x + t z: the line from x_t to x, at level r."""
    x, keep = posterior(law, x_t, t), (r / t).double()[:, None]
    return Blend(
        x.weights, keep * x_t.double()[:, None] + (1 - keep) * x.means, (1 - keep) * x.stds
    )


def fresh(law: Mixture1D, x_t: Tensor, t: Tensor, r: Tensor) -> Blend:
    """Of x_r = x + r z' given x_t = x + t z, where z' knows nothing of z."""
    x = posterior(law, x_t, t)
    return Blend(x.weights, x.means, (x.stds**2 + r.double()[:, None] ** 2).sqrt())


def target(law: Mixture1D, x_r: Blend, r: Tensor, nodes: int = 101) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of f*(x_r, r), r (b,): two rows (b,)."""

    def f(x: Tensor) -> Tensor:
        level = r.double()[:, None, None].expand_as(x).flatten()
        return law.consistency(x.reshape(-1, 1), level).reshape(x.shape)

    return x_r.expect(f, nodes)


def losses(
    law: Mixture1D, f: Callable[..., Tensor], x_t: Tensor, t: Tensor, r: Tensor
) -> tuple[float, float, float]:
    """L_CD, L_CT and their gradients' relative difference, for f(x (b, 1), level) at x_t (b,).

    ‖·‖², λ = 1, means over b; CD takes an exact teacher's Euler step. The gradient is that of
    f(x_t, t) alone, with the target held fixed: twice the distance to the target's mean.
    """

    def below(x: Tensor) -> Tensor:
        level = r.double()[:, None, None].expand_as(x).flatten()
        return f(x.reshape(-1, 1), level).reshape(x.shape)

    x = x_t.double()[:, None]
    f_t, step = f(x, t)[:, 0], x + (r - t)[:, None] * law.velocity(x, t)
    mean, spread = shared(law, x_t, t, r).expect(below)
    cd, ct = f_t - f(step, r)[:, 0], f_t - mean
    square = (cd.square().mean(), (ct.square() + spread**2).mean(), (ct - cd).square().mean())
    return float(square[0]), float(square[1]), float((square[2] / square[0]).sqrt())


def target_cdf(
    law: Mixture1D, x_r: Blend, r: float, y: Tensor, sigma_min: float = 0.002
) -> Tensor:
    """P(f*(x_r, r) ≤ y) for y (n,): f* keeps order, so y is carried up to level r. (b, n)."""
    up = law.flow(y[:, None], torch.full_like(y, sigma_min), torch.full_like(y, r))
    return x_r.cdf(up[:, 0][None])
