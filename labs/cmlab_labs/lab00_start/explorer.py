"""Explorers of lab 00, start here: interactive figures.

Watch a small network become consistent: eight Gaussians in the plane, trained live.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from cmlab.data.toy import ToyData
from cmlab.metrics.toy import ExactConsistency, answers, rmse_by_level, truth
from cmlab.model import Model
from cmlab.noise_levels import KarrasGrid
from cmlab.process import EDM
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer

from ..common.explorer import LiveTraining, Picture
from .figures import Stage, becoming

LOW, HIGH = 0.002, 10.0
PATHS, ALONG = 28, 10


@dataclass(frozen=True, eq=False)
class Bench:
    """What a network is held against: exact paths (m, p, 2) at levels (m,), and exact answers."""

    data: ToyData
    levels: Tensor
    path: Tensor
    exact: ExactConsistency
    mean_error: Tensor

    def stage(self, model: Model, step: int) -> Stage:
        """Where this network stands."""
        flat = self.levels.repeat_interleave(self.path.shape[1])
        along = answers(model, model.process, self.path.flatten(0, 1), flat)
        error = rmse_by_level(model, model.process, self.exact)
        return Stage(step, along.reshape(self.path.shape), error)

    def picture(self, start: Stage, *planes: Stage) -> Picture:
        """Stages side by side, their errors beside the start's, and the last one in words."""
        modes, ends = self.data.oracle.components.means, self.path[-1]
        figure = becoming(start, planes, ends, self.exact.levels, self.mean_error, modes)
        return Picture(figure, reading(planes[-1], ends))


def bench(data: ToyData) -> Bench:
    """Exact paths from noise, and exact answers at 12 noise levels."""
    levels = KarrasGrid(LOW, HIGH).up(ALONG).flip(0)
    z = torch.randn(PATHS, *data.shape, generator=torch.Generator().manual_seed(3))
    path = data.oracle.path((HIGH * z).double(), levels)
    exact = truth(data, LOW, HIGH, levels=12, points=96)
    return Bench(data, levels, path, exact, rmse_by_level(data.oracle.denoise, EDM(), exact))


def live(recipe: Recipe) -> LiveTraining:
    """A live training of a recipe whose data have an oracle, from step 0 and with its own seed."""
    against = bench(cast(ToyData, recipe.data))
    start = against.stage(recipe.build(), 0)

    def draw(trainer: Trainer) -> Picture:
        return against.picture(start, against.stage(trainer.ema.model, trainer.step))

    return LiveTraining(recipe.trainer, draw)


def reading(stage: Stage, ends: Tensor) -> str:
    """What the last stage shows, in three lines."""
    off = float((stage.along[0] - ends).square().sum(1).mean().sqrt())
    length = float((stage.along[1:] - stage.along[:-1]).norm(dim=2).sum(0).mean())
    total = float(stage.error.square().mean().sqrt())
    return (
        f"Step {stage.step}: one call from pure noise lands {off:.2f} from the exact end (RMS).\n"
        f"Along a path the answers wander {length:.2f} in all; a consistent network's stay put.\n"
        f"Error to the exact f over all noise levels: {total:.3f} (the data have radius 1)."
    )
