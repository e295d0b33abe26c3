"""CIFAR-10: 60 000 colour photographs of ten kinds of things, 32 × 32 (Krizhevsky 2009).

Nothing of it comes with cmlab: `cmlab data cifar10 --download` gets it, and a path names a copy.
The whole set stays in memory as bytes, 154 MB, on the device that trains.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ..ingredients import ingredient
from ..types import Data
from .cifar10_files import IMAGES, PIXELS, TEST, TRAIN, Place, find

CLASSES = (  # in order of their label
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@ingredient
@dataclass(frozen=True)
class CIFAR10:
    """The 50 000 training images, or with `train=False` the 10 000 to judge with.

    With `labelled=True` each comes with its class, an index into CLASSES; else with None.

    `path` is a folder or an archive in a published layout, or a folder with one in it; "" is what
    CMLAB_DATA names, or the repository's data/. Each image is turned left to right with
    probability 1/2 if `flip`.
    """

    path: str = ""
    train: bool = True
    flip: bool = True
    labelled: bool = False

    @cached_property
    def images(self) -> UInt8[Tensor, "n 3 32 32"]:
        """Bytes, in the published order. Raises BadFile when they cannot be had."""
        return self.read()[0]

    @cached_property
    def labels(self) -> Int64[Tensor, " n"]:
        """Indices into CLASSES."""
        return self.read()[1]

    @cached_property
    def resident(self) -> "Resident":
        return self.on("cpu")

    def read(self) -> tuple[Tensor, Tensor]:
        """Images and labels, from the disk the first time only."""
        return load(find(self.path), TRAIN if self.train else TEST)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: channels, height, width."""
        return (3, 32, 32)

    @property
    def classes(self) -> int:
        """How many classes the labels name; 0 where they are kept back."""
        return len(CLASSES) if self.labelled else 0

    @property
    def sigma_data(self) -> float:
        """The convention of Karras et al. 2022 (EDM), kept by all who follow; measured: 0.503."""
        return 0.5

    def __len__(self) -> int:
        return IMAGES * len(TRAIN if self.train else TEST)

    def sample(self, n: int) -> tuple[Data, Tensor | None]:
        """n images (n, 3, 32, 32) in [-1, 1], drawn with replacement, and their classes."""
        return self.resident.sample(n)

    def on(self, device: torch.device | str) -> "Resident":
        """The same source on a device: it draws there, from that device's random numbers."""
        labels = self.labels.to(device) if self.labelled else None
        return Resident(self.images.to(device), self.flip, labels)


@dataclass(frozen=True, eq=False)
class Resident:
    """Images as bytes on one device, a Source that never waits for another."""

    images: Tensor  # (n, 3, 32, 32) uint8
    flip: bool
    labels: Tensor | None = None  # (n,) int64

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return tuple(self.images.shape[1:])

    @property
    def sigma_data(self) -> float:
        return CIFAR10().sigma_data

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, n: int) -> tuple[Data, Tensor | None]:
        """As CIFAR10's."""
        device = self.images.device
        drawn = torch.randint(len(self.images), (n,), device=device)
        x = self.images[drawn]
        if self.flip:
            turned = torch.rand(n, device=device) < 0.5
            x = torch.where(turned[:, None, None, None], x.flip(3), x)
        return x.float() / 127.5 - 1, None if self.labels is None else self.labels[drawn]


@lru_cache(maxsize=2)  # training and test images of one place
def load(place: Place, names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Images (n, 3, 32, 32) uint8 and labels (n,) int64 of these batches, in their order."""
    images = np.empty((len(names), IMAGES, PIXELS), np.uint8)
    labels = np.empty((len(names), IMAGES), np.int64)
    for index, batch in place.batches(names):
        images[index], labels[index] = batch
    return torch.from_numpy(images).view(-1, 3, 32, 32), torch.from_numpy(labels).view(-1)
