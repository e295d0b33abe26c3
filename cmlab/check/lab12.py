"""Lab 12: the Cauchy loss with c(N); the denoising term is checked in `small_noise`."""

from collections.abc import Callable
from math import exp, log, log10, sqrt

import torch
from torch import Tensor

from ..distance import Cauchy
from ..tightening import Tightening
from .base import exercise, expect
from .small_noise import denoising

__all__ = ["denoising", "tight_cauchy"]

CASES = (20, 160, 640)  # intervals


def c_of(intervals: float) -> float:
    """c(N) of the authors' code, without the exception for the first stage."""
    rule = Tightening(first=None)
    return exp(rule.slope * log(intervals) + rule.intercept)


def draws(size: float = 0.02) -> tuple[Tensor, Tensor]:
    """Answers of two neighbours: six samples of shape (4, 4, 4), one with an impulse."""
    g = torch.Generator().manual_seed(0)
    a = torch.randn(6, 4, 4, 4, generator=g, dtype=torch.float64)
    off = size * torch.randn(6, 4, 4, 4, generator=g, dtype=torch.float64)
    off[0, 0, 0, 0] += 50 * size
    return a, a + off


@exercise
def tight_cauchy(answer: Callable[..., Tensor]) -> str:
    """(a, b, N) -> (b,): values, the authors' c(N), its slope, and its digits at tiny errors."""
    a, b = draws()
    said = {n: torch.as_tensor(answer(a, b, n)).detach() for n in CASES}
    wrong = {n: slips(a - b, n) for n in CASES}
    for slip in wrong[CASES[0]]:
        expect(not all(same(said[n], wrong[n][slip]) for n in CASES), slip)
    for n in CASES:
        shape = tuple(said[n].shape)
        expect(shape == (6,), f"one number for each sample: shape (6,), not {shape}")
        right = exact(a, b, n)
        expect(same(said[n], right), f"at N = {n} yours is {float(said[n][1]):.6g} for the second "
               f"sample, and ln(1 + m / 2c²) is {float(right[1]):.6g}")  # fmt: skip
    u, v = (torch.full((1, 1), value, dtype=torch.float32) for value in (0.0, 1e-6))
    tiny = float(torch.as_tensor(answer(u, v, 20)).detach())
    right = float(exact(u.double(), v.double(), 20))
    expect(abs(tiny / right - 1) < 1e-3,
           f"in float32 an error of 1e-6 gives {tiny:.3g} and must give {right:.3g}: adding 1 to "
           "a small number, or taking two logarithms apart, loses its digits; "
           "torch.log1p keeps them")  # fmt: skip
    return "one number a sample, the authors' c(N) at three N, and no lost digits"


def exact(a: Tensor, b: Tensor, intervals: float) -> Tensor:
    return Cauchy(c_of(intervals) * sqrt(a[0].numel()))(a, b)


def same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.double(), b, rtol=1e-6, atol=1e-12)


def slips(delta: Tensor, intervals: float) -> dict[str, Tensor]:
    """What to say, and what the slip answers to differences (b, *d)."""
    flat, c = delta.flatten(1), c_of(intervals)
    m = flat.square().mean(1)
    whole = "take the mean of the squares first, then one logarithm for the whole sample"
    return slips_in_c(m, intervals) | {
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


def slips_in_c(m: Tensor, intervals: float) -> dict[str, Tensor]:
    """The same for slips in c and its place."""
    c, grown = c_of(intervals), exp(1.15 * log(intervals) - 0.85)
    ten = exp(-1.15 * log10(intervals) - 0.85)
    return {
        "c is not squared: m / 2c has a unit": (m / (2 * c)).log1p(),
        "the 2 is missing: it is m / (2 c²)": (m / (c * c)).log1p(),
        "c grows with N: the exponent is −1.15 ln N − 0.85": cauchy(m, grown),
        "c(N) is exp(−1.15 ln N − 0.85) with the natural logarithm, not log10": cauchy(m, ten),
        "N counts intervals already: do not add 1": cauchy(m, c_of(intervals + 1)),
    }
