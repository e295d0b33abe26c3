"""Model: a network F with a preconditioning (c_skip, c_out, c_in, c_noise) is a denoiser.

    D(x_t, t) = c_skip(t) x_t + c_out(t) F(c_in(t) x_t, c_noise(t))

A denoiser E[x | x_t] and a consistency function f(x_t, t) have the same signature, so teacher,
student, target and sampler share one type. The preconditioning says which process t belongs to.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from .ingredients import ingredient
from .ops import expand
from .process import Process, RectifiedFlow, TrigFlow, VarianceExploding
from .types import Data, Denoise, Positive, Time, Times


@runtime_checkable
class Model(Protocol):
    """A denoiser or consistency function and its process: what methods and samplers need."""

    @property
    def process(self) -> Process: ...

    def __call__(self, x_t: Data, t: Time, cond: Tensor | None = None) -> Data: ...


Coefficients = tuple[Time, Time, Time, Time]  # c_skip, c_out, c_in, c_noise
TimeInput = Callable[[Process, Time], Time]  # t -> c_noise, the network's time input


def quarter_log(level: Time) -> Time:
    """EDM's time input c_noise = ln(σ)/4, kept finite at σ = 0.

    There c_out is 0 and F does not count, but 0 · inf would be NaN.
    """
    return level.clamp_min(1e-8).log() / 4


class Precond(ABC):
    """A preconditioning: the four coefficients of a parametrisation, for one process."""

    @property
    @abstractmethod
    def process(self) -> Process: ...

    @abstractmethod
    def __call__(self, t: Time) -> Coefficients:
        """c_skip, c_out, c_in and c_noise at time t, each (b,)."""


@ingredient
@dataclass(frozen=True)
class EDMPrecond(Precond):
    """EDM's preconditioning; D(x, 0) = x. Karras et al. 2022, Table 1."""

    sigma_data: Positive = 0.5

    @property
    def process(self) -> Process:
        return VarianceExploding()

    def __call__(self, t: Time) -> Coefficients:
        s2 = self.sigma_data**2
        norm = (t**2 + s2).sqrt()
        return s2 / norm**2, t * self.sigma_data / norm, 1 / norm, quarter_log(t)


@ingredient
@dataclass(frozen=True)
class CMPrecond(Precond):
    """The consistency models' preconditioning: EDM's, shifted so that f(x, σ_min) = x exactly.

    Song et al. 2023, Appendix C.
    The root in c_out has t², not (t - σ_min)². The authors' PyTorch code multiplies c_noise by
    1000 to suit its embedding; here, as in their JAX code, it is ln(t)/4.
    """

    sigma_data: Positive = 0.5
    sigma_min: Positive = 0.002

    @property
    def process(self) -> Process:
        return VarianceExploding()

    def __call__(self, t: Time) -> Coefficients:
        s2, shifted = self.sigma_data**2, t - self.sigma_min
        norm = (t**2 + s2).sqrt()
        return (s2 / (shifted**2 + s2), shifted * self.sigma_data / norm, 1 / norm, quarter_log(t))


@ingredient
@dataclass(frozen=True)
class Angle:
    """Time input c_noise = t, for which dF/dt stays bounded. Lu & Song 2025, Sec. 4.1."""

    def __call__(self, process: Process, t: Time) -> Time:
        return t.clone()  # a network may work in place on its inputs: that must not change t


@ingredient
@dataclass(frozen=True)
class QuarterLog:
    """Time input c_noise = ln(σ)/4, EDM's; dc_noise/dt grows like 1/(4 sin t cos t)."""

    def __call__(self, process: Process, t: Time) -> Time:
        return quarter_log(process.level(t))


@ingredient
@dataclass(frozen=True)
class TrigPrecond(Precond):
    """TrigFlow's preconditioning D = cos(t) x_t - sin(t) σ_d F(x_t/σ_d, c_noise(t)).

    Lu & Song 2025, Sec. 3.

    Raises:
        ValueError: when called with a t outside [0, π/2].
    """

    sigma_data: Positive = 0.5
    c_noise: TimeInput = Angle()

    @cached_property
    def process(self) -> TrigFlow:
        return TrigFlow(self.sigma_data)

    def __call__(self, t: Time) -> Coefficients:
        self.process.check(t)
        inverse = torch.full_like(t, 1 / self.sigma_data)
        return t.cos(), -self.sigma_data * t.sin(), inverse, self.c_noise(self.process, t)


@ingredient
@dataclass(frozen=True)
class VelocityPrecond(Precond):
    """The velocity parametrisation D = x_t - t F of rectified flow: F is a velocity, z - x.

    For a flow map F(x_t, t, s) is the mean velocity of the jump. MeanFlow, arXiv:2505.13447.
    """

    @property
    def process(self) -> RectifiedFlow:
        return RectifiedFlow()

    def __call__(self, t: Time) -> Coefficients:
        one = torch.ones_like(t)
        return one, -t, one, t.clone()


