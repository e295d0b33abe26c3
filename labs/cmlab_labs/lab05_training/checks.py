"""Exercise checks of lab 05: the mean target on finite data, and bias and scatter of one."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cmlab.oracle import Mixture1D

from ..common.exercise import close, exercise, expect
from .analysis import posterior, shared, target

# The bias of the training target at one point: the exact value, and common mistakes

Density = Callable[[Tensor], Tensor]
F = Callable[[Tensor, float], Tensor]
same = partial(close, rtol=1e-7, atol=1e-9)
similar = partial(close, rtol=0.02, atol=1e-5)


def density(oracle: Mixture1D) -> Density:
    return lambda x: oracle.log_density(x.double()[:, None], torch.zeros(len(x))).exp()


def exact_f(oracle: Mixture1D) -> F:
    return lambda x, level: oracle.consistency(x.double()[:, None], torch.full((len(x),), level))[
        :, 0
    ]


def moments(oracle: Mixture1D, x_t: float, t: float, r: float) -> tuple[float, float]:
    """The exact bias and scatter, by the posterior's closed form, which the learner lacks."""
    here, level, low = (torch.tensor([v], dtype=torch.float64) for v in (x_t, t, r))
    mean, scatter = target(oracle, shared(oracle, here, level, low), low, nodes=401)
    return float(mean - oracle.consistency(here[:, None], level)[:, 0]), float(scatter)


def scatter_slips(oracle: Mixture1D, x_t: float, t: float, r: float) -> list[tuple[str, float]]:
    """Common mistakes in the scatter: the message, and the number that comes out."""
    off, scatter = moments(oracle, x_t, t, r)
    mean = off + float(exact_f(oracle)(torch.tensor([x_t], dtype=torch.float64), t))
    return [
        ("this is the variance: the scatter is its root", scatter**2),
        ("this is measured from the exact answer: take the deviations from the mean target",
         (scatter**2 + off**2) ** 0.5),
        ("this is √E[f²]: take the deviations from the mean target",
         (scatter**2 + mean**2) ** 0.5),
    ]  # fmt: skip


def bias_slips(oracle: Mixture1D, x_t: float, t: float, r: float) -> list[tuple[str, float]]:
    """Common mistakes: the message, and the bias that comes out."""
    exact = float(exact_f(oracle)(torch.tensor([x_t], dtype=torch.float64), t))
    weighed = [(slip, mean - exact) for slip, mean in weight_slips(oracle, x_t, t, r)]
    return weighed + answer_slips(oracle, x_t, t, r)


def grid(oracle: Mixture1D, x_t: float, t: float) -> tuple[Tensor, Tensor, Tensor]:
    """Data x on a grid, the prior's weights, and the likelihood of x_t, all (n,)."""
    x = torch.linspace(-8, 8, 4001).double()
    prior = density(oracle)(x)
    return x, prior / prior.sum(), torch.exp(-((x_t - x) ** 2) / (2 * t**2))


def weight_slips(oracle: Mixture1D, x_t: float, t: float, r: float) -> list[tuple[str, float]]:
    """Mistakes in the weights: the message, and the mean target that comes out."""
    x, prior, noise = grid(oracle, x_t, t)
    f_r = exact_f(oracle)(x + r * (x_t - x) / t, r)
    wide = prior * torch.exp(-((x_t - x) ** 2) / (2 * t))
    raw, one = float((prior * noise * f_r).sum()), "the weights do not sum to 1"
    return [
        (f"{one}: divide by their sum", raw),
        (f"{one}: a normal density in front is not enough, divide by their sum",
         raw / (t * (2 * torch.pi) ** 0.5)),
        ("this averages over the prior p(x): given x_t, weigh each x by p(x) · N(x_t; x, t²)",
         float((prior * f_r).sum())),
        ("the weights lack the prior: they are p(x) · N(x_t; x, t²), not the noise alone",
         float((noise * f_r).sum() / noise.sum())),
        ("the noise has variance t², not t: exp(−(x_t − x)² / (2 t²))",
         float((wide * f_r).sum() / wide.sum())),
    ]  # fmt: skip


def answer_slips(oracle: Mixture1D, x_t: float, t: float, r: float) -> list[tuple[str, float]]:
    """Mistakes with right weights: the message, and the bias that comes out."""
    f, here = exact_f(oracle), torch.tensor([x_t], dtype=torch.float64)
    x, prior, noise = grid(oracle, x_t, t)
    weight, x_r = prior * noise / (prior * noise).sum(), x + r * (x_t - x) / t
    exact, mean = float(f(here, t)), float((weight * f(x_r, r)).sum())
    back = float(posterior(oracle, here, torch.tensor([t])).mean)
    middle = torch.tensor([back + r * (x_t - back) / t], dtype=torch.float64)
    return [
        ("the sign is wrong: bias = mean target − exact answer", exact - mean),
        ("this is the mean target alone: subtract the exact answer f(x_t, t)", mean),
        ("this subtracts f(x_t, r): the exact answer belongs to level t",
         mean - float(f(here, r))),
        ("this reads the target at level t: x_r lies at level r",
         float((weight * f(x_r, t)).sum()) - exact),
        ("this is f at the mean of x_r, an Euler step by the exact denoiser: average f, not x_r",
         float(f(middle, r)) - exact),
        ("this averages the data x, which is denoising: average the targets f(x_r, r)",
         back - exact),
    ]  # fmt: skip


