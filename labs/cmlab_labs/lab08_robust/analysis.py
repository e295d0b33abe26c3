"""Analysis of lab 08: robust location estimates (M-estimates) by reweighted means (IRLS).

The location is m = argmin Σ_i d(x_i - m). The slope of a loss is ψ = d', its influence; the weight
of a point, ω in the lab, is w = ψ(r) / r. Where the sum is stationary, m is the mean of the points
weighted by w. So guess m, weigh, average, and repeat (IRLS; Holland & Welsch 1977). For a convex
loss the end is the minimum. For Cauchy's and Geman and McClure's it is a local minimum, the one on
whose slope the guess lies.

`differences` draws what the losses see in training, and `outlier_share` says who pulls.
`norm_path_ends` asks for the same centre at every noise level: where does a network end that is
trained with the norm instead of its square?
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cmlab.data.toy import Contaminated
from cmlab.losses import L1, SquaredL2
from cmlab.oracle import Oracle
from cmlab.presets.toy import GRID, LEVELS
from cmlab.types import Metric

from .study import CLEAN


def loss_and_weight(metric: Metric, delta: Tensor) -> tuple[Tensor, Tensor]:
    """d and w = ψ / r of differences (…, dim): both (…). d must depend on ‖δ‖ alone."""
    flat = (delta.detach().reshape(-1, delta.shape[-1]) + 1e-12).requires_grad_()  # r > 0
    value = metric(flat, torch.zeros_like(flat))
    slope = torch.autograd.grad(value.sum(), flat)[0].norm(dim=1)
    shape = delta.shape[:-1]
    return value.detach().reshape(shape), (slope / flat.detach().norm(dim=1)).reshape(shape)


@dataclass(frozen=True, eq=False)
class LocationEstimates:
    """Location estimates, minima of Σ d, lowest first: `places` (k, dim), mean d `heights`."""

    places: Tensor
    heights: Tensor

    @property
    def best(self) -> Tensor:
        return self.places[0]


def irls(
    metric: Metric, points: Tensor, starts: Tensor, rounds: int = 400, tolerance: float = 1e-8
) -> LocationEstimates:
    """IRLS: reweighted means of points (n, d) from each of `starts` (k, d), lowest loss first."""
    m = starts
    for _ in range(rounds):
        _, w = loss_and_weight(metric, m[:, None] - points)
        w = w / w.sum(1, keepdim=True)
        last, m = m, w @ points
        if float((m - last).abs().max()) < tolerance:
            break
    heights = loss_and_weight(metric, m[:, None] - points)[0].mean(1)
    order = heights.argsort()
    return LocationEstimates(m[order], heights[order])


def location_estimates(
    metric: Metric, points: Tensor, starts: Tensor | None = None, tolerance: float = 1e-8
) -> LocationEstimates:
    """All minima found from the mean and from `starts` (k, d); two closer than 1e-3 are one.

    Squared L2 has its mean and L1 the median of each coordinate, with no search.
    """
    mean = points.mean(0, keepdim=True)
    if isinstance(metric, SquaredL2 | L1):
        place = mean if isinstance(metric, SquaredL2) else points.quantile(0.5, 0, True)
        return LocationEstimates(place, metric(points, place.expand_as(points)).mean()[None])
    found = irls(metric, points, mean if starts is None else torch.cat([mean, starts]),
                   tolerance=tolerance)  # fmt: skip
    apart = torch.cdist(found.places, found.places) < 1e-3
    first = ~torch.tril(apart, -1).any(1)
    return LocationEstimates(found.places[first], found.heights[first])


def pull(metric: Metric, delta: Tensor) -> Tensor:
    """The gradient of a loss at differences (n, d): (n, d), in float64."""
    delta = delta.double().requires_grad_()
    return torch.autograd.grad(metric(delta, torch.zeros_like(delta)).sum(), delta)[0]


def differences(share: float, n: int, points: int, seed: int) -> tuple[Tensor, ...]:
    """n pairs drawn as iCT does on a grid of `points` levels, with the clean f* for the network.

    Exactly this share of the samples are outliers.

    Returns:
        t and r (n,), which samples are outliers (n,), and f*(x_t, t) - f*(x_r, r) (n, 2) without
        and with them.
    """
    g, levels = torch.Generator().manual_seed(seed), GRID.up(points)
    i = torch.multinomial(LEVELS.masses(levels), n, True, generator=g)
    t, r = levels[i + 1], levels[i]
    z, far = torch.randn(2, n, 2, generator=g).double()
    x, bad = CLEAN.sample(n, g)[0].double(), torch.randperm(n, generator=g) < share * n
    f = CLEAN.oracle.consistency

    def difference(x: Tensor, some: Tensor) -> Tensor:
        x_t, x_r = (x[some] + s[some, None] * z[some] for s in (t, r))
        return f(x_t, t[some]) - f(x_r, r[some])

    clean = difference(x, torch.ones_like(bad))
    mixed = clean.clone()
    mixed[bad] = difference(Contaminated(CLEAN, share).spread * far, bad)
    return t, r, bad, clean, mixed


def outlier_share(
    metric: Metric, t: Tensor, r: Tensor, bad: Tensor, clean: Tensor, mixed: Tensor
) -> float:
    """The outliers' share of the total pull Σ λψ of `differences`, with λ = 1/(t - r)."""
    force = pull(metric, mixed).norm(dim=1) / (t - r)
    return float(force[bad].sum() / force.sum())


def norm_path_ends(
    oracle: Oracle, x: Tensor, levels: Tensor, draws: int = 32, rounds: int = 15
) -> Tensor:
    """Ends (b, d) of paths from x (b, d) that follow the centre of the norm down the levels (m,).

    Each step goes a fraction 1 - r/t of the way to the point of least mean distance from the data
    that may lie behind x_t; the probability flow goes to their mean. On a line, or where f
    stretches all directions alike, this is what the norm's loss asks for as the levels get closer.
    """
    c, draw = oracle.components, torch.Generator().manual_seed(0)
    noise = torch.randn(draws, x.shape[1], generator=draw, dtype=x.dtype)
    noise = torch.cat([noise, -noise])  # even, so that one Gaussian has its centre at its mean
    for t, r in zip(levels, levels[1:], strict=False):
        total = c.stds**2 + t**2
        apart = (x[:, None] - c.means).square().sum(2) / total
        share = (c.weights.log() - (apart + x.shape[1] * total.log()) / 2).softmax(1)
        middle = (c.means * t**2 + x[:, None] * c.stds[:, None] ** 2) / total[:, None]
        spread = (c.stds * t / total.sqrt())[:, None, None] * noise
        data = (middle[:, :, None] + spread).flatten(1, 2)
        weight = share.repeat_interleave(2 * draws, 1)[:, :, None] / (2 * draws)
        centre = (weight * data).sum(1, keepdim=True)
        for _ in range(rounds):  # IRLS
            w = weight / ((data - centre).square().sum(2, keepdim=True) + 1e-12).sqrt()
            centre = (w * data).sum(1, keepdim=True) / w.sum(1, keepdim=True)
        x = x + (1 - r / t) * (centre[:, 0] - x)
    return x
