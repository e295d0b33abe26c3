"""Distribution matching distillation (DMD; Yin et al. 2023, arXiv:2311.18828), without regression.

    y = f_θ(σ_max z), one call;  sample τ, y_τ = y with noise
    g = (D_fake(y_τ, τ) - D_teacher(y_τ, τ)) / mean |y - D_teacher|       (eq. 7, 8)
    L(θ) = ½ ‖y - stopgrad(y - g)‖²;   L(fake) = λ(τ) ‖D_fake(y_τ, τ) - stopgrad(y)‖²

A baseline. The gradient is that of the KL divergence between the noised distributions of the
samples and of the teacher, averaged over noise levels. Like Drifting it asks for the distribution
and not for the map. D_fake is a denoiser of the generator's samples, trained along with it, from a
copy of the student.

Paper against this: the paper adds a regression to the ends of the teacher's paths, for stability,
which DMD2 (arXiv:2405.14867) leaves out, as here; DMD2 then trains D_fake five times for each step
of the generator, here once. rCM (arXiv:2510.08431) is SCM's loss with this one beside it: `RCM`.
Its code has the weight 1 for both, the latter in one step of five.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from ..ingredients import ingredient
from ..losses import SquaredL2, Uniform
from ..model import Denoiser
from ..noise_levels import At, DenoisingPairs
from ..ops import expand, sum_squares
from ..teacher import Stateful
from ..types import Data, NonNegative, Pairs, PerSample, Teacher, Weight
from .base import Method
from .scm import SCM


@ingredient
@dataclass(eq=False)
class FakeDenoiser(Stateful):
    """The denoiser of generated samples: a copy of the student, trained on what it generates."""

    network: nn.Module | None = field(default=None, init=False, repr=False)

    def __call__(self, y_t: Data, t: Tensor, cond: Tensor | None) -> Data:
        if self.network is None:
            raise RuntimeError("there is no network yet; call fake.attach(model) first")
        model = cast(Denoiser, self.network)
        return model(y_t, t, cond, t if model.two_times else None)

    def attach(self, model: nn.Module) -> None:
        self.network = deepcopy(model).requires_grad_(True).train()

    def update(self, model: nn.Module, step: int) -> None:
        pass

    def networks(self) -> dict[str, nn.Module]:
        return {} if self.network is None else {"fake": self.network}


@ingredient
@dataclass(eq=False)
class DMD(Method):
    """Distribution matching distillation of a teacher into a generator of one call.

    Args:
        teacher: the denoiser of the data.
        fake: the denoiser of the generator's samples.
        pairs: gives the noise level at which the generator is asked.
        levels: draws the noise levels at which distributions are compared.
        weight: λ of the fake denoiser's loss.
    """

    teacher: Teacher
    fake: FakeDenoiser = field(default_factory=FakeDenoiser)
    pairs: Pairs = At(1e4)
    levels: Pairs = DenoisingPairs()
    weight: Weight = Uniform()

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        t, _ = self.pairs(process, x, step)
        y = model(expand(process(t)[1], x) * torch.randn_like(x), t, cond)
        tau, end = self.levels(process, x, step)
        y_tau = process.perturb(y.detach(), torch.randn_like(x), tau)
        fake = self.fake(y_tau, tau, cond)
        with torch.no_grad():
            real = self.teacher(x, cond)(y_tau, tau)
            size = expand((y - real).flatten(1).abs().mean(1), x).clamp_min(1e-8)
            aim = y - (fake - real) / size
        learns = self.weight(tau, end) * SquaredL2()(fake, y.detach())
        return sum_squares(y - aim) / 2 + learns


@ingredient
@dataclass(eq=False)
class RCM(Method):
    """Score-regularised consistency model: sCM's loss, and DMD's beside it.

    Args:
        scm: the consistency loss.
        dmd: the loss of the distributions, of the same process and teacher.
        share: the factor of the latter.
    """

    scm: SCM
    dmd: DMD
    share: NonNegative = 1.0

    def __post_init__(self) -> None:
        self.pairs = self.scm.pairs

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        both = self.scm.loss(model, x, step, cond), self.dmd.loss(model, x, step, cond)
        return both[0] + self.share * both[1]

    def check(self, model: Denoiser, x: Data, cond: Tensor | None, spread: float | None) -> None:
        self.scm.check(model, x, cond, spread)
