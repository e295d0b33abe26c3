"""Data whose labels are sometimes kept back, so that a network learns to do without."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..ingredients import ingredient


@runtime_checkable
class Labelled(Protocol):
    """Data with classes 0 … classes - 1."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def classes(self) -> int: ...

    @property
    def sigma_data(self) -> float: ...

    def sample(self, n: int) -> tuple[Tensor, Tensor]: ...


@ingredient
@dataclass(frozen=True)
class Unlabelled:
    """The same samples; each label becomes `null` with probability `share`. Raises ValueError.

    A network for it has data.classes + 1 classes: `null` is the last of them.
    """

    data: Labelled
    share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is a probability in [0, 1], not {self.share}")

    @property
    def null(self) -> int:
        """The label that stands for none."""
        return self.data.classes

    @property
    def classes(self) -> int:
        """What a network for these data needs."""
        return self.data.classes + 1

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def sigma_data(self) -> float:
        return self.data.sigma_data

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """n samples and their labels, some of them `null`."""
        x, labels = self.data.sample(n)
        kept_back = torch.rand(n, device=labels.device) < self.share
        return x, labels.masked_fill(kept_back, self.null)
