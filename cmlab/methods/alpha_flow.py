"""α-Flow (Zhang et al. 2025, arXiv:2510.20771): from flow matching to MeanFlow, step by step.

    sample x, z and t >= r;  x_t = (1 - t) x + t z;  v = z - x;  s = t - α (t - r)
    L(θ) = 1/α ‖u_θ(x_t, t, r) - stopgrad(α v + (1 - α) u_θ(x_s, s, r))‖²,  x_s = x_t - α (t - r) v

α goes from 1 to 0 during training. At α = 1 u learns v whatever r is (the paper's trajectory flow
matching); at α = ½ the step is Shortcut's, with a first half along the data's velocity; as α -> 0
the residual divided by α tends to MeanFlow's, which takes over below `cut`. For r = 0 it is
discrete consistency training: x_s has the data and noise of x_t, and x_t - t u = f(x_t, t), so
that u minus its target is (f(x_s, s) - f(x_t, t)) / t.

With the weight p of `AdaptiveWeight` the loss here is α w(‖Δ/α‖²): for p = 1 that is the code's
α ‖Δ‖² / (‖Δ‖² + ε) with ε = α² c. Paper against code: the code clips the target to ±4 (left out
here), takes the mean over pixels in the weight where MeanFlow has a sum (a sum here), and anneals
its largest network only between 600k and 1M steps of 1.2M. A comment there has MeanFlow at α = 1;
it is at α = 0. Guidance is left out.
"""

from dataclasses import dataclass
from math import exp

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..model import Denoiser
from ..ops import sum_squares
from ..types import BelowOne, Data, Natural, Pairs, PerSample, Positive, ShareSchedule
from .base import Method
from .flow_map import FlowMapPairs, mean_velocity, rectified
from .meanflow import AdaptiveWeight, MeanFlow


@ingredient
@dataclass(frozen=True)
class SigmoidDecay:
    """α-Flow's schedule, 1 - sigmoid(γ (k - (start + end) / 2) / (end - start)), cut at both ends.

    Args:
        end: the step at which it has come down.
        start: the step from which it does.
        gamma: γ, how fast.
        cut: below it the value is 0, above 1 - cut it is 1.
    """

    end: Natural
    start: Natural = 0
    gamma: Positive = 25.0
    cut: BelowOne = 0.005

    def __call__(self, step: int) -> float:
        share = (step - self.start) / max(self.end - self.start, 1) - 0.5
        value = 1 / (1 + exp(min(max(self.gamma * share, -500.0), 500.0)))
        return 0.0 if value < self.cut else 1.0 if value > 1 - self.cut else value


@ingredient
@dataclass(eq=False)
class AlphaFlow(Method):
    """α-Flow: one objective between flow matching, Shortcut and MeanFlow.

    Args:
        alpha: the schedule of α.
        pairs: draws the times t >= r of each sample.
        weight: of the squared error.
    """

    alpha: ShareSchedule = SigmoidDecay(400_000)
    pairs: Pairs = FlowMapPairs(diagonal=0.5)
    weight: AdaptiveWeight = AdaptiveWeight()

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        t, r = self.pairs(rectified(model), x, step)
        z, alpha = torch.randn_like(x), self.alpha(step)
        squared = sum_squares(self.residual(model, x, z, (t, r), alpha, cond))
        share = torch.where(t == r, 1.0, alpha or 1.0)
        return share * self.weight(squared)

    def residual(
        self,
        model: Denoiser,
        x: Data,
        z: Data,
        times: tuple[Tensor, Tensor],
        alpha: float,
        cond: Tensor | None = None,
    ) -> Data:
        """(u - stopgrad(α v + (1 - α) u(x_s, s, r))) / α; MeanFlow's residual for α = 0."""
        if alpha == 0:
            return MeanFlow().residual(model, x, z, times, cond)
        (t, r), v = times, z - x
        process, s = rectified(model), t - alpha * (t - r)
        u = mean_velocity(model, process.perturb(x, z, t), t, r, cond)
        if alpha == 1:
            return u - v
        with torch.no_grad():
            ahead = mean_velocity(model, process.perturb(x, z, s), s, r, cond)
        return (u - alpha * v - (1 - alpha) * ahead) / alpha

    def check(self, model: Denoiser, x: Data, cond: Tensor | None, spread: float | None) -> None:
        MeanFlow().check(model, x, cond, spread)
