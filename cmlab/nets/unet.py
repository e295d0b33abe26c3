"""UNet: a small one for square images of 8 to 32 pixels.

    in ─ level 0 ─┬─ level 1 ─┬─ … ─ middle ─ … ─┬─ level 1 ─┬─ level 0 ─ out
                  └───────────┴──────skips───────┴───────────┘

A level halves the image by averaging 2×2 pixels; on the way up each pixel is repeated. The noise
level and the class modulate the normalised activations of every block.

Every operation has a forward-mode derivative, which torch's fused attention for one lacks.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..ingredients import ingredient
from ..types import BelowOne, Classes, Data, Depth, Natural, Range, Times, Width
from .attention import attention
from .embedding import Embed, Fourier, Labels, Waves
from .norm import BuildNorm, Grouped, Modulation, ScaleShift


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def silent(layer: nn.Module) -> nn.Module:
    """The layer with all its weights at 0, so that its residual branch starts at 0."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


def upsample(h: Tensor) -> Tensor:
    """Nearest-neighbour upsampling by two: (b, c, n, n) -> (b, c, 2n, 2n)."""
    if h.is_cuda or not torch.compiler.is_compiling():
        return functional.interpolate(h, scale_factor=2.0, mode="nearest")
    # What is generated for the gradient of interpolate on a CPU takes thirty times as long.
    b, c, rows, columns = h.shape
    pixels = h.permute(0, 2, 3, 1)[:, :, None, :, None].expand(b, rows, 2, columns, 2, c)
    return pixels.reshape(b, 2 * rows, 2 * columns, c).permute(0, 3, 1, 2)


class Conditioning(nn.Module):
    """The embedding of noise level and class as one vector: (b,), (b,) -> (b, width)."""

    def __init__(self, embed: Embed, classes: int, width: int) -> None:
        super().__init__()
        self.waves, self.labels = Waves(embed), Labels(classes, width)
        self.inner, self.outer = nn.Linear(self.waves.width, width), nn.Linear(width, width)
        self.act = nn.SiLU()

    def forward(self, c_noise: Times, cond: Tensor | None) -> Tensor:
        told = self.outer(self.act(self.inner(self.waves(c_noise))))
        return self.act(told + self.labels(cond))


