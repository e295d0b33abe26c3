"""What could lie under x_t, exactly: a mixture's posterior, and three points to put into A(.).

Given x_t = x + σ z, each component of a mixture of round Gaussians has a posterior that is a
round Gaussian again, and the weights change by how well it explains x_t:

    p(x | x_t) = Σ_k w_k(x_t) N(m_k, v_k I),   v_k = s_k² σ² / (s_k² + σ²),
    m_k = (s_k² x_t + σ² μ_k) / (s_k² + σ²),   w_k(x_t) ∝ w_k N(x_t; μ_k, (s_k² + σ²) I).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..components import require
from ..operators import Operator
from ..oracle import Mixture, Mixture1D, Oracle
from ..process import EDM
from ..sample import ode
from ..times import KarrasGrid
from ..vocabulary import Data, PerSample, Time

POINTS = ("posterior mean", "path's end", "posterior sample")


@dataclass(frozen=True, eq=False)
class Posterior:
    """p(x | x_t) for each of b noisy samples: weights (b, K), means (b, K, D), stds (b, K)."""

    weights: Tensor
    means: Tensor
    stds: Tensor

    @property
    def mean(self) -> Tensor:
        """E[x | x_t], (b, D)."""
        return (self.weights[..., None] * self.means).sum(1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n points for each x_t: (b, n, D)."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        row = torch.arange(len(k))[:, None]
        means = self.means[row, k]
        z = torch.randn(means.shape, generator=generator, dtype=means.dtype)
        return means + self.stds[row, k][..., None] * z

    def expect(self, of: Callable[[Tensor], Tensor], n: int, generator: torch.Generator) -> Tensor:
        """E[of(x) | x_t], from n points for each x_t."""
        x = self.sample(n, generator)
        return of(x.flatten(0, 1)).reshape(*x.shape[:2], -1).mean(1)


def posterior(law: Oracle, x_t: Data, level: Time) -> Posterior:
    """The exact posterior of each x_t (b, *d) at its noise level, over flat samples."""
    parts, flat = law.components, x_t.flatten(1).double()
    s2, v = parts.stds**2, level.double()[:, None] ** 2
    weights = parts.log_terms(flat, level.double()[:, None]).softmax(0).T
    total = (s2 + v)[..., None]
    means = (s2[:, None] * flat[:, None] + v[..., None] * parts.means) / total
    return Posterior(weights, means, (s2 * v / (s2 + v)).sqrt())


def line_through(law: Mixture, axis: int, value: float) -> Mixture1D:
    """p(the other coordinate | this one = value) of a mixture in the plane, in closed form."""
    parts = law.components
    require(parts.means.shape[1] == 2, "only a law in the plane has one other coordinate: give "
            "means of shape (K, 2)")  # fmt: skip
    off = (value - parts.means[:, axis]) / parts.stds
    weights = (parts.weights.log() - parts.stds.log() - off**2 / 2).softmax(0)
    kept = weights > 1e-12 * weights.max()
    left = weights[kept] / weights[kept].sum()
    return Mixture1D(left, parts.means[kept, 1 - axis], parts.stds[kept])


@dataclass(frozen=True, eq=False)
class PathEnd:
    """The path's end Φ_0(x_t), with a gradient: Heun's method down to the data in `steps` steps.

    The law's own `consistency` is more exact and has no gradient. All levels of a batch are one.
    """

    law: Oracle
    steps: int = 10
    low: float = 0.01

    def __call__(self, x_t: Data, t: Time) -> Data:
        top = float(t[0])
        require(bool((t == t[0]).all()), "a path's end is solved for one level at a time")
        down = (
            KarrasGrid(self.low, top).down(self.steps)
            if top > self.low
            else t.new_tensor([top, 0])
        )
        *_, x = ode(EDM(), self.law.denoise, x_t, down)
        return x


def three_points(
    law: Oracle, x_t: Data, level: Time, generator: torch.Generator
) -> dict[str, Data]:
    """The posterior mean, the path's end, and one exact posterior sample for each x_t."""
    drawn = posterior(law, x_t, level).sample(1, generator)[:, 0].reshape(x_t.shape)
    found = (law.denoise(x_t, level), law.consistency(x_t, level), drawn.to(x_t))
    return dict(zip(POINTS, found, strict=True))


@dataclass(frozen=True, eq=False)
class Seen:
    """What is told of each point: ‖x‖, ln p(x) in nats, and A(x)."""

    radius: PerSample
    log_density: PerSample
    measured: Tensor


def seen(law: Oracle, x: Data, operator: Operator) -> Seen:
    """Radius, log-density under the data's own law, and what the operator answers."""
    none = torch.zeros(len(x), dtype=x.dtype)
    return Seen(x.flatten(1).norm(dim=1), law.log_density(x, none), operator(x))
