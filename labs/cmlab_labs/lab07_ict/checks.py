"""Exercise checks of lab 07: iCT's grid schedule N(k), and log-normal masses of noise levels."""

import random
from collections.abc import Callable
from math import floor, log2
from typing import Any

import torch
from torch import Tensor

from cmlab.methods.ict import Doubling
from cmlab.noise_levels import KarrasGrid, LogNormal

from ..common.exercise import exercise, expect

Steps = Callable[..., Any]
CASES = ((400_000, 10, 1280), (100, 10, 1280), (30, 10, 1280), (4000, 2, 64), (1000, 10, 1000))


def stage(k: int, length: float, s0: int, s1: int) -> int:
    return min(s0 * 2 ** int(k // length), s1)


def stages(s0: int, s1: int) -> float:
    return log2(s1 // s0) + 1


WRONG_STEPS: dict[str, Steps] = {
    "one too few everywhere: s0 and s1 count intervals, N counts points, so + 1 at the end":
        lambda k, K, s0, s1: Doubling(s0, s1, K)(k) - 1,
    "the + 1 is added too early: multiply s0 by 2^…, take the minimum, and only then add 1":
        lambda k, K, s0, s1: min((s0 + 1) * 2 ** int(k // floor(K / stages(s0, s1))), s1 + 1),
    "K' is not rounded down: it is ⌊K / (log2⌊s1/s0⌋ + 1)⌋, a whole number of steps":
        lambda k, K, s0, s1: stage(k, K / stages(s0, s1), s0, s1) + 1,
    "K' is rounded to the nearest whole number, and should be rounded down":
        lambda k, K, s0, s1: stage(k, round(K / stages(s0, s1)), s0, s1) + 1,
    "the + 1 in K' is missing: there are log2⌊s1/s0⌋ doublings and one stage more":
        lambda k, K, s0, s1: stage(k, floor(K / log2(s1 // s0)), s0, s1) + 1,
    "the minimum is missing: the last steps double beyond s1 + 1":
        lambda k, K, s0, s1: s0 * 2 ** int(k // floor(K / stages(s0, s1))) + 1,
    "it grows smoothly and not in steps: the exponent is k/K' rounded down":
        lambda k, K, s0, s1: int(min(s0 * 2 ** (k / floor(K / stages(s0, s1))), s1)) + 1,
}  # fmt: skip


@exercise
def ict_steps(answer: Steps) -> str:
    """(k, K, s0, s1) -> N(k): a function of its arguments alone, and iCT's."""
    asked = [(k, *case) for case in CASES for k in probed_steps(*case)]
    found = {each: answer(*each) for each in asked}
    expect(stateless(answer, found), "the answer depends on the calls before it: the same k gave "
           "two numbers. A run that is resumed, or plotted, would get another N(k); compute it "
           "from k alone")  # fmt: skip
    expect(all(isinstance(n, int) for n in found.values()),
           f"N counts points: return an int, not a {type(found[asked[0]]).__name__}")  # fmt: skip
    for slip, wrong in WRONG_STEPS.items():
        expect(any(found[each] != wrong(*each) for each in asked), slip)
    for K, s0, s1 in CASES:
        row = [found[k, K, s0, s1] for k in probed_steps(K, s0, s1)]
        expect(row[0] == s0 + 1, f"N(0) is {row[0]}, and should be s0 + 1 = {s0 + 1}")
        expect(row == sorted(row), "N(k) falls somewhere: the grid should never become coarser")
        expect(row[-1] == s1 + 1, f"N(K) is {row[-1]}, and should be s1 + 1 = {s1 + 1}")
    for k, K, s0, s1 in asked:
        n, right = found[k, K, s0, s1], Doubling(s0, s1, K)(k)
        expect(n == right, f"N({k}) is {n} and should be {right}, with K = {K}, s0 = {s0}, "
               f"s1 = {s1}")  # fmt: skip
    return f"{len(asked)} values in any order, at and beside every doubling"


def probed_steps(K: int, s0: int, s1: int) -> list[int]:
    """Steps at and beside every doubling, and both ends."""
    length = floor(K / stages(s0, s1))
    edges = [k for i in range(1, 9) for k in (i * length - 1, i * length, i * length + 1)]
    return sorted({0, K, *(k for k in edges if k < K)})


def stateless(answer: Steps, found: dict[tuple[int, ...], Any]) -> bool:
    """Whether the same questions, shuffled, get the same answers."""
    again = list(found)
    random.Random(0).shuffle(again)
    return all(answer(*each) == found[each] for each in again)


GRIDS = ((11, -1.1, 2.0), (41, -0.4, 1.3), (1281, -1.1, 2.0))


def cdf_differences(z: Tensor) -> Tensor:
    return torch.special.erf(z).diff()


def midpoints(levels: Tensor) -> Tensor:
    return (levels[1:] * levels[:-1]).sqrt()


def bell_density(levels: Tensor, mean: float, std: float) -> Tensor:
    return (-(((levels.log() - mean) / std) ** 2) / 2).exp()


def normalised(levels: Tensor, mean: float, std: float) -> Tensor:
    return (levels.log() - mean) / (std * 2**0.5)


POINT = ("a density at one point of each interval is not a mass: take differences of the "
         "distribution function")  # fmt: skip
WRONG_MASSES: list[tuple[str, Callable[[Tensor, float, float], Tensor]]] = [
    ("the sign of the mean is wrong: subtract it from ln σ. With −1.1 the levels would centre "
     "at 3 and not at 0.33", lambda v, m, s: cdf_differences(normalised(v, -m, s))),
    ("a √2 is missing: erf(z/√2) is the normal distribution's, so divide by √2 times std",
     lambda v, m, s: cdf_differences((v.log() - m) / s)),
    (POINT, lambda v, m, s: bell_density(midpoints(v), m, s)),
    (POINT, lambda v, m, s: bell_density((v[1:] + v[:-1]) / 2, m, s)),
    (POINT, lambda v, m, s: bell_density(v[1:], m, s)),
    (POINT, lambda v, m, s: bell_density(v[:-1], m, s)),
    (POINT, lambda v, m, s: bell_density(midpoints(v), m, s) * v.log().diff()),
    ("the logarithm is missing: it is ln σ that is normal",
     lambda v, m, s: cdf_differences((v - m) / (s * 2**0.5))),
    ("the logarithm has base 10, and should be natural",
     lambda v, m, s: cdf_differences((v.log10() - m) / (s * 2**0.5))),
    ("std is squared, and should be a standard deviation",
     lambda v, m, s: cdf_differences(normalised(v, m, s * s))),
    ("all masses are equal: this is CT's uniform distribution",
     lambda v, m, s: torch.ones(len(v) - 1)),
]  # fmt: skip


@exercise
def level_masses(answer: Callable[..., Any]) -> str:
    """(levels, mean, std) -> p(i), the log-normal's masses on the intervals of a grid."""
    for points, mean, std in GRIDS:
        levels = KarrasGrid().up(points)
        p = torch.as_tensor(answer(levels, mean, std)).double()
        expect(p.shape == (points - 1,), f"{points} levels have {points - 1} intervals, and one "
               f"mass for each; yours has shape {tuple(p.shape)}")  # fmt: skip
        expect(bool(p.isfinite().all()), "a mass is not finite")
        for slip, wrong in WRONG_MASSES:
            bad = wrong(levels, mean, std).double()
            expect(not torch.allclose(p / p.sum(), bad / bad.sum(), rtol=1e-6, atol=1e-9), slip)
        expect(
            bool((p >= 0).all()),
            "a mass is negative: subtract the value at the smaller level from that at the larger",
        )
        expect(abs(float(p.sum()) - 1) < 1e-9, f"the masses sum to {float(p.sum()):.4f}, not 1: "
               "the grid cuts off both tails, so divide by the sum")  # fmt: skip
        right = LogNormal(mean, std).masses(levels)
        i = int((p - right).abs().argmax())
        expect(torch.allclose(p, right, rtol=1e-6, atol=1e-9), f"mass {i} of {points - 1} is "
               f"{p[i]:.5f}, and should be {right[i]:.5f}")  # fmt: skip
    return "N − 1 masses with sum 1, equal to those of the distribution on three grids"
