"""Continuous-time consistency models (Lu & Song 2025, arXiv:2410.11081, Algorithm 1).

    sample x, z and τ ~ N(P_mean, P_std²); t = arctan(e^τ / σ_d), x_t = cos(t) x + sin(t) σ_d z
    dx_t/dt = cos(t) σ_d z - sin(t) x (sCT), or σ_d F of a teacher (sCD)
    g = -cos²(t) (σ_d F_θ⁻ - dx_t/dt) - r cos(t) sin(t) (x_t + σ_d dF_θ⁻/dt),  θ⁻ = stopgrad(θ)
    g ← g / (‖g‖ + c)
    L(θ, φ) = e^{w_φ(t)} / D ‖F_θ(x_t/σ_d, t) - F_θ⁻ - g‖² - w_φ(t)

Code `warmup` is the paper's r, which grows from 0 to 1. Times are TrigFlow's angles, in radians.
g is cos(t) df_θ⁻/dt: the prior weight 1/(σ_d tan t) is inside, once. With an even weight the
loss's value is ‖bound(g)‖² / D, whatever the model: only its gradient is informative. With
`BackwardDifference` it is the discrete loss of App. E, which writes dx/dt = F of the teacher,
without σ_d (a mistake). Guidance of the teacher is left out.

Paper against code: in the paper sCT, too, starts from a trained diffusion model (Algorithm 1);
here that is the recipe's `start`, which `toy.sct` lacks. The authors released no code. Two others
have, and `benchmarks/fidelity.py` compares with them:
- FastGen's loss is this one where its options are off. By default it has a root mean square for
  ‖g‖ (here `UnitRMS`; the paper's norm is the default), a factor 1/σ_t and a second division by D.
  With dropout it draws a second dropout mask for the tangent; here the tangent has the mask of F.
- rCM's is 100 D times this one with an even weight once the warm-up is over. During it the first
  factor is cos t √(1 - r² sin² t) in place of cos² t, and r multiplies x_t but not dF/dt. With
  differences in place of dF/dt it keeps cos t sin t of the later time; App. E, followed by
  `BackwardDifference`, has those of the earlier.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import isclose

import torch
from torch import Tensor, nn

from ..ingredients import ingredient
from ..model import Denoiser
from ..nets.embedding import Embed, Positional, Waves
from ..nets.forward_mode import check_forward
from ..noise_levels import LogNormal, SameTime
from ..ops import again, chord, expand, jvp, sum_squares
from ..process import TrigFlow
from ..schedules import Warmup
from ..teacher import NetworkTeacher, OracleTeacher, SampleTeacher, Stateful
from ..train.nonfinite import finite_tangent
from ..types import (
    Bound,
    Data,
    Denoise,
    LossWeighting,
    Pairs,
    PerSample,
    Positive,
    Prior,
    ShareSchedule,
    Teacher,
    Time,
)
from .base import Method

# The loss weighting over time: constant, or learned


@ingredient
@dataclass(frozen=True)
class ConstantWeight:
    """The constant loss weighting: the loss unchanged."""

    def __call__(self, t: Time, loss: PerSample) -> PerSample:
        return loss


class LogWeight(nn.Module):
    """The log-weight w_φ(t) (b,): one linear layer on a time embedding; 0 before training."""

    def __init__(self, embed: Embed) -> None:
        super().__init__()
        self.waves = Waves(embed)
        self.linear = nn.Linear(self.waves.width, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, t: Time) -> PerSample:
        return self.linear(self.waves(t))[:, 0]


@ingredient
@dataclass(eq=False)
class LearnedWeight(Stateful):
    """The learned loss weighting e^{w_φ(t)} loss - w_φ(t).

    The best w_φ(t) is -ln E[loss | t], by which each time counts alike. Karras et al. 2024 (EDM2)
    for diffusion; Lu & Song 2025, Sec. 4.2. In the paper w_φ takes the network's own time
    embedding; here it has one of its own.

    Args:
        embed: the time embedding.
    """

    embed: Embed = Positional(16)
    network: nn.Module | None = field(default=None, init=False, repr=False)

    def __call__(self, t: Time, loss: PerSample) -> PerSample:
        if self.network is None:
            raise RuntimeError(
                "the weight has no network yet; call loss_weighting.attach(model) first"
            )
        w = self.network(t).to(loss.dtype)
        return w.exp() * loss - w

    def attach(self, model: nn.Module) -> None:
        like = next(model.parameters())
        with torch.random.fork_rng([]):  # the layer is zeroed: its random init must not count
            self.network = LogWeight(self.embed).to(like.device, like.dtype)

    def update(self, model: nn.Module, step: int) -> None:
        pass

    def networks(self) -> dict[str, nn.Module]:
        return {} if self.network is None else {"weight": self.network}


# What sCM requires of a model: TrigFlow, the data's sigma_data, a network with a derivative


def trigflow(model: Denoiser) -> TrigFlow:
    """The model's process. Raises TypeError unless it is TrigFlow."""
    if not isinstance(model.process, TrigFlow):
        raise TypeError(
            f"SCM is written for TrigFlow, not {model.process}; build the model with TrigPrecond, "
            f"or convert a trained one with cmlab.model.carried"
        )
    return model.process