class Block(nn.Module):
    """A residual block h + conv(drop(act(modulated norm(conv(act(norm(h))))))), modulated by e."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width_e: int,
        dropout: float,
        modulation: Modulation,
        norm: BuildNorm,
    ) -> None:
        super().__init__()
        self.norm_1, self.conv_1 = norm(inputs, True), conv(inputs, outputs)
        self.modulate = modulation.build(width_e, outputs, norm)
        self.drop = nn.Dropout(dropout)
        self.conv_2 = silent(conv(outputs, outputs))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.act = nn.SiLU()

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        inner = self.modulate(self.conv_1(self.act(self.norm_1(h))), e)
        return self.skip(h) + self.conv_2(self.drop(self.act(inner)))


class Attention(nn.Module):
    """Residual self-attention over the pixels, with one head for each 32 channels."""

    def __init__(self, channels: int, norm: BuildNorm) -> None:
        super().__init__()
        self.heads = max(1, channels // 32)
        self.norm = norm(channels, True)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = silent(nn.Conv2d(channels, channels, 1))

    def forward(self, h: Tensor) -> Tensor:
        qkv = self.qkv(self.norm(h)).flatten(2)
        # A view, since the compiler cannot follow `unflatten` under the mode for cheap dropout.
        apart = qkv.view(h.shape[0], 3, self.heads, -1, qkv.shape[2])
        q, k, v = apart.transpose(3, 4).unbind(1)
        return h + self.out(attention(q, k, v).transpose(2, 3).reshape(h.shape))


class Level(nn.Module):
    """Blocks at one resolution, each followed by attention where the level has it.

    The first block takes `below` channels, and every block `skip` channels more.
    """

    def __init__(
        self,
        below: int,
        outputs: int,
        width_e: int,
        dropout: float,
        modulation: Modulation,
        norm: BuildNorm,
        attention: bool,
        blocks: int = 1,
        skip: int = 0,
    ) -> None:
        super().__init__()
        inputs = [below + skip] + [outputs + skip] * (blocks - 1)
        self.blocks = nn.ModuleList(
            Block(n, outputs, width_e, dropout, modulation, norm) for n in inputs
        )
        self.attention = nn.ModuleList(
            Attention(outputs, norm) if attention else nn.Identity() for _ in inputs
        )

    def forward(self, h: Tensor, e: Tensor, skips: list[Tensor] | None = None) -> list[Tensor]:
        """The activations after each block; with `skips`, each block reads one, latest first."""
        after = []
        for block, attend in zip(self.blocks, self.attention, strict=True):
            h = h if skips is None else torch.cat([h, skips.pop()], dim=1)
            h = attend(block(h, e))
            after.append(h)
        return after


def check_levels(attention: tuple[int, ...], levels: int) -> int:
    """The number of levels. Raises ValueError when `attention` names others."""
    if not set(attention) <= set(range(levels)):
        raise ValueError(f"attention must name levels in 0…{levels - 1}, not {attention}.")
    return levels


def check_image(net: str, x: Tensor, channels: int, halvings: int) -> None:
    """Raise ValueError for images that the network of this name cannot take."""
    step = 2**halvings
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(
            f"This {net} takes x of shape (b, {channels}, n, n), not {tuple(x.shape)}."
        )
    if x.shape[2] % step or x.shape[3] % step:
        raise ValueError(
            f"This {net} halves the image {halvings} times: pad its sides "
            f"{tuple(x.shape[2:])} to a multiple of {step} pixels."
        )


class UNet(nn.Module):
    """A UNet x (b, channels, n, n) -> the same shape, n a multiple of 2 ** (levels - 1).

    The middle always has attention, on its smallest image. The weights come from torch's global
    generator, and the last layer starts at 0.

    Args:
        channels: of the images.
        width: base number of channels.
        mults: the width of each level in units of `width`, finest first.
        blocks: of each level, on the way down and up.
        attention: the levels that have it; 0 is the finest.
        dropout: its probability.
        embed: embedding of the noise level.
        classes: how many; 0 for an unconditional network.
        modulation: how the embedding modulates the blocks.
        norm: the normalisation.
        embedding: width of the embedding of noise level and class; 0 is 4 · width.

    Raises:
        ValueError: for attention at levels that do not exist.
    """

    channels_last = True  # the fastest layout on a CPU in bfloat16: network_to_channels_last

    def __init__(
        self,
        channels: int = 1,
        width: int = 32,
        mults: tuple[int, ...] = (1, 2),
        blocks: int = 1,
        attention: tuple[int, ...] = (),
        dropout: float = 0.0,
        embed: Embed = Fourier(),  # noqa: B008 (frozen)
        classes: int = 0,
        modulation: Modulation = ScaleShift(),  # noqa: B008 (frozen)
        norm: BuildNorm = Grouped(),  # noqa: B008 (frozen)
        embedding: int = 0,
    ) -> None:
        super().__init__()
        self.channels, self.halvings = channels, check_levels(attention, len(mults)) - 1
        width_e = embedding or 4 * width
        self.told, w = Conditioning(embed, classes, width_e), [width * m for m in mults]
        above, below = [width, *w[:-1]], [*w[1:], w[-1]]
        told = (width_e, dropout, modulation, norm)
        shared = [(*told, i in attention, blocks) for i in range(len(w))]
        self.first = conv(channels, width)
        self.down = nn.ModuleList(map(lambda a, w, s: Level(a, w, *s), above, w, shared))
        self.middle = Level(w[-1], w[-1], *told, attention=True)
        ups = [*map(lambda b, w, s: Level(b, w, *s, skip=w), below, w, shared)]
        self.up = nn.ModuleList(ups[::-1])
        self.last = nn.Sequential(norm(w[0], True), nn.SiLU(), silent(conv(w[0], channels)))

    def forward(self, x: Data, c_noise: Times, cond: Tensor | None = None) -> Data:
        check_image("UNet", x, self.channels, self.halvings)
        e = self.told(c_noise, cond)
        h, skips = self.first(x), []
        for i, level in enumerate(self.down):
            skips.append(level(h if i == 0 else functional.avg_pool2d(h, 2), e))
            h = skips[-1][-1]
        h = self.middle(h, e)[-1]
        for i, level in enumerate(self.up):
            h = h if i == 0 else upsample(h)
            h = level(h, e, skips.pop())[-1]
        return self.last(h).to(x.dtype)


@ingredient
@dataclass(frozen=True)
class UNetShape:
    """The record of a `UNet`, for recipes: its arguments."""

    channels: Width = 1
    width: Width = 32
    mults: tuple[Depth, ...] = (1, 2)
    blocks: Depth = 1
    attention: tuple[Natural, ...] = ()
    dropout: BelowOne = 0.0
    embed: Embed = Fourier()
    classes: Classes = 0
    modulation: Modulation = ScaleShift()
    norm: BuildNorm = Grouped()
    embedding: Annotated[int, Range("[0, 16384]")] = 0  # of level and class; 0 is 4 * width

    def build(self) -> UNet:
        """A fresh network. Seed torch first: the weights come from its global generator."""
        return UNet(**vars(self))
