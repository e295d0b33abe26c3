"""Rare, huge values: a share of all elements, each multiplied by a large factor."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..vocabulary import Data
from .latents import Latents


@ingredient
@dataclass(frozen=True)
class Impulses:
    """Samples of `data`, each element multiplied by `factor` with probability `share`.

    Drawn afresh at each sample. Raises ValueError for a share outside [0, 1).
    """

    data: Latents = Latents()
    share: float = 0.001
    factor: float = 50.0

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"a share of {self.share:g} impulses: give one from 0 to below 1")

    @property
    def classes(self) -> int:
        return self.clean.classes

    @property
    def sigma_data(self) -> float:
        """The clean data's, so that the impulses change nothing but the samples."""
        return self.data.sigma_data

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def clean(self) -> Latents:
        """The latents without impulses."""
        return self.data

    def decode(self, x: Tensor) -> Tensor:
        """As the clean data's."""
        return self.data.decode(x)

    def sample(self, n: int) -> tuple[Data, Tensor | None]:
        """n samples and their labels."""
        x, labels = self.data.sample(n)
        hit = torch.rand_like(x) < self.share
        return torch.where(hit, self.factor * x, x), labels


Decodable = Latents | Impulses  # samples that can be turned into pictures
