"""Bases in which the given part of an image is a block of coordinates: pixels, luminance, means.

Each is an invertible linear A, here orthogonal, so that white noise stays white in it. Song et
al. 2023 (arXiv 2303.01469), Appendix D.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .components import require
from .vocabulary import Data

GREY = (0.2989, 0.5870, 0.1140)  # what red, green and blue count in luminance


def orthogonal(first: Tensor, others: Sequence[int]) -> Tensor:
    """An orthogonal matrix (n, n) in float64 whose first column is along `first` (n,).

    The other columns are axes, in this order, made orthogonal to all before them.
    """
    axes = torch.eye(len(first), dtype=torch.float64)[:, list(others)]
    q, r = torch.linalg.qr(torch.cat([first.double()[:, None], axes], 1))
    return q * r.diagonal().sign()


class Basis(ABC):
    """A, and the way back."""

    @abstractmethod
    def __call__(self, x: Data) -> Tensor:
        """A x."""

    @abstractmethod
    def back(self, a: Tensor) -> Data:
        """A⁻¹ a."""


@dataclass(frozen=True)
class Pixels(Basis):
    """A = 1."""

    def __call__(self, x: Data) -> Tensor:
        return x

    def back(self, a: Tensor) -> Data:
        return a


@dataclass(frozen=True)
class Luminance(Basis):
    """Images (b, 3, h, w) -> (b, h, w, 3): luminance first, then two directions of colour."""

    @property
    def Q(self) -> Tensor:
        return orthogonal(torch.tensor(GREY), (1, 0))

    def __call__(self, x: Data) -> Tensor:
        require(x.ndim == 4 and x.shape[1] == 3, f"colouring takes images (b, 3, h, w), not a "
                f"tensor of shape {tuple(x.shape)}")  # fmt: skip
        return x.movedim(1, -1) @ self.Q.to(x)

    def back(self, a: Tensor) -> Data:
        return (a @ self.Q.T.to(a)).movedim(-1, 1)


@dataclass(frozen=True)
class Patches(Basis):
    """Images -> (b, c, h/p, w/p, p²): of each p × p field first its mean times p, then detail."""

    side: int = 2

    @property
    def Q(self) -> Tensor:
        return orthogonal(torch.ones(self.side**2), range(self.side**2 - 1))

    def __call__(self, x: Data) -> Tensor:
        p, fits = self.side, x.ndim == 4
        fits = fits and x.shape[2] % p == x.shape[3] % p == 0
        require(fits, f"{tuple(x.shape)} are no images (b, c, h, w) of whole {p} × {p} fields: "
                "give a side that divides both")  # fmt: skip
        fields = x.unfold(2, p, p).unfold(3, p, p)
        return fields.flatten(-2) @ self.Q.to(x)

    def back(self, a: Tensor) -> Data:
        p, (b, c, h, w, _) = self.side, a.shape
        fields = (a @ self.Q.T.to(a)).reshape(b, c, h, w, p, p)
        return fields.transpose(3, 4).reshape(b, c, h * p, w * p)
