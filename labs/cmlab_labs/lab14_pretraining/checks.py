"""Exercise checks of lab 14, faster pre-training."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from cmlab.methods.faster_training import Compensation, MomentumDecay

from ..common.exercise import close, exercise, expect
from .analysis import pairwise_distances, shuffle_test

same = partial(close, atol=1e-6)

TAUS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
CASES = tuple((tau, beta0) for beta0 in (0.9, 0.5) for tau in TAUS)
Pairs = Sequence[tuple[float, float]]


@exercise
def schedule(answer: Callable[..., Any]) -> str:
    """(tau, beta0) -> β, factor: the memory falls linearly, a new gradient counts as before."""
    found = [pair(answer, *case) for case in CASES]
    for slip, wrong in slips():
        expect(not same(found, wrong), slip)
    for (tau, beta0), (beta, factor) in zip(CASES, found, strict=True):
        where = f"at τ = {tau:g} with β0 = {beta0:g}"
        expect(0 <= beta < 1, f"β is {beta:.4g} {where}: it must lie in [0, 1)")
        memory, even = beta / (1 - beta), (1 - tau) * beta0 / (1 - beta0)
        expect(abs(memory - even) < 1e-6,
               f"the memory β/(1 − β) is {memory:.4f} {where}: a linear fall has "
               f"{even:.4f}")  # fmt: skip
        new = factor * (1 - beta)
        expect(abs(new - (1 - beta0)) < 1e-6,
               f"a new gradient enters with factor · (1 − β) = {new:.4f} {where}: at the start "
               f"of the run it was {1 - beta0:g}")  # fmt: skip
    return "the memory falls linearly to 0 and a new gradient counts as before, in 12 cases"


def pair(answer: Callable[..., Any], tau: float, beta0: float) -> tuple[float, float]:
    """The learner's β and factor as numbers."""
    given = answer(tau, beta0)
    expect(isinstance(given, tuple | list) and len(given) == 2, "return two numbers, β and factor")
    beta, factor = (float(v) for v in given)
    return beta, factor


def exact(tau: float, beta0: float) -> tuple[float, float]:
    momentum = MomentumDecay(beta0, 100)
    step = round(100 * tau)
    return momentum(step), Compensation(momentum)(step)


def answered(f: Callable[[float, float, float, float], tuple[float, float]]) -> Pairs:
    """f(β, factor, τ, β0) in all cases, the first two as they should be."""
    return [f(*exact(*case), *case) for case in CASES]


def slips() -> list[tuple[str, Pairs]]:
    """Mistakes: the message, and the answers that each gives in all cases."""

    every = answered
    return [
        ("the ratio is upside down: where β falls, 1 − β grows, and the rate must fall",
         every(lambda b, c, t, b0: (b, 1 / c))),
        ("the ratio is squared: one factor of 1 − β is to be compensated",
         every(lambda b, c, t, b0: (b, c * c))),
        ("there is a root too many: a gradient enters with 1 − β, not with its root",
         every(lambda b, c, t, b0: (b, c**0.5))),
        ("β² is the factor of variances; the gradient itself enters with 1 − β",
         every(lambda b, c, t, b0: (b, (1 - b0**2) / (1 - b**2)))),
        ("β and the factor are the other way round", every(lambda b, c, t, b0: (c, b))),
        ("nothing compensates for the momentum: the factor is 1 throughout",
         every(lambda b, c, t, b0: (b, 1.0))),
        ("the factor follows β itself: what it must keep is factor · (1 − β)",
         every(lambda b, c, t, b0: (b, b / b0))),
        ("β falls linearly here: it is the memory β/(1 − β) that must",
         every(lambda b, c, t, b0: (b0 * (1 - t), (1 - b0) / (1 - b0 * (1 - t))))),
        ("this is the memory M: solve M = β/(1 − β) for β",
         every(lambda b, c, t, b0: ((1 - t) * b0 / (1 - b0), c))),
        ("the run goes backwards: τ = 0 is its beginning, where β = β0",
         every(lambda b, c, t, b0: exact(1 - t, b0))),
    ]  # fmt: skip


@exercise
def permutation_p(answer: Callable[..., Any]) -> str:
    """(a, b, orders) -> the one-sided p of the mean distance, the pairs as they are included."""
    cases = [answers(seed, tie) for seed in range(4) for tie in (0.0, 0.5, 0.9)]
    found = [float(answer(*case)) for case in cases]
    for slip, wrong in wrong_p(cases):
        expect(not same(found, wrong), slip)
    truth = [shuffle_test(pairwise_distances(a, b), orders).p for a, b, orders in cases]
    for mine, right in zip(found, truth, strict=True):
        expect(abs(mine - right) < 1e-6,
               f"with 4 pairs and 23 shuffles yours is {mine:.4f}, and counting gives "
               f"{right:.4f}")  # fmt: skip
    return f"equal to counting in {len(cases)} cases, and never 0"


def answers(seed: int, tie: float) -> tuple[Tensor, Tensor, Tensor]:
    """Answers (4, 2) of two networks, tied to one noise by this share, and all other orders."""
    g = torch.Generator().manual_seed(seed)
    a, other = (torch.randn(4, 2, generator=g, dtype=torch.float64) for _ in range(2))
    _, *orders = permutations(range(4))
    return a, tie * a + (1 - tie) * other, torch.tensor(orders)


def wrong_p(cases: Sequence[tuple[Tensor, Tensor, Tensor]]) -> list[tuple[str, list[float]]]:
    """Mistakes: the message, and the answers that each gives in all cases."""
    one, many = 1.0, [float(len(orders)) for *_, orders in cases]
    tests = [shuffle_test(pairwise_distances(a, b), orders) for a, b, orders in cases]
    near = [float((t.shuffled <= t.distance).sum()) for t in tests]
    far = [float((t.shuffled >= t.distance).sum()) for t in tests]
    squares = [shuffle_test(pairwise_distances(a, b).square(), orders).p for a, b, orders in cases]
    counted = list(zip(near, far, many, strict=True))
    return [
        ("the true pairing belongs to the count: add 1 above and below, or p can be 0",
         [n / m for n, _, m in counted]),
        ("the 1 is missing below: there is one more arrangement than there are shuffles",
         [(one + n) / m for n, _, m in counted]),
        ("the 1 is missing above: the true pairing counts among those as near",
         [n / (one + m) for n, _, m in counted]),
        ("the wrong side is counted: agreement means a small distance",
         [(one + f) / (one + m) for _, f, m in counted]),
        ("this doubles p for two sides: only small distances speak for agreement",
         [min(1.0, 2 * (one + n) / (one + m)) for n, _, m in counted]),
        ("p is 1 whatever the answers: either both sides were shuffled alike, so that no pair "
         "changed, or the mean was taken before the norm", [one] * len(cases)),
        ("these are squared distances: take the norm of each pair, then the mean", squares),
    ]  # fmt: skip
