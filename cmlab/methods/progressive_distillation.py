"""Progressive distillation (Salimans & Ho 2022, arXiv:2202.00512): half the steps each stage.

    a teacher of N steps; sample x, z and t of a grid of N/2 steps, d = 2/N
    x_m, x_s = two steps of d/2 of the teacher from x_t
    L(θ) = ‖u_θ(x_t, t, t - d) - (x_t - x_s) / d‖²;  then the student is the teacher, N ← N/2

A baseline. It is Shortcut's loss with the lengths one after the other, and a teacher that stays as
it was at the end of the last stage: `Shortcut(HalvingSteps(every), EMATarget(Snapshots(every)))`.
The first stage is flow matching in steps of 2^-7.

Paper against this: there the network is not told d and predicts v = α z - σ x of a
variance-preserving process, weighted by max(SNR, 1); a DDIM step is the same in every process, and
here it is the velocity of rectified flow. Each stage there has a learning rate of its own that
goes to 0; here one schedule runs through all.
"""

from dataclasses import dataclass
from typing import Annotated

import torch

from ..ingredients import ingredient
from ..process import Process
from ..types import Count, Data, Range, Time
from .flow_map import steps_of


@ingredient
@dataclass(frozen=True)
class HalvingSteps:
    """Steps t -> t - d, with d from 2^-halvings to 1, doubled after every so many steps.

    Args:
        every: optimizer steps of a stage.
        halvings: stages but the first.
    """

    every: Count
    halvings: Annotated[int, Range("[1, 20]")] = 7

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        power = max(self.halvings - step // self.every, 0)
        return steps_of(torch.full((len(x),), 2.0**power, device=x.device), x)


@ingredient
@dataclass(frozen=True)
class Snapshots:
    """A decay of averaged weights: 1, so that they stay, and 0 at the end of each stage."""

    every: Count

    def __call__(self, step: int) -> float:
        return float((step + 1) % self.every != 0)
