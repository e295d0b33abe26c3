"""Handwritten digits, 8 × 8, as a data set: whole, in disjoint parts, or with labels dropped.

Real images that come with scikit-learn: 1797 handwritten digits of 8 × 8 pixels, 17 grey levels.

The split is fixed: within each class, in an order shuffled once with seed 0, every fifth image is
held out. That leaves 1437 for training and 360 for evaluation, balanced to within one image per
class. The 13 writers are not recorded, so both sides hold digits by the same hands.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Generator, Tensor

from ..gaussian_mixture import require
from ..ingredients import ingredient
from ..types import Count, Natural, Share

SPLIT_SEED = 0


@cache
def scans() -> tuple[np.ndarray, np.ndarray]:
    """All images (1797, 8, 8) as integers 0…16, and their labels, in scikit-learn's order."""
    from sklearn.datasets import load_digits  # slow to load, and no other data need it

    grey, labels = load_digits(return_X_y=True)
    return np.reshape(grey, (-1, 8, 8)).astype(np.uint8), np.asarray(labels).astype(np.int64)


@cache
def split() -> tuple[np.ndarray, np.ndarray]:
    """Indices into `scans` of the training images and of the held-out ones."""
    labels = scans()[1]
    order = np.random.RandomState(SPLIT_SEED).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    held_out = np.zeros(len(labels), dtype=bool)
    held_out[by_class[::5]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


@ingredient
@dataclass(frozen=True)
class Digits:
    """Handwritten digits with their labels.

    Args:
        train: whether the 1437 training images are meant, or the 360 held-out ones.
    """

    train: bool = True

    @cached_property
    def images(self) -> Tensor:
        """All images (N, 1, 8, 8): -1 is paper and 1 full ink."""
        grey = scans()[0][split()[0 if self.train else 1]]
        return torch.from_numpy(grey[:, None].astype(np.float32)) / 8 - 1

    @cached_property
    def labels(self) -> Tensor:
        """The digit on each image, (N,)."""
        return torch.from_numpy(scans()[1][split()[0 if self.train else 1]])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: channels, height, width."""
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


@ingredient
@dataclass(frozen=True)
class Part:
    """A part of the digits, without labels: parts share no image.

    For networks that are trained on disjoint data.

    Args:
        data: the digits.
        part: the first image of the part, from 0 to of - 1.
        of: the number of parts; each takes every `of`-th image.

    Raises ValueError for a part that does not exist.
    """

    data: Digits = Digits()
    part: Natural = 0
    of: Count = 1

    def __post_init__(self) -> None:
        require(0 <= self.part < self.of, f"there is no part {self.part} of {self.of}: "
                f"count from 0 to {self.of - 1}")  # fmt: skip

    @cached_property
    def images(self) -> Tensor:
        """The part's images (N, 1, 8, 8): -1 is paper and 1 full ink."""
        return self.data.images[self.part :: self.of]

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.data.shape

    @property
    def sigma_data(self) -> float:
        """That of all digits, so that the networks of all parts share their preconditioning."""
        return self.data.sigma_data

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Tensor, None]:
        """n images, drawn uniformly with replacement, and no labels."""
        return self.images[torch.randint(len(self), (n,), generator=generator)], None


# Labels dropped at random, for classifier-free guidance


@runtime_checkable
class Labelled(Protocol):
    """Data whose samples come with a label in 0 … classes - 1."""

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
    """Labelled data with label dropout: each label becomes `null` with probability `share`.

    The network then learns the unconditional model too, as classifier-free guidance needs it
    (Ho & Salimans 2022). It has data.classes + 1 classes: `null` is the last of them.

    Args:
        data: the labelled data.
        share: probability that a label is dropped.

    Raises ValueError for a share that is no probability.
    """

    data: Labelled
    share: Share = 0.1

    @property
    def null(self) -> int:
        """The label that stands for no class."""
        return self.data.classes

    @property
    def classes(self) -> int:
        """How many classes a network for these data has, `null` included."""
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
        dropped = torch.rand(n, device=labels.device) < self.share
        return x, labels.masked_fill(dropped, self.null)