@ingredient
@dataclass(frozen=True)
class UnitVariance(Precond):
    """EDM's preconditioning derived for any process: F has unit variance in and out, least c_out.

    With v = α² σ_d² + σ²: c_skip = α σ_d²/v, c_out = σ σ_d/√v, c_in = 1/√v. On `EDM` it is
    EDMPrecond; on `TrigFlow` it is TrigPrecond with F -> -F and EDM's time input.
    """

    sigma_data: Positive
    on: Process

    @property
    def process(self) -> Process:
        return self.on

    def __call__(self, t: Time) -> Coefficients:
        alpha, sigma = self.on(t)
        v = (alpha * self.sigma_data) ** 2 + sigma**2
        c_out = sigma * self.sigma_data / v.sqrt()
        return alpha * self.sigma_data**2 / v, c_out, 1 / v.sqrt(), quarter_log(sigma / alpha)


class Denoiser(nn.Module):
    """A network F inside a preconditioning: (x_t, t, cond) -> D(x_t, t), an estimate of x.

    A network that embeds two times (`nets.embedding.TwoTimes`) makes it a flow map, see
    methods/flow_map.py: asked with an end time s it answers g(x_t, t, s), and without one
    g(x_t, t, 0), a consistency function.

    Args:
        net: F, called with (c_in x_t, c_noise, cond); c_noise is (b,). With two times it is
            (b, 2): c_noise of t, and by how much that of s is smaller.
        precond: the coefficients, and the process whose time t is.
    """

    def __init__(self, net: nn.Module, precond: Precond) -> None:
        super().__init__()
        self.net = net
        self.precond = precond
        self.two_times = any(getattr(part, "two_times", False) for part in net.modules())

    @property
    def process(self) -> Process:
        return self.precond.process

    def raw(self, x_t: Data, t: Time, cond: Tensor | None = None, s: Time | None = None) -> Data:
        """The network's output F(c_in x_t, c_noise); under TrigFlow, σ_d F is the velocity."""
        _, _, c_in, c_noise = self.precond(t)
        told = self.time_input(c_noise, s)
        return self.net(expand(c_in, x_t) * x_t, told, cond).to(x_t.dtype)

    def forward(
        self, x_t: Data, t: Time, cond: Tensor | None = None, s: Time | None = None
    ) -> Data:
        c_skip, c_out, c_in, c_noise = self.precond(t)
        told = self.time_input(c_noise, s)
        F = self.net(expand(c_in, x_t) * x_t, told, cond).to(x_t.dtype)
        return expand(c_skip, x_t) * x_t + expand(c_out, x_t) * F

    def time_input(self, c_noise: Time, s: Time | None) -> Times:
        """What the network is told of the time t, and of the end time s if it takes one."""
        if self.two_times:
            end = torch.zeros_like(c_noise) if s is None else s
            return torch.stack([c_noise, c_noise - self.precond(end)[3]], dim=1)
        if s is not None:
            raise ValueError(
                "this network takes one time; build it with embed=TwoTimes() for a flow map"
            )
        return c_noise


def conditioned(model: Model, cond: Tensor | None) -> Denoise:
    """The model as a function of (x_t, t), with its labels (b,) filled in.

    That of a flow map takes the end time too, as `s`.
    """
    if not getattr(model, "two_times", False):
        return lambda x_t, t: model(x_t, t, cond)
    jumps = cast(Denoiser, model)
    return lambda x_t, t, s=None: jumps(x_t, t, cond, s)


# A trained denoiser in another process's time: wrapped, or its network under new coefficients


class ProcessAdapter(nn.Module):
    """A trained denoiser as a function of another process's x_t and t.

    It converts x_t and t to those of the model's own process, at the same noise level.
    """

    def __init__(self, model: Model, process: Process) -> None:
        super().__init__()
        self.model = model
        self.process = process

    def forward(self, x_t: Data, t: Time, cond: Tensor | None = None) -> Data:
        native = self.model.process
        alpha_t, _ = self.process(t)
        s = native.time(self.process.level(t))
        alpha_s, _ = native(s)
        return self.model(expand(alpha_s / alpha_t, x_t) * x_t, s, cond)


def carried(model: Denoiser, precond: Precond) -> Denoiser:
    """Convert a trained denoiser to another preconditioning: a copy with the same network.

    Between EDM and TrigFlow it stays the same function of data and noise: the network's input is
    the same, since c_in(σ) x_σ = x_t / σ_d, and F_trig = -F_edm (Lu & Song 2025, App. B), so the
    last layer changes its sign. TrigFlow must then use the time input ln(σ)/4, which the network
    was trained on; a network trained on the angle cannot be converted back.

    Raises:
        ValueError: if a TrigFlow preconditioning is involved and this does not hold.
    """
    net, old = deepcopy(model.net), model.precond
    if same(old, precond) or same(precond, old):
        negate(net)
    elif isinstance(old, TrigPrecond) != isinstance(precond, TrigPrecond) or (
        isinstance(old, TrigPrecond) and old != precond
    ):
        raise ValueError(
            f"a network trained with {old} cannot be carried over to {precond}: both must have "
            f"one sigma_data and TrigFlow c_noise = QuarterLog(); or wrap it in ProcessAdapter"
        )
    return Denoiser(net, precond)


def same(edm: Precond, trig: Precond) -> bool:
    """Whether these are EDM's and TrigFlow's with the same network input and time input."""
    return isinstance(edm, EDMPrecond) and trig == TrigPrecond(edm.sigma_data, QuarterLog())


@torch.no_grad()
def negate(net: nn.Module) -> None:
    """F -> -F, in place, by the sign of the last layer's weights."""
    *_, layer = net.get_submodule("last").modules()
    for weight in layer.parameters():
        weight.neg_()
