"""A watch of runs on latents: the differences that the loss sees, by stage, and the score."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..decoded import drawn
from ..evaluate.impulses import INNER, OUTER, beyond, kurtosis
from ..ops import expand, seeded, sum_squares
from ..recipe import Recipe
from ..runs import judged
from ..train import Trainer
from ..vocabulary import Data, Time
from .watch import Arrays

BANDS = (0.002, 0.02, 0.2, 2.0, 80.0)  # noise levels; the bands lie between them
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
NONE = torch.full((6,), torch.nan)  # of a band that no pair fell into


@dataclass(frozen=True)
class Residuals:
    """f_t - f_r of `n` pairs as in training, with the weights and the grid of the stage that ends.

    scores    (names,) the judge's numbers for the averaged weights
    intervals ()       N, the number of intervals of the grid
    size      (bands, 6) quantiles of the root mean square of a sample's residual, see QUANTILES,
              by band of the noise level t
    tails     (bands, 3) shares of the residual's elements beyond the inner and the outer fence,
              and their kurtosis; each sample's residual divided by t - r
    """

    n: int = 2048

    def look(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        step = max(trainer.step - 1, 0)
        scores = judged(trainer.ema.model, recipe).values()
        return {
            "scores": np.array([np.nan if s is None else s for s in scores]),
            "intervals": np.array(trainer.method.pairs.points(step) - 1),  # type: ignore[union-attr]
            **measured(*residuals(trainer, recipe, step, self.n)),
        }

    def last(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        """pictures (40, c, n, n): decoded one-step samples of the averaged weights, uint8."""
        labels = torch.arange(40) % recipe.net.classes  # type: ignore[attr-defined]
        x = drawn(trainer.ema.model, recipe.data, recipe.sampler, labels, 40, 1, 0)
        return {"pictures": ((x + 1) * 127.5).round().to(torch.uint8).numpy()}


@torch.no_grad()
def residuals(trainer: Trainer, recipe: Recipe, step: int, n: int) -> tuple[Time, Time, Data]:
    """t, r and f_t - f_r of n pairs, drawn as in training from a seed of their own."""
    model = trainer.model.eval()
    with seeded(torch.device("cpu"), 2):
        x, labels = recipe.data.sample(n)
        t, r = trainer.method.pairs(model.process, x, step)
        z = torch.randn_like(x)
    x_t, x_r = (model.process.perturb(x, z, time) for time in (t, r))
    apart = model(x_t, t, labels) - model(x_r, r, labels)
    trainer.model.train()
    return t, r, apart


def measured(t: Time, r: Time, apart: Data) -> Arrays:
    """Sizes and tails by band."""
    size = (sum_squares(apart) / apart[0].numel()).sqrt()
    slope = apart / expand(t - r, apart)
    which = torch.bucketize(t, torch.tensor(BANDS[1:-1]))
    sizes, tails = [], []
    for band in range(len(BANDS) - 1):
        here = which == band
        sizes.append(size[here].quantile(torch.tensor(QUANTILES)) if here.any() else NONE[:6])
        tails.append(heaviness(slope[here]) if here.any() else NONE[:3])
    return {
        "size": torch.stack(sizes).numpy().astype(np.float32),
        "tails": torch.stack(tails).numpy().astype(np.float32),
    }


def heaviness(x: Tensor) -> Tensor:
    """Shares beyond the inner and the outer fence, and the kurtosis."""
    return torch.tensor([beyond(x, INNER), beyond(x, OUTER), kurtosis(x)])
