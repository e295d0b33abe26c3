"""Exercise checks of lab 12, latent consistency models (sLCT)."""

from collections.abc import Callable
from functools import partial
from math import log, sqrt

import torch
from torch import Tensor

from cmlab.methods.slct import Cauchy, averaged

from ..common.exercise import close, exercise, expect
from .analysis import c_of

same = partial(close, rtol=1e-6, atol=1e-12)


def answered(n: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Answers of a network (n, 4, 4, 4), the data, and noise levels from 0.01 to 10."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, 4, 4, generator=g, dtype=torch.float64) / 2
    f_t = x + 0.1 * torch.randn(n, 4, 4, 4, generator=g, dtype=torch.float64)
    return f_t, x, torch.logspace(-2, 1, n, dtype=torch.float64)


SMALL, SIGMA = 0.17, 0.5


@exercise
def denoising(answer: Callable[..., Tensor]) -> str:
    """(f_t, x, t, small, sigma_data) -> one number: the mean over t ≤ small, and 0 for none."""
    f_t, x, t = answered()
    said = torch.as_tensor(answer(f_t, x, t, SMALL, SIGMA)).detach().double()
    for slip, wrong in wrong_terms(f_t, x, t).items():
        expect(not (said.shape == wrong.shape and torch.allclose(said, wrong)), slip)
    expect(said.shape == (), f"give one number for the batch, not a shape of {tuple(said.shape)}")
    right = term(f_t, x, t, SMALL, SIGMA)
    expect(bool(torch.isclose(said, right)), f"yours is {float(said):.6g}, and the mean over the "
           f"{int((t <= SMALL).sum())} with t ≤ {SMALL} is {float(right):.6g}")  # fmt: skip
    far, shown = t + 1, f_t.clone().requires_grad_()
    none = torch.as_tensor(answer(shown, x, far, SMALL, SIGMA))
    expect(bool(none.isfinite().all()), "no sample of this batch has small noise, and your term "
           "is not a number: a mean over none is 0/0; guard it")  # fmt: skip
    expect(float(none.detach()) == 0, "no sample has small noise: the term must be 0, and yours "
           f"is {float(none.detach()):.3g}")  # fmt: skip
    for small, sigma in ((1.0, 0.5), (0.17, 2.0), (10.0, 0.5)):
        found = torch.as_tensor(answer(f_t, x, t, small, sigma)).detach().double()
        expect(bool(torch.isclose(found, term(f_t, x, t, small, sigma))),
               f"right for one case, wrong at small = {small:g}, sigma_data = {sigma:g}: use "
               "the arguments")  # fmt: skip
    return "the mean over t ≤ small in four cases, and a finite 0 where none is small"


def term(f_t: Tensor, x: Tensor, t: Tensor, small: float, sigma: float) -> Tensor:
    each = (1 / t**2 + 1 / sigma**2) * (f_t - x).square().flatten(1).mean(1)
    return averaged(each, t <= small).mean()


def wrong_terms(f_t: Tensor, x: Tensor, t: Tensor) -> dict[str, Tensor]:
    """Mistakes: the message, and the number that each gives."""
    square, low = (f_t - x).square().flatten(1), t <= SMALL
    weight = 1 / t**2 + 1 / SIGMA**2
    each = weight * square.mean(1)
    return {
        "you average over all samples: the mean is over the chosen ones": (each * low).mean(),
        "you sum over the chosen: take their mean": (each * low).sum(),
        "every sample is counted: choose t ≤ small": each.mean(),
        "you chose the samples with large noise: it is t ≤ small": each[~low].mean(),
        "the weight 1/t² + 1/σ_d² is missing": square.mean(1)[low].mean(),
        "the weight lacks 1/σ_d²": (square.mean(1) / t**2)[low].mean(),
        "the weight is 1/t² + 1/σ_d², the squares are missing": (
            ((1 / t + 1 / SIGMA) * square.mean(1))[low].mean()
        ),
        "you sum the squares of a sample: the convention here is their mean": (
            (weight * square.sum(1))[low].mean()
        ),
        "this is one number for each sample: give their mean over the chosen": each,
    }


Seen = tuple[tuple[int, float], tuple[int, float]]
COARSE: Seen = ((11, 0.4), (81, 0.06))  # points of a grid, and the typical residual there
FINE: Seen = ((641, 0.012), (21, 0.2))
CASES: tuple[tuple[int, Seen], ...] = ((21, COARSE), (161, COARSE), (641, FINE), (41, FINE))


def draws(size: float = 0.02) -> tuple[Tensor, Tensor]:
    """Answers of two neighbours: six samples of shape (4, 4, 4), one with an impulse."""
    g = torch.Generator().manual_seed(0)
    a = torch.randn(6, 4, 4, 4, generator=g, dtype=torch.float64)
    off = size * torch.randn(6, 4, 4, 4, generator=g, dtype=torch.float64)
    off[0, 0, 0, 0] += 50 * size
    return a, a + off


@exercise
def measured_cauchy(answer: Callable[..., Tensor]) -> str:
    """(a, b, N, seen) -> (b,): values, the peak at both measurements, digits at tiny errors."""
    a, b = draws()
    said = {case: torch.as_tensor(answer(a, b, *case)).detach() for case in CASES}
    wrong = {case: slips(a - b, *case) for case in CASES}
    for slip in wrong[CASES[0]]:
        expect(not all(same(said[case], wrong[case][slip]) for case in CASES), slip)
    for case in CASES:
        n, shape = case[0], tuple(said[case].shape)
        expect(shape == (6,), f"one number for each sample: shape (6,), not {shape}")
        right = exact(a, b, *case)
        expect(same(said[case], right), f"at N = {n} yours is {float(said[case][1]):.6g} for the "
               f"second sample, and ln(1 + m / 2c²) is {float(right[1]):.6g}")  # fmt: skip
    u, v = (torch.full((1, 1), value, dtype=torch.float32) for value in (0.0, 1e-6))
    tiny = float(torch.as_tensor(answer(u, v, 21, COARSE)).detach())
    right = float(exact(u.double(), v.double(), 21, COARSE))
    expect(abs(tiny / right - 1) < 1e-3,
           f"in float32 an error of 1e-6 gives {tiny:.3g} and must give {right:.3g}: adding 1 to "
           "a small number, or taking two logarithms apart, loses its digits; "
           "torch.log1p keeps them")  # fmt: skip
    return "one number a sample, the peak at both measured residuals, and no lost digits"


def power(points: float, seen: Seen) -> float:
    """The power law in the number of intervals through both measurements, at this many points."""
    (n1, u1), (n2, u2) = seen
    slope = log(u2 / u1) / log((n2 - 1) / (n1 - 1))
    return u1 * ((points - 1) / (n1 - 1)) ** slope


def exact(a: Tensor, b: Tensor, points: float, seen: Seen) -> Tensor:
    return Cauchy(power(points, seen) / sqrt(2) * sqrt(a[0].numel()))(a, b)


def slips(delta: Tensor, points: float, seen: Seen) -> dict[str, Tensor]:
    """Mistakes: the message, and the loss that each gives for differences (b, *d)."""
    flat, c = delta.flatten(1), power(points, seen) / sqrt(2)
    m = flat.square().mean(1)
    whole = "take the mean of the squares first, then one logarithm for the whole sample"
    return slips_in_c(m, points, seen) | {
        f"you take a logarithm of each element: {whole}": cauchy(flat.square(), c).mean(1),
        f"you take a logarithm of each element and sum: {whole}": cauchy(flat.square(), c).sum(1),
        "m is the mean of the squares in this lab's convention, not their sum": (
            cauchy(flat.square().sum(1), c)
        ),
        "you average over the batch as well: give one number for each sample": cauchy(m, c).mean(),
        "the squares are missing: m is the mean of (a − b)²": cauchy(flat.abs().mean(1), c),
        "this is the root of m: it is m itself inside the logarithm": cauchy(m.sqrt(), c),
        "the 1 inside the logarithm is missing: at a = b the loss must be 0": (
            (m / (2 * c * c)).log()
        ),
        "½ m + c² has its own logarithm: subtract 2 ln c, so that a = b gives 0": (
            (m / 2 + c * c).log()
        ),
    }


def cauchy(m: Tensor, c: float) -> Tensor:
    return (m / (2 * c * c)).log1p()


def slips_in_c(m: Tensor, points: float, seen: Seen) -> dict[str, Tensor]:
    """Mistakes in c and its place."""
    (n1, u1), (n2, u2) = seen
    u, root = power(points, seen), sqrt(2)
    c = u / root
    of_points = u1 * (points / n1) ** (log(u2 / u1) / log(n2 / n1))
    line = u1 + (u2 - u1) * (points - n1) / (n2 - n1)
    return {
        "c is not squared: m / 2c has a unit": (m / (2 * c)).log1p(),
        "the 2 is missing: it is m / (2 c²)": (m / (c * c)).log1p(),
        "this c is the residual itself: the pull is largest at √2 c, so c is smaller": (
            cauchy(m, u)
        ),
        "the √2 is on the wrong side: the pull is largest at √2 c, so c is smaller than the "
        "residual": cauchy(m, root * u),
        "c grows with N: the sign of the exponent": cauchy(m, u1 * u1 / u / root),
        "N points make N − 1 intervals: the power law is in the number of intervals": (
            cauchy(m, of_points / root)
        ),
        "this is a straight line in N: a power law is a straight line in the logarithms": (
            cauchy(m, line / root)
        ),
        "this is the authors' c(N): take the two measurements": cauchy(m, c_of(points - 1)),
        "this c does not follow the grid: it is that of the first measurement at every N": (
            cauchy(m, u1 / root)
        ),
    }
