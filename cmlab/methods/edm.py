"""EDM, training a denoiser (Karras et al. 2022, arXiv:2206.00364, Table 1).

    sample x, z, ln σ ~ N(P_mean, P_std²)
    L(θ) = λ(σ) ‖D_θ(x + σ z, σ) - x‖²,  λ(σ) = (σ² + σ_d²) / (σ σ_d)²

Code t is the paper's σ. It is the consistency loss with r = 0, where the target's output is x
itself. Paper and the authors' code agree on the loss, and both are followed; the code's non-leaky
augmentation is left out, and the sum over pixels is theirs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..losses import SquaredL2
from ..model import Model
from ..noise_levels import DenoisingPairs
from ..types import Data, Metric, Pairs, PerSample, Positive, Time, Weight
from .base import Method


@ingredient
@dataclass(frozen=True)
class EDMWeight:
    """EDM's loss weight λ = (t² + σ_d²) / (t σ_d)², by which each level's loss starts near 1.

    Karras et al. 2022, Table 1. t is the noise level, as under the process `EDM`.
    """

    sigma_data: Positive = 0.5

    def __call__(self, t: Time, r: Time) -> PerSample:
        return 1 / t**2 + 1 / self.sigma_data**2


@ingredient
@dataclass(eq=False)
class EDM(Method):
    """Denoising score matching; its optimum is the posterior mean E[x | x_t].

    Args:
        pairs: draws the time t of each sample; its r is 0.
        metric: the distance d.
        weight: the weight λ.
    """

    pairs: Pairs = DenoisingPairs()
    metric: Metric = SquaredL2()
    weight: Weight = EDMWeight()

    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        t, r = self.pairs(process, x, step)
        x_t = process.perturb(x, torch.randn_like(x), t)
        return self.weight(t, r) * self.metric(model(x_t, t, cond), x)
