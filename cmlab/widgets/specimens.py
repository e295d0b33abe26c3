"""What lies under the tangent microscope: a batch, three kinds of weights, the parts of g."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from ..data.toy import ToyData
from ..guide import Exact, OneSample
from ..methods import SCM
from ..model import Angle, Denoiser, QuarterLog, TimeInput, TrigPrecond
from ..ops import expand, seeded
from ..presets.toy import RING
from ..recipe import Recipe
from ..schedule import Constant
from ..studies.stabilisers import NONE, Arm
from ..tangent import Difference, Flat, InverseTan, Slope, Tangent
from ..vocabulary import Data, Prior, Teacher, Time
from .tangent_runs import EMBEDS, FRESH_SEED

PRECOND = TrigPrecond(RING.sigma_data)
TIMES, SAMPLES, STEPS = 20, 24, 50
TOLD: dict[str, TimeInput] = {"angle t": Angle(), "ln(σ)/4": QuarterLog()}
TEACHERS: dict[str, Teacher] = {
    "one sample (sCT)": OneSample(),
    "exact (sCD)": Exact(cast(ToyData, RING), PRECOND.process),
}
PRIORS: dict[str, Prior] = {"1/(σ_d tan t)": InverseTan(), "1": Flat()}


@lru_cache(maxsize=128)
def brackets(
    embed: str, told: str, weights: str, teacher: str, prior: str
) -> tuple[Tensor, Tensor]:
    """The two parts of g, (times, samples, 2) each: at r = 0 the first, what r = 1 adds."""
    (x, t, x_t), kind = batch(), WEIGHTS[weights]
    guide, model = TEACHERS[teacher], kind.build(embed, told)
    dx_t = PRECOND.process.velocity(x_t, guide(x, None)(x_t, t), t)
    method = SCM(guide, slope=kind.slope, prior=PRIORS[prior])
    with torch.no_grad():
        first, whole = (
            replace(method, warmup=Constant(r)).tangent(model, x_t, t, dx_t, 0)[1]
            for r in (0.0, 1.0)
        )
    shape = (TIMES, SAMPLES, *RING.shape)
    return first.reshape(shape), (whole - first).reshape(shape)


@lru_cache(maxsize=1)
def batch() -> tuple[Data, Time, Data]:
    """Samples x, times t even in the angle, and x_t, in float64."""
    t = torch.linspace(0.03, 1.5, TIMES, dtype=torch.float64).repeat_interleave(SAMPLES)
    with seeded(torch.device("cpu"), 0):
        x = RING.sample(len(t))[0].double()
        z = torch.randn_like(x)
    return x, t, PRECOND.process.perturb(x, z, t)


def recipe(embed: str, told: str) -> Recipe:
    """toy.sct with these ingredients, from a seed that no recording has seen.

    Tangent and rate start at full size, the rate at twice the preset's: few steps must do.
    """
    found = Arm("", warmup=NONE, embed=EMBEDS[embed], told=TOLD[told])(FRESH_SEED)
    return replace(found, train=replace(found.train, batch=128, rate=Constant(2.0)))


def drawn(embed: str, told: str) -> Denoiser:
    """As the random numbers left them."""
    return recipe(embed, told).build().double()


@lru_cache(maxsize=8)
def trained(embed: str, told: str) -> Denoiser:
    """After the first steps of sCT, the tangent normalised; about a second, once."""
    trainer = recipe(embed, told).trainer()
    steps = trainer.run()
    while trainer.step < STEPS:
        next(steps)
    return trainer.model.double()


def exact(embed: str, told: str) -> Denoiser:
    """f* of the ring, whatever the ingredients of a network would be."""
    return Denoiser(ExactF(), PRECOND)


class ExactF(nn.Module):
    """F of the ring's consistency function: (cos(t) x_t - f*(x_t, t)) / (σ_d sin t)."""

    def forward(self, u: Data, t: Time, cond: Tensor | None = None) -> Data:
        process, x_t = PRECOND.process, RING.sigma_data * u
        alpha, sigma = (expand(v, u) for v in process(t))
        ends = RING.oracle.flow(x_t / alpha, process.level(t), torch.zeros_like(t))
        return (alpha * x_t - ends) / sigma


@dataclass(frozen=True)
class Weights:
    """How a model of these features comes about, and how its tangent is taken."""

    build: Callable[[str, str], Denoiser]
    slope: Slope = Tangent()


WEIGHTS = {
    "as drawn": Weights(drawn),
    f"after {STEPS} steps of sCT": Weights(trained),
    "f* itself": Weights(exact, Difference(1e-4)),
}
