"""Denoisers watched by their walks: the judge's scores on the way, the ends from shared noise."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..config import Source
from ..data.toy import ToyData
from ..evaluate.walks import CPU, conditioned, excess, walk
from ..ops import seeded
from ..recipe import Recipe
from ..runs import judged
from ..times import LogNormal
from ..train import Trainer
from .watch import Arrays


@dataclass(frozen=True, eq=False)
class Starts:
    """x (n, *d), its labels, and z (n, *d); points x + level · z, and at the top pure noise."""

    x: Tensor
    labels: Tensor | None
    z: Tensor

    def at(self, level: float, top: float) -> Tensor:
        """The points at a level; from `top` on the data are left out, as a sampler does."""
        return level * self.z if level >= top else self.x + level * self.z


@lru_cache(maxsize=8)
def starts(source: Source, n: int) -> Starts:
    """n points of the source with noise of a fixed seed: the same in every recording."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)  # in float64 the same seed gives other numbers
    try:
        with seeded(CPU, 7):
            x, labels = source.sample(n)
            return Starts(x, labels, torch.randn_like(x))
    finally:
        torch.set_default_dtype(usual)


def scored(trainer: Trainer, recipe: Recipe) -> Arrays:
    """scores (names,): the judge's numbers of the averaged weights."""
    scores = judged(trainer.ema.model, recipe).values()
    return {"scores": np.array([np.nan if s is None else s for s in scores])}


@dataclass(frozen=True)
class Scores:
    """The judge's numbers at each look, and nothing more at the end."""

    def look(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return scored(trainer, recipe)

    def last(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return {}


@dataclass(frozen=True)
class Walks:
    """A denoiser, by its averaged weights.

    scores (names,) the judge's numbers, at each look
    ends   (levels, n, *d) where walks from shared points of `source` end, the first level being
           the sampler's σ_max; float16
    """

    source: Source
    levels: tuple[float, ...]
    n: int

    def look(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return scored(trainer, recipe)

    @torch.no_grad()
    def last(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, shared = trainer.ema.model, starts(self.source, self.n)
        cond = shared.labels if recipe.data.sample(1)[1] is not None else None
        ends = [
            walk(model.process, conditioned(model, cond), shared.at(level, self.levels[0]), level)
            for level in self.levels
        ]
        return {"ends": torch.stack(ends).numpy().astype(np.float16)}


@dataclass(frozen=True)
class ToyWalks(Walks):
    """`Walks`, and the loss above its minimum by level.

    excess  (32,) of the weights in training, at each look: without the average's calm
    """

    law: LogNormal = LogNormal(-1.1, 2.0, ToyData.sigma_min, ToyData.sigma_max)

    def look(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        scores = scored(trainer, recipe)
        model = trainer.model.eval()
        found = excess(model, recipe.data, self.law).numpy().astype(np.float32)  # pyright: ignore
        model.train()
        return scores | {"excess": found}
