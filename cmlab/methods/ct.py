"""Consistency training (Song et al. 2023, arXiv:2303.01469, Algorithm 3, Theorem 2).

    sample x, z, and n uniform on the grid of N(k) levels
    L(θ) = λ(t_n) d( f_θ(x + t_{n+1} z, t_{n+1}), f_θ⁻(x + t_n z, t_n) )
    θ⁻ ← μ(k) θ⁻ + (1 - μ(k)) θ

Code t, r are the paper's t_{n+1}, t_n. The same x and z on both sides: an Euler step whose
teacher gives x. N(k) and μ(k) are Appendix C's, s0 = 2, s1 = 150, μ0 = 0.9 for CIFAR-10.
Paper against the authors' code: in μ(k) the code divides by N(k) - 1 (the paper is followed).
Both lines of the PyTorch code's launch script, for ImageNet and for LSUN, start the student from
a diffusion model's weights, which the paper does not say; the JAX configurations for CIFAR-10 do
not (`finetune` is False). A recipe says here whether a run has a `start`. The paper's d is LPIPS;
the default here is ‖·‖².
"""

from dataclasses import dataclass, field
from math import ceil, exp, log, sqrt
from typing import Annotated

from ..ingredients import ingredient
from ..losses import SquaredL2, Uniform
from ..noise_levels import AdjacentLevels, KarrasGrid, UniformIndex
from ..schedules import GridSchedule
from ..teacher import EMATarget, Target
from ..types import Metric, Natural, Pairs, Range, Schedule, Weight
from .base import ConsistencyTraining


@ingredient
@dataclass(frozen=True)
class SqrtGrowth:
    """CT's schedule of the number of grid points, N(k) = ⌈√(k/K ((s1+1)² - s0²) + s0²) - 1⌉ + 1.

    Song et al. 2023, Appendix C. From s0 at k = 0 to s1 + 1 at k = K, and constant after.

    Args:
        s0: N at the first step.
        s1: the number of intervals at the end.
        total: K, the steps of the run.
    """

    s0: Annotated[int, Range("[1, 1e6]")] = 2
    s1: Annotated[int, Range("[1, 1e6]")] = 150
    total: Natural = 800_000

    def __post_init__(self) -> None:
        if self.s0 > self.s1:
            raise ValueError(f"s0 must be s1 or less, not {self.s0} and {self.s1}")

    def __call__(self, step: int) -> float:
        share = min(step / max(self.total, 1), 1.0)
        root = sqrt(share * ((self.s1 + 1) ** 2 - self.s0**2) + self.s0**2)
        return max(ceil(root - 1), 1) + 1


@ingredient
@dataclass(frozen=True)
class GridDecay(GridSchedule):
    """CT's decay schedule of the EMA target, μ(k) = exp(s0 ln μ0 / N(k)).

    Song et al. 2023, Appendix C. The authors' code divides by N(k) - 1, which gives 0.81 in
    place of 0.9 at k = 0; the paper is followed here. N(k) is that of the method's pairs.
    """

    points: Schedule | None = field(default=None, init=False)
    s0: Annotated[int, Range("[1, 1e6]")] = 2
    mu0: Annotated[float, Range("(0, 1]")] = 0.9

    def value(self, points: Schedule, step: int) -> float:
        return exp(self.s0 * log(self.mu0) / points(step))


@ingredient
@dataclass(eq=False)
class CT(ConsistencyTraining):
    """Consistency training from data alone, with an EMA target; see `ConsistencyTraining`."""

    pairs: Pairs = AdjacentLevels(SqrtGrowth(), UniformIndex(KarrasGrid()))
    metric: Metric = SquaredL2()
    weight: Weight = Uniform()
    target: Target = field(default_factory=lambda: EMATarget(GridDecay()))
