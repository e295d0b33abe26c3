"""Patches: a network that works on a smaller image with more channels (space to depth).

    x ─ conv ─┬─ space to depth ─ inner network ─ depth to space ─ + ─ act ─ conv ─ F
              └──────────── skip at full resolution ───────────────┘

An image of n × n pixels becomes one of n/p × n/p, each pixel of which holds a patch of p × p. The
arithmetic of a convolution of given width falls by p², and what it reads and writes too. The
rearrangement itself loses nothing (Shi et al. 2016, arXiv:1609.05158), but an inner network that
is narrower than a patch has numbers cannot tell all patches apart: its answers then keep some of
the noise. A thin stem at full resolution and the skip past the inner network mend that.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional

from ..ingredients import ingredient
from ..vocabulary import Data, Time
from .unet import check_image, conv, silent


@runtime_checkable
class ImageShape(Protocol):
    """The record of a network for images of `channels` channels."""

    @property
    def channels(self) -> int: ...

    def build(self) -> nn.Module: ...


class Patches(nn.Module):
    """x (b, channels, n, n) -> the same shape, through a network on patches of size × size pixels.

    The stem has as many channels as fill the inner network's input: inner.channels / size². Raises
    ValueError when that is no whole number. The last layer starts at 0.
    """

    def __init__(self, inner: ImageShape, channels: int = 3, size: int = 2) -> None:
        super().__init__()
        width, rest = divmod(inner.channels, size**2)
        if rest or not width:
            raise ValueError(
                f"patches of {size} × {size} need an inner network whose channels are a multiple "
                f"of {size**2}, not {inner.channels}."
            )
        self.channels, self.size = channels, size
        self.first, self.inner = conv(channels, width), inner.build()
        self.act, self.last = nn.SiLU(), silent(conv(width, channels))

    def forward(self, x: Data, c_noise: Time, cond: Tensor | None = None) -> Data:
        check_image("network on patches", x, self.channels, 0)
        if x.shape[2] % self.size or x.shape[3] % self.size:
            raise ValueError(
                f"patches of {self.size} × {self.size} pixels do not fill an image with sides "
                f"{tuple(x.shape[2:])}: pad them to a multiple of {self.size}."
            )
        h = self.first(x)
        inner = self.inner(functional.pixel_unshuffle(h, self.size), c_noise, cond)
        h = h + functional.pixel_shuffle(inner, self.size)
        return self.last(self.act(h)).to(x.dtype)


@ingredient
@dataclass(frozen=True)
class PatchesShape:
    """The record of `Patches`: its arguments."""

    inner: ImageShape
    channels: int = 3
    size: int = 2

    def build(self) -> Patches:
        """A fresh network. Seed torch first: the weights come from its global generator."""
        return Patches(**vars(self))
