"""Easy consistency tuning (Geng et al. 2025, arXiv:2406.14548). Start from a trained denoiser.

    sample x, z, t ~ p(t) and r = Ψ(t; k), closer to t as training goes on
    L(θ) = w(t, r) d( f_θ(x + t z, t), f_sg(θ)(x + r z, r) )

The loss is iCT's, line by line; t is continuous in place of a grid. With r = 0 it is
denoising. Defaults are the authors' CIFAR-10 script: ln t ~ N(-1.1, 2²), q = 2, weight
1/(t - r), the plain norm ‖·‖. Paper against code: the code's stages start at a = 1 (followed,
see `ect.Stages`); its c = 0 gives NaN where f_t = f_r, so c = 1e-8 here; it evaluates
with a preconditioning shifted by σ_min = 0.003 (not followed: trained and sampled alike).
"""

from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..noise_levels import LogNormal, Proposal
from ..process import Process
from ..teacher import StopGrad, Target
from ..types import Data, Metric, NonNegative, Pairs, Range, Real, Schedule, Time, Weight
from .base import ConsistencyTraining
from .ict import InverseGap, PseudoHuber


@ingredient
@dataclass(frozen=True)
class Stages:
    """ECT's schedule of the relative gap, q^-a with a = first + ⌊k/every⌋, at most `last`.

    Geng et al. 2025. As reported, the paper counts a from 0, where the gap is all of t and the
    loss is denoising; the authors' code starts at a = 1, since it starts from a trained
    denoiser. The code is followed here; `first=0` is the paper.
    """

    q: Annotated[float, Range("(1, 1e6]")] = 2.0
    every: Annotated[int, Range("[1, 1e9]")] = 25_000
    first: Annotated[int, Range("[0, 100]")] = 1
    last: Annotated[int, Range("[0, 100]")] = 8

    def __call__(self, step: int) -> float:
        return self.q ** -min(self.first + step // self.every, self.last)


@ingredient
@dataclass(frozen=True)
class ECTMapping:
    """ECT's mapping from t to r = t max(0, 1 - gap(k) n(t)), n(t) = 1 + K sigmoid(-b t).

    Geng et al. 2025 (ECT), in noise levels.

    Args:
        gap: the schedule of the relative gap q^-a.
        proposal: the distribution of t.
        K: the paper's k.
        b: the paper's b.
    """

    gap: Annotated[Schedule, Range("(0, 1]")] = Stages()
    proposal: Proposal = LogNormal(-1.1, 2.0)
    K: NonNegative = 8.0
    b: Real = 1.0

    def ratio(self, level: Tensor, step: int) -> Tensor:
        """r / t at a noise level t."""
        n = 1 + self.K * torch.sigmoid(-self.b * level)
        return (1 - self.gap(step) * n).clamp_min(0)

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        level = self.proposal.sample(x)
        return process.time(level), process.time(level * self.ratio(level, step))


@ingredient
@dataclass(eq=False)
class ECT(ConsistencyTraining):
    """Consistency tuning of a trained denoiser, r approaching t; see `ConsistencyTraining`."""

    pairs: Pairs = ECTMapping()
    metric: Metric = PseudoHuber(c=1e-8)
    weight: Weight = InverseGap()
    target: Target = field(default_factory=StopGrad)
