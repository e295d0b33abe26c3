"""A law with outliers among its samples. Both the clean and the contaminated law are exact."""

from dataclasses import dataclass
from functools import cached_property

import torch

from ..ingredients import ingredient
from ..oracle import Mixture, Oracle
from .toy import Ring, ToyData


@ingredient
@dataclass(frozen=True)
class Contaminated(ToyData):
    """Samples of `clean`, a `share` of them replaced by draws of N(0, spread² I).

    `oracle` is the law of what is sampled; `clean.oracle` that of what one would like to learn.
    """

    clean: ToyData = Ring()
    share: float = 0.05
    spread: float = 3.5

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"a share of {self.share:g} outliers: give one from 0 to below 1")
        super().__post_init__()

    @property
    def sigma_data(self) -> float:
        """The clean law's, so that contamination changes nothing but the samples."""
        return self.clean.sigma_data

    @cached_property
    def oracle(self) -> Oracle:
        if self.share == 0:
            return self.clean.oracle
        law = self.clean.oracle.components
        far = torch.full((1,), self.spread, dtype=torch.float64)
        weights = torch.cat([(1 - self.share) * law.weights, torch.full_like(far, self.share)])
        means = torch.cat([law.means, torch.zeros_like(law.means[:1])])
        return Mixture(weights, means, torch.cat([law.stds, far]))
