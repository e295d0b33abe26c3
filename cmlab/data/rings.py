"""Points in the plane on two circles: their mean lies where no point is, at every noise level."""

from dataclasses import dataclass
from functools import cached_property

import torch

from ..oracle import Mixture
from .toy import Ring, ToyData


@dataclass(frozen=True)
class TwoRings(ToyData):
    """`modes` Gaussians evenly on each of two circles about the origin, all of one weight."""

    modes: int = 8
    inner: float = 0.5
    outer: float = 1.0
    std: float = 0.05

    @cached_property
    def oracle(self) -> Mixture:
        rings = [Ring(self.modes, r, self.std).oracle for r in (self.inner, self.outer)]
        means, stds = (torch.cat([getattr(o, n) for o in rings]) for n in ("means", "stds"))
        return Mixture(torch.cat([o.weights for o in rings]) / 2, means, stds)
