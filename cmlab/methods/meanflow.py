"""MeanFlow (Geng, Deng, Bai, Kolter & He 2025, arXiv:2505.13447) and improved MeanFlow (iMF).

    sample x, z and t >= r;  z_t = (1 - t) x + t z;  v = z - x
    u, du/dt = jvp(u_θ, (z_t, t, r), (v, 1, 0))
    L(θ) = ‖u - stopgrad(v - (t - r) du/dt)‖²,  divided by stopgrad(‖·‖² + c)^p

The condition is Eulerian: u is the mean velocity of a jump where u = v - (t - r) du/dt along the
path (eq. 6). The data's own velocity z - x takes the place of v, since the right side is linear
in it. The network is told t and t - r, so the tangent of its second input is 1, not 0: with 0 it
learns the velocity at the *end* of the jump. At r = 0 this is continuous-time consistency training
with the loss weight 2/t: u - (v - t du/dt) = -df/dt.

Paper against code: p = 1 and c = 0.01 (ImageNet, JAX) or p = 0.75, c = 1e-3 (CIFAR-10), the norm
summed over pixels in both; t - r is clipped to [0, 1] there. "Ratio" is the share off the diagonal
in the CIFAR-10 code and the share on it in the JAX code. In the plane take p = 0: with p = 1 the
loss is log(‖·‖² + c), flat inside a ring. Guidance during training is left out. FastGen has this
loss as its option l2, with c = 1 and times up to 0.999; its default is a regression of u on itself
less a normalised residual, with a warm-up of du/dt, and without the two has this loss's gradient.

Improved MeanFlow (Geng et al. 2025, arXiv:2512.02012) has the same residual, read as that of v:
u + (t - r) stopgrad(du/dt) - v. It differs in the tangent alone: the network's own u(z_t, t, t)
in place of z - x (`own_tangent`). In the authors' code a second head gives it, with a loss of its
own, and the network is not told t; here it is one head, told both.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..model import Denoiser
from ..nets.forward_mode import check_forward
from ..ops import expand, jvp, sum_squares
from ..teacher import SampleTeacher
from ..types import Data, NonNegative, Pairs, PerSample, Positive, Teacher
from .base import Method
from .flow_map import FlowMapPairs, mean_velocity, rectified, velocity_of


@ingredient
@dataclass(frozen=True)
class AdaptiveWeight:
    """MeanFlow's adaptive loss weight, ℓ / stopgrad(ℓ + c)^p for a squared error ℓ. Sec. 4.3.

    The loss tends to 1 for p = 1, however good the model is: watch the error instead.

    Args:
        p: 0 is the squared error, 0.5 close to pseudo-Huber, 1 flat far away.
        c: the error at which the weight stops to grow.
    """

    p: NonNegative = 1.0
    c: Positive = 0.01

    def __call__(self, squared: PerSample) -> PerSample:
        return squared / (squared.detach() + self.c) ** self.p


@ingredient
@dataclass(eq=False)
class MeanFlow(Method):
    """MeanFlow: the mean velocity of a jump, by the derivative along the path.

    Args:
        pairs: draws the times t >= r of each sample.
        weight: of the squared error; the default is the paper's for ImageNet.
        own_tangent: the derivative goes along the network's own velocity, as in improved MeanFlow.
        teacher: gives the velocity; z - x is that of the data themselves.
    """

    pairs: Pairs = FlowMapPairs(diagonal=0.75)
    weight: AdaptiveWeight = AdaptiveWeight()
    own_tangent: bool = False
    teacher: Teacher = SampleTeacher()

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = rectified(model)
        t, r = self.pairs(process, x, step)
        z = torch.randn_like(x)
        return self.weight(sum_squares(self.residual(model, x, z, (t, r), cond)))

    def residual(
        self,
        model: Denoiser,
        x: Data,
        z: Data,
        times: tuple[Tensor, Tensor],
        cond: Tensor | None = None,
    ) -> Data:
        """u - stopgrad(v - (t - r) du/dt) at x_t = (1 - t) x + t z, for the times (t, r)."""
        t, r = times
        x_t = rectified(model).perturb(x, z, t)
        v = along = velocity_of(self.teacher(x, cond), x, z, x_t, t)
        if self.own_tangent:
            with torch.no_grad():
                along = mean_velocity(model, x_t, t, t, cond)

        def mean(x_t: Tensor, t: Tensor) -> Tensor:
            return mean_velocity(model, x_t, t, r, cond)

        u, du = jvp(mean, (x_t, t), (along, torch.ones_like(t)))  # r stays: t - r grows with t
        return u - (v - expand(t - r, x) * du)

    def check(self, model: Denoiser, x: Data, cond: Tensor | None, spread: float | None) -> None:
        rectified(model)
        _, _, c_in, c_noise = model.precond(t := x.new_full((len(x),), 0.5))
        told = model.time_input(c_noise, t / 2)
        check_forward(model.net, expand(c_in, x) * x, told, cond)
