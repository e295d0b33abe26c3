"""Plucked strings, after Karplus and Strong (1983): a burst of noise runs round a delay line.

The line is as long as one period, and a filter in it takes the high tones first.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import atan2, cos, pi, sin

import numpy as np
from scipy.signal import lfilter

from .sound import hertz


@dataclass(frozen=True)
class Note:
    """What is played: when and how long (seconds), which note (semitones as in MIDI), how loud."""

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


def mixed(notes: list[Note], seconds: float, rate: int) -> np.ndarray:
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
