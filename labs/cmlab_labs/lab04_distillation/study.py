"""Studies of lab 04, consistency distillation: trained variants that it replays.

The learned teacher of `distil`, by itself: its answers, and where its own steps end.

A student that follows its teacher perfectly ends where the teacher's steps end. Same seeds, steps
and data as the arms called learned-…, so that these are the very denoisers that taught there.
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
    """`MapOnLine`, and the denoiser as a sampler.

    walked (grids, 512, d) where Heun's steps over a grid of N points end, from the cloud's noise
    """

    @torch.no_grad()
    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, x_T = trainer.ema.model, cloud_noise(self.law)
        grids = (toy.GRID.up(points).flip(0) for points in GRIDS)
        ends = [[*ode(model.process, model, x_T, grid, heun)][-1] for grid in grids]
        return super().observe_end(trainer, recipe) | {"walked": torch.stack(ends).numpy()}


def denoiser(seed: int) -> Recipe:
    """What `distil.learned` trains before the student begins."""
    return toy.edm(LINE, DISTIL_STEPS, seed)


TEACHER_STUDY = Study("teacher", {"denoiser": denoiser}, DenoiserObserver(LINE))
