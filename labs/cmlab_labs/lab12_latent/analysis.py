"""Analysis for lab 12 (sLCT): impulsive noise, and noise paired with data by optimal transport.

Impulsive noise is measured by the shares beyond the fences of a box plot, and by the kurtosis.
Tukey's fences lie 1.5 (inner) and 3 (outer) interquartile ranges beyond the quartiles. Of normal
numbers 0.70 % lie beyond the inner ones and 2.3 in a million beyond the outer ones.

Pairing is measured by its transport cost and by the variance of the target. Many data points are
possible at a given x_t. Their variance, the mean over x_t of Var(x | x_t), is the noise that the
target of consistency training has: pairing can lower it.
"""

from dataclasses import dataclass
from math import exp, log

import numpy as np
import torch
from torch import Generator, Tensor

from cmlab.data.toy import ToyData
from cmlab.methods.slct import Independent, MinibatchOT, Tightening
from cmlab.ops import sum_squares
from cmlab.types import Coupling, Metric

# Impulsive noise

INNER, OUTER = 1.5, 3.0  # interquartile ranges beyond the quartiles


@dataclass(frozen=True)
class Impulsiveness:
    """Shares beyond the fences, the kurtosis E(x - μ)⁴/σ⁴ (normal: 3), and the reach."""

    inner: float
    outer: float
    kurtosis: float
    reach: float  # the largest distance to the median, in interquartile ranges


def fences(x: Tensor, ranges: float) -> tuple[float, float]:
    """The two fences of all numbers in x together."""
    low, high = np.quantile(x.detach().double().numpy().ravel(), (0.25, 0.75))
    return float(low - ranges * (high - low)), float(high + ranges * (high - low))


def share_beyond(x: Tensor, ranges: float) -> float:
    """The share of all numbers in x beyond its own fences."""
    low, high = fences(x, ranges)
    return float(((x < low) | (x > high)).double().mean())


def kurtosis(x: Tensor) -> float:
    """E(x - μ)⁴/σ⁴ of all numbers in x together: 3 for normal ones. nan where all are equal."""
    off = x.detach().double() - x.detach().double().mean()
    return float(off.pow(4).mean() / off.square().mean().square())


def impulsiveness(x: Tensor) -> Impulsiveness:
    """Impulsiveness of all numbers in x together; standardise channels of unequal spread first."""
    values = x.detach().double()
    low, high = np.quantile(values.numpy().ravel(), (0.25, 0.75))
    spread = max(float(high - low), 1e-30)
    reach = float((values - torch.as_tensor(np.median(values.numpy()))).abs().max()) / spread
    return Impulsiveness(
        share_beyond(values, INNER), share_beyond(values, OUTER), kurtosis(values), reach
    )


def c_of(intervals: float) -> float:
    """The authors' c(N) for one coordinate, without the exception for the first stage."""
    rule = Tightening(first=None)
    return exp(rule.slope * log(intervals) + rule.intercept)


def influence(metric: Metric, lengths: Tensor) -> Tensor:
    """Influence function ψ(u), the derivative of the metric by the length u of a residual."""
    u = lengths.double()[:, None].requires_grad_()
    return torch.autograd.grad(metric(u, torch.zeros_like(u)).sum(), u)[0][:, 0]


# Noise paired with data


def cost_ratio(x: Tensor, z: Tensor) -> float:
    """Σ ‖x - z‖² after optimal transport, as a share of that of independent pairs."""
    return float(sum_squares(x - MinibatchOT()(x, z)).sum() / sum_squares(x - z).sum())


def target_variance(x: Tensor, x_t: Tensor, near: int = 16) -> float:
    """The mean over x_t of the variance of x (n, D), summed over D, among the nearest x_t.

    An estimate from n samples: the neighbours lie a little apart, which adds to it.
    """
    close = torch.cdist(x_t, x_t).topk(near, largest=False).indices
    return float(x[close].var(1).sum(1).mean())


def paired_batches(
    data: ToyData, coupling: Coupling, batch: int, batches: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Data and noise, paired batch by batch: (batches · batch, D) each."""
    found = []
    for _ in range(batches):
        x = data.sample(batch, generator)[0]
        z = torch.randn(x.shape, generator=generator)
        found.append((x, coupling(x, z)))
    return torch.cat([x for x, _ in found]), torch.cat([z for _, z in found])


COUPLINGS = {"independent pairs": Independent(), "optimal transport": MinibatchOT()}
