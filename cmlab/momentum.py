"""Momentum that decays, and a learning rate that makes up for it: functions of the step.

MDLRC, in Xu et al. 2024, "Towards Faster Training of Diffusion Models: An Inspiration
of A Consistency Phenomenon" (arXiv:2404.07946). With τ the share of the run that is done:

    β(τ) = β0 (1 - τ) / ((1 - β0) + β0 (1 - τ)),  so that β / (1 - β) = (1 - τ) β0 / (1 - β0)
    rate = rate0 (1 - β0) / (1 - β),              so that rate · (1 - β) stays as it was

In Adam's kind of average, m ← β m + (1 - β) g, a new gradient enters with rate · (1 - β), and all
that it adds later is β / (1 - β) times as much. So the first line lets the memory fall evenly to
nothing, and the second keeps what a new gradient does at once. As reported: the paper's abstract
was read, and the two formulas come second hand, from public code that names the paper.
"""

from dataclasses import dataclass

from .ingredients import ingredient
from .vocabulary import Schedule


@ingredient
@dataclass(frozen=True)
class MomentumDecay:
    """β from beta0 at the start to 0 at `total` steps and after; its memory falls evenly."""

    beta0: float = 0.9
    total: int = 4000

    def __post_init__(self) -> None:
        if not (0 <= self.beta0 < 1 and self.total >= 0):
            raise ValueError(
                f"beta0 must lie in [0, 1) and total be 0 steps or more, "
                f"not {self.beta0} and {self.total}"
            )

    def __call__(self, step: int) -> float:
        left = 1 - min(step / self.total, 1.0) if self.total else 0.0
        return self.beta0 * left / ((1 - self.beta0) + self.beta0 * left)


@ingredient
@dataclass(frozen=True)
class Compensation:
    """The factor on the learning rate that goes with a momentum, (1 - β(0)) / (1 - β(k)).

    With `MomentumDecay` it is a straight line, 1 - β0 τ.
    """

    momentum: Schedule = MomentumDecay()

    def __call__(self, step: int) -> float:
        return (1 - self.momentum(0)) / (1 - self.momentum(step))


@ingredient
@dataclass(frozen=True)
class Times:
    """The product of two schedules, such as a warm-up and a compensation."""

    a: Schedule
    b: Schedule

    def __call__(self, step: int) -> float:
        return self.a(step) * self.b(step)
