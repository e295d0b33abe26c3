"""Numbers on the line, whose consistency function has a closed form."""

from dataclasses import dataclass
from functools import cached_property

import torch

from ..ingredients import ingredient
from ..oracle import Mixture1D
from .toy import ToyData


@ingredient
@dataclass(frozen=True)
class Bumps(ToyData):
    """Gaussians on the line; samples are (n, 1)."""

    weights: tuple[float, ...] = (0.3, 0.5, 0.2)
    means: tuple[float, ...] = (-1.2, 0.2, 1.4)
    stds: tuple[float, ...] = (0.15, 0.25, 0.1)

    @cached_property
    def oracle(self) -> Mixture1D:
        rows = (self.weights, self.means, self.stds)
        return Mixture1D(*(torch.tensor(row, dtype=torch.float64) for row in rows))
