"""Flow map self-distillation: LSD, ESD and PSD (Boffi, Albergo & Vanden-Eijnden 2025).

arXiv:2505.18825. One network is flow matching on the diagonal and a flow map off it:

    sample x, z and t > s;  x_t = (1 - t) x + t z
    s = t    ‖v_θ(x_t, t) - (z - x)‖²,  v_θ(x, t) = u_θ(x, t, t)       flow matching
    LSD      ‖∂_s X_θ(x_t, t -> s) - stopgrad(v_θ(X_θ, s))‖²          Lagrangian
    ESD      ‖∂_t X_θ + stopgrad(∂_x X_θ · v_θ(x_t, t))‖²             Eulerian
    PSD      ‖u_θ(t, s) - stopgrad((1 - h) u_θ(t, m) + h u_θ(m, s))‖²  progressive

The end of the jump moves in LSD and its start in ESD; in PSD two jumps are one. The teacher is the
network itself, without an average of its weights. The paper counts time from the noise (t = 0) to
the data; here t = 0 is the data. Its two versions disagree: the first has PSD best on images, the
second LSD. The authors' code gives each term a weight that is
learned, as in EDM2; here the terms count alike. TVM (arXiv:2511.19797) is LSD with a velocity from
an average of the weights.

With a teacher for the velocities it is distillation. With `Progressive` that is SplitMeanFlow
(Guo et al. 2025, arXiv:2507.16884), which starts from a flow-matching teacher and has PSD's loss:
no file of its own. With `Lagrangian(teacher)` it is Lagrangian map distillation (LMD; Boffi et al.
2024, arXiv:2406.07507).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..model import Denoiser
from ..ops import expand, sum_squares
from ..teacher import SampleTeacher
from ..types import Data, Pairs, PerSample, Teacher, Time
from .base import Method
from .flow_map import FlowMapPairs, jump, mean_velocity, rectified, some, velocity_of


class Condition(ABC):
    """A condition that makes a jump that of the flow map: one residual per sample."""

    @abstractmethod
    def __call__(
        self, model: Denoiser, x_t: Data, t: Time, s: Time, cond: Tensor | None = None
    ) -> Data:
        """The residual of the jump from t to s (b, *d); 0 for the flow map."""


@ingredient
@dataclass(frozen=True)
class Lagrangian(Condition):
    """The Lagrangian condition ∂_s X = v(X, s): the end of the jump moves. LSD.

    The gradient passes through ∂_s X, and not through the velocity or where it is taken.

    Args:
        teacher: gives the velocity at the end; None takes the network's own, as LSD does.
    """

    teacher: Teacher | None = None

    def __call__(
        self, model: Denoiser, x_t: Data, t: Time, s: Time, cond: Tensor | None = None
    ) -> Data:
        def end(s: Tensor) -> Tensor:
            return jump(model, x_t, t, s, cond)

        found = torch.func.jvp(end, (s,), (torch.ones_like(s),))
        X, dX = found[0], found[1]
        X = X.detach()
        with torch.no_grad():
            if self.teacher is None:
                v = mean_velocity(model, X, s, s, cond)
            else:
                v = (X - self.teacher(X, cond)(X, s)) / expand(s, X).clamp_min(1e-8)
        return dX - v


@ingredient
@dataclass(frozen=True)
class Eulerian(Condition):
    """The Eulerian condition ∂_t X + ∂_x X · v(x_t, t) = 0: the start moves. ESD.

    The gradient passes through ∂_t X, and not through ∂_x X · v.
    """

    def __call__(
        self, model: Denoiser, x_t: Data, t: Time, s: Time, cond: Tensor | None = None
    ) -> Data:
        def start(x_t: Tensor, t: Tensor) -> Tensor:
            return jump(model, x_t, t, s, cond)

        one, still = torch.ones_like(t), torch.zeros_like(t)
        with torch.no_grad():
            v = mean_velocity(model, x_t, t, t, cond)
            moved = torch.func.jvp(start, (x_t, t), (v, still))[1]
        return torch.func.jvp(lambda t: start(x_t, t), (t,), (one,))[1] + moved


@ingredient
@dataclass(frozen=True)
class Progressive(Condition):
    """The semigroup condition: a jump is two jumps through a time m between. PSD.

    With h = (m - s) / (t - s), u(t, s) = (1 - h) u(t, m) + h u(m, s). m is uniform in between.
    """

    def __call__(
        self, model: Denoiser, x_t: Data, t: Time, s: Time, cond: Tensor | None = None
    ) -> Data:
        h = torch.rand_like(t)
        m = s + h * (t - s)
        u = mean_velocity(model, x_t, t, s, cond)
        with torch.no_grad():
            first = mean_velocity(model, x_t, t, m, cond)
            x_m = x_t - expand(t - m, x_t) * first
            second = mean_velocity(model, x_m, m, s, cond)
        return u - (expand(1 - h, x_t) * first + expand(h, x_t) * second)


@ingredient
@dataclass(eq=False)
class SelfDistillation(Method):
    """Flow map self-distillation: flow matching for s = t, a condition on the jump for s < t.

    Args:
        pairs: draws the times t >= s of each sample.
        condition: what is asked of the jumps; `Lagrangian` is LSD.
        teacher: gives the velocity on the diagonal; z - x is that of the data themselves.
    """

    pairs: Pairs = FlowMapPairs(diagonal=0.75)
    condition: Condition = Lagrangian()
    teacher: Teacher = SampleTeacher()

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = rectified(model)
        t, s = self.pairs(process, x, step)
        z = torch.randn_like(x)
        x_t, same = process.perturb(x, z, t), t == s
        error = torch.empty_like(x)
        v = velocity_of(self.teacher(x, cond), x, z, x_t, t)
        if same.any():  # a network with attention takes no empty batch
            error[same] = mean_velocity(model, *some(same, x_t, t, s, cond)) - v[same]
        if not same.all():
            error[~same] = self.condition(model, *some(~same, x_t, t, s, cond))
        return sum_squares(error)
