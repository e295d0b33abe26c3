"""A corpus of music made by rule: plucked strings that walk round loops of four chords.

Every clip's notes are known.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Generator, Tensor

from ..ingredients import ingredient
from .sound import Sound
from .strings import Note, mixed

CHORDS = {
    "C": (60, 64, 67), "Dm": (62, 65, 69), "Em": (64, 67, 71),
    "F": (65, 69, 72), "G": (67, 71, 74), "Am": (69, 72, 76),
}  # fmt: skip
LOOPS = (
    ("C", "G", "Am", "F"),
    ("C", "Am", "Dm", "G"),
    ("Am", "F", "Dm", "Em"),
    ("C", "Em", "F", "G"),
)  # the classes, in order of their label; a piece may begin anywhere in its loop
BEAT = 16  # columns of the picture that a chord lasts: 0.512 s
BEATS = 12  # chords of a piece: three times round the loop
COLUMNS = 64  # of a clip: once round the loop, from anywhere
PLUCKS = 6  # different ones of each note


def composed(label: int, rng: np.random.Generator, beat: float, beats: int = BEATS) -> list[Note]:
    """A piece on one loop: at each beat a strummed chord, half a beat later mostly a high note."""
    turn, notes = int(rng.integers(4)), []
    for number in range(beats):
        chord, start = CHORDS[LOOPS[label][(number + turn) % 4]], number * beat
        late = rng.uniform(0.0, 0.012)  # seconds from string to string
        for order, pitch in enumerate(chord):
            loud, which = rng.uniform(0.6, 1.0), int(rng.integers(PLUCKS))
            wait = order * late
            notes.append(Note(start + wait, beat - wait, pitch, loud, which))
        if rng.random() < 0.8:
            high, which = int(rng.choice(chord)) + 12, int(rng.integers(PLUCKS))
            notes.append(Note(start + beat / 2, beat / 2, high, rng.uniform(0.5, 0.9), which))
    return notes


@ingredient
@dataclass(frozen=True)
class Tunes:
    """Clips cut out of pieces at any column; the label is the loop. `train=False`: other pieces.

    Everything is a function of `seed`. The pieces are rendered at the first use, in seconds.
    """

    train: bool = True
    pieces: int = 32  # of each loop
    seed: int = 0
    sound: Sound = Sound()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one clip: channel, bands, columns."""
        return (1, self.sound.bands, COLUMNS)

    @property
    def classes(self) -> int:
        return len(LOOPS)

    @cached_property
    def scores(self) -> list[list[Note]]:
        """What is played in each piece, those of loop 0 first."""
        rng = np.random.default_rng((self.seed, int(self.train)))
        beat = BEAT * self.sound.seconds
        return [composed(label, rng, beat) for label in range(self.classes) for _ in
                range(self.pieces)]  # fmt: skip

    @cached_property
    def pictures(self) -> Tensor:
        """x of every whole piece, (classes · pieces, bands, BEAT · BEATS)."""
        return torch.stack([self.sound.picture(self.audio(i)) for i in range(len(self.scores))])

    def audio(self, piece: int) -> np.ndarray:
        """The recording of a whole piece, (samples,)."""
        seconds = (BEAT * BEATS - 0.5) * self.sound.seconds
        return mixed(self.scores[piece], seconds, self.sound.rate)

    @cached_property
    def rolls(self) -> Tensor:
        """Which notes sound in each column, (classes · pieces, columns, 128), true or false."""
        rolls = torch.zeros(len(self.scores), BEAT * BEATS, 128, dtype=torch.bool)
        for roll, notes in zip(rolls, self.scores, strict=True):
            for note in notes:
                first, last = note.start, note.start + note.length
                at = torch.arange(len(roll)) * self.sound.seconds
                roll[(at >= first - 1e-9) & (at < last - 1e-9), note.pitch] = True
        return rolls

    @property
    def sigma_data(self) -> float:
        """Standard deviation of the training pictures, about 1."""
        training = self if self.train else replace(self, train=True)
        return float(training.pictures.double().std())

    def cuts(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Where n clips are cut: the piece, and the first column, (n,) each."""
        piece = torch.randint(self.classes * self.pieces, (n,), generator=generator)
        return piece, torch.randint(BEAT * BEATS - COLUMNS + 1, (n,), generator=generator)

    def clips(self, piece: Tensor, first: Tensor) -> Tensor:
        """x of these clips, (n, 1, bands, COLUMNS)."""
        columns = first[:, None] + torch.arange(COLUMNS)
        return self.pictures.transpose(1, 2)[piece[:, None], columns].transpose(1, 2)[:, None]

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """n clips (n, 1, bands, COLUMNS) and their loops (n,), drawn uniformly."""
        piece, first = self.cuts(n, generator)
        return self.clips(piece, first).contiguous(), piece // self.pieces
