"""Exercise checks of lab 01: Karras noise levels and Heun's method."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cmlab.data.toy import Bumps
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Oracle

from ..common.exercise import close, exercise, expect

# One step of a solver, as a learner writes it: step(denoise, x, t, r) -> x at level r < t

Denoise = Callable[[Tensor, float], Tensor]
Step = Callable[[Denoise, Tensor, float, float], Tensor]
same = partial(close, rtol=1e-4)


def slips(denoise: Denoise, x: Tensor, t: float, r: float) -> list[tuple[str, Tensor]]:
    """Common mistakes in one step of Heun's method: the message, and the wrong result."""
    h, slope = r - t, lambda x, t: (x - denoise(x, t)) / t
    d = slope(x, t)
    euler, up = x + h * d, x - h * d
    new, middle = slope(euler, r), (x + euler) / 2
    sign = "the sign is wrong: r < t, so r − t is negative and the step goes towards the data"
    mean = "positions are averaged here: keep x, and average the two slopes"
    return [
        ("this is Euler's step, order one: measure a second slope at its end", euler),
        ("only the second slope is used: average it with the first", x + h * new),
        ("the second slope is measured at level t, but Euler's end lies at level r",
         x + h * (d + slope(euler, t)) / 2),
        ("the second slope is measured at the old x: measure it at Euler's end",
         x + h * (d + slope(x, r)) / 2),
        ("the slopes are added and not averaged: divide their sum by 2", x + h * (d + new)),
        (sign, up), (sign, x - h * (d + new) / 2), (sign, x - h * (d + slope(up, r)) / 2),
        (mean, middle), (mean, x + h * slope(middle, r))
    ]  # fmt: skip


def solve(step: Step, denoise: Denoise, x: Tensor, steps: int) -> Tensor:
    levels = KarrasGrid(0.3, 3.0).up(steps + 1).flip(0).tolist()
    for t, r in zip(levels[:-1], levels[1:], strict=True):
        x = step(denoise, x, t, r)
    return x


LOW, HIGH, RHO = 0.002, 80.0, 7.0


@exercise
def karras_sigmas(answer: Callable[..., Any]) -> str:
    """n levels from σ_max down to σ_min, even in their ρ-th roots."""
    sigmas = as_row(answer(10, LOW, HIGH, RHO))
    check_count(sigmas, 10)
    check_ends(sigmas)
    expect(bool((sigmas.diff() < 0).all()), "the ends are right, but the levels between them do "
           "not fall strictly; let i run evenly from 0 to n − 1")  # fmt: skip
    check_spacing(answer, sigmas)
    one = as_row(single_level(answer))
    expect(len(one) == 1 and same(one, torch.tensor([HIGH])), "n = 1 should give σ_max alone, "
           f"not {in_words(one)}; 0 / (n − 1) is 0 / 0 there")  # fmt: skip
    return "ends exact, strictly falling, even in the ρ-th root, and finite for n = 1"


def as_row(answer: Any) -> Tensor:
    return torch.as_tensor(answer).double().flatten()


def in_words(levels: Tensor) -> str:
    return ", ".join(f"{v:.3g}" for v in levels.tolist())


def check_count(sigmas: Tensor, n: int) -> None:
    expect(not (len(sigmas) == n + 1 and sigmas[-1] == 0), "the last level is 0: the sampler adds "
           "that one itself, so stop at σ_min")  # fmt: skip
    expect(len(sigmas) == n, f"n = {n} gave {len(sigmas)} levels: count i from 0 to n − 1")
    expect(bool(sigmas.isfinite().all()), f"a level is not finite: {in_words(sigmas)}")


