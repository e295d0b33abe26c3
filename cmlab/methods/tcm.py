"""Truncated consistency models (TCM; Lee et al. 2024, arXiv:2410.14895): ingredients of ECT.

    stage 1: a consistency model f_0, by ECT;  stage 2, from its weights, for t >= t' alone:
    a share of the batch at t = t':  w ‖f_θ(x_t', t') - f_0(x_r, r)‖,  r < t'       boundary
    the others at t > t':            ECT's loss, with f_0 as the target where r < t'

Stage 2 gives the network to the noise levels from which samples are drawn. Without the boundary
the constant map has no loss. Samples of one call need f_θ alone; more calls must stay above t'.

    ECT(pairs=TruncatedPairs(…), target=Truncated(), weight=BoundaryWeight())

t' = 1, a quarter of the batch at it and w = 0.1 are FastGen's, whose wrapper has t' = 2 by default
and whose configuration 1. There the boundary lies at t' + 1e-8 and t follows a Student's t
distribution of ln t with 0.01 degrees of freedom; here it is a log-normal above t'.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..ingredients import ingredient
from ..model import Model
from ..noise_levels import LogNormal
from ..ops import expand
from ..process import Process
from ..teacher import InitialModelTeacher, Target
from ..types import Data, Denoise, Positive, Share, Time, Weight
from .ect import ECTMapping
from .ict import InverseGap


@ingredient
@dataclass(frozen=True)
class TruncatedPairs:
    """ECT's pairs for t >= t'; the first share of a batch has t = t'.

    Args:
        mapping: ECT's, whose proposal starts at t'.
        cut: t', a noise level.
        boundary: share of the batch at t'.
    """

    mapping: ECTMapping = ECTMapping(proposal=LogNormal(0.0, 2.0, low=1.0))
    cut: Positive = 1.0
    boundary: Share = 0.25

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        level = self.mapping.proposal.sample(x)
        level[: round(self.boundary * len(x))] = self.cut
        return process.time(level), process.time(level * self.mapping.ratio(level, step))


@ingredient
@dataclass(frozen=True)
class BoundaryWeight:
    """A loss weight with a factor at the boundary t = t', in the time of EDM's process.

    Args:
        weight: the weight elsewhere.
        cut: t'.
        boundary: the factor w.
    """

    weight: Weight = InverseGap()
    cut: Positive = 1.0
    boundary: Share = 0.1

    def __call__(self, t: Time, r: Time) -> Tensor:
        return torch.where(t == self.cut, self.boundary, 1.0) * self.weight(t, r)


@ingredient
@dataclass(eq=False)
class Truncated(Target):
    """TCM's target: the student without gradient where r >= t', its initial weights f_0 below.

    Args:
        cut: t', a noise level.
    """

    cut: Positive = 1.0
    first: InitialModelTeacher = field(default_factory=InitialModelTeacher, init=False, repr=False)

    def __call__(self, model: Model, cond: Tensor | None = None) -> Denoise:
        def denoise(x_r: Tensor, r: Tensor) -> Tensor:
            below = expand(model.process.level(r), x_r) < self.cut
            return torch.where(below, self.first(x_r, cond)(x_r, r), model(x_r, r, cond))

        return torch.no_grad()(denoise)

    def attach(self, model: nn.Module) -> None:
        self.first.attach(model)

    def update(self, model: nn.Module, step: int) -> None:
        pass

    def networks(self) -> dict[str, nn.Module]:
        return {}  # a resumed run finds f_0 in its start
