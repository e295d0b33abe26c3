"""Faster training: a curriculum over noise levels and momentum decay (Xu et al. 2024).

"Towards Faster Training of Diffusion Models: An Inspiration of A Consistency Phenomenon"
(arXiv:2404.07946). CLTS is a curriculum over timesteps: nearly pure noise is easy to denoise, so
the paper trains on it less and less often. With τ the share of the run that is done, here

    sample x, z, u ~ p_τ(u) = (1 - τ) · 1 + τ · N(u; 0.3, 0.25²), N truncated to [0, 1]
    L(θ) = λ(σ) ‖D_θ(x + σ z, σ) - x‖²,  σ = the axis's level at u

The 0.3 alone does not say much. The paper's u is the timestep of a diffusion model over the
number of timesteps (`ProcessTime`); here u runs over the quantiles of the proposal that EDM uses
anyway (`Quantiles`), so that the uniform start is EDM, to the bit, and what is measured is the
curriculum and not a change of axis.

MDLRC is momentum decay with learning-rate compensation:

    β(τ) = β0 (1 - τ) / ((1 - β0) + β0 (1 - τ)),  so that β / (1 - β) = (1 - τ) β0 / (1 - β0)
    rate = rate0 (1 - β0) / (1 - β),              so that rate · (1 - β) stays as it was

In Adam's kind of average, m ← β m + (1 - β) g, a new gradient enters with rate · (1 - β), and all
that it adds later is β / (1 - β) times as much. So by the first line this later effect falls
linearly to 0, and by the second the immediate effect of a gradient stays as it was. In a heavy
ball, v ← β v + g, it enters with rate, and does rate / (1 - β) in sum: to keep that, the rate
would have to rise as β falls.

The paper's text was not at hand. Known are its abstract, three public reviews of an earlier
version ("Why Diffusion Models Are Stable and How to Make Them Faster"), and public code by
others.

CLTS: the mixture of a uniform distribution of timesteps and a bell at 0.3 of them is as reported
by a reimplementation (github.com/NUS-HPC-AI-Lab/SpeeD at f5650f9, with τ = step/50000), and a
review has 0.3 as the best of the values compared; the width 0.25 is ours. (In that code's
exponent T² is a factor instead of a divisor, so its bell is a single timestep.)

MDLRC: both formulas are as reported by public code that names the paper; the first is Demon's
(Chen et al. 2019). A review quotes that a decay of the momentum alone brings "over
amplification". That is so in Adam's average, where the weight 1 - β of a new gradient grows as β
falls, and not in a heavy ball; the compensation here is for Adam's average.
"""

from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..gaussian_mixture import require
from ..ingredients import ingredient
from ..noise_levels import LogNormal
from ..process import Process, VariancePreserving
from ..schedules import Warmup
from ..types import BelowOne, Data, MomentumSchedule, Natural, Range, Schedule, ShareSchedule, Time


@runtime_checkable
class Axis(Protocol):
    """A map from u in [0, 1], data to noise, to a noise level; KarrasGrid is one, too."""

    def at(self, u: Tensor) -> Tensor: ...


@ingredient
@dataclass(frozen=True)
class Quantiles:
    """The quantiles of a log-normal distribution of noise levels, so that uniform u is that one.

    Args:
        proposal: the distribution.
    """

    proposal: LogNormal = LogNormal(-1.2, 1.2)

    def at(self, u: Tensor) -> Tensor:
        normal = self.proposal
        low, high = normal.cdf(torch.tensor([normal.low, normal.high])).tolist()
        z = torch.special.ndtri((low + u.double() * (high - low)).clamp(1e-12, 1 - 1e-12))
        return (normal.mean + normal.std * z).exp()


@ingredient
@dataclass(frozen=True)
class ProcessTime:
    """The time of a process, such as DDPM's timestep over the number of timesteps.

    Args:
        process: the process whose time u is.
        first: the time at u = 0, where the level itself would be 0.
    """

    process: Process = VariancePreserving()
    first: BelowOne = 1e-3

    def at(self, u: Tensor) -> Tensor:
        return self.process.level(self.first + u.double() * (1 - self.first))


@runtime_checkable
class Density(Protocol):
    """A distribution of u on [0, 1]: its density, its CDF, and the inverse of the CDF."""

    def density(self, u: Tensor) -> Tensor: ...

    def cdf(self, u: Tensor) -> Tensor: ...

    def at(self, p: Tensor) -> Tensor: ...