def check_ends(sigmas: Tensor) -> None:
    first, last = sigmas[0].item(), sigmas[-1].item()
    expect(not (same(first, LOW) and same(last, HIGH)), "the levels climb from σ_min to σ_max, "
           "but a sampler starts in the noise: swap the two ends")  # fmt: skip
    expect(not same(first, HIGH ** (1 / RHO)), f"the first level is {first:.3g}, the ρ-th root of "
           "σ_max: raise to the power ρ at the end")  # fmt: skip
    expect(not same(first, HIGH**RHO), "the first level is σ_max to the power ρ: take the ρ-th "
           "roots of both ends before you divide the interval between them")  # fmt: skip
    expect(same(first, HIGH), f"the first level is {first:.4g} and not σ_max = {HIGH:g}: "
           "at i = 0 no step is taken yet, so count from 0")  # fmt: skip
    expect(bool(sigmas[4] < HIGH - 4 * HIGH / 10), f"level 5 of 10 is {sigmas[4]:.3g}, still "
           "close to σ_max: the power 1/ρ comes first and the power ρ last")  # fmt: skip
    expect(same(last, LOW), f"the last level is {last:.4g} and not σ_min = {LOW:g}: "
           "i ends at n − 1, so divide by n − 1 and not by n")  # fmt: skip


def check_spacing(answer: Callable[..., Any], sigmas: Tensor) -> None:
    even = torch.linspace(HIGH, LOW, 10).double()
    expect(not same(sigmas, even), "the levels are even in σ itself, so ρ has no effect: "
           "interpolate the ρ-th roots")  # fmt: skip
    expect(same(as_row(answer(10, LOW, HIGH, 1.0)), even), "with ρ = 1 the levels should be even "
           "in σ, and yours are not: is a power written as a fixed number?")  # fmt: skip
    right = KarrasGrid(LOW, HIGH, RHO).up(10).flip(0)
    expect(same(sigmas, right), f"the ends are right but level 5 of 10 is {sigmas[4]:.4g} and "
           f"should be {right[4]:.4g}: space the levels evenly in the ρ-th root")  # fmt: skip


def single_level(answer: Callable[..., Any]) -> Any:
    try:
        return answer(1, LOW, HIGH, RHO)
    except ZeroDivisionError:
        return [float("nan")]


@exercise
def heun_step(answer: Step) -> str:
    """Order two, measured against exact paths, with two calls of the denoiser per step."""
    oracle, calls = Bumps().oracle, [0]

    def denoise(x: Tensor, t: float) -> Tensor:
        calls[0] += 1
        return oracle.denoise(x, torch.full((len(x),), float(t), dtype=torch.float64))

    x = torch.linspace(-6, 6, 33, dtype=torch.float64)[:, None]
    got = torch.as_tensor(answer(denoise, x, 2.0, 1.0))
    used = calls[0]
    expect(got.shape == x.shape, f"x of shape {tuple(x.shape)} came back as {tuple(got.shape)}")
    for slip, wrong in slips(denoise, x, 2.0, 1.0):
        expect(not torch.allclose(got.double(), wrong, atol=1e-7), slip)
    ratio = error_ratio(answer, denoise, oracle)
    expect(used <= 2, f"one step calls the denoiser {used} times; Heun needs two calls")
    return f"halving the step divides the error by {ratio:.1f}: order two, {used} calls per step"


def error_ratio(answer: Step, denoise: Denoise, oracle: Oracle) -> float:
    """What half the step divides the mean error by, on exact paths from t = 3 to t = 0.3."""
    x = torch.linspace(-6, 6, 33, dtype=torch.float64)[:, None]
    start, end = torch.full((33,), 3.0).double(), torch.full((33,), 0.3).double()
    exact = oracle.flow(x, start, end)
    coarse, fine = ((solve(answer, denoise, x, n) - exact).abs().mean() for n in (32, 64))
    expect(bool(fine < 0.1), f"after 64 steps you are {fine:.2g} from the exact ends, on another "
           "path; the slope is (x − D(x, t)) / t and the step is r − t")  # fmt: skip
    ratio = float(coarse / fine)
    expect(ratio >= 3.5, f"halving the step divides the error by {ratio:.1f}, and order two would "
           "divide it by 4: average the slopes at both ends of the step")  # fmt: skip
    return ratio