# One level of the fixed point on a finite data set, and common mistakes in it

POINTS = ((0.3, -0.4), 0.8, 0.5), ((-1.2, 2.0), 1.5, 0.3), ((0.9, 0.1), 0.6, 0.54)


def bent(x: Tensor) -> Tensor:
    """A function of points (m, d) that is not linear, as the f_r of the check."""
    return torch.tanh(2 * x) + 0.3 * x.flip(-1)


def finite_slips(x_t: Tensor, t: float, r: float, data: Tensor) -> dict[str, Tensor]:
    """Common mistakes: the message, and the answer (d,) that comes out."""
    square = (x_t - data).square().sum(1)
    weight = (-square / (2 * t**2)).softmax(0)[:, None]
    x_r, even = data + r * (x_t - data) / t, torch.full_like(weight, 1 / len(data))
    wide, flat = (
        (-s / (2 * v)).softmax(0)[:, None] for s, v in ((square, t), (square / len(x_t), t**2))
    )
    rest = data + (t - r) * (x_t - data) / t
    return {
        "this is D, the mean of the data: average the targets f_r(x_r)": (weight * data).sum(0),
        "this is the mean of x_r: average the targets f_r(x_r)": (weight * x_r).sum(0),
        "this is f_r at the mean of x_r: average the answers, not the points": bent(
            (weight * x_r).sum(0, keepdim=True)
        )[0],
        "the targets are read at x: each x leads to a neighbour x_r of its own": (
            weight * bent(data)
        ).sum(0),
        "x_r lies at noise level t − r: its noise is r z, with z = (x_t − x)/t": (
            weight * bent(rest)
        ).sum(0),
        "all data count the same: given x_t, some are more probable than others": (
            even * bent(x_r)
        ).sum(0),
        "only the most probable data point counts: average over all of them": bent(x_r)[
            int(square.argmin())
        ],
        "the noise has variance t², not t: exp(−‖x_t − x‖² / (2 t²))": (wide * bent(x_r)).sum(0),
        "the squares are averaged over the coordinates: ‖x_t − x‖² is their sum": (
            flat * bent(x_r)
        ).sum(0),
        "the weights do not sum to 1: divide by their sum": (
            (-square / (2 * t**2)).exp()[:, None] * bent(x_r)
        ).sum(0),
    }


@exercise
def best_answer(answer: Callable[..., Any]) -> str:
    """(x_t, t, r, data, f_r) -> the mean target on a finite data set, (d,)."""
    data = torch.randn(7, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for point, t, r in POINTS:
        x_t = torch.tensor(point, dtype=torch.float64)
        said = torch.as_tensor(answer(x_t, t, r, data, bent)).double()
        expect(said.shape == x_t.shape, "return one answer of the shape of x_t, "
               f"{tuple(x_t.shape)}, not {tuple(said.shape)}")  # fmt: skip
        weight = (-(x_t - data).square().sum(1) / (2 * t**2)).softmax(0)[:, None]
        right = (weight * bent(data + r * (x_t - data) / t)).sum(0)
        for slip, wrong in finite_slips(x_t, t, r, data).items():
            expect(not same(said, wrong) or same(wrong, right), slip)
        known, yours = ([round(v, 4) for v in row.tolist()] for row in (right, said))
        expect(same(said, right), f"at x_t = {point}, t = {t:g}, r = {r:g} the mean target is "
               f"{known}, and yours is {yours}")  # fmt: skip
    return "the mean target at three points of the plane, for seven data points"


@exercise
def bias_and_scatter(answer: Callable[..., Any]) -> str:
    """(x_t, t, r, density, f) -> bias and scatter of the target, by the learner's quadrature."""
    rows = ((0.3, 0.7), (-0.9, 0.8), (0.25, 0.35))
    oracle = Mixture1D(*(torch.tensor(row, dtype=torch.float64) for row in rows))
    for x_t, t, r in ((0.6, 1.0, 0.5), (-1.0, 1.6, 1.2), (2.5, 3.0, 1.0)):
        found = answer(x_t, t, r, density(oracle), exact_f(oracle))
        pair = isinstance(found, tuple | list) and len(found) == 2
        expect(pair, "return two numbers: the bias and the scatter")
        said, scatter = (torch.as_tensor(v).double() for v in found)
        expect(said.numel() == scatter.numel() == 1, "return two numbers, not tensors of shapes "
               f"{tuple(said.shape)} and {tuple(scatter.shape)}")  # fmt: skip
        truth, spread = moments(oracle, x_t, t, r)
        where = f"at x_t = {x_t:g}, t = {t:g}, r = {r:g}"
        for slip, wrong in bias_slips(oracle, x_t, t, r):
            expect(not similar(float(said), wrong) or similar(wrong, truth), slip)
        expect(similar(float(said), truth), f"{where} the bias is {truth:.4f} and yours is "
               f"{float(said):.4f}: is the grid wide and fine, and do the weights sum "
               "to 1?")  # fmt: skip
        for slip, wrong in scatter_slips(oracle, x_t, t, r):
            expect(not similar(float(scatter), wrong) or similar(wrong, spread), slip)
        expect(similar(float(scatter), spread), f"{where} the scatter is {spread:.4f} and yours "
               f"is {float(scatter):.4f}: it is the standard deviation of the target, with the "
               "weights of the mean")  # fmt: skip
    return "agrees with the closed form of p(x | x_t) at three points, within 2 %"
