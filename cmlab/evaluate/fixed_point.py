"""Where training on pairs ends, on the line, if data, steps and network were without limit.

A network that fits its targets answers, at every point, with what has the least loss there. From
the boundary upwards that fixes it, level by level: f(x, ε) = x, and

    ‖·‖², shared or fresh noise  f(x_t, t) = E[f(x_r, r) | x_t]           mean_of(shared), …
    |·|                          f(x_t, t) = the median of f(x_r, r)      median_of(shared)
    an exact teacher's Euler     f(x_t, t) = f(x_t + (r - t) dx/dt, r)    euler
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from ..oracle import Mixture1D
from .pairs import Neighbour

REACH = 6.0  # standard deviations of the noisy data, on each side
NODES = 15  # of the Gauss rule for each component

Answer = Callable[[Tensor], Tensor]  # f(·, r)
Rule = Callable[[Mixture1D, Answer, Tensor, Tensor, Tensor], Tensor]  # law, f(·, r), x_t, t, r


@dataclass(frozen=True, eq=False)
class Limit:
    """A function of x at each of N levels, ascending: places x (N, P) and answers f (N, P)."""

    law: Mixture1D
    levels: Tensor
    x: Tensor
    f: Tensor

    def __call__(self, x: Tensor, level: int = -1) -> Tensor:
        """The answers at points x of the level with this index."""
        return interpolate(x, self.x[level], self.f[level])

    def error(self, level: int = -1) -> float:
        """√ E‖f - f*‖² over the noisy law at the level with this index."""
        x, t = self.x[level][:, None], self.levels[level].expand(self.x.shape[1])
        share = self.law.log_density(x, t).softmax(0)
        gap = self.f[level] - self.law.consistency(x, t, float(self.levels[0]))[:, 0]
        return float((share * gap**2).sum().sqrt())

    def rms(self, looks: int = 10) -> float:
        """The error over the whole grid, root mean square over about so many of its levels."""
        at = torch.linspace(0, len(self.levels) - 1, min(looks, len(self.levels))).round().int()
        return float(np.sqrt(np.mean([self.error(i) ** 2 for i in at.tolist()])))


def fixed_point(law: Mixture1D, levels: Tensor, rule: Rule, places: int = 1201) -> Limit:
    """What the rule makes of the identity at levels[0], carried up the grid."""
    levels = levels.double()
    wide = (levels**2 + law.sigma_data**2).sqrt()
    centre = law.components.weights @ law.components.means[:, 0]
    x = centre + wide[:, None] * torch.linspace(-REACH, REACH, places).double()
    f = [x[0]]
    for i in range(1, len(levels)):
        t, r = (levels[j].expand(places) for j in (i, i - 1))
        f.append(rule(law, answer(x[i - 1], f[-1]), x[i], t, r))
    return Limit(law, levels, x, torch.stack(f))


def answer(x: Tensor, f: Tensor) -> Answer:
    return lambda points: interpolate(points, x, f)


def interpolate(points: Tensor, x: Tensor, f: Tensor) -> Tensor:
    """Straight lines between the values f at x, ascending; constant beyond."""
    return torch.from_numpy(np.interp(points.numpy(), x.numpy(), f.numpy()))


def mean_of(neighbour: Neighbour) -> Rule:
    """The squared loss: the mean of the targets."""
    nodes, weights = (torch.from_numpy(row) for row in hermegauss(NODES))

    def rule(law: Mixture1D, f: Answer, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        blend = neighbour(law, x, t, r)
        said = f(blend.means[..., None] + blend.stds[..., None] * nodes)
        return (blend.weights * (said @ (weights / weights.sum()))).sum(1)

    return rule


def median_of(neighbour: Neighbour) -> Rule:
    """The absolute loss: f rises with x on the line, so the median goes where x_r's goes."""
    return lambda law, f, x, t, r: f(neighbour(law, x, t, r).median())


def euler(law: Mixture1D, f: Answer, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
    """Distillation by one Euler step of the exact denoiser."""
    return f(x + (r - t) * law.velocity(x[:, None], t)[:, 0])
