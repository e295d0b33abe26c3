"""Exercise checks of lab 14, faster pre-training."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations
from math import inf, log
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from cmlab.methods.faster_training import MomentumDecay

from ..common.exercise import Slip, close, exercise, expect
from .analysis import pairwise_distances, shuffle_test

same = partial(close, atol=1e-6)

TAUS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
CASES = tuple((tau, beta0) for beta0 in (0.9, 0.5) for tau in TAUS)
Pairs = Sequence[tuple[float, float]]


@exercise
def schedule(answer: Callable[..., Any]) -> str:
    """(tau, beta0) -> β, factor: the half-life falls linearly, a gradient does as much in sum."""
    found = [pair(answer, *case) for case in CASES]
    for slip, wrong in slips():
        expect(not same(found, wrong), slip)
    for (tau, beta0), (beta, factor) in zip(CASES, found, strict=True):
        where = f"at τ = {tau:g} with β₀ = {beta0:g}"
        expect(0 <= beta < 1, f"β is {beta:.4g} {where}: it must lie in [0, 1)")
        even = (1 - tau) * half_life(beta0)
        expect(abs(half_life(beta) - even) < 1e-6,
               f"the half-life is {half_life(beta):.4f} {where}: a linear fall has "
               f"{even:.4f}")  # fmt: skip
        total, before = factor / (1 - beta), 1 / (1 - beta0)
        expect(abs(total - before) < 1e-6,
               f"a gradient does factor/(1 − β) = {total:.4f} in sum {where}: at the start of the "
               f"run it was {before:g}")  # fmt: skip
    return "the half-life falls linearly to 0 and a gradient does as much in sum, in 12 cases"


def pair(answer: Callable[..., Any], tau: float, beta0: float) -> tuple[float, float]:
    """The learner's β and factor as numbers."""
    try:
        given = answer(tau, beta0)
    except ZeroDivisionError:
        raise Slip(f"your code divides by zero at τ = {tau:g}: there the half-life is 0, and so "
                   "is β") from None  # fmt: skip
    expect(isinstance(given, tuple | list) and len(given) == 2, "return two numbers, β and factor")
    beta, factor = (float(v) for v in given)
    return beta, factor


def half_life(beta: float) -> float:
    """The number of steps n after which β^n = 1/2."""
    return log(0.5) / log(beta) if beta > 0 else 0.0


def exact(tau: float, beta0: float) -> tuple[float, float]:
    beta = beta0 ** (1 / (1 - tau)) if tau < 1 else 0.0
    return beta, (1 - beta) / (1 - beta0)


def answered(f: Callable[[float, float, float, float], tuple[float, float]]) -> Pairs:
    """f(β, factor, τ, β0) in all cases, the first two as they should be."""
    return [f(*exact(*case), *case) for case in CASES]


def with_factor(beta: Callable[[float, float], float]) -> Pairs:
    """Another β(τ, β0) in all cases, and the factor that fits it."""
    return [(b, (1 - b) / (1 - case[1])) for case in CASES for b in [beta(*case)]]


def slips() -> list[tuple[str, Pairs]]:
    """Mistakes: the message, and the answers that each gives in all cases."""

    every = answered
    return [
        ("this factor is that of Adam's average, in which a gradient enters with 1 − β: in the "
         "heavy ball it enters with 1 and does 1/(1 − β) in sum",
         every(lambda b, c, t, b0: (b, 1 / c))),
        ("the ratio is squared: the sum has one factor 1/(1 − β)",
         every(lambda b, c, t, b0: (b, c * c))),
        ("there is a root too many: the sum of 1 + β + β² + … is 1/(1 − β), not its root",
         every(lambda b, c, t, b0: (b, c**0.5))),
        ("the sum of squares 1 + β² + β⁴ + … is for variances; the effects themselves add up to "
         "1/(1 − β)", every(lambda b, c, t, b0: (b, (1 - b**2) / (1 - b0**2)))),
        ("β and the factor are the other way round", every(lambda b, c, t, b0: (c, b))),
        ("a factor of 1 keeps what a gradient does at once; what it does later shrinks with β",
         every(lambda b, c, t, b0: (b, 1.0))),
        ("this keeps only what a gradient does later, β/(1 − β): the step at once belongs to the "
         "sum", every(lambda b, c, t, b0: (b, b0 / (1 - b0) * (1 - b) / b if b else inf))),
        ("here the memory β/(1 − β) falls linearly: it is the half-life that must",
         with_factor(lambda t, b0: MomentumDecay(b0, 100)(round(100 * t)))),
        ("β falls linearly here: it is the half-life that must",
         with_factor(lambda t, b0: b0 * (1 - t))),
        ("the exponent is upside down: with β₀^(1 − τ) the half-life grows",
         with_factor(lambda t, b0: b0 ** (1 - t))),
        ("this is the half-life n: solve β^n = 1/2 for β",
         every(lambda b, c, t, b0: ((1 - t) * half_life(b0), c))),
        ("the run goes backwards: τ = 0 is its beginning, where β = β₀",
         every(lambda b, c, t, b0: exact(1 - t, b0))),
    ]  # fmt: skip


