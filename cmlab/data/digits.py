"""Real images that come with scikit-learn: 1797 handwritten digits of 8×8 pixels, 17 grey levels.

The split is fixed: within each class, in an order shuffled once with seed 0, every fifth image is
held out. That leaves 1437 to train on and 360 to judge with, balanced to within one image per
class. The 13 writers are not recorded, so both sides hold digits by the same hands.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Generator, Tensor

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
