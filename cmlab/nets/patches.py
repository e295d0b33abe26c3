"""Patches: a network on a smaller image with more channels (space to depth).

    F(x) = depth to space( inner network( space to depth(x) ) )

An image of n × n pixels becomes one of n/p × n/p, each pixel of which holds a patch of p × p. The
arithmetic of a convolution of given width falls by p², and what it reads and writes too. The
rearrangement itself loses nothing (Shi et al. 2016, arXiv:1609.05158), but an inner network that
is not wider than the numbers of a patch cannot distinguish all patches, and its outputs then keep
some of the noise: with 3 channels take p = 2 (12 numbers) before p = 4 (48). A convolution at full
resolution before and after was tried and learns more slowly (docs/settings.md).
"""

from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional

from ..ingredients import ingredient
from ..types import Data, Range, Times
from .unet import check_image


@runtime_checkable
class ImageShape(Protocol):
    """The record of a network for images of `channels` channels."""

    @property
    def channels(self) -> int: ...

    def build(self) -> nn.Module: ...


class PatchNet(nn.Module):
    """A network on patches: x (b, channels, n, n) -> the same shape, n a multiple of `size`.

    Args:
        inner: the record of the inner network, whose channels are `channels` · size².
        size: pixels a side of a patch.

    Raises:
        ValueError: when the inner network's channels are no multiple of size².
    """

    def __init__(self, inner: ImageShape, size: int = 2) -> None:
        super().__init__()
        self.channels, rest = divmod(inner.channels, size**2)
        if rest or not self.channels:
            raise ValueError(
                f"patches of {size} × {size} need an inner network whose channels are a multiple "
                f"of {size**2}, not {inner.channels}."
            )
        self.size, self.inner = size, inner.build()
        self.channels_last = getattr(self.inner, "channels_last", False)

    def forward(self, x: Data, c_noise: Times, cond: Tensor | None = None) -> Data:
        check_image("network on patches", x, self.channels, 0)
        if x.shape[2] % self.size or x.shape[3] % self.size:
            raise ValueError(
                f"patches of {self.size} × {self.size} pixels do not fill an image with sides "
                f"{tuple(x.shape[2:])}: pad them to a multiple of {self.size}."
            )
        h = self.inner(functional.pixel_unshuffle(x, self.size), c_noise, cond)
        return functional.pixel_shuffle(h, self.size)


@ingredient
@dataclass(frozen=True)
class PatchesShape:
    """The record of `PatchNet`: its arguments."""

    inner: ImageShape
    size: Annotated[int, Range("[1, 64]")] = 2

    def build(self) -> PatchNet:
        """A fresh network. Seed torch first: the weights come from its global generator."""
        return PatchNet(**vars(self))
