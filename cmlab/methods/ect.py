"""Easy consistency tuning (Geng et al. 2025, arXiv:2406.14548). Start from a trained denoiser.

    sample x, z, t ~ p(t) and r = Ψ(t; k), closer to t as training goes on
    L(θ) = w(t, r) d( f_θ(x + t z, t), f_sg(θ)(x + r z, r) )

The loss is iCT's, line by line; a grid of pairs has become a continuum. With r = 0 it is
denoising. Defaults are the authors' CIFAR-10 script: ln t ~ N(-1.1, 2²), q = 2, weight
1/(t - r), the plain norm ‖·‖. Paper against code: the code's stages start at a = 1 (followed,
see `schedule.Stages`); its c = 0 gives NaN where f_t = f_r, so c = 1e-8 here; it evaluates
with a preconditioning shifted by σ_min = 0.003 (not followed: trained and sampled alike).
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..distance import InverseGap, PseudoHuber
from ..guide import StopGrad, Target
from ..ingredients import ingredient
from ..model import Model
from ..ops import rewind_rng
from ..times import Shrink
from ..vocabulary import Data, Metric, Pairs, PerSample, Weight
from .base import Method


@ingredient
@dataclass(eq=False)
class ECT(Method):
    """Tune a denoiser into a consistency function by letting r approach t."""

    pairs: Pairs = Shrink()
    metric: Metric = PseudoHuber(c=1e-8)
    weight: Weight = InverseGap()
    target: Target = field(default_factory=StopGrad)

    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        t, r = self.pairs(process, x, step)
        z = torch.randn_like(x)
        x_t, x_r = process.perturb(x, z, t), process.perturb(x, z, r)

        with rewind_rng(x.device):  # both passes drop the same units
            f_t = model(x_t, t, cond)
        f_r = self.target(model, cond)(x_r, r)
        return self.weight(t, r) * self.metric(f_t, f_r)
