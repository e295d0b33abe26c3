"""Flow map X(x_t, t -> s): where the path through x_t at time t is at the earlier time s.

A flow map is a denoiser that is asked with two times (`nets.embedding.TwoTimes`). Its answer
g(x_t, t, s) is the data estimate with which one DDIM step from t lands on the path at s:

    X(x_t, t -> s) = transport(x_t, g(x_t, t, s), t -> s)

g is the same function in every process: CTM's g under EDM, x_t - t u with MeanFlow's mean velocity
u under rectified flow, cos(t) x_t - sin(t) σ_d F under TrigFlow. At s = t it is the denoiser
E[x | x_t], at s = 0 the consistency function, so the methods of either train a face of it.
Four conditions tie the rest to the diagonal; X is the flow map where one of them holds:

    Eulerian      move the start along its path and X stays:  ∂_t X + v(x_t, t) · ∂_x X = 0
    Lagrangian    move the end and X follows the velocity:    ∂_s X = v(X, s)
    semigroup     two jumps are one:                          X(X(x_t, t -> m), m -> s)
    distribution  X of x_t has the distribution of x_s

Methods of this family use rectified flow, x_t = (1 - t) x + t z. Some papers count time from the
noise; each method's file says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..model import Denoiser
from ..noise_levels import LogNormal
from ..ops import expand
from ..process import Process, RectifiedFlow
from ..types import Data, Denoise, Positive, Share, Time


def jump(model: Denoiser, x_t: Data, t: Time, s: Time, cond: Tensor | None = None) -> Data:
    """Jump of a flow map, X(x_t, t -> s), in one network call.

    Args:
        model: a denoiser whose network takes two times.
        x_t: noisy data at time t.
        t: where the jump starts (b,), in the time of the model's process.
        s: where it ends (b,).
        cond: conditioning.
    """
    return model.process.transport(x_t, model(x_t, t, cond, s), t, s)


def land(process: Process, g: Denoise, x_t: Data, t: Time, s: Time) -> Data:
    """As `jump`, for a flow map with its labels filled in, such as a target."""
    return process.transport(x_t, cast(Callable[..., Tensor], g)(x_t, t, s=s), t, s)


def mean_velocity(
    model: Denoiser, x_t: Data, t: Time, s: Time, cond: Tensor | None = None
) -> Data:
    """Mean velocity u(x_t, t, s) = (x_t - X) / (t - s) of a jump under rectified flow.

    It is (x_t - g) / t, whatever s is, and at s = t the velocity v(x_t, t) = E[z - x | x_t]. With
    `VelocityPrecond` it is the network's output.
    """
    c_skip, c_out, _, _ = model.precond(t)
    F, t = model.raw(x_t, t, cond, s), t.clamp_min(1e-8)  # 0/0 at t = 0, where nothing moves
    return expand((1 - c_skip) / t, x_t) * x_t - expand(c_out / t, x_t) * F


def velocity_of(teacher: Denoise, x: Data, z: Data, x_t: Data, t: Time) -> Data:
    """The velocity (x_t - D(x_t, t)) / t of a teacher under rectified flow, for x_t of x and z.

    It is z - x, without rounding, where D(x_t, t) = x, as that of `SampleTeacher`.
    """
    return z - x + (x - teacher(x_t, t)) / expand(t, x).clamp_min(1e-8)


def some(
    which: Tensor, x_t: Tensor, t: Tensor, s: Tensor, cond: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The samples of a batch where `which` (b,) is true."""
    return x_t[which], t[which], s[which], None if cond is None else cond[which]


def rectified(model: Denoiser) -> RectifiedFlow:
    """The process of a flow map under rectified flow.

    Raises:
        TypeError: for a model of another process or of a single time, saying what to change.
    """
    if not model.two_times:
        raise TypeError("this loss trains a flow map: give the network embed=TwoTimes()")
    if not isinstance(model.process, RectifiedFlow):
        raise TypeError(
            f"this loss is written for rectified flow, not {model.process}: take "
            f"precond=VelocityPrecond() or UnitVariance(sigma_data, RectifiedFlow())"
        )
    return model.process


# Times: a distribution of t that is uniform, and pairs t >= s of which a share is the diagonal


@ingredient
@dataclass(frozen=True)
class UniformTime:
    """Noise levels whose rectified-flow time t = σ / (1 + σ) is uniform on (0, 1).

    The logit-normal t of the papers is `LogNormal`: ln σ = ln t/(1 - t).

    Args:
        stratified: a batch of n has one t in each of n intervals of equal length, in random order.
            Each t is still uniform, and the loss of a batch varies less. Kingma et al. 2021 (VDM).
    """

    stratified: bool = False

    def sample(self, x: Data) -> Time:
        """One level for each sample of x."""
        t = torch.rand(len(x), device=x.device, dtype=torch.float64)
        if self.stratified:
            t = (torch.randperm(len(x), device=x.device) + t) / len(x)
        t = t.clamp(1e-6, 1 - 1e-6)
        return (t / (1 - t)).to(x.dtype)

    def masses(self, levels: Tensor) -> Tensor:
        return RectifiedFlow().time(levels.double()).diff()


@ingredient
@dataclass(frozen=True)
class FlowMapPairs:
    """Pairs t >= s for flow maps: two draws, sorted; the first share of a batch has s = t.

    Papers name this share or its opposite: 0.75 is MeanFlow's "data proportion" on ImageNet, and
    1 - 0.75 in its CIFAR-10 code, whose `ratio` is the share off the diagonal.

    Args:
        proposal: distribution of the noise levels of both.
        diagonal: share of the batch with s = t.
        of_the_later: on the diagonal t is the later of two draws, as in MeanFlow's JAX code and
            in improved MeanFlow; otherwise it is a single draw. The later of two is rarely small.
    """

    proposal: UniformTime | LogNormal = UniformTime()
    diagonal: Share = 0.75
    of_the_later: bool = False

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        a, b = (process.time(self.proposal.sample(x)) for _ in range(2))
        t, s = torch.maximum(a, b), torch.minimum(a, b)
        same = torch.arange(len(x), device=x.device) < round(self.diagonal * len(x))
        t = torch.where(same, t if self.of_the_later else a, t)
        return t, torch.where(same, t, s)


def steps_of(count: Tensor, x: Data) -> tuple[Time, Time]:
    """One of `count` even steps (b,) from 1 to 0 for each sample, drawn evenly."""
    left = 1 + (torch.rand(len(x), device=x.device) * count).floor()
    return (left / count).to(x.dtype), ((left - 1) / count).to(x.dtype)


@ingredient
@dataclass(frozen=True)
class Jumps:
    """Flow map sampler: n calls are n jumps along the path, even in rectified-flow time.

    Nothing is added on the way, in contrast to `sampling.FewSteps`.

    Args:
        sigma_max: noise level at which it starts; 1e4 is t = 0.9999.
    """

    sigma_max: Positive = 1e4

    def __call__(self, process: Process, denoise: Denoise, z: Data, calls: int) -> Data:
        """Samples (b, *d) from standard normal noise z, after `calls` network calls.

        `denoise` has to be a flow map, or one with its labels filled in (`model.conditioned`).
        """
        last = self.sigma_max / (1 + self.sigma_max)
        even = torch.linspace(last, 0, calls + 1, dtype=torch.float64)
        times = process.time(even / (1 - even)).to(z)
        _, sigma = process(times[:1])
        x = sigma * z
        for t, s in zip(times[:-1], times[1:], strict=True):
            x = land(process, denoise, x, t.repeat(len(x)), s.repeat(len(x)))
        return x
