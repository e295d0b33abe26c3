"""A part of a data set, without its labels: for networks that never saw the same pictures."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from ..components import require
from ..ingredients import ingredient
from .digits import Digits


@ingredient
@dataclass(frozen=True)
class Part:
    """Every `of`-th digit from number `part` on, and no labels; parts share no picture."""

    data: Digits = Digits()
    part: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        require(0 <= self.part < self.of, f"there is no part {self.part} of {self.of}: "
                f"count from 0 to {self.of - 1}")  # fmt: skip

    @cached_property
    def images(self) -> Tensor:
        """(N, 1, 8, 8), paper -1 and full ink 1."""
        return self.data.images[self.part :: self.of]

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.data.shape

    @property
    def sigma_data(self) -> float:
        """That of the whole, so that the networks of all parts share their coefficients."""
        return self.data.sigma_data

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Tensor, None]:
        """n images, drawn uniformly with replacement."""
        return self.images[torch.randint(len(self), (n,), generator=generator)], None
