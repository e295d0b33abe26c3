"""Studies of lab 19: MeanFlow with one thing changed.

meanflow       on the ring, nothing tuned, with one thing changed
meanflow-line  on the Gaussian N(0.5, 0.3²), with the right tangent and with t - r held fixed
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from cmlab.data.toy import Bumps
from cmlab.methods import MeanFlow
from cmlab.methods.base import Method
from cmlab.methods.flow_map import FlowMapPairs, mean_velocity, rectified
from cmlab.methods.meanflow import AdaptiveWeight
from cmlab.model import Denoiser
from cmlab.nets.embedding import Fourier, TwoTimes
from cmlab.nets.mlp import MLPShape
from cmlab.ops import expand, jvp, sum_squares
from cmlab.presets.toy import exact_teacher
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer
from cmlab.types import Data, Pairs, PerSample

from ..common.observers import Arrays, NothingObserver
from ..common.studies_shared import plain_flow_map
from ..common.study import Fact, Study

GAUSSIAN = Bumps((1.0,), (0.5,), (0.3,))
PLAIN = MeanFlow(weight=AdaptiveWeight(p=0.0))


@dataclass(eq=False)
class HeldGap(Method):
    """MeanFlow with a mistake: the derivative is taken with t - r held fixed, so r moves too."""

    pairs: Pairs = FlowMapPairs(diagonal=0.75)

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = rectified(model)
        t, r = self.pairs(process, x, step)
        z = torch.randn_like(x)
        h, v, x_t = t - r, z - x, process.perturb(x, z, t)

        def mean(x_t: Tensor, t: Tensor) -> Tensor:
            return mean_velocity(model, x_t, t, t - h, cond)

        u, du = jvp(mean, (x_t, t), (v, torch.ones_like(t)))
        return sum_squares(u - (v - expand(h, x) * du))


@dataclass(frozen=True)
class VelocityObserver:
    """The learned u on a grid of jumps, of the averaged weights.

    u      (times, ends, places) u_θ(x_t, t, r) at x_t = m_t + place · √V_t, r = share · t
    times, shares, places  the grid
    """

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return {}

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        data = cast(Bumps, recipe.data)
        t, share, place = GRID
        T, S, P = (v.flatten() for v in torch.meshgrid(t, share, place, indexing="ij"))
        mean, std = data.means[0], data.stds[0]
        x_t = (1 - T) * mean + P * ((1 - T) ** 2 * std**2 + T**2).sqrt()
        with torch.no_grad():
            u = mean_velocity(trainer.ema.model, x_t[:, None], T, S * T)
        shape = len(t), len(share), len(place)
        return {"u": u.reshape(shape).numpy()}


GRID = torch.linspace(0.1, 0.99, 24), torch.linspace(0, 1, 21), torch.linspace(-1.5, 1.5, 7)


def ring(change: Method, scale: float = 0.5) -> Callable[[int], Recipe]:
    """This method on the ring; `scale` is that of the frequencies of both times."""
    embed = TwoTimes(Fourier(16, scale), Fourier(16, scale))

    def recipe(seed: int) -> Recipe:
        whole = plain_flow_map(change, seed)
        return replace(whole, net=replace(cast(MLPShape, whole.net), embed=embed))

    return recipe


def line(change: Method) -> Callable[[int], Recipe]:
    """This method on the Gaussian: a network of 64 units a layer, 2000 steps."""

    def recipe(seed: int) -> Recipe:
        whole = plain_flow_map(change, seed, GAUSSIAN)
        return replace(whole, net=MLPShape(dim=1, width=64, embed=TwoTimes()))

    return recipe


VARIANTS = {
    "p-1": ring(MeanFlow(weight=AdaptiveWeight(p=1.0, c=1e-3))),
    "own-tangent": ring(replace(PLAIN, own_tangent=True)),
    "p-half": ring(replace(PLAIN, weight=AdaptiveWeight(p=0.5, c=1e-3))),
    "exact": ring(replace(PLAIN, teacher=exact_teacher())),
    "later": ring(replace(PLAIN, pairs=FlowMapPairs(of_the_later=True))),
    "scale-4": ring(PLAIN, 4.0),
}
STUDY = Study("meanflow", VARIANTS, NothingObserver())
LINE_VARIANTS = {"right": line(PLAIN), "held": line(HeldGap())}
LINE_STUDY = Study("meanflow-line", LINE_VARIANTS, VelocityObserver())


# Statements that were made on other seeds first, and that the text does not use; "meanflow" is
# that of lab 18

TITLES = {"meanflow": "MeanFlow", "later": "the later of two", "scale-4": "scale 4"}
FINDINGS = (
    Fact(
        "with the later of two draws on the diagonal the velocity is worse",
        "meanflow rmse_velocity", ("later rmse_velocity",),
    ),
    Fact(
        "… and one call too",
        "meanflow rmse1", ("later rmse1",),
    ),
    Fact(
        "time features of eight times the frequency ruin one call",
        "meanflow rmse1", ("scale-4 rmse1",), 2.0,
    ),
)  # fmt: skip
