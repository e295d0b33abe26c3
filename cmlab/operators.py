"""What a measurement keeps of the data: a mask, a blur, a few numbers, |x|, what a network says.

An operator is any callable x (b, *d) -> y (b, *m). The linear ones also have an adjoint,
⟨A x, y⟩ = ⟨x, Aᵀ y⟩, and can be written out as a matrix.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from .components import require
from .vocabulary import Data

Operator = Callable[[Tensor], Tensor]  # x -> the measurement


class Linear(ABC):
    """y = A x."""

    @abstractmethod
    def __call__(self, x: Data) -> Tensor: ...

    @abstractmethod
    def adjoint(self, y: Tensor) -> Data:
        """Aᵀ y."""

    def matrix(self, shape: tuple[int, ...]) -> Tensor:
        """A for samples of this shape, over flat samples: (m, d), in float64."""
        d = torch.Size(shape).numel()
        return self(torch.eye(d, dtype=torch.float64).reshape(d, *shape)).reshape(d, -1).T


@dataclass(frozen=True, eq=False)
class Mask(Linear):
    """y = x where `keep` (*d) is 1, and 0 where it is 0. Raises ValueError for anything else."""

    keep: Tensor

    def __post_init__(self) -> None:
        whole(self.keep, "keep")

    def __call__(self, x: Data) -> Tensor:
        shape, given = tuple(self.keep.shape), tuple(x.shape[1:])
        require(shape == given, f"a mask of shape {shape} does not fit samples of shape {given}: "
                "give one number for each of a sample's")  # fmt: skip
        return self.keep.to(x) * x

    def adjoint(self, y: Tensor) -> Data:
        return self(y)


def whole(mask: Tensor, name: str) -> None:
    """Raise ValueError unless the mask holds only 0 and 1."""
    fits = bool(((mask == 0) | (mask == 1)).all())
    require(fits, f"`{name}` holds other numbers than 0 and 1; round it, such as by mask > 0.5")


@dataclass(frozen=True)
class Blur(Linear):
    """Images (b, c, h, w) blurred by a Gaussian of `std` pixels; beyond the edge there is 0."""

    std: float = 1.0
    reach: int = 3  # pixels to either side

    def __post_init__(self) -> None:
        fits = self.std > 0 and self.reach >= 1
        require(fits, f"a blur of std {self.std:g} and reach {self.reach} is none: give a std "
                "above 0 and a reach of at least 1")  # fmt: skip

    @cached_property
    def kernel(self) -> Tensor:
        """The weights along one side, which sum to 1."""
        offset = torch.arange(-self.reach, self.reach + 1, dtype=torch.float64)
        return torch.softmax(-(offset**2) / (2 * self.std**2), 0)

    def __call__(self, x: Data) -> Tensor:
        images(x)
        flat, k, r = x.reshape(-1, 1, *x.shape[2:]), self.kernel.to(x), self.reach
        down = functional.conv2d(flat, k[None, None, :, None], padding=(r, 0))
        return functional.conv2d(down, k[None, None, None, :], padding=(0, r)).reshape(x.shape)

    def adjoint(self, y: Tensor) -> Data:
        return self(y)  # the kernel is even, and beyond the edge there is nothing


@dataclass(frozen=True)
class DownSample(Linear):
    """Images (b, c, h, w) averaged over fields of `factor` × `factor` pixels."""

    factor: int = 2

    def __post_init__(self) -> None:
        require(self.factor >= 1, f"a factor of {self.factor} is no size; give 1 or more")

    def __call__(self, x: Data) -> Tensor:
        images(x)
        p, (h, w) = self.factor, x.shape[2:]
        require(h % p == w % p == 0, f"{h} × {w} pixels make no whole fields of {p} × {p}: give "
                "a factor that divides both")  # fmt: skip
        return functional.avg_pool2d(x, p)

    def adjoint(self, y: Tensor) -> Data:
        p = self.factor
        return y.repeat_interleave(p, 2).repeat_interleave(p, 3) / p**2


def images(x: Data) -> None:
    """Raise ValueError unless these are images."""
    shape = tuple(x.shape)
    require(x.ndim == 4, f"this operator takes images (b, c, h, w), not a tensor of shape {shape}")


@dataclass(frozen=True)
class Absolute:
    """y = |x|, number by number: every sign is lost."""

    def __call__(self, x: Data) -> Tensor:
        return x.abs()


@dataclass(frozen=True)
class Square:
    """y = x², number by number."""

    def __call__(self, x: Data) -> Tensor:
        return x.square()


@dataclass(frozen=True)
class Radius:
    """y = ‖x‖, one number a sample: (b, 1)."""

    def __call__(self, x: Data) -> Tensor:
        # The root's slope at the origin is infinite, and a posterior mean can be just there.
        return (x.flatten(1).square().sum(1, keepdim=True) + 1e-12).sqrt()


@dataclass(frozen=True)
class Classifier:
    """What a frozen network reads in x: logits or features (b, k)."""

    read: Callable[[Tensor], Tensor]

    def __call__(self, x: Data) -> Tensor:
        y = self.read(x)
        fits = y.ndim == 2 and len(y) == len(x)
        require(fits, f"the classifier answers {len(x)} samples with shape {tuple(y.shape)}: it "
                "must give one row of numbers for each")  # fmt: skip
        return y
