"""DDPM++: the UNet of EDM and of the papers' consistency models on CIFAR-10.

    in ─ level 0 ──────┬──── down ─ level 1 ──────┬──── … ─ down ─ last level ─┐
         1 + 4 skips   │          1 + 4 skips     │            1 + 4 skips     two blocks
    out ─ level 0, 5 blocks ─ up ─ level 1, 5 blocks ─ up ─ … ─ last level, 5 blocks

Each of the decoder's blocks reads one skip, so a level has one block more there than in the
encoder. The layout is Song et al. 2021's (arXiv:2011.13456) as Karras et al. 2022 (EDM,
arXiv:2206.00364) train it on CIFAR-10: `PAPER` has its 55,732,739 weights. What is ours: every
operation has a forward-mode derivative, and the noise level stays in float32 under autocast.
"""

from dataclasses import dataclass
from math import sqrt
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..ingredients import ingredient
from ..types import BelowOne, Classes, Data, Depth, Natural, Times, Width
from .attention import attention as attend
from .embedding import Embed, Positional
from .norm import Modulated, Modulation, Norm, Shift, Shifted, uncast
from .unet import Conditioning, check_image, check_levels, upsample

HALF = sqrt(0.5)  # keeps the variance of a sum of two branches
FAINT = 1e-5  # the last layer of a branch starts almost, but not quite, at 0


Layer = TypeVar("Layer", bound=nn.Linear | nn.Conv2d | Modulated | Shifted)


def drawn(layer: Layer, gain: float = 1.0) -> Layer:
    """Initialise a layer: weights uniform as Glorot & Bengio 2010, biases at 0."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def conv(inputs: int, outputs: int, kernel: int = 3, gain: float = 1.0) -> nn.Conv2d:
    return drawn(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), gain)


def norm(channels: int, affine: bool = True) -> Norm:
    """Group normalisation, with groups of at least 4 channels and at most 32 groups."""
    return Norm(channels, affine, groups=max(1, min(32, channels // 4)), eps=1e-6)


def output(inputs: int, channels: int) -> nn.Sequential:
    return nn.Sequential(norm(inputs), nn.SiLU(), conv(inputs, channels, gain=FAINT))


def told(embed: Embed, classes: int, width: int) -> Conditioning:
    made = Conditioning(embed, classes, width)
    for layer in (made.inner, made.outer):
        drawn(layer)
    return made


@dataclass(frozen=True)
class Resolution:
    """The settings that the blocks of one resolution share."""

    channels: int
    attention: bool
    dropout: float
    width_e: int
    modulation: Modulation


class SingleHeadAttention(nn.Module):
    """Self-attention over the pixels, with a single head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.qkv = conv(channels, 3 * channels, 1, gain=sqrt(0.2))
        self.out = conv(channels, channels, 1, gain=FAINT)

    def forward(self, h: Tensor) -> Tensor:
        pixels = self.qkv(self.norm(h)).flatten(2).mT  # no copy if h is channels_last
        q, k, v = pixels[:, None].chunk(3, dim=3)
        return self.out(attend(q, k, v)[:, 0].mT.reshape(h.shape))


