"""Diffusion process (noise schedule, forward process): x_t = α_t x + σ_t z.

Each process has its own time t; all share the noise level σ_t / α_t. What methods and samplers do
to a sample is one of four operations: `perturb` adds noise to data, `noise` solves for z,
`transport` moves to another time with x and z fixed (a DDIM step), and `velocity` is dx_t/dt with
x and z fixed.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import pi

import torch

from .ingredients import ingredient
from .ops import expand, on_host
from .types import Data, NonNegative, Positive, Time


class Process(ABC):
    """A diffusion process: t -> (α_t, σ_t), and the inverse, from a noise level to t."""

    @abstractmethod
    def __call__(self, t: Time) -> tuple[Time, Time]:
        """The scales α_t of the signal and σ_t of the noise, each (b,)."""

    @abstractmethod
    def time(self, level: Time) -> Time:
        """The time t at which σ_t / α_t equals the noise level."""

    def level(self, t: Time) -> Time:
        """The noise level σ_t / α_t."""
        alpha, sigma = self(t)
        return sigma / alpha

    def perturb(self, x: Data, z: Data, t: Time) -> Data:
        """x_t = α_t x + σ_t z: data x with noise z at time t."""
        alpha, sigma = self(t)
        return expand(alpha, x) * x + expand(sigma, x) * z

    def noise(self, x_t: Data, x: Data, t: Time) -> Data:
        """The noise z = (x_t - α_t x) / σ_t."""
        alpha, sigma = self(t)
        # At σ_t = 0 the noise is 0/0. Any finite value serves: it is multiplied by σ_r later.
        return (x_t - expand(alpha, x) * x) / expand(sigma, x).clamp_min(1e-8)

    def transport(self, x_t: Data, x: Data, t: Time, r: Time) -> Data:
        """x_r of the same data and noise as x_t, at time r: a DDIM step where x is an estimate."""
        return self.perturb(x, self.noise(x_t, x, t), r)

    def velocity(self, x_t: Data, x: Data, t: Time) -> Data:
        """dx_t/dt = α̇_t x + σ̇_t z with x and z fixed."""
        z = self.noise(x_t, x, t)
        one = torch.ones_like(t)
        return torch.func.jvp(lambda t: self.perturb(x, z, t), (t.contiguous(),), (one,))[1]


@ingredient
@dataclass(frozen=True)
class VarianceExploding(Process):
    """The variance-exploding process x_t = x + t z, whose time is σ. Karras et al. 2022."""

    def __call__(self, t: Time) -> tuple[Time, Time]:
        return torch.ones_like(t), t

    def time(self, level: Time) -> Time:
        return level

    def perturb(self, x: Data, z: Data, t: Time) -> Data:
        return x + expand(t, x) * z


@ingredient
@dataclass(frozen=True)
class TrigFlow(Process):
    """The TrigFlow process x_t = cos(t) x + sin(t) σ_d z, t in [0, π/2]. Lu & Song 2025, Sec. 3.

    The paper's z has standard deviation σ_d; here z is standard normal and σ_d is written out.
    """

    sigma_data: Positive = 0.5

    def __call__(self, t: Time) -> tuple[Time, Time]:
        return t.cos(), t.sin() * self.sigma_data

    def time(self, level: Time) -> Time:
        return (level / self.sigma_data).atan()

    def velocity(self, x_t: Data, x: Data, t: Time) -> Data:
        """cos(t) σ_d z - sin(t) x, which needs no derivative."""
        z = self.noise(x_t, x, t)
        return -expand(t.sin(), x) * x + expand(t.cos() * self.sigma_data, x) * z

    def check(self, t: Time) -> None:
        """Check that t lies in [0, π/2], which a noise level would not.

        Tensors on a GPU are not checked, since the host would have to wait for them.

        Raises:
            ValueError: for a t outside, or NaN.
        """
        if torch.compiler.is_compiling() or not t.numel() or not on_host(t):
            return
        low, high = torch.aminmax(t.detach())
        if not (0 <= float(low) and float(high) <= pi / 2 + 1e-6):  # also false for NaN
            raise ValueError(
                f"TrigFlow's t is an angle in [0, π/2], not {float(low):.4g} to "
                f"{float(high):.4g}; process.time turns a noise level into one"
            )


@ingredient
@dataclass(frozen=True)
class RectifiedFlow(Process):
    """The rectified-flow process x_t = (1 - t) x + t z, t in [0, 1]. Liu et al. 2023."""

    def __call__(self, t: Time) -> tuple[Time, Time]:
        return 1 - t, t

    def time(self, level: Time) -> Time:
        return level / (1 + level)


@ingredient
@dataclass(frozen=True)
class VariancePreserving(Process):
    """The variance-preserving process, the continuous form of DDPM's linear β. Song et al. 2021.

    α_t² = exp(-t β_min - t²/2 (β_max - β_min)),  σ_t² = 1 - α_t²,  t in [0, 1]
    """

    beta_min: NonNegative = 0.1
    beta_max: Positive = 20.0

    def __post_init__(self) -> None:
        if not self.beta_min <= self.beta_max:
            raise ValueError(
                f"beta_min must be beta_max or less, not {self.beta_min:g} and {self.beta_max:g}"
            )

    def __call__(self, t: Time) -> tuple[Time, Time]:
        log_alpha2 = -t * self.beta_min - t**2 / 2 * (self.beta_max - self.beta_min)  # ln α_t²
        return (log_alpha2 / 2).exp(), (-torch.expm1(log_alpha2)).sqrt()

    def time(self, level: Time) -> Time:
        slope, log_v = self.beta_max - self.beta_min, torch.log1p(level**2)  # ln 1/α_t²
        root = (self.beta_min**2 + 2 * slope * log_v).sqrt()
        return 2 * log_v / (root + self.beta_min)  # (root - β_min) / slope, which cancels
