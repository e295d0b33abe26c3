"""MusicCM, music consistency models (Fei et al. 2024, arXiv:2404.13358).

    sample x, z, and n on a grid; x_{n+1} = x + t_{n+1} z
    x̂_n = one DDIM step of the guided teacher, D(c) + w (D(c) - D(∅)), w = 2
    L_distil = d( f_θ(x_{n+1}, t_{n+1}, c), f_θ⁻(x̂_n, t_n, c) ),  θ⁻ ← 0.95 θ⁻ + 0.05 θ
    L(θ) = w_G L_G + 3 L_distil,  L_G = -C(f_θ(x_{n+1}, t_{n+1}, c), c)

Code t, r, x_r are the paper's t_{n+1}, t_n, x̂_n. It is CD with a `Guided` teacher, so that the
student needs no guidance, and a critic C: light heads on a frozen network. Unlike in PCM, its real
samples are *data*: with C the student may leave the teacher's path. C is trained by hinge losses
and a gradient penalty at real samples (here with respect to the sample, in the paper to the heads'
inputs). The paper works on latents of spectrograms and steps with AdamW; here on the
spectrograms. It names no d that we know of: here it is the norm, whose gradient has unit length
over a whole sample. Where d is a mean over the numbers of a sample, w_G = 1 stands for √(their
count) here.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..losses import Uniform
from ..model import Model
from ..noise_levels import AdjacentLevels, KarrasGrid, UniformIndex
from ..ops import rewind_rng
from ..sampling import ddim
from ..schedules import Constant
from ..teacher import EMATarget, Target
from ..types import Data, Metric, NonNegative, Pairs, PerSample, Solver, Teacher, Weight
from .base import Method
from .critic import Critic
from .ict import PseudoHuber


@ingredient
@dataclass(eq=False)
class MusicCM(Method):
    """Consistency distillation of a guided teacher, with a critic that knows data.

    Args:
        teacher: the denoiser φ, such as `Guided`.
        solver: one step of the PF-ODE from t to r.
        pairs: draws the times t > r of each sample.
        metric: the distance d.
        weight: the weight λ of the distance.
        target: f_θ⁻.
        critic: C; None leaves the adversarial loss out.
        share: w_G, the weight of the adversarial loss.
        distil: the weight of the distillation loss.
    """

    teacher: Teacher
    solver: Solver = ddim
    pairs: Pairs = AdjacentLevels(Constant(50), UniformIndex(KarrasGrid()))
    metric: Metric = PseudoHuber(c=1e-3)
    weight: Weight = Uniform()
    target: Target = field(default_factory=lambda: EMATarget(Constant(0.95)))
    critic: Critic | None = None
    share: NonNegative = 1.0
    distil: NonNegative = 3.0

    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        t, r = self.pairs(process, x, step)
        x_t = process.perturb(x, torch.randn_like(x), t)
        x_r = self.solver(process, self.teacher(x, cond), x_t, t, r)

        with rewind_rng(x.device):  # both passes drop the same units
            f_t = model(x_t, t, cond)
        f_r = self.target(model, cond)(x_r, r)
        loss = self.distil * self.weight(t, r) * self.metric(f_t, f_r)
        if self.critic is None:
            return loss
        on_fake, critic = self.critic(x, f_t, torch.zeros_like(t), cond)
        return self.share * -on_fake + critic + loss
