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

    Karras et al. 2024, eq. 123: the average weights step s by s^γ. It needs no ramp; under the
    default one, `EarlyAverage`, a γ below 8 comes to act in the first 66 steps alone.
    """

    gamma: float = 6.94

    def __call__(self, step: int) -> float:
        return (1 - 1 / (step + 1)) ** (self.gamma + 1)


@ingredient
@dataclass(frozen=True)
class EarlyAverage:
    """An upper bound of an EMA decay, (1 + k) / (10 + k): the average of few steps is young.

    That of TensorFlow's ExponentialMovingAverage. It acts until it exceeds the decay: for 90 000
    steps where that is 0.9999, for 9 000 where it is 0.999.
    """

    def __call__(self, step: int) -> float:
        return (1 + step) / (10 + step)


@ingredient
@dataclass(frozen=True)
class HalfLifeRamp:
    """An upper bound of an EMA decay, 0.5^(1 / (share · k)): a half-life of a share of the run.

    EDM's ramp (Karras et al. 2022, the authors' code), where half is forgotten in at most 5 % of
    the images seen so far, whatever the batch.
    """

    share: float = 0.05

    def __call__(self, step: int) -> float:
        return 0.5 ** (1 / (self.share * step)) if step else 0.0
