"""Study of lab 06: EMA targets of several decays μ, in iCT on grids of N points and in plain CT.

Variants of iCT are called mu-0.99-n-161 and so on; N = 0 is the doubling grid. Plain CT is CT of
2023 with a constant μ: ct-mu-0.99. The study "loss-parts" repeats some of them, to split the loss
at the end into the part that the target's lag explains and the rest.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from cmlab.data.toy import ToyData
from cmlab.methods import CT
from cmlab.ops import seeded
from cmlab.process import Process, VarianceExploding
from cmlab.schedules import Constant, GridSchedule
from cmlab.teacher import StopGrad
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer
from cmlab.types import Data, Time

from ..common.observers import Arrays
from ..common.studies_shared import CT_2023, DOUBLING, LADDER_STEPS, CTVariant
from ..common.study import Study
from .analysis import PointMass, course

DECAYS = (0.0, 0.9, 0.99, 0.999)
GRIDS = (11, 161, 0)  # points; 0 is the doubling grid
PLAIN_CT = replace(CT_2023, title="plain CT")


def ict_variant(mu: float, points: int) -> CTVariant:
    """iCT with a target of decay mu on a grid of so many points."""
    grid = Constant(points) if points else DOUBLING
    return CTVariant(f"μ = {mu:g}", points=grid, decay=Constant(mu) if mu else None)


def ct_variant(mu: float) -> CTVariant:
    """CT of 2023 with a target of constant decay mu."""
    return replace(PLAIN_CT, title=f"μ = {mu:g}", decay=Constant(mu) if mu else None)


def variant_name(mu: float, points: int) -> str:
    """The name of iCT with this decay on a grid of so many points."""
    return f"mu-{mu:g}-n-{points}"


def springs_left(variant: CTVariant, squared: bool = True) -> np.ndarray:
    """θ - ξ after 0, 1, … steps of the point mass with the levels, weight and target of a run."""
    decay = variant.decay or Constant(0.0)
    if isinstance(decay, GridSchedule):
        decay = decay.on_grid(variant.points)
    mass = partial(PointMass, weight=variant.weight, proposal=variant.proposal, squared=squared)
    return course(decay, variant.points, LADDER_STEPS, mass)[:, 0]


ICT_VARIANTS = {
    variant_name(mu, points): ict_variant(mu, points) for points in GRIDS for mu in DECAYS
}
CT_VARIANTS = {f"ct-mu-{mu:g}": ct_variant(mu) for mu in DECAYS}

STUDY = Study("target", ICT_VARIANTS | CT_VARIANTS)


@dataclass(frozen=True)
class Exact:
    """The exact consistency function f* of toy data, in place of a network."""

    data: ToyData
    process: Process = VarianceExploding()

    def __call__(self, x_t: Data, t: Time, cond: Tensor | None = None) -> Data:
        return self.data.oracle.consistency(x_t.double(), t.double())


@dataclass(frozen=True)
class LossObserver:
    """The loss at the end of a run, on fresh pairs, of the weights as they train.

    parts (3,) with the run's own target θ⁻, with θ⁻ = θ, and that of f* in place of the network
    """

    samples: int = 2**16

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return {}

    @torch.no_grad()
    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        own = cast(CT, trainer.method)
        free, exact = replace(own, target=StopGrad()), Exact(cast(ToyData, recipe.data))
        parts = []
        for method, model in ((own, trainer.model), (free, trainer.model), (free, exact)):
            with seeded(torch.device("cpu"), 1):
                x, _ = recipe.data.sample(self.samples)
                parts.append(method.loss(model, x, trainer.step).mean().item())
        return {"parts": np.array(parts, np.float32)}


LOSS_PARTS = Study(
    "loss-parts",
    {variant_name(mu, n): ict_variant(mu, n) for mu, n in ((0.0, 0), (0.999, 0), (0.99, 161))},
    LossObserver(),
    observations=1,
)
