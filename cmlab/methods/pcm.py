"""Phased consistency models (Wang et al. 2024, arXiv:2405.18407).

    edges s_0 < … < s_M; sample x, z, n; s = the edge below t_{n+1}, the edge of its phase
    x̂_n = the teacher φ's solver step from x_{n+1} to t_n;  F(x_t, t, s) = the jump along f's line
    L(θ) = λ d( F_θ(x_{n+1}, t_{n+1}, s), F_θ⁻(x̂_n, t_n, s) ) + w L_adv

Code t, r, x_r are the paper's t_{n+1}, t_n, x̂_n. The jump is a DDIM step (eq. 3): at t_n = s it
is the identity, whatever the network. Both branches jump to the edge of the *start*, so that
none leaves its phase, and the network is not told s: each t has one edge. One phase down to 0 is
CD. In the paper x̂_n lies k solver steps below and is named by k; here r is what `pairs` says, but
at least s. The paper's algorithm averages θ⁻, its experiments and code do not: θ⁻ = θ here.

L_adv: both jumps are noised again, to a level drawn inside the phase, and a critic tells the
student's (fake) from the target's (real), not from data: it has nothing to say when both agree.
In the authors' code the critic grows on the frozen teacher and takes turns with the student; here
it is a network of its own. That both get the same fresh noise is our choice.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..adversary import Critic
from ..distance import PseudoHuber, Uniform
from ..guide import StopGrad, Target
from ..ingredients import ingredient
from ..model import Model
from ..ops import expand, rewind_rng
from ..phases import Phases, cut, noisier
from ..process import Process
from ..sample import ddim
from ..schedule import Constant
from ..times import KarrasGrid, Neighbours, UniformIndex
from ..vocabulary import Data, Metric, Pairs, PerSample, Solver, Teacher, Time, Weight
from .base import Method


@ingredient
@dataclass(eq=False)
class PCM(Method):
    """Follow a teacher's path to the next edge."""

    teacher: Teacher
    phases: Phases = cut(KarrasGrid(), 50, 4)
    solver: Solver = ddim
    pairs: Pairs = Neighbours(Constant(50), UniformIndex(KarrasGrid()))
    metric: Metric = PseudoHuber()
    weight: Weight = Uniform()
    target: Target = field(default_factory=StopGrad)
    critic: Critic | None = None
    share: float = 0.1  # w, the weight of the adversarial term

    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        t, r = self.pairs(process, x, step)
        s = self.phases.floor(process, t)
        r = torch.maximum(r, s)
        x_t = process.perturb(x, torch.randn_like(x), t)
        x_r = self.solver(process, self.teacher(x, cond), x_t, t, r)

        with rewind_rng(x.device):  # both passes drop the same units
            f_t = process.transport(x_t, model(x_t, t, cond), t, s)
        f_r = process.transport(x_r, self.target(model, cond)(x_r, r), r, s)
        apart, weight = self.metric(f_t, f_r), self.weight(t, r)
        if self.critic is None:
            return weight * apart
        fake, real, level = self.noised(process, f_t, f_r, t)
        player, judge = self.critic(real, fake, level, cond)
        return weight * (apart + self.share * player) + judge

    def noised(
        self, process: Process, f_t: Data, f_r: Data, t: Time
    ) -> tuple[Data, Data, PerSample]:
        """Both jumps at one level inside the phase with one noise, and that level."""
        s, u, z = (
            self.phases.floor(process, t),
            self.phases.inside(process, t),
            torch.randn_like(f_t),
        )
        alpha, sigma = process(u)
        size = expand((alpha**2 + sigma**2).rsqrt(), z)  # the critic sees about unit variance
        fake, real = (size * noisier(process, f, z, s, u) for f in (f_t, f_r))
        return fake, real, sigma / alpha
