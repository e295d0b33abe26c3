"""Music data: log-mel spectrograms of plucked strings playing chord loops, and their inversion.

    audio ─ STFT ─ |·|² ─ mel bands ─ dB ─ standardised x        (librosa)
    x ─ dB ─ mel bands ─ magnitudes of the STFT ─ Griffin & Lim 1984 finds a phase ─ audio

The spectrogram loses the phase and merges frequencies into bands, so its inversion is a guess.

The corpus is made by rule, so every clip's notes are known: plucked strings play loops of four
chords. A string is Karplus and Strong's (1983): a burst of noise in a delay line as long as one
period, with a filter that damps the high tones first.
"""

import io
import os
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.util import find_spec
from math import atan2, cos, log2, pi, sin
from pathlib import Path
from types import ModuleType
from typing import Annotated

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Generator, Tensor

from cmlab.ingredients import ingredient
from cmlab.train.checkpoint import replace as replace_file
from cmlab.types import NonNegative, Positive, Range

# The log-mel spectrogram of a recording, and its inversion to audio


@ingredient
@dataclass(frozen=True)
class Sound:
    """Log-mel spectrograms of sound: x has `bands` rows, and a column every `hop` samples.

    x = (dB - centre) / spread, with dB = 10 log₁₀ of a band's power, at least `quiet`. The centre
    and the spread are those of the corpus `Tunes`, measured once.
    """

    rate: Annotated[int, Range("[1000, 1e6]")] = 8000  # samples a second
    window: Annotated[int, Range("[16, 65536]")] = 1024  # samples under one column of the STFT
    hop: Annotated[int, Range("[1, 65536]")] = 256  # samples from one column to the next
    bands: Annotated[int, Range("[1, 1024]")] = 40
    low: NonNegative = 200.0  # Hz, below the lowest band
    high: Positive = 3400.0  # Hz, above the highest band
    quiet: Annotated[float, Range("[-300, 300]")] = -30.0  # dB
    centre: Annotated[float, Range("[-300, 300]")] = -18.77  # dB
    spread: Positive = 11.65  # dB

    def __post_init__(self) -> None:
        if not self.low < self.high <= self.rate / 2:
            raise ValueError(
                f"bands lie in 0 to rate / 2 = {self.rate / 2:g} Hz, low below high, not in "
                f"{self.low:g} to {self.high:g}"
            )

    @property
    def seconds(self) -> float:
        """Seconds from one column to the next."""
        return self.hop / self.rate

    def columns(self, seconds: float) -> int:
        """Number of columns of a recording of this length."""
        return 1 + int(seconds * self.rate) // self.hop

    def picture(self, audio: np.ndarray, rate: int | None = None) -> Tensor:
        """x (bands, columns) of a mono recording (samples,) at `rate`, by default our own.

        Raises ValueError for another rate, an empty clip, or samples that are not finite.
        """
        self.check(audio, self.rate if rate is None else rate)
        librosa = library()
        padded = np.pad(audio.astype(np.float32), (0, max(self.window - len(audio), 0)))
        power = np.abs(librosa.stft(padded, n_fft=self.window, hop_length=self.hop)) ** 2
        bands = self.filters() @ power[:, : 1 + len(audio) // self.hop]
        decibel = 10 * np.log10(np.maximum(bands, 10 ** (self.quiet / 10)))
        return torch.from_numpy(((decibel - self.centre) / self.spread).astype(np.float32))

    def audio(self, x: Tensor, rounds: int = 32) -> np.ndarray:
        """A recording (samples,) whose picture is near x (bands, columns), peak at most 1.

        `rounds` of Griffin & Lim's algorithm, from random phases of a fixed seed. Raises
        ValueError for another number of bands.
        """
        if x.ndim != 2 or len(x) != self.bands or not x.shape[1]:
            raise ValueError(
                f"a picture of sound is ({self.bands}, columns), not {tuple(x.shape)}; "
                f"take one clip, without batch and channel"
            )
        librosa = library()
        decibel = (x.double().numpy() * self.spread + self.centre).clip(self.quiet)
        power = np.where(decibel > self.quiet, 10 ** (decibel / 10), 0.0)
        magnitude = librosa.feature.inverse.mel_to_stft(
            power, sr=self.rate, n_fft=self.window, fmin=self.low, fmax=self.high
        )
        wave = librosa.griffinlim(magnitude, n_iter=rounds, hop_length=self.hop, random_state=0)
        return (wave / max(1.0, float(np.abs(wave).max()))).astype(np.float32)

    def filters(self) -> np.ndarray:
        """The mel bands' weights on the STFT's frequencies, (bands, 1 + window / 2)."""
        return library().filters.mel(
            sr=self.rate, n_fft=self.window, n_mels=self.bands, fmin=self.low, fmax=self.high
        )

    def check(self, audio: np.ndarray, rate: int) -> None:
        """Raise ValueError for a recording that cannot be turned into a picture."""
        if rate != self.rate:
            raise ValueError(f"a recording at {rate} Hz came; resample it to {self.rate} Hz")
        if audio.ndim != 1 or not len(audio):
            raise ValueError(
                f"a recording is one row of samples, not {audio.shape}; mix it to mono"
            )
        if not np.isfinite(audio).all():
            raise ValueError("the recording has samples that are not finite; leave them out")


def library() -> ModuleType:
    """librosa, imported when it is first needed: that takes about a second."""
    place = find_spec("librosa")
    homes = [Path.home(), *([Path(place.origin).parent] if place and place.origin else [])]
    if not any(os.access(home, os.W_OK) for home in homes):  # where numba keeps what it compiles
        os.environ.setdefault("NUMBA_CACHE_DIR", tempfile.mkdtemp(prefix="cmlab-"))
    import librosa

    return librosa


def wav(audio: np.ndarray, rate: int) -> bytes:
    """A mono WAV file of 16 bits. Raises ValueError for an empty or unfit recording."""
    Sound(rate=rate).check(audio, rate)
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, audio.clip(-1, 1), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def write_wav(path: Path, audio: np.ndarray, rate: int) -> None:
    """Write a mono WAV file atomically. Raises BadFile when the disk refuses."""
    content = wav(audio, rate)
    replace_file(path, lambda temporary: temporary.write_bytes(content))


def hertz(note: float) -> float:
    """The frequency of a note counted in semitones, 69 for the A of 440 Hz, as in MIDI."""
    return 440 * 2 ** ((note - 69) / 12)


def cents(found: float, asked: float) -> float:
    """Interval between two frequencies in cents: 100 cents are a semitone."""
    return 1200 * log2(found / asked)


# Plucked strings, after Karplus and Strong (1983)


@dataclass(frozen=True)
class PlayedNote:
    """A note as played: start and length (seconds), pitch (semitones as in MIDI), loudness."""

    start: float
    length: float
    pitch: int
    loud: float
    string: int = 0


def pluck(
    pitch: float, seconds: float, rate: int, noise: np.ndarray, bright: float = 0.5
) -> np.ndarray:
    """Karplus and Strong's string: (samples,), its period exact to a fraction of a sample.

    y[n] = burst[n] + ρ · lowpass(allpass(y[n - N])): the low-pass (1 - s, s) darkens the sound
    and the all-pass makes up the fraction that N whole samples leave (Jaffe & Smith 1983).
    """
    frequency = hertz(pitch)
    if not 0 < frequency < rate / 4:
        raise ValueError(f"a string of {frequency:.0f} Hz needs a rate above {4 * frequency:.0f}")
    w, s = 2 * pi * frequency / rate, 0.12 - 0.11 * bright
    dark = atan2(s * sin(w), 1 - s + s * cos(w)) / w  # the low-pass's delay in samples
    whole = int(rate / frequency - dark - 0.3)
    rest = rate / frequency - dark - whole
    c = sin((1 - rest) * w / 2) / sin((1 + rest) * w / 2)
    gain = 0.001 ** (1 / (1.5 * frequency))  # 60 dB in 1.5 s at the fundamental, at most
    above = np.zeros(whole + 3)
    above[0], above[1] = 1, c
    above[whole:] -= gain * np.convolve([1 - s, s], [c, 1])
    burst = np.zeros(int(seconds * rate))
    burst[: len(noise)] = noise[: len(burst)]
    return np.asarray(lfilter([1, c], above, burst))


@lru_cache(maxsize=512)
def string(pitch: int, number: int, rate: int) -> np.ndarray:
    """One of the plucks of a note, a second long, its loudest sample 1."""
    rng = np.random.default_rng((pitch, number))
    period = round(rate / hertz(pitch))
    noise = np.interp(np.arange(period), np.arange(period + 1), rng.standard_normal(period + 1))
    noise = (noise + np.roll(noise, 1)) / 2  # a soft plectrum
    noise -= noise.mean()  # else a hum that the string does not damp
    sound = pluck(pitch, 1.0, rate, noise, rng.uniform(0.2, 0.9))
    return sound / np.abs(sound).max()


def mix_notes(notes: list[PlayedNote], seconds: float, rate: int) -> np.ndarray:
    """The notes together, (samples,); each fades out in its last 30 ms. Raises ValueError."""
    if seconds <= 0:
        raise ValueError(f"a clip of {seconds:g} seconds is empty; make it longer")
    audio = np.zeros(int(seconds * rate) + rate)
    for note in notes:
        sound = string(note.pitch, note.string, rate)[: round(note.length * rate)]
        fade = np.clip((len(sound) - np.arange(len(sound))) / (0.03 * rate), 0, 1)
        first = round(note.start * rate)
        audio[first : first + len(sound)] += note.loud * fade * sound
    return 0.3 * audio[: int(seconds * rate)]


# A corpus of music made by rule: plucked strings playing loops of four chords

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


def compose(
    label: int, rng: np.random.Generator, beat: float, beats: int = BEATS
) -> list[PlayedNote]:
    """A piece on one loop: at each beat a strummed chord, half a beat later mostly a high note."""
    turn, notes = int(rng.integers(4)), []
    for number in range(beats):
        chord, start = CHORDS[LOOPS[label][(number + turn) % 4]], number * beat
        late = rng.uniform(0.0, 0.012)  # seconds from string to string
        for order, pitch in enumerate(chord):
            loud, which = rng.uniform(0.6, 1.0), int(rng.integers(PLUCKS))
            wait = order * late
            notes.append(PlayedNote(start + wait, beat - wait, pitch, loud, which))
        if rng.random() < 0.8:
            high, which = int(rng.choice(chord)) + 12, int(rng.integers(PLUCKS))
            notes.append(
                PlayedNote(start + beat / 2, beat / 2, high, rng.uniform(0.5, 0.9), which)
            )
    return notes


@ingredient
@dataclass(frozen=True)
class Tunes:
    """Clips cut out of pieces at any column; the label is the loop. `train=False`: other pieces.

    Everything is a function of `seed`. The pieces are rendered at the first use, in seconds.
    """

    train: bool = True
    pieces: Annotated[int, Range("[1, 1e4]")] = 32  # of each loop
    seed: Annotated[int, Range("[0, 1e18]")] = 0
    sound: Sound = Sound()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one clip: channel, bands, columns."""
        return (1, self.sound.bands, COLUMNS)

    @property
    def classes(self) -> int:
        return len(LOOPS)

    @cached_property
    def scores(self) -> list[list[PlayedNote]]:
        """The notes of each piece, those of loop 0 first."""
        rng = np.random.default_rng((self.seed, int(self.train)))
        beat = BEAT * self.sound.seconds
        return [compose(label, rng, beat) for label in range(self.classes) for _ in
                range(self.pieces)]  # fmt: skip

    @cached_property
    def pictures(self) -> Tensor:
        """x of every whole piece, (classes · pieces, bands, BEAT · BEATS)."""
        return torch.stack([self.sound.picture(self.audio(i)) for i in range(len(self.scores))])

    def audio(self, piece: int) -> np.ndarray:
        """The recording of a whole piece, (samples,)."""
        seconds = (BEAT * BEATS - 0.5) * self.sound.seconds
        return mix_notes(self.scores[piece], seconds, self.sound.rate)

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
        """Positions of n random clips: the piece, and the first column, (n,) each."""
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
