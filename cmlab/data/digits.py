"""Digits: 8x8 images of handwritten digits, whole, in parts, or without labels.

Real images that come with scikit-learn: 1797 handwritten digits of 8×8 pixels, 17 grey levels.

The split is fixed: within each class, in an order shuffled once with seed 0, every fifth image is
held out. That leaves 1437 to train on and 360 to judge with, balanced to within one image per
class. The 13 writers are not recorded, so both sides hold digits by the same hands.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Generator, Tensor

from ..gaussian_mixture import require
from ..ingredients import ingredient

SPLIT_SEED = 0


@cache
def scans() -> tuple[np.ndarray, np.ndarray]:
    """All images (1797, 8, 8) as whole numbers 0…16, and their labels, in the source's order."""
    grey, labels = load_digits(return_X_y=True)
    return np.reshape(grey, (-1, 8, 8)).astype(np.uint8), np.asarray(labels).astype(np.int64)


@cache
def split() -> tuple[np.ndarray, np.ndarray]:
    """Where the training and the held-out images stand in `scans`."""
    labels = scans()[1]
    order = np.random.RandomState(SPLIT_SEED).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    held_out = np.zeros(len(labels), dtype=bool)
    held_out[by_class[::5]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


@ingredient
@dataclass(frozen=True)
class Digits:
    """The training digits, or with `train=False` the 360 held-out ones."""

    train: bool = True

    @cached_property
    def images(self) -> Tensor:
        """(N, 1, 8, 8), paper -1 and full ink 1."""
        grey = scans()[0][split()[0 if self.train else 1]]
        return torch.from_numpy(grey[:, None].astype(np.float32)) / 8 - 1

    @cached_property
    def labels(self) -> Tensor:
        """(N,), the digit on each image."""
        return torch.from_numpy(scans()[1][split()[0 if self.train else 1]])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: channels, height, width."""
        return (1, 8, 8)

    @property
    def classes(self) -> int:
        return 10

    @cached_property
    def sigma_data(self) -> float:
        """Standard deviation of the pixels of the training images, 0.75."""
        return float(Digits().images.double().std())

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """n images and their labels, drawn uniformly with replacement."""
        index = torch.randint(len(self), (n,), generator=generator)
        return self.images[index], self.labels[index]


# A part of a data set, without its labels: for networks that never saw the same pictures


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


# Data whose labels are sometimes kept back, so that a network learns to do without


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
