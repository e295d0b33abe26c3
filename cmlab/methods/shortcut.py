"""Shortcut models (Frans, Hafner, Levine & Abbeel 2024, arXiv:2410.12557, Algorithm 1).

    sample x, z, a step d of 1/N, or in an eighth of the batch of 1, 1/2 … 2/N; t a multiple of d
    d = 1/N   ‖u_θ(x_t, t, t - d) - (z - x)‖²                         flow matching
    else      ‖u_θ(x_t, t, t - d) - (u⁻(x_t, t, m) + u⁻(x_m, m, t - d)) / 2‖²,  m = t - d/2
              with x_m = x_t - d/2 u⁻(x_t, t, m),  u⁻ that of averaged weights

A step of d is two of d/2: the semigroup condition, at the midpoint and on a grid of times, so that
jumps between other times are not trained. The paper counts time from the noise and its s(x, t, d)
is -u(x, 1 - t, 1 - t - d). Here the network is told d itself; the authors' is told log2 of 1/d.

Paper against the authors' code, which is followed: flow matching is told the smallest step, not
d = 0; an eighth of the batch has the longer steps, not a quarter; x_m and the target are clipped
to ±4, which the paper does not say; eq. 5 writes the second step at t, where t + d is meant. Left
out: guidance inside the targets, and the code's noise of 1e-5 at the data. The code gives each
length ⌊b/8/7⌋ samples, none for b < 56; here they take turns. There the longer steps have the same
images and noise as the others; here they are other samples.
"""

from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..model import Denoiser
from ..ops import expand, sum_squares
from ..process import Process
from ..schedules import Constant
from ..teacher import EMATarget, Target
from ..types import Data, Denoise, PerSample, Range, Share, Time
from .base import Method
from .flow_map import land, mean_velocity, rectified, some, steps_of
from .progressive_distillation import HalvingSteps


@ingredient
@dataclass(frozen=True)
class DyadicSteps:
    """Shortcut's steps t -> t - d, t a multiple of d in (0, 1]; the first of a batch are longer.

    Args:
        halvings: log2 N; the smallest step is 2^-halvings, the longer ones 1, 1/2 … in turn.
        longer: share of the batch with a longer step.
    """

    halvings: Annotated[int, Range("[1, 20]")] = 7
    longer: Share = 0.125

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        turn = torch.arange(len(x), device=x.device)
        long = turn < round(self.longer * len(x))
        return steps_of(2.0 ** torch.where(long, turn % self.halvings, self.halvings), x)


@ingredient
@dataclass(eq=False)
class Shortcut(Method):
    """Shortcut model: flow matching for the smallest steps, two steps in one for the longer.

    Args:
        pairs: draws the step t -> t - d of each sample.
        target: whose two steps of d/2 a step of d learns.
        clip: bound of |x_m| and of the target's velocity; the authors' is for images in [-1, 1].
    """

    pairs: DyadicSteps | HalvingSteps = DyadicSteps()
    target: Target = field(default_factory=lambda: EMATarget(Constant(0.999)))
    clip: Annotated[float, Range("(0, inf]")] = 4.0

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = rectified(model)
        t, s = self.pairs(process, x, step)
        z = torch.randn_like(x)
        x_t, v = process.perturb(x, z, t), z - x
        longer = (t - s) * 2**self.pairs.halvings > 1.5
        if longer.any():  # a network with attention takes no empty batch
            x_d, t_d, s_d, cond_d = some(longer, x_t, t, s, cond)
            v[longer] = self.two_steps(process, self.target(model, cond_d), x_d, t_d, s_d)
        return sum_squares(mean_velocity(model, x_t, t, s, cond) - v)

    def two_steps(self, process: Process, g: Denoise, x_t: Data, t: Time, s: Time) -> Data:
        """The mean velocity from t to s by two equal steps of g."""
        middle, half = (t + s) / 2, expand((t - s) / 2, x_t)
        first = (x_t - land(process, g, x_t, t, middle)) / half
        x_m = (x_t - half * first).clamp(-self.clip, self.clip)
        second = (x_m - land(process, g, x_m, middle, s)) / half
        return ((first + second) / 2).clamp(-self.clip, self.clip)