def check_process(process: TrigFlow, spread: float | None, teacher: Teacher) -> None:
    """Raise ValueError if sigma_data is not the data's, or the teacher has another process."""
    if spread is not None and not isclose(process.sigma_data, spread, rel_tol=0.05):
        raise ValueError(
            f"the data have standard deviation {spread:.4g} and TrigFlow has sigma_data = "
            f"{process.sigma_data:.4g}; build the model with TrigPrecond({spread:.4g})"
        )
    other = None
    if isinstance(teacher, OracleTeacher):
        other = teacher.process
    elif isinstance(teacher, NetworkTeacher):
        other = teacher.network.process
    if other not in (None, process):
        raise ValueError(
            f"the teacher is made for {other} and the student for {process}; wrap the teacher in "
            f"ProcessAdapter, or give OracleTeacher the student's process"
        )


def check_derivative(model: Denoiser, x: Data, cond: Tensor | None) -> None:
    """Raise TypeError, naming the layer, for a network without forward-mode derivatives."""
    t = x.new_full((len(x),), 0.5)
    _, _, c_in, c_noise = model.precond(t)
    otherwise = "take differences: derivative=CentralDifference()"
    check_forward(model.net, expand(c_in, x) * x, c_noise, cond, otherwise)


# The tangent: the derivative dF/dt, the prior weight, and the bound on its norm


class TimeDerivative(ABC):
    """The time derivative of the network along the PF-ODE, scale · dF/dt."""

    @abstractmethod
    def earlier(self, t: Time) -> Time:
        """The second time r ≤ t at which F is evaluated; t itself for a derivative."""

    @abstractmethod
    def __call__(
        self, F: Denoise, x_t: Data, t: Time, dx_t: Data, scale: Time
    ) -> tuple[Data, Data]:
        """F(x_t, t) with its graph, and scale · dF/dt as a constant.

        Args:
            F: the network, (x_t, t) -> F.
            x_t: noisy data.
            t: angles, in radians.
            dx_t: the velocity dx_t/dt.
            scale: the factor on the derivative (b,).
        """


@ingredient
@dataclass(frozen=True)
class JVP(TimeDerivative):
    """dF/dt by a Jacobian-vector product (JVP) in forward mode. Lu & Song 2025, Sec. 5.1.

    The scale is applied to the tangents of x and t, so that the product of a small scale and a
    large dF/dt is formed inside and does not overflow.
    """

    def earlier(self, t: Time) -> Time:
        return t

    def __call__(
        self, F: Denoise, x_t: Data, t: Time, dx_t: Data, scale: Time
    ) -> tuple[Data, Data]:
        return jvp(F, (x_t, t), (expand(scale, x_t) * dx_t, scale))


@ingredient
@dataclass(frozen=True)
class CentralDifference(TimeDerivative):
    """dF/dt by central differences of F at x_t ± h dx_t and t ± h, for networks without a JVP.

    Near the ends of [0, π/2] the scale cos t sin t keeps t ± h inside.

    Args:
        step: h divided by the scale, in radians.
    """

    step: Positive = 1e-2

    def earlier(self, t: Time) -> Time:
        return t

    def __call__(
        self, F: Denoise, x_t: Data, t: Time, dx_t: Data, scale: Time
    ) -> tuple[Data, Data]:
        return chord(F, (x_t, t), (expand(scale, x_t) * dx_t, scale), self.step)


@ingredient
@dataclass(frozen=True)
class BackwardDifference(TimeDerivative):
    """dF/dt by a backward difference, the discrete loss of App. E, with no derivative at all.

    (cos δ F(x_t, t) - F(x_r, r)) / sin δ with δ = t - r, and x_r a DDIM step from x_t. Its limit
    for δ -> 0 is dF/dt.

    Args:
        gap: δ, in radians.
    """

    gap: Positive = 1e-3

    def earlier(self, t: Time) -> Time:
        return (t - self.gap).clamp_min(0)

    def __call__(
        self, F: Denoise, x_t: Data, t: Time, dx_t: Data, scale: Time
    ) -> tuple[Data, Data]:
        r = self.earlier(t)
        cos, sin = expand((t - r).cos(), x_t), expand((t - r).sin(), x_t)
        with torch.no_grad():
            F_r = again(F, cos * x_t - sin * dx_t, r)
        F_t = F(x_t, t)
        return F_t, expand(scale, x_t) * (cos * F_t.detach() - F_r) / sin


