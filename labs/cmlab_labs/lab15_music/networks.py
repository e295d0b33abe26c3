"""Networks for music: a U-Net on spectrograms, convolving along time, and a discriminator.

`unet.UNet` slides its filters along frequency too, as if a chord were the same one band higher. In
`StripUNet` each column of the spectrogram is one vector: every filter sees all bands of three
columns at once, which fits notes that stay where they are, and costs a third. Levels halve the
columns only.

The discriminator, MusicCM's critic, has light heads on the features of a frozen note detector. The
detector finds the notes of each column of a log-mel spectrogram; it is remade by `python
scripts/train_music_ear.py` and is never trained further. Each head sees one of its layers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmlab.ingredients import ingredient
from cmlab.nets.embedding import Embed, Fourier, Labels
from cmlab.nets.norm import Norm, ScaleShift
from cmlab.nets.pretrained import CHECKPOINTS, frozen
from cmlab.nets.unet import Attention, Conditioning, silent
from cmlab.types import Classes, Data, PerSample, Range, Time, Width

# A U-Net along time alone, for spectrograms


def time_convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A convolution over three columns, (b, inputs, 1, columns) -> (b, outputs, 1, columns)."""
    return nn.Conv2d(inputs, outputs, (1, 3), padding=(0, 1))


class StripBlock(nn.Module):
    """h + conv(act(modulated norm(conv(act(norm(h)))))), the modulation read from e."""

    def __init__(self, inputs: int, outputs: int, width_e: int) -> None:
        super().__init__()
        self.norm, self.conv_1 = Norm(inputs), time_convolution(inputs, outputs)
        self.modulate = ScaleShift().build(width_e, outputs)
        self.conv_2 = silent(time_convolution(outputs, outputs))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.act = nn.SiLU()

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        inner = self.modulate(self.conv_1(self.act(self.norm(h))), e)
        return self.skip(h) + self.conv_2(self.act(inner))


class StripUNet(nn.Module):
    """x (b, 1, bands, columns) -> the same shape; columns must divide by 2 ** (levels - 1).

    Every level has `width` channels; the middle has attention on its few columns, with no place
    of their own, so that a clip of another length is understood too.
    """

    def __init__(
        self,
        bands: int = 40,
        width: int = 96,
        levels: int = 3,
        embed: Embed = Fourier(32, 0.06),  # noqa: B008 (frozen)
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.bands, self.step = bands, 2 ** (levels - 1)
        self.told = Conditioning(
            embed, classes, 2 * width
        )  # `told` is its name in shipped weights
        self.first = time_convolution(bands, width)
        self.down = nn.ModuleList(StripBlock(width, width, 2 * width) for _ in range(levels))
        self.middle = nn.ModuleList(StripBlock(width, width, 2 * width) for _ in range(2))
        self.attention = Attention(width, Norm)
        self.up = nn.ModuleList(StripBlock(2 * width, width, 2 * width) for _ in range(levels))
        self.last = nn.Sequential(Norm(width), nn.SiLU(), silent(time_convolution(width, bands)))

    def forward(self, x: Data, c_noise: Time, cond: Tensor | None = None) -> Data:
        self.check(x)
        e, h, skips = self.told(c_noise, cond), self.first(x.transpose(1, 2)), []
        for i, block in enumerate(self.down):
            h = block(h if i == 0 else functional.avg_pool2d(h, (1, 2)), e)
            skips.append(h)
        before, after = self.middle
        h = after(self.attention(before(h, e)), e)
        for i, block in enumerate(self.up):
            h = h if i == 0 else functional.interpolate(h, scale_factor=(1.0, 2.0))
            h = block(torch.cat([h, skips.pop()], 1), e)
        return self.last(h).transpose(1, 2).to(x.dtype)

    def check(self, x: Tensor) -> None:
        """Raise ValueError for pictures of sound that the network cannot take."""
        if x.ndim != 4 or x.shape[1:3] != (1, self.bands) or x.shape[3] % self.step:
            raise ValueError(
                f"this StripUNet takes x of shape (b, 1, {self.bands}, columns) with columns a "
                f"multiple of {self.step}, not {tuple(x.shape)}"
            )


@ingredient
@dataclass(frozen=True)
class StripUNetShape:
    """The configuration of a StripUNet, as recipes record it."""

    bands: Width = 40
    width: Width = 96
    levels: Annotated[int, Range("[1, 16]")] = 3
    embed: Embed = Fourier(32, 0.06)
    classes: Classes = 0

    def build(self) -> StripUNet:
        """A fresh network. Seed torch first: the weights come from its global generator."""
        return StripUNet(**vars(self))


# The critic of MusicCM: light heads on the features of a frozen note detector

CHECKPOINT = CHECKPOINTS / "music-ear.safetensors"
NOTES = (60, 89)  # semitones as in MIDI, the last one excluded


class NoteDetector(nn.Module):
    """x (b, 1, bands, columns) -> logits (b, notes, columns): does this note sound here?"""

    def __init__(self, bands: int = 40, width: int = 48) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(
            [time_convolution(bands, width), *(time_convolution(width, width) for _ in "ab")]
        )
        self.act, self.head = nn.SiLU(), nn.Conv2d(width, NOTES[1] - NOTES[0], 1)

    def maps(self, x: Data) -> list[Tensor]:
        """The activations of the layers, (b, width, 1, columns) each."""
        h, found = x.transpose(1, 2), []
        for layer in self.layers:
            h = self.act(layer(h))
            found.append(h)
        return found

    def forward(self, x: Data) -> Tensor:
        return self.head(self.maps(x)[-1])[:, :, 0]


def load_note_detector(path: Path = CHECKPOINT) -> NoteDetector:
    """The shipped note detector, frozen. Raises BadFile for a file that is not it."""
    return frozen(NoteDetector, path, "scripts/train_music_ear.py")


class CriticHead(nn.Module):
    """A score of each column and its neighbours, from one layer of the detector and the class."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.first, self.last = time_convolution(inputs, width), time_convolution(width, 1)
        self.labels, self.act = Labels(classes, width), nn.LeakyReLU(0.2)

    def forward(self, h: Tensor, cond: Tensor | None) -> PerSample:
        label = self.labels(cond)
        label = label[:, :, None, None] if isinstance(label, Tensor) else label
        return self.last(self.act(self.first(h) + label)).flatten(1).mean(1)


class MusicCritic(nn.Module):
    """(x, c_noise, cond) -> (b,): the heads' mean. Its input is clean, so c_noise is ignored."""

    def __init__(self, detector: NoteDetector, width: int, classes: int) -> None:
        super().__init__()
        self.ear = detector  # `ear` is its name in checkpoints
        self.heads = nn.ModuleList(
            CriticHead(detector.width, width, classes) for _ in detector.layers
        )

    def forward(self, x: Data, c_noise: Time, cond: Tensor | None = None) -> PerSample:
        pairs = zip(self.heads, self.ear.maps(x), strict=True)
        return torch.stack([head(h, cond) for head, h in pairs]).mean(0)


@ingredient
@dataclass(frozen=True)
class MusicCriticShape:
    """The configuration of a MusicCritic; its note detector is the shipped one."""

    width: Width = 32
    classes: Classes = 0

    def build(self) -> MusicCritic:
        """Fresh heads from torch's global generator. Raises BadFile without the detector."""
        return MusicCritic(load_note_detector(), self.width, self.classes)
