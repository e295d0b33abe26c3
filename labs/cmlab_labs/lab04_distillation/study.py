"""Study of lab 04: the learned teachers of the study `distil`, and the ends of their own steps.

A perfect student ends where its teacher's steps end. Seeds, steps and data are those of the
variants learned-…, so that these are the same denoisers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cmlab.data.toy import ToyData
from cmlab.ops import seeded
from cmlab.presets import toy
from cmlab.sampling import heun, ode
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer

from ..common.observers import Arrays, LineMapObserver
from ..common.studies_shared import DISTIL_STEPS, GRIDS, LINE
from ..common.study import Study


def cloud_noise(data: ToyData, points: int = 512) -> Tensor:
    """x_T (points, *d) float32, the noise from which every recording's `cloud` was made."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)  # in float64 the same seed gives other numbers
    try:
        with seeded(torch.device("cpu"), 0):
            return toy.SIGMA_MAX * torch.randn_like(data.sample(points)[0])
    finally:
        torch.set_default_dtype(usual)


@dataclass(frozen=True)
class DenoiserObserver(LineMapObserver):
    """A denoiser on the line: the arrays of `LineMapObserver`, and its own samples.

    walked (grids, 512, d) where Heun's steps over a grid of N points end, from the cloud's noise
    """

    @torch.no_grad()
    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, x_T = trainer.ema.model, cloud_noise(self.data)
        grids = (toy.GRID.up(points).flip(0) for points in GRIDS)
        ends = [[*ode(model.process, model, x_T, grid, heun)][-1] for grid in grids]
        return super().observe_end(trainer, recipe) | {"walked": torch.stack(ends).numpy()}


def denoiser(seed: int) -> Recipe:
    """The denoiser that `distil` trains before its learned-… students."""
    return toy.edm(LINE, DISTIL_STEPS, seed)


TEACHER_STUDY = Study("teacher", {"denoiser": denoiser}, DenoiserObserver(LINE))
