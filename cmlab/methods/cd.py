"""Consistency distillation (Song et al. 2023, arXiv:2303.01469, Algorithm 2, Definition 1).

    sample x, z, and n uniform on a grid of N levels; x_{n+1} = x + t_{n+1} z
    x̂_n = one solver step of the teacher φ from x_{n+1} to t_n
    L(θ) = λ(t_n) d( f_θ(x_{n+1}, t_{n+1}), f_θ⁻(x̂_n, t_n) ),  θ⁻ ← μ θ⁻ + (1 - μ) θ

Code t, r, x_r are the paper's t_{n+1}, t_n, x̂_n. Defaults are Table 3's for CIFAR-10: Heun,
N = 18, λ = 1 and μ = 0, so that θ⁻ = θ (ImageNet and LSUN use μ = 0.95).
Paper against the authors' code: the code counts its grid downwards; it averages ‖·‖² over
pixels where the paper sums (summed here); it reads λ at t_{n+1} (here λ sees both). The paper's
best d is LPIPS, which needs a downloaded network: the default here is ‖·‖².
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..losses import SquaredL2, Uniform
from ..model import Model
from ..noise_levels import AdjacentLevels, KarrasGrid, UniformIndex
from ..ops import rewind_rng
from ..sampling import heun
from ..schedules import Constant
from ..teacher import StopGrad, Target
from ..types import Data, Metric, Pairs, PerSample, Solver, Teacher, Weight
from .base import Method


@ingredient
@dataclass(eq=False)
class CD(Method):
    """Consistency distillation of a teacher, on adjacent levels of a grid.

    Args:
        teacher: the denoiser φ.
        solver: one step of the PF-ODE from t to r.
        pairs: draws the times t > r of each sample.
        metric: the distance d.
        weight: the weight λ.
        target: f_θ⁻.
    """

    teacher: Teacher
    solver: Solver = heun
    pairs: Pairs = AdjacentLevels(Constant(18), UniformIndex(KarrasGrid()))
    metric: Metric = SquaredL2()
    weight: Weight = Uniform()
    target: Target = field(default_factory=StopGrad)

    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        t, r = self.pairs(process, x, step)
        x_t = process.perturb(x, torch.randn_like(x), t)
        x_r = self.solver(process, self.teacher(x, cond), x_t, t, r)

        with rewind_rng(x.device):  # both passes drop the same units
            f_t = model(x_t, t, cond)
        f_r = self.target(model, cond)(x_r, r)
        return self.weight(t, r) * self.metric(f_t, f_r)