@exercise
def fair_p(answer: Callable[..., Any]) -> str:
    """(a, b, labels, orders) -> the one-sided p of the mean distance, shuffled within classes."""
    cases = [asked(seed, tie) for seed in range(4) for tie in (0.0, 0.5, 0.9)]
    found = [float(answer(*case)) for case in cases]
    for slip, wrong in wrong_p(cases):
        expect(not same(found, wrong), slip)
    truth = [counted(*case) for case in cases]
    for mine, right, (*_, labels, _) in zip(found, truth, cases, strict=True):
        expect(abs(mine - right) < 1e-6,
               f"for the classes {labels.tolist()} yours is {mine:.4f}, and counting gives "
               f"{right:.4f}")  # fmt: skip
    across = [shuffle_test(pairwise_distances(a, b), orders).p for a, b, _, orders in cases[::3]]
    return (f"equal to counting in {len(cases)} cases. In the four where the noise means nothing "
            f"p is {mean(truth[::3]):.2f} on average; shuffles across classes would have said "
            f"{mean(across):.2f}")  # fmt: skip


def asked(seed: int, tie: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Samples (6, 2) of two networks, tied to one noise by this share; the classes that both were
    given, far apart; and all orders but the true one."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 2, 2, 1, 2]][seed % 2])
    a, other = (torch.randn(6, 2, generator=g, dtype=torch.float64) for _ in range(2))
    _, *orders = permutations(range(6))
    centre = 2.5 * labels[:, None]
    return centre + a, centre + tie * a + (1 - tie) * other, labels, torch.tensor(orders)


def fair(labels: Tensor, orders: Tensor) -> Tensor:
    """The orders that leave every class in its places."""
    return orders[(labels[orders] == labels).all(1)]


def counted(a: Tensor, b: Tensor, labels: Tensor, orders: Tensor) -> float:
    return shuffle_test(pairwise_distances(a, b), fair(labels, orders)).p


def wrong_p(cases: Sequence[tuple[Tensor, ...]]) -> list[tuple[str, list[float]]]:
    """Mistakes: the message, and the answers that each gives in all cases."""
    rows: list[list[float]] = []
    for a, b, labels, orders in cases:
        far = pairwise_distances(a, b)
        test, own = shuffle_test(far, fair(labels, orders)), (labels[orders] == labels).any(1)
        near, wide = ((sign * test.shuffled <= sign * test.distance).sum() for sign in (1, -1))
        n, m, many = float(near), float(wide), float(len(test.shuffled))
        rows.append([
            shuffle_test(far, orders).p, (1 + n) / (1 + len(orders)),
            shuffle_test(far, orders[own]).p, n / many, (1 + n) / many, n / (1 + many),
            (1 + m) / (1 + many), min(1.0, 2 * (1 + n) / (1 + many)), 1.0,
            shuffle_test(far.square(), fair(labels, orders)).p,
        ])  # fmt: skip
    said = (
        "shuffles across classes are not fair: there the class alone makes the true pairs close",
        "the shuffles that were left out are still in the denominator: it is 1 + the number of "
        "fair ones",
        "an order is fair only if every place keeps its class: all of them, not any",
        "the true pairing belongs to the count: add 1 above and below, or p can be 0",
        "the 1 is missing below: there is one more arrangement than there are shuffles",
        "the 1 is missing above: the true pairing counts among those as near",
        "the wrong side is counted: agreement means a small distance",
        "this doubles p for two sides: only small distances speak for agreement",
        "p is 1 whatever the answers: either both sides were shuffled alike, so that no pair "
        "changed, or the mean was taken before the norm",
        "these are squared distances: take the norm of each pair, then the mean",
    )
    return list(zip(said, map(list, zip(*rows, strict=True)), strict=True))
