"""Exercise checks of lab 05: training pairs (x_t, x_r), and the bias of the target."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cmlab.oracle import Mixture1D

from ..common.exercise import Slip, close, exercise, expect
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


def bias(oracle: Mixture1D, x_t: float, t: float, r: float) -> float:
    """The exact bias, by the posterior's closed form, which the learner does not have."""
    here, level, low = (torch.tensor([v], dtype=torch.float64) for v in (x_t, t, r))
    mean, _ = target(oracle, shared(oracle, here, level, low), low, nodes=401)
    return float(mean - oracle.consistency(here[:, None], level)[:, 0])


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


SHAPES = ((400,), (400, 2), (50, 1, 8, 8), (8, 1, 8, 8))


@exercise
def ct_pair(answer: Callable[..., Any]) -> str:
    """(x, z, t, r) -> x_t, x_r: one noise, two levels, any shape of sample."""
    for shape in SHAPES:
        g = torch.Generator().manual_seed(len(shape))
        x, z = (torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(2))
        t = 0.5 + 3 * torch.rand(shape[0], generator=g, dtype=torch.float64)
        r = t * (0.1 + 0.8 * torch.rand(shape[0], generator=g, dtype=torch.float64))
        x_t, x_r = two_points(answer, x, z, t, r)
        right = same(x_t, perturbed(x, z, t)) and same(x_r, perturbed(x, z, r))
        if not right:
            pair_slips(x, z, t, r, x_t, x_r)
    return "one noise, two levels (correlation 1), t > r, in 1 to 4 dimensions"


def perturbed(x: Tensor, z: Tensor, level: Tensor) -> Tensor:
    """x + level z, the level of each sample spread over its other axes."""
    return x + level.reshape(-1, *(1,) * (x.ndim - 1)) * z


def two_points(answer: Callable[..., Any], *given: Tensor) -> tuple[Tensor, Tensor]:
    """The answer's two tensors, with the likely reason where there are none."""
    x = given[0]
    try:
        found = answer(*given)
    except RuntimeError as error:
        flat = "size" in str(error) and x.ndim > 1
        expect(not flat, f"t has shape ({len(x)},) and x {tuple(x.shape)}: give t trailing axes "
               "of length 1, or use `expand` of cmlab.ops")  # fmt: skip
        raise
    pair = isinstance(found, tuple | list) and len(found) == 2
    expect(pair, "return two tensors: x_t, x_r")
    x_t, x_r = (torch.as_tensor(v).double() for v in found)
    right = x_t.shape == x_r.shape == x.shape
    expect(right, f"x_t and x_r must have x's shape {tuple(x.shape)}, not {tuple(x_t.shape)} and "
           f"{tuple(x_r.shape)}")  # fmt: skip
    return x_t, x_r


def pair_slips(x: Tensor, z: Tensor, t: Tensor, r: Tensor, x_t: Tensor, x_r: Tensor) -> None:
    """Raise the likely reason why a pair is wrong."""
    right_t, right_r = perturbed(x, z, t), perturbed(x, z, r)
    swapped = same(x_t, right_r) and same(x_r, right_t)
    expect(not swapped, "the order is swapped: return the noisier point first, x_t then x_r")
    last = x.ndim > 1 and x.shape[-1] == len(t) and same(x_t, x + t * z)
    expect(not last, "t was spread over the last axis (the pixels), not over the batch: it only "
           "ran because both have length 8")  # fmt: skip
    expect(
        not (same(x_t, right_t) and same(x_r, right_t)),
        "both points are at level t: x_r needs the level r",
    )
    gap = same(x_r, perturbed(x, z, t - r))
    expect(not gap, "x_r lies at noise level t − r: the noise is scaled by the gap, not by r")
    further = same(x_r, perturbed(x, z, t + r)) or same(x_r, perturbed(x, z, 2 * t - r))
    expect(not further, "x_r moved away from the data: r < t, so it has less noise than x_t")
    shrunk = same(x_r, perturbed(x, z, t) * (r / t).reshape(-1, *(1,) * (x.ndim - 1)))
    expect(
        not shrunk, "x_r is x_t scaled by r/t: that shrinks the data too. Only the noise shrinks"
    )
    squared = same(x_t, perturbed(x, z, t**2)) or same(x_t, perturbed(x, z, t.sqrt()))
    expect(not squared, "t is a standard deviation: multiply z by t itself, not by t² or √t")
    one_noise(x, z, r, x_r)
    raise Slip("x_t must be x + t z and x_r must be x + r z, with the same x and the same z")


def one_noise(x: Tensor, z: Tensor, r: Tensor, x_r: Tensor) -> None:
    """Raise if x_r was made with another noise than z."""
    level = r.reshape(-1, *(1,) * (x.ndim - 1))
    seen = (x_r - x) / level
    turn = torch.corrcoef(torch.stack([seen.flatten(), z.flatten()]))[0, 1]
    size = abs(float(seen.std()) - 1) < 0.1
    expect(not (turn < 0.5 and size), f"the noise in x_r is not z: the correlation is {turn:.2f}, "
           "not 1. Use the z that you were given for both points")  # fmt: skip


@exercise
def ct_bias(answer: Callable[..., Any]) -> str:
    """(x_t, t, r, density, f) -> E[f(x_r, r) | x_t] - f(x_t, t), by the learner's quadrature."""
    rows = ((0.3, 0.7), (-0.9, 0.8), (0.25, 0.35))
    oracle = Mixture1D(*(torch.tensor(row, dtype=torch.float64) for row in rows))
    worst = 0.0
    for x_t, t, r in ((0.6, 1.0, 0.5), (-1.0, 1.6, 1.2), (2.5, 3.0, 1.0)):
        said = torch.as_tensor(answer(x_t, t, r, density(oracle), exact_f(oracle))).double()
        expect(said.numel() == 1, f"return one number, not a tensor of shape {tuple(said.shape)}")
        truth = bias(oracle, x_t, t, r)
        for slip, wrong in bias_slips(oracle, x_t, t, r):
            expect(not similar(float(said), wrong) or similar(wrong, truth), slip)
        expect(similar(float(said), truth), f"at x_t = {x_t:g}, t = {t:g}, r = {r:g} the bias is "
               f"{truth:.4f} and yours is {float(said):.4f}: is the grid wide and fine, and do "
               "the weights sum to 1?")  # fmt: skip
        worst = max(worst, abs(float(said) - truth))
    return "agrees with the closed form of p(x | x_t) at three points, within 2 %"
