"""CIFAR-10: 60 000 colour photographs of ten kinds of things, 32 × 32 (Krizhevsky 2009).

The data set does not come with cmlab: `cmlab data cifar10 --download` gets it, and a path names a
copy. It stays in memory as bytes, 154 MB, on the device that trains.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ..ingredients import ingredient
from ..types import Data
from .cifar10_files import IMAGES, PIXELS, TEST, TRAIN, BatchStore, find

CLASSES = (  # in order of their label
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@ingredient
@dataclass(frozen=True)
class CIFAR10:
    """The CIFAR-10 training set, 50 000 images, or the test set, 10 000.

    Args:
        path: a folder or an archive in a published layout, or a folder with one in it; "" is what
            CMLAB_DATA names, or the repository's data/.
        train: whether the training set is meant, or the test set.
        flip: whether each sample is mirrored left to right with probability 1/2.
        labelled: whether samples come with their class, an index into CLASSES, or with None.

    Raises BadFile, when the images are first used, if they cannot be found or read.
    """

    path: str = ""
    train: bool = True
    flip: bool = True
    labelled: bool = False

    @cached_property
    def images(self) -> UInt8[Tensor, "n 3 32 32"]:
        """All images as bytes, in the published order."""
        return self.read()[0]

    @cached_property
    def labels(self) -> Int64[Tensor, " n"]:
        """The class of each image, an index into CLASSES."""
        return self.read()[1]

    @cached_property
    def resident(self) -> "ResidentImages":
        """This data set on the CPU."""
        return self.on("cpu")

    def read(self) -> tuple[Tensor, Tensor]:
        """Images and labels, from the disk the first time only."""
        names = TRAIN if self.train else TEST
        return load(find(self.path, names), names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: channels, height, width."""
        return (3, 32, 32)

    @property
    def classes(self) -> int:
        """How many classes the labels have; 0 without labels."""
        return len(CLASSES) if self.labelled else 0

    @property
    def sigma_data(self) -> float:
        """0.5, the convention since Karras et al. 2022 (EDM); measured: 0.503."""
        return 0.5

    def __len__(self) -> int:
        return IMAGES * len(TRAIN if self.train else TEST)

    def sample(self, n: int) -> tuple[Data, Tensor | None]:
        """n images (n, 3, 32, 32) in [-1, 1] drawn with replacement, and classes (n,) or None."""
        return self.resident.sample(n)

    def on(self, device: torch.device | str) -> "ResidentImages":
        """The same data on a device; samples are drawn there, from its random numbers."""
        labels = self.labels.to(device) if self.labelled else None
        return ResidentImages(self.images.to(device), self.flip, labels, self.sigma_data)


@dataclass(frozen=True, eq=False)
class ResidentImages:
    """Images as bytes on one device: a Source that samples without a transfer.

    Args:
        images: (n, 3, 32, 32), uint8.
        flip: whether each sample is mirrored left to right with probability 1/2.
        labels: (n,), int64, or None.
        sigma_data: standard deviation of the images in [-1, 1].
    """

    images: Tensor
    flip: bool
    labels: Tensor | None = None
    sigma_data: float = 0.5

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return tuple(self.images.shape[1:])

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, n: int) -> tuple[Data, Tensor | None]:
        """As `CIFAR10.sample`, on the images' device."""
        device = self.images.device
        drawn = torch.randint(len(self.images), (n,), device=device)
        x = self.images[drawn]
        if self.flip:
            turned = torch.rand(n, device=device) < 0.5
            x = torch.where(turned[:, None, None, None], x.flip(3), x)
        return x.float() / 127.5 - 1, None if self.labels is None else self.labels[drawn]


@lru_cache(maxsize=2)  # training and test images of one store
def load(store: BatchStore, names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Images (n, 3, 32, 32) uint8 and labels (n,) int64 of these batches, in their order."""
    images = np.empty((len(names), IMAGES, PIXELS), np.uint8)
    labels = np.empty((len(names), IMAGES), np.int64)
    for index, batch in store.batches(names):
        images[index], labels[index] = batch
    return torch.from_numpy(images).view(-1, 3, 32, 32), torch.from_numpy(labels).view(-1)
