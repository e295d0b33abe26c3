"""Schedules: numbers that change during training, such as N(k), μ(k) and the learning rate.

Each is a pure function of the step k, with no state to save. `Constant`, `Warmup`, `WarmupCosine`
and `PowerDecay` serve all methods; those that a paper introduced stand in the paper's file. N(k)
counts grid points, as in the papers' text; s0 and s1 count intervals.
"""

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass
from math import cos, pi
from typing import Annotated

from .ingredients import ingredient
from .types import Natural, NonNegative, Positive, Range, Real, Schedule


@ingredient
@dataclass(frozen=True)
class Constant:
    """A schedule that has the same value at every step."""

    value: Real

    def __call__(self, step: int) -> float:
        return self.value


@ingredient
@dataclass(frozen=True)
class Warmup:
    """A linear warm-up schedule: from 0 to 1 in `steps` steps, then 1."""

    steps: Natural

    def __call__(self, step: int) -> float:
        return min(step / self.steps, 1.0) if self.steps else 1.0


@ingredient
@dataclass(frozen=True)
class WarmupCosine:
    """A learning-rate schedule, as a factor: linear warm-up to 1, then half a cosine.

    Args:
        total: steps of the run; the factor is `floor` from there on.
        warmup: steps of the warm-up.
        floor: the factor at the end.
    """

    total: Natural
    warmup: Natural = 0
    floor: NonNegative = 0.0

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        share = min((step - self.warmup) / max(self.total - self.warmup, 1), 1.0)
        return self.floor + (1 - self.floor) * (1 + cos(pi * share)) / 2


@ingredient
@dataclass(frozen=True)
class PowerDecay:
    """An EMA decay schedule that remembers a constant share of the run, (1 - 1/(k+1))^(γ+1).

    Karras et al. 2024, eq. 123: the average weights step s by s^γ. It needs no ramp; under the
    default one, `EarlyAverage`, a γ below 8 comes to act in the first 66 steps alone.
    """

    gamma: Annotated[float, Range("(-1, 1e6]")] = 6.94

    def __call__(self, step: int) -> float:
        return (1 - 1 / (step + 1)) ** (self.gamma + 1)


@ingredient
@dataclass(frozen=True)
class EarlyAverage:
    """An EMA ramp, the largest decay at step k: (1 + k) / (10 + k).

    That of TensorFlow's ExponentialMovingAverage. It acts until it exceeds the decay: for 90 000
    steps where that is 0.9999, for 9 000 where it is 0.999.
    """

    def __call__(self, step: int) -> float:
        return (1 + step) / (10 + step)


@ingredient
@dataclass(frozen=True)
class HalfLifeRamp:
    """EDM's EMA ramp, the largest decay at step k: a half-life of `share` of the images seen.

    That is 0.5^(1 / (share · k)), whatever the batch. Karras et al. 2022, the authors' code.
    """

    share: Positive = 0.05

    def __call__(self, step: int) -> float:
        return 0.5 ** (1 / (self.share * step)) if step else 0.0


class GridSchedule(ABC):
    """A schedule that depends on the step through the number of grid points N(k) alone.

    It has no grid of its own: the method that holds it gives it N(k) of its `pairs`, whenever the
    method is made or copied (see `Method.__post_init__`). So the two cannot differ.
    """

    points: Schedule | None  # N(k); None in a schedule that no method holds

    def on_grid(self, points: Schedule) -> "GridSchedule":
        """A copy that reads this N(k)."""
        bound = copy(self)
        object.__setattr__(bound, "points", points)
        return bound

    def __call__(self, step: int) -> float:
        """The value at a step. Raises RuntimeError before it is given N(k)."""
        if self.points is None:
            raise RuntimeError(f"{self} has no N(k) yet; give it to a method, or call on_grid")
        return self.value(self.points, step)

    @abstractmethod
    def value(self, points: Schedule, step: int) -> float:
        """The value at step k, on the grids of N(k) points."""
