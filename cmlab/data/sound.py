"""Sound as a picture: the log-mel spectrogram of a recording, and an audible way back.

    audio ─ STFT ─ |·|² ─ mel bands ─ dB ─ standardised x        (librosa)
    x ─ dB ─ mel bands ─ magnitudes of the STFT ─ Griffin & Lim 1984 finds a phase ─ audio

The way there loses the phase and merges frequencies into bands, so the way back is a guess.
"""

import io
import os
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from math import log2
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from ..checkpoint import replace
from ..ingredients import ingredient


@ingredient
@dataclass(frozen=True)
class Sound:
    """How sound is turned into pictures x of `bands` rows, one column every `hop` samples.

    x = (dB - centre) / spread, with dB = 10 log₁₀ of a band's power, at least `quiet`. The centre
    and the spread are those of the corpus `Tunes`, measured once.
    """

    rate: int = 8000  # samples a second
    window: int = 1024  # samples under one column of the STFT
    hop: int = 256  # samples from one column to the next
    bands: int = 40
    low: float = 200.0  # Hz, below the lowest band
    high: float = 3400.0  # Hz, above the highest band
    quiet: float = -30.0  # dB
    centre: float = -18.77  # dB
    spread: float = 11.65  # dB

    @property
    def seconds(self) -> float:
        """Seconds from one column to the next."""
        return self.hop / self.rate

    def columns(self, seconds: float) -> int:
        """How many columns a recording of this length has."""
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
    replace(path, lambda temporary: temporary.write_bytes(content))


def hertz(note: float) -> float:
    """The frequency of a note counted in semitones, 69 for the A of 440 Hz, as in MIDI."""
    return 440 * 2 ** ((note - 69) / 12)


def cents(found: float, asked: float) -> float:
    """How far apart two frequencies are: 100 cents are a semitone."""
    return 1200 * log2(found / asked)