class DDPMppBlock(nn.Module):
    """A residual block: (skip(h) + branch(h, e)) · √½, then the same with attention as the branch.

    branch = conv(drop(act(modulated norm(conv(resize(act(norm(h)))))))). `resize` also stands
    before the skip's 1 × 1 convolution, which is left out where the block changes nothing.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        level: Resolution,
        attention: bool = False,
        resize: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.resize, self.act = resize or nn.Identity(), nn.SiLU()
        self.norm_1, self.conv_1 = norm(inputs), conv(inputs, outputs)
        self.modulate = drawn(level.modulation.build(level.width_e, outputs, norm))
        self.drop, self.conv_2 = nn.Dropout(level.dropout), conv(outputs, outputs, gain=FAINT)
        same = inputs == outputs and resize is None
        self.skip = nn.Identity() if same else conv(inputs, outputs, 1)
        self.attention = SingleHeadAttention(outputs) if attention else None

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        inner = self.conv_1(self.resize(self.act(self.norm_1(h))))
        inner = self.conv_2(self.drop(self.act(self.modulate(inner, e))))
        h = (self.skip(self.resize(h)) + inner) * HALF
        return h if self.attention is None else (h + self.attention(h)) * HALF


class Upsample(nn.Module):
    """Nearest-neighbour upsampling by two, as a layer."""

    def forward(self, h: Tensor) -> Tensor:
        return upsample(h)


class Rise(nn.Module):
    """A level of the decoder: blocks that enter it, then blocks that each read a skip."""

    def __init__(self, enter: list[DDPMppBlock], blocks: list[DDPMppBlock]) -> None:
        super().__init__()
        self.enter, self.blocks = nn.ModuleList(enter), nn.ModuleList(blocks)

    def forward(self, h: Tensor, e: Tensor, skips: list[Tensor]) -> Tensor:
        """(b, c, n, n) after the level; its skips are popped off the end of the list."""
        for block in self.enter:
            h = block(h, e)
        for block in self.blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), e)
        return h


class DDPMpp(nn.Module):
    """The DDPM++ network: x (b, channels, n, n) -> the same shape.

    n is a multiple of 2 ** (levels - 1). The weights come from torch's global generator.

    Args:
        channels: of the images.
        width: base number of channels; noise level and class become a vector of 4 · width.
        mults: the width of each level in units of `width`, finest first.
        blocks: of each level in the encoder; the decoder has one more.
        attention: the levels that have it (0 is the finest; 1 has 16 × 16 pixels for CIFAR-10):
            after each of the encoder's blocks, after the decoder's last, and always after the
            first block in the middle.
        dropout: its probability.
        dropout_from: the finest level with dropout; coarser ones have it too.
        embed: embedding of the noise level.
        classes: how many; 0 for an unconditional network.
        modulation: how the embedding modulates the blocks.

    Raises:
        ValueError: for levels that do not exist, and for a width that does not divide into
            groups: multiples of 4 up to 128, then of 32.
    """

    channels_last = True  # the fastest layout on a CPU in bfloat16: network_to_channels_last

    def __init__(
        self,
        channels: int = 3,
        width: int = 128,
        mults: tuple[int, ...] = (2, 2, 2),
        blocks: int = 4,
        attention: tuple[int, ...] = (1,),
        dropout: float = 0.0,
        dropout_from: int = 0,
        embed: Embed = Positional(64),  # noqa: B008 (frozen)
        classes: int = 0,
        modulation: Modulation = Shift(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__()
        check_levels(attention, len(mults))
        self.channels, self.halvings = channels, len(mults) - 1
        self.told = told(embed, classes, 4 * width)
        levels = [
            Resolution(
                width * m, i in attention, dropout * (i >= dropout_from), 4 * width, modulation
            )
            for i, m in enumerate(mults)
        ]
        self.first = conv(channels, width)
        self.encoder, skips = encoder(width, levels, blocks)
        self.decoder = decoder(skips, levels, blocks)
        self.last = output(levels[0].channels, channels)

    def forward(self, x: Data, c_noise: Times, cond: Tensor | None = None) -> Data:
        check_image("DDPMpp", x, self.channels, self.halvings)
        with uncast(x.device):
            e = self.told(c_noise.to(self.told.inner.weight.dtype), cond)
        skips = [h := self.first(x)]
        for block in self.encoder:
            skips.append(h := block(h, e))
        for level in self.decoder:
            h = level(h, e, skips)
        return self.last(h).to(x.dtype)


def encoder(width: int, levels: list[Resolution], blocks: int) -> tuple[nn.ModuleList, list[int]]:
    """The encoder's blocks in order, and the channels of all skips in that order."""
    made, skips = nn.ModuleList(), [width]
    for i, level in enumerate(levels):
        if i:
            made.append(DDPMppBlock(skips[-1], skips[-1], level, resize=nn.AvgPool2d(2)))
            skips.append(skips[-1])
        for _ in range(blocks):
            made.append(DDPMppBlock(skips[-1], level.channels, level, level.attention))
            skips.append(level.channels)
    return made, skips


def decoder(skips: list[int], levels: list[Resolution], blocks: int) -> nn.ModuleList:
    """The decoder's levels, coarsest first. Two blocks enter that one, else one that upsamples."""
    made, skips, h = nn.ModuleList(), list(skips), skips[-1]
    for i, level in reversed(list(enumerate(levels))):
        if i == len(levels) - 1:
            enter = [DDPMppBlock(h, h, level, attention) for attention in (True, False)]
        else:
            enter = [DDPMppBlock(h, h, level, resize=Upsample())]
        reading = []
        for k in range(blocks + 1):
            last = level.attention and k == blocks
            reading.append(DDPMppBlock(h + skips.pop(), h := level.channels, level, last))
        made.append(Rise(enter, reading))
    return made


@ingredient
@dataclass(frozen=True)
class DDPMppShape:
    """The record of a `DDPMpp`, for recipes: its arguments."""

    channels: Width = 3
    width: Width = 128
    mults: tuple[Depth, ...] = (2, 2, 2)
    blocks: Depth = 4
    attention: tuple[Natural, ...] = (1,)
    dropout: BelowOne = 0.0
    dropout_from: Natural = 0
    embed: Embed = Positional(64)
    classes: Classes = 0
    modulation: Modulation = Shift()

    def build(self) -> DDPMpp:
        """A fresh network. Seed torch first: the weights come from its global generator."""
        return DDPMpp(**vars(self))


PAPER = DDPMppShape()
"""EDM's network for CIFAR-10: 55.7 million weights, 42 GFLOP for one image of 32 × 32."""

LEAN = DDPMppShape(width=64, mults=(2, 2, 3), blocks=2)
"""12.5 million weights, 7.0 GFLOP for one image: a sixth of `PAPER`, for short runs on one GPU.

Chosen by counting, not by training. Apart from the first and those that read its output, every
convolution has 128 or more channels, in multiples of 64: narrower ones leave a GPU's matrix units
waiting for memory. The third level has the most width because 8 × 8 pixels cost little. The
weights fill 25 MB in bfloat16.
"""
