"""Schedules: numbers that change during training, pure functions of the step.

What changes during training: pure functions of the step, with no state to save or forget.

N(k) counts grid points, as in the papers' text; s0 and s1 count intervals.
"""

from dataclasses import dataclass
from math import cos, pi

from .ingredients import ingredient


@ingredient
@dataclass(frozen=True)
class Constant:
    """The same value at every step."""

    value: float

    def __call__(self, step: int) -> float:
        return self.value


@ingredient
@dataclass(frozen=True)
class Warmup:
    """From 0 to 1 in `steps` steps, then 1."""

    steps: int

    def __call__(self, step: int) -> float:
        return min(step / self.steps, 1.0) if self.steps else 1.0


@ingredient
@dataclass(frozen=True)
class WarmupCosine:
    """A learning-rate factor: up to 1 in `warmup` steps, then half a cosine down to `floor`."""

    total: int
    warmup: int = 0
    floor: float = 0.0

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        share = min((step - self.warmup) / max(self.total - self.warmup, 1), 1.0)
        return self.floor + (1 - self.floor) * (1 + cos(pi * share)) / 2


@ingredient
@dataclass(frozen=True)
class PowerDecay:
    """An EMA decay that remembers a constant share of the run, (1 - 1/(k+1))^(γ+1).

    Karras et al. 2024, eq. 123: the average weights step s by s^γ.
    """

    gamma: float = 6.94

    def __call__(self, step: int) -> float:
        return (1 - 1 / (step + 1)) ** (self.gamma + 1)
