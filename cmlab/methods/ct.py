"""Consistency training (Song et al. 2023, arXiv:2303.01469, Algorithm 3, Theorem 2).

    sample x, z, and n uniform on the grid of N(k) levels
    L(θ) = λ(t_n) d( f_θ(x + t_{n+1} z, t_{n+1}), f_θ⁻(x + t_n z, t_n) )
    θ⁻ ← μ(k) θ⁻ + (1 - μ(k)) θ

Code t, r are the paper's t_{n+1}, t_n. The same x and z on both sides: an Euler step whose
teacher answers x. N(k) and μ(k) are Appendix C's, s0 = 2, s1 = 150, μ0 = 0.9 for CIFAR-10.
Paper against the authors' code: in μ(k) the code divides by N(k) - 1 (the paper is followed).
Both lines of the PyTorch code's launch script, for ImageNet and for LSUN, start the student from
a diffusion model's weights, which the paper does not say; the JAX configurations for CIFAR-10 do
not (`finetune` is False). A recipe says here whether a run has a `start`. The paper's d is LPIPS;
the default here is ‖·‖².
"""

from dataclasses import dataclass, field
from math import ceil, exp, log, sqrt

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..losses import SquaredL2, Uniform
from ..model import Model
from ..noise_levels import KarrasGrid, Neighbours, UniformIndex
from ..ops import rewind_rng
from ..teacher import MovingAverage, Target
from ..types import Data, Metric, Pairs, PerSample, Schedule, Weight
from .base import Method


@ingredient
@dataclass(frozen=True)
class SqrtGrowth:
    """CT's number of grid points, N(k) = ⌈√(k/K ((s1+1)² - s0²) + s0²) - 1⌉ + 1.

    Song et al. 2023, Appendix C. From s0 at k = 0 to s1 + 1 at k = K, and constant after.
    """

    s0: int = 2
    s1: int = 150
    total: int = 800_000

    def __call__(self, step: int) -> float:
        share = min(step / self.total, 1.0)
        root = sqrt(share * ((self.s1 + 1) ** 2 - self.s0**2) + self.s0**2)
        return max(ceil(root - 1), 1) + 1


@ingredient
@dataclass(frozen=True)
class GridDecay:
    """CT's decay of the target network, μ(k) = exp(s0 ln μ0 / N(k)).

    Song et al. 2023, Appendix C. The authors' code divides by N(k) - 1, which gives 0.81 in
    place of 0.9 at k = 0; the paper is followed here.
    """

    points: Schedule = SqrtGrowth()
    s0: int = 2
    mu0: float = 0.9

    def __call__(self, step: int) -> float:
        return exp(self.s0 * log(self.mu0) / self.points(step))


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
