"""Measurement bench in the plane: what an operator answers to each point that could stand in."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from ..data.rings import TwoRings
from ..evaluate.posterior import posterior
from ..evaluate.race import parity
from ..figures.posterior import bench
from ..vocabulary import Data
from .base import Explorer, Picture, choice, log_slider, slider

LAW, DRAWN = TwoRings().oracle, 600
odd = parity(LAW)

# By name: one number for each x, the name of its axis, and the span shown.
MEASURED: dict[str, tuple[Callable[[Tensor], Tensor], str, tuple[float, float]]] = {
    "mask": (lambda x: x[:, 0], "$A(x) = x_1$ (data units)", (-1.2, 1.2)),
    "down-sample": (lambda x: x.mean(1), "$A(x) = (x_1 + x_2)/2$ (data units)", (-1.2, 1.2)),
    "blur": (
        lambda x: 0.75 * x[:, 0] + 0.25 * x[:, 1], "$A(x) = (3 x_1 + x_2)/4$ (data units)",
        (-1.2, 1.2),
    ),
    "|x|": (lambda x: x[:, 0].abs(), "$A(x) = |x_1|$ (data units)", (-0.05, 1.25)),
    "radius": (lambda x: x.norm(dim=1), r"$A(x) = \|x\|$ (data units)", (-0.05, 1.25)),
    "class": (
        lambda x: odd(x).softmax(1)[:, 1], "$A(x)$ = a classifier's probability of 'odd'",
        (-0.05, 1.05),
    ),
}  # fmt: skip
LINEAR = ("mask", "down-sample", "blur")


@lru_cache(maxsize=64)
def scene(level: float, seed: int) -> tuple[Tensor, Tensor, Tensor, dict[str, Data]]:
    """x, x_t, posterior samples, and the two points, for one noise of this seed."""
    g = torch.Generator().manual_seed(seed)
    x = LAW.sample(1, g).double()
    x_t = x + level * torch.randn(1, 2, generator=g, dtype=torch.float64)
    t = torch.tensor([level], dtype=torch.float64)
    drawn = posterior(LAW, x_t, t).sample(DRAWN, g)[0]
    points = {"posterior mean": LAW.denoise(x_t, t)[0], "path's end": LAW.consistency(x_t, t)[0]}
    return x[0], x_t[0], drawn, points


def explorer() -> Explorer:
    """An explorer of what A(.) is shown. Knobs: `operator`, `level` (σ) and `seed`."""
    knobs = {
        "operator": choice("A", list(MEASURED), "radius"),
        "level": log_slider("noise level σ", 0.6, 0.05, 10.0),
        "seed": slider("noise: seed", 4, 0, 99),
    }
    return Explorer(picture, knobs)


def picture(operator: str, level: float, seed: int) -> Picture:
    """One x_t, its exact posterior, and three answers."""
    measure, name, span = MEASURED[operator]
    x, x_t, drawn, points = scene(level, seed)
    answers = measure(drawn)
    found = {point: float(measure(at[None])) for point, at in points.items()}
    figure = bench(LAW.components.means, drawn, x_t, points, answers, found, name, span)
    return Picture(figure, reading(operator, level, x, answers, found, points))


def reading(
    operator: str, level: float, x: Tensor, answers: Tensor, found: dict[str, float],
    points: dict[str, Data],
) -> str:  # fmt: skip
    """The numbers, in three lines."""
    mean, spread = float(answers.mean()), float(answers.std())
    at_mean, at_end = (density(at[None]) for at in points.values())
    truth = float(MEASURED[operator][0](x[None]))
    kind = "linear: the mean's answer is E[A] itself" if operator in LINEAR else "not linear"
    told = ", ".join(f"A({name}) = {value:.3f}" for name, value in found.items())
    return (
        f"σ = {level:.2g}. A: {operator}, {kind}. The truth under the noise has {truth:.3f}.\n"
        f"E[A(x) | x_t] = {mean:.3f}, spread {spread:.3f} ({DRAWN} exact samples). {told}.\n"
        f"ln p(x): {at_mean:.1f} at the mean, {at_end:.1f} at the path's end; at real points "
        f"{typical():.1f} on average."
    )


def density(x: Tensor) -> float:
    """ln p(x) under the data's own law, averaged over x (n, 2)."""
    return float(LAW.log_density(x, torch.zeros(len(x), dtype=x.dtype)).mean())


@lru_cache(maxsize=1)
def typical() -> float:
    """The mean of ln p(x) over 4000 points of the law."""
    return density(LAW.sample(4000, torch.Generator().manual_seed(0)).double())