@ingredient
@dataclass(frozen=True)
class UniformDensity:
    """The uniform distribution on [0, 1]."""

    def density(self, u: Tensor) -> Tensor:
        return torch.ones_like(u)

    def cdf(self, u: Tensor) -> Tensor:
        return u

    def at(self, p: Tensor) -> Tensor:
        return p


@ingredient
@dataclass(frozen=True)
class NormalDensity:
    """The normal distribution N(mean, std²) truncated to [0, 1]."""

    mean: Annotated[float, Range("[-10, 10]")] = 0.3
    std: Annotated[float, Range("[0.01, 100]")] = 0.25

    def __post_init__(self) -> None:
        low, high = self.ends()
        require(high - low > 1e-9, f"N({self.mean:g}, {self.std:g}²) has no mass in [0, 1]: give "
                "a mean in it, or a larger std")  # fmt: skip

    def phi(self, u: Tensor) -> Tensor:
        """The CDF of the normal distribution before it is truncated."""
        return torch.special.ndtr((u.double() - self.mean) / self.std)

    def ends(self) -> tuple[float, float]:
        """That CDF at 0 and at 1."""
        low, high = self.phi(torch.tensor([0.0, 1.0])).tolist()
        return low, high

    def density(self, u: Tensor) -> Tensor:
        (low, high), z = self.ends(), (u.double() - self.mean) / self.std
        return (-(z**2) / 2).exp() / (self.std * (2 * torch.pi) ** 0.5 * (high - low))

    def cdf(self, u: Tensor) -> Tensor:
        low, high = self.ends()
        return (self.phi(u) - low) / (high - low)

    def at(self, p: Tensor) -> Tensor:
        low, high = self.ends()
        return self.mean + self.std * torch.special.ndtri(low + p.double() * (high - low))


@ingredient
@dataclass(frozen=True)
class NoiseCurriculum:
    """CLTS, a curriculum over noise levels for denoising: u ~ p_τ = (1 - τ) first + τ last.

    Args:
        progress: the schedule τ, in [0, 1].
        last: the distribution of u at τ = 1.
        first: the distribution of u at τ = 0.
        axis: from u to a noise level.
    """

    progress: ShareSchedule = Warmup(4000)
    last: Density = NormalDensity()
    first: Density = UniformDensity()
    axis: Axis = Quantiles()

    def density(self, u: Tensor, step: int) -> Tensor:
        """The density p_τ(u) at this step."""
        tau = self.progress(step)
        return (1 - tau) * self.first.density(u) + tau * self.last.density(u)

    def cdf(self, u: Tensor, step: int) -> Tensor:
        """The CDF of p_τ at this step."""
        tau = self.progress(step)
        return (1 - tau) * self.first.cdf(u) + tau * self.last.cdf(u)

    def draw(self, v: Tensor, step: int) -> Tensor:
        """u ~ p_τ from uniform v on [0, 1]: v < τ draws from `last`, the rest from `first`."""
        tau = self.progress(step)
        late = self.last.at((v / max(tau, 1e-12)).clamp(0, 1))
        early = self.first.at(((v - tau) / max(1 - tau, 1e-12)).clamp(0, 1))
        return torch.where(v < tau, late, early)

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        v = torch.rand(len(x), device=x.device, dtype=torch.float64)
        level = self.axis.at(self.draw(v, step)).to(x.dtype)
        return process.time(level), process.time(torch.zeros_like(level))


# Momentum decay with learning-rate compensation: schedules


@ingredient
@dataclass(frozen=True)
class MomentumDecay:
    """MDLRC's schedule of the momentum β, from beta0 to 0 at `total` steps and after.

    β / (1 - β) falls linearly.
    """

    beta0: BelowOne = 0.9
    total: Natural = 4000

    def __call__(self, step: int) -> float:
        left = 1 - min(step / self.total, 1.0) if self.total else 0.0
        return self.beta0 * left / ((1 - self.beta0) + self.beta0 * left)


@ingredient
@dataclass(frozen=True)
class Compensation:
    """MDLRC's factor on the learning rate, (1 - β(0)) / (1 - β(k)) for a momentum schedule β.

    With `MomentumDecay` it is a straight line, 1 - β0 τ.
    """

    momentum: MomentumSchedule = MomentumDecay()

    def __call__(self, step: int) -> float:
        return (1 - self.momentum(0)) / (1 - self.momentum(step))


@ingredient
@dataclass(frozen=True)
class ScheduleProduct:
    """The product of two schedules, such as a warm-up and a compensation."""

    a: Annotated[Schedule, Range("(-inf, inf)")]
    b: Annotated[Schedule, Range("(-inf, inf)")]

    def __call__(self, step: int) -> float:
        return self.a(step) * self.b(step)
