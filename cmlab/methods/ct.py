"""Consistency training (Song et al. 2023, arXiv:2303.01469, Algorithm 3, Theorem 2).

    sample x, z, and n uniform on the grid of N(k) levels
    L(θ) = λ(t_n) d( f_θ(x + t_{n+1} z, t_{n+1}), f_θ⁻(x + t_n z, t_n) )
    θ⁻ ← μ(k) θ⁻ + (1 - μ(k)) θ

Code t, r are the paper's t_{n+1}, t_n. The same x and z on both sides: an Euler step whose
teacher answers x. N(k) and μ(k) are Appendix C's, s0 = 2, s1 = 150, μ0 = 0.9 for CIFAR-10.
Paper against the authors' code: in μ(k) the code divides by N(k) - 1 (the paper is followed);
the ImageNet launch script starts the student from a diffusion model's weights, which the paper
does not say (a recipe says here whether a run has a `start`). The paper's d is LPIPS; the
default here is ‖·‖².
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..distance import SquaredL2, Uniform
from ..guide import MovingAverage, Target
from ..ingredients import ingredient
from ..model import Model
from ..ops import rewind_rng
from ..schedule import GridDecay, SqrtGrowth
from ..times import KarrasGrid, Neighbours, UniformIndex
from ..vocabulary import Data, Metric, Pairs, PerSample, Weight
from .base import Method


@ingredient
@dataclass(eq=False)
class CT(Method):
    """Learn the consistency function from data alone, with a moving-average target."""

    pairs: Pairs = Neighbours(SqrtGrowth(), UniformIndex(KarrasGrid()))
    metric: Metric = SquaredL2()
    weight: Weight = Uniform()
    target: Target = field(default_factory=lambda: MovingAverage(GridDecay()))

    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        t, r = self.pairs(process, x, step)
        z = torch.randn_like(x)
        x_t, x_r = process.perturb(x, z, t), process.perturb(x, z, r)

        with rewind_rng(x.device):  # both passes drop the same units
            f_t = model(x_t, t, cond)
        f_r = self.target(model, cond)(x_r, r)
        return self.weight(t, r) * self.metric(f_t, f_r)
