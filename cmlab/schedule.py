"""What changes during training: pure functions of the step, with no state to save or forget.

N(k) counts grid points, as in the papers' text; s0 and s1 count intervals.
"""

from dataclasses import dataclass
from math import ceil, cos, exp, floor, log, log2, pi, sqrt

from .ingredients import ingredient
from .vocabulary import Schedule


@ingredient
@dataclass(frozen=True)
class Constant:
    """The same value at every step."""

    value: float

    def __call__(self, step: int) -> float:
        return self.value


@ingredient
@dataclass(frozen=True)
class SqrtGrowth:
    """CT's number of grid points, N(k) = ⌈√(k/K ((s1+1)² - s0²) + s0²) - 1⌉ + 1.

    Song et al. 2023, Appendix C. From s0 at k = 0 to s1 + 1 at k = K, and constant after.
    """

    s0: int = 2
    s1: int = 150
    total: int = 800_000

    def __call__(self, step: int) -> float:
        share = min(step / self.total, 1.0)
        root = sqrt(share * ((self.s1 + 1) ** 2 - self.s0**2) + self.s0**2)
        return max(ceil(root - 1), 1) + 1


@ingredient
@dataclass(frozen=True)
class GridDecay:
    """CT's decay of the target network, μ(k) = exp(s0 ln μ0 / N(k)).

    Song et al. 2023, Appendix C. The authors' code divides by N(k) - 1, which gives 0.81 in
    place of 0.9 at k = 0; the paper is followed here.
    """

    points: Schedule = SqrtGrowth()
    s0: int = 2
    mu0: float = 0.9

    def __call__(self, step: int) -> float:
        return exp(self.s0 * log(self.mu0) / self.points(step))


@ingredient
@dataclass(frozen=True)
class Doubling:
    """iCT's number of grid points, N(k) = min(s0 2^⌊k/K'⌋, s1) + 1, K' = ⌊K/(log2⌊s1/s0⌋ + 1)⌋.

    Song & Dhariwal 2024, Table 1. A run that stops early misses the fine grids, so `total`
    is the length of the run itself.
    """

    s0: int = 10
    s1: int = 1280
    total: int = 400_000

    def __call__(self, step: int) -> float:
        stage_length = max(floor(self.total / (log2(self.s1 // self.s0) + 1)), 1)
        return min(self.s0 * 2 ** (step // stage_length), self.s1) + 1


@ingredient
@dataclass(frozen=True)
class Stages:
    """ECT's relative gap, q^-a with a = first + ⌊k/every⌋, at most `last`.

    Geng et al. 2025. As reported, the paper counts a from 0, where the gap is all of t and the
    loss is denoising; the authors' code starts at a = 1, since it starts from a trained
    denoiser. The code is followed here; `first=0` is the paper.
    """

    q: float = 2.0
    every: int = 25_000
    first: int = 1
    last: int = 8

    def __call__(self, step: int) -> float:
        return self.q ** -min(self.first + step // self.every, self.last)


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
