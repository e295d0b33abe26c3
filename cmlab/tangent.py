"""The ingredients of sCM's tangent: how dF/dt is taken, how it is weighed, how it is bounded.

Lu & Song 2025, arXiv:2410.11081. Times are TrigFlow's angles, in radians.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from .ingredients import ingredient
from .ops import again, chord, expand, jvp, sum_squares
from .vocabulary import Data, Denoise, Time


def positive(name: str, value: float) -> None:
    """Raise ValueError for a number that is not above 0, such as NaN."""
    if not value > 0:
        raise ValueError(f"{name} must be above 0, not {value}")


class Slope(ABC):
    """dF/dt along a path with velocity dx_t, times `scale`; and F itself, with its graph."""

    @abstractmethod
    def earlier(self, t: Time) -> Time:
        """The time r ≤ t at which the path is looked at a second time; t itself in the limit."""

    @abstractmethod
    def __call__(
        self, F: Denoise, x_t: Data, t: Time, dx_t: Data, scale: Time
    ) -> tuple[Data, Data]: ...


@ingredient
@dataclass(frozen=True)
class Tangent(Slope):
    """The derivative itself, in forward mode. Sec. 5.1: the scale rides in the tangents.

    So the product of a small scale and a large dF/dt is formed inside, and never overflows.
    """

    def earlier(self, t: Time) -> Time:
        return t

    def __call__(
        self, F: Denoise, x_t: Data, t: Time, dx_t: Data, scale: Time
    ) -> tuple[Data, Data]:
        return jvp(F, (x_t, t), (expand(scale, x_t) * dx_t, scale))


@ingredient
@dataclass(frozen=True)
class Difference(Slope):
    """Central differences of F at x_t ± h dx_t, t ± h with h = `step` radians times the scale.

    For a network without a forward derivative. Near the ends of [0, π/2] the scale cos t sin t
    keeps t ± h inside.
    """

    step: float = 1e-2

    def __post_init__(self) -> None:
        positive("the step", self.step)

    def earlier(self, t: Time) -> Time:
        return t

    def __call__(
        self, F: Denoise, x_t: Data, t: Time, dx_t: Data, scale: Time
    ) -> tuple[Data, Data]:
        return chord(F, (x_t, t), (expand(scale, x_t) * dx_t, scale), self.step)


@ingredient
@dataclass(frozen=True)
class Secant(Slope):
    """The discrete twin, App. E: (cos δ F(x_t, t) - F(x_r, r)) / sin δ with δ = t - r the gap.

    x_r is a DDIM step from x_t. With no derivative at all; its limit δ -> 0 is dF/dt.
    """

    gap: float = 1e-3

    def __post_init__(self) -> None:
        positive("the gap", self.gap)

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
    """w(t) = 1 / (σ_d tan t): c(t) = w σ_d sin t = cos t, finite at both ends. Sec. 4.2."""

    def __call__(self, t: Time, sigma_data: float) -> Time:
        return t.cos()


@ingredient
@dataclass(frozen=True)
class Flat:
    """w(t) = 1: c(t) = σ_d sin t."""

    def __call__(self, t: Time, sigma_data: float) -> Time:
        return sigma_data * t.sin()


@ingredient
@dataclass(frozen=True)
class UnitNorm:
    """g / (‖g‖ + c), the norm taken over all numbers of a sample. Algorithm 1."""

    c: float = 0.1

    def __post_init__(self) -> None:
        positive("c", self.c)

    def __call__(self, g: Data) -> Data:
        return g / (expand(sum_squares(g).sqrt(), g) + self.c)


@ingredient
@dataclass(frozen=True)
class UnitRMS:
    """g / (rms(g) + c): as a public reimplementation has it, so that c does not fade with size."""

    c: float = 0.1

    def __post_init__(self) -> None:
        positive("c", self.c)

    def __call__(self, g: Data) -> Data:
        return g / (expand((sum_squares(g) / g[0].numel()).sqrt(), g) + self.c)


@ingredient
@dataclass(frozen=True)
class Clip:
    """Each number of g to [-limit, limit], the paper's alternative to its norm. Sec. 4.2."""

    limit: float = 1.0

    def __post_init__(self) -> None:
        positive("the limit", self.limit)

    def __call__(self, g: Data) -> Data:
        return g.clamp(-self.limit, self.limit)


@ingredient
@dataclass(frozen=True)
class Unbounded:
    """g as it is."""

    def __call__(self, g: Data) -> Data:
        return g
