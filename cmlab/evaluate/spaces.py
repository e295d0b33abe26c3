"""The named spaces in which pictures are compared: the features of one network each.

A distance belongs to its space: a number of one says nothing about a number of the other.
`cmlab-cifar` comes with the repository; `inception` is the space of published FIDs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ..components import require
from ..ingredients import ingredient
from .cifar import CHECKPOINT, FEATURES, load_cifar_classifier

Eye = Callable[[Tensor], Tensor]  # pixels, uint8 (b, 3, h, w) -> features (b, size)


def pixels(x: Tensor) -> Tensor:
    """Pictures as a file holds them: values in [-1, 1] to bytes, clamped and rounded.

    Real pictures have 256 values. Whatever lies between or beyond them is seen by a network and
    by no reader of the file, so generated ones are rounded before they are compared. Bytes pass.
    """
    if x.dtype == torch.uint8:
        return x
    require(x.isfinite().all(), "some pictures hold values that are not finite: look at the model")
    return (x.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)


class Space(ABC):
    """A network that turns pictures into `size` features, and the name that its numbers carry."""

    name: ClassVar[str]
    size: ClassVar[int]

    @abstractmethod
    def open(self, device: torch.device) -> Eye:
        """The network on a device. Raises ValueError with the remedy when it is not there."""

    @torch.no_grad()
    def features(
        self, x: Tensor, device: torch.device | str | None = None, batch: int = 500
    ) -> Tensor:
        """Features (n, size) of pictures (n, 3, h, w), bytes or values in [-1, 1], in batches.

        They lie on `device`, by default that of x; x itself may be larger than it.
        """
        require(x.ndim == 4 and x.shape[1] == 3, f"pictures of shape {tuple(x.shape)} cannot be "
                "compared: give (n, 3, height, width)")  # fmt: skip
        place = torch.device(device or x.device)
        eye = opened(self, place)
        return torch.cat([eye(pixels(part.to(place))) for part in x.split(batch)])


@lru_cache(maxsize=1)
def opened(space: Space, device: torch.device) -> Eye:
    """The last network used stays in memory."""
    return space.open(device)


@ingredient
@dataclass(frozen=True)
class CifarSpace(Space):
    """The classifier of CIFAR-10 that comes with the repository, or one trained anew at `path`."""

    path: str = ""

    name = "cmlab-cifar"
    size = FEATURES

    def open(self, device: torch.device) -> Eye:
        classifier = load_cifar_classifier(Path(self.path or CHECKPOINT)).to(device)

        def eye(u: Tensor) -> Tensor:
            require(u.shape[2:] == (32, 32), f"{self.name} sees 32 × 32 pixels, not "
                    f"{u.shape[2]} × {u.shape[3]}: take another space")  # fmt: skip
            return classifier.features(u.float() / 127.5 - 1)

        return eye
