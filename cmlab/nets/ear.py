"""A frozen ear and light heads that listen through it: the critic of MusicCM.

The ear reads the notes of each column of a log-mel spectrogram; it is remade by
`python scripts/train_music_ear.py` and is never trained further. Each head sees one of its layers.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..ingredients import ingredient
from ..vocabulary import Data, PerSample, Time
from .embedding import Labels
from .shipped import frozen
from .strip import along

CHECKPOINT = Path(__file__).parents[2] / "data" / "checkpoints" / "music-ear.safetensors"
NOTES = (60, 89)  # semitones as in MIDI, the last one excluded


class Ear(nn.Module):
    """x (b, 1, bands, columns) -> logits (b, notes, columns): does this note sound here?"""

    def __init__(self, bands: int = 40, width: int = 48) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList([along(bands, width), *(along(width, width) for _ in "ab")])
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


def load_ear(path: Path = CHECKPOINT) -> Ear:
    """The shipped ear, frozen. Raises BadFile for a file that is not it."""
    return frozen(Ear, path, "scripts/train_music_ear.py")


class Head(nn.Module):
    """A score of each column and its neighbours, one layer of the ear and the class given."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.first, self.last = along(inputs, width), along(width, 1)
        self.labels, self.act = Labels(classes, width), nn.LeakyReLU(0.2)

    def forward(self, h: Tensor, cond: Tensor | None) -> PerSample:
        told = self.labels(cond)
        told = told[:, :, None, None] if isinstance(told, Tensor) else told
        return self.last(self.act(self.first(h) + told)).flatten(1).mean(1)


class EarCritic(nn.Module):
    """(x, c_noise, cond) -> (b,): the heads' mean. It hears clean sound: c_noise is ignored."""

    def __init__(self, ear: Ear, width: int, classes: int) -> None:
        super().__init__()
        self.ear = ear
        self.heads = nn.ModuleList(Head(ear.width, width, classes) for _ in ear.layers)

    def forward(self, x: Data, c_noise: Time, cond: Tensor | None = None) -> PerSample:
        pairs = zip(self.heads, self.ear.maps(x), strict=True)
        return torch.stack([head(h, cond) for head, h in pairs]).mean(0)


@ingredient
@dataclass(frozen=True)
class EarCriticShape:
    """What an EarCritic is built from, beside the shipped ear."""

    width: int = 32
    classes: int = 0

    def build(self) -> EarCritic:
        """Fresh heads from torch's global generator. Raises BadFile without the ear."""
        return EarCritic(load_ear(), self.width, self.classes)
