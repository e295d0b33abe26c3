"""The bias of consistency training's target at one point of a line: the truth, and the slips."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..evaluate.pairs import posterior, shared, target
from ..oracle import Mixture1D

Density = Callable[[Tensor], Tensor]
F = Callable[[Tensor, float], Tensor]


def close(a: float, b: float) -> bool:
    return abs(a - b) <= 0.02 * abs(b) + 1e-5


def density(law: Mixture1D) -> Density:
    return lambda x: law.log_density(x.double()[:, None], torch.zeros(len(x))).exp()


def exact_f(law: Mixture1D) -> F:
    return lambda x, level: law.consistency(x.double()[:, None], torch.full((len(x),), level))[
        :, 0
    ]


def bias(law: Mixture1D, x_t: float, t: float, r: float) -> float:
    """By the posterior's closed form, which the learner is not given."""
    here, level, low = (torch.tensor([v], dtype=torch.float64) for v in (x_t, t, r))
    mean, _ = target(law, shared(law, here, level, low), low, nodes=401)
    return float(mean - law.consistency(here[:, None], level)[:, 0])


def bias_slips(law: Mixture1D, x_t: float, t: float, r: float) -> list[tuple[str, float]]:
    """What to say, and what the slip makes of the bias."""
    exact = float(exact_f(law)(torch.tensor([x_t], dtype=torch.float64), t))
    weighed = [(slip, mean - exact) for slip, mean in weight_slips(law, x_t, t, r)]
    return weighed + answer_slips(law, x_t, t, r)


def grid(law: Mixture1D, x_t: float, t: float) -> tuple[Tensor, Tensor, Tensor]:
    """Data x on a grid, the prior's weights, and the likelihood of x_t, all (n,)."""
    x = torch.linspace(-8, 8, 4001).double()
    prior = density(law)(x)
    return x, prior / prior.sum(), torch.exp(-((x_t - x) ** 2) / (2 * t**2))


def weight_slips(law: Mixture1D, x_t: float, t: float, r: float) -> list[tuple[str, float]]:
    """What to say of wrong weights, and the mean target that they give."""
    x, prior, noise = grid(law, x_t, t)
    f_r = exact_f(law)(x + r * (x_t - x) / t, r)
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


def answer_slips(law: Mixture1D, x_t: float, t: float, r: float) -> list[tuple[str, float]]:
    """What to say when the weights are right, and the bias that comes out."""
    f, here = exact_f(law), torch.tensor([x_t], dtype=torch.float64)
    x, prior, noise = grid(law, x_t, t)
    weight, x_r = prior * noise / (prior * noise).sum(), x + r * (x_t - x) / t
    exact, mean = float(f(here, t)), float((weight * f(x_r, r)).sum())
    back = float(posterior(law, here, torch.tensor([t])).mean)
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