@ingredient
@dataclass(frozen=True)
class InverseTan:
    """The prior weight w(t) = 1 / (σ_d tan t), so c(t) = w σ_d sin t = cos t. Sec. 4.2."""

    def __call__(self, t: Time, sigma_data: float) -> Time:
        return t.cos()


@ingredient
@dataclass(frozen=True)
class UnitPrior:
    """The constant prior weight w(t) = 1, so c(t) = σ_d sin t."""

    def __call__(self, t: Time, sigma_data: float) -> Time:
        return sigma_data * t.sin()


@ingredient
@dataclass(frozen=True)
class UnitNorm:
    """Tangent normalisation g / (‖g‖ + c), with the norm of a whole sample. Algorithm 1."""

    c: Positive = 0.1

    def __call__(self, g: Data) -> Data:
        return g / (expand(sum_squares(g).sqrt(), g) + self.c)


@ingredient
@dataclass(frozen=True)
class UnitRMS:
    """Tangent normalisation g / (rms(g) + c), so that the effect of c is the same at every size.

    As in a public reimplementation (FastGen).
    """

    c: Positive = 0.1

    def __call__(self, g: Data) -> Data:
        return g / (expand((sum_squares(g) / g[0].numel()).sqrt(), g) + self.c)


@ingredient
@dataclass(frozen=True)
class Clip:
    """Tangent clipping: each number of g to [-limit, limit], the paper's alternative. Sec. 4.2."""

    limit: Positive = 1.0

    def __call__(self, g: Data) -> Data:
        return g.clamp(-self.limit, self.limit)


@ingredient
@dataclass(frozen=True)
class Unbounded:
    """No bound on the tangent: g unchanged."""

    def __call__(self, g: Data) -> Data:
        return g


@ingredient
@dataclass(eq=False)
class SCM(Method):
    """Continuous-time consistency training (sCT), or distillation (sCD) with a teacher.

    Args:
        teacher: gives dx_t/dt; `SampleTeacher` is sCT.
        pairs: draws the time t of each sample; its r is t.
        derivative: the time derivative dF/dt.
        prior: c(t), the prior weight times σ_d sin t.
        warmup: the schedule of the paper's r, from 0 to 1.
        bound: the normalisation of the tangent g.
        loss_weighting: the loss weighting over t.
    """

    teacher: Teacher = SampleTeacher()
    pairs: Pairs = SameTime(LogNormal(-1.0, 1.4))
    derivative: TimeDerivative = JVP()
    prior: Prior = InverseTan()
    warmup: ShareSchedule = Warmup(10_000)
    bound: Bound = UnitNorm(0.1)
    loss_weighting: LossWeighting = field(default_factory=LearnedWeight)

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = trigflow(model)
        t, _ = self.pairs(process, x, step)
        x_t = process.perturb(x, torch.randn_like(x), t)
        dx_t = process.velocity(x_t, self.teacher(x, cond)(x_t, t), t)

        F, g = self.tangent(model, x_t, t, dx_t, step, cond)
        g = self.bound(finite_tangent(g, process.level(t), step))
        return self.loss_weighting(t, sum_squares(F - F.detach() - g) / x[0].numel())

    def tangent(
        self,
        model: Denoiser,
        x_t: Data,
        t: Time,
        dx_t: Data,
        step: int,
        cond: Tensor | None = None,
    ) -> tuple[Data, Data]:
        """F with its graph, and the tangent g = c(t) df/dt before it is normalised.

        Args:
            model: the student, under TrigFlow.
            x_t: noisy data.
            t: angles, in radians.
            dx_t: the velocity dx_t/dt.
            step: for the warm-up, the paper's r.
            cond: conditioning.
        """
        sigma_data, r = trigflow(model).sigma_data, self.derivative.earlier(t)
        c = self.prior(t, sigma_data)  # cos(t)
        cc, cs = c * r.cos(), c * r.sin()  # cos²(t), cos(t) sin(t)
        # dF is cs · dF/dt
        F, dF = self.derivative(lambda x_t, t: model.raw(x_t, t, cond), x_t, t, dx_t, cs)

        g = -expand(cc, x_t) * (sigma_data * F.detach() - dx_t)
        return F, g - self.warmup(step) * (expand(cs, x_t) * x_t + sigma_data * dF)

    def check(self, model: Denoiser, x: Data, cond: Tensor | None, spread: float | None) -> None:
        check_process(trigflow(model), spread, self.teacher)
        if isinstance(self.derivative, JVP):
            check_derivative(model, x, cond)
