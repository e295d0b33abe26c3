"""Explorer of lab 15: a synthesiser of long clips, by network calls and overlap of windows."""

from functools import lru_cache

import ipywidgets as ipw
import numpy as np
import torch

from cmlab.model import Denoiser
from cmlab.nets.pretrained import CHECKPOINTS
from cmlab.train import runs

from ..common.explorer import Explorer, Picture, choice, slider
from .analysis import (
    LENGTH,
    OVERLAPS,
    WAYS,
    LongClip,
    long_clip,
    pitch_accuracy,
    recognized_chords,
)
from .data import COLUMNS, Sound, wav
from .figures import LOOP_NAMES, long_spectrogram
from .preset import SAMPLER
from .windows import starts

CALLS = (1, 2, 4, 8, 16)
ROUNDS = 16  # of Griffin & Lim's algorithm: more are slower and sound the same


@lru_cache(maxsize=4)
def shipped(name: str = "music-student") -> tuple[Denoiser, dict]:
    """A shipped music generator and its record. Raises BadFile without the file."""
    model, _, record = runs.load(CHECKPOINTS / f"{name}.safetensors")
    return model.eval(), record


@lru_cache(maxsize=256)
def clip_of(loop: int, calls: int, overlap: int, way: str, seed: int) -> LongClip:
    """One long clip of the shipped student."""
    model, _ = shipped()
    return long_clip(model, SAMPLER, way, overlap, calls, torch.tensor([loop]), seed)


@lru_cache(maxsize=64)
def wav_of(loop: int, calls: int, overlap: int, way: str, seed: int) -> bytes:
    """The clip as a WAV file."""
    sound = Sound()
    return wav(sound.audio(clip_of(loop, calls, overlap, way, seed).x[0, 0], ROUNDS), sound.rate)


def picture(loop: str, calls: int, overlap: int, way: str, seed: int) -> Picture:
    """The clip's spectrogram with its windows, and what the measures say of it."""
    label, step = LOOP_NAMES.index(loop), COLUMNS - overlap
    clip = clip_of(label, calls, overlap, way, seed)
    right = pitch_accuracy(clip.x, torch.tensor([label]))
    windows = len(starts(LENGTH, COLUMNS, step))
    made = f"{loop} in {calls} call{'s' * (calls > 1)}, {way}"
    title = f"{made}: the seam error is {clip.seam_error:.2f}"
    figure = long_spectrogram(clip.x[0, 0], clip.borders, step, COLUMNS, Sound(), title)
    return Picture(figure, reading(windows, overlap, calls, clip, right))


def reading(windows: int, overlap: int, calls: int, clip: LongClip, right: float) -> str:
    """Three lines of text on the clip."""
    seconds = Sound().seconds
    changes = int(np.count_nonzero(recognized_chords(clip.x)[0].diff()))
    return (
        f"{windows} windows of {COLUMNS * seconds:.1f} s, overlapping by {overlap * seconds:.2f} "
        f"s, {calls * windows} network calls in all.\n"
        f"At the dashed borders the jumps are {clip.seam_error:.2f} times as large as elsewhere "
        f"(1 means no seam).\n"
        f"{right:.0%} of the columns have the chord that was asked for; {changes} changes of "
        f"chord are heard."
    )


class Synth(ipw.VBox):
    """An explorer with a player below. The sound is made on request, or at once if it is kept.

    `explorer` has the knobs, `play` is the button, `player` the sound; it plays by keyboard too.
    """

    def __init__(self) -> None:
        knobs = {
            "loop": choice("loop", LOOP_NAMES),
            "calls": choice("network calls", CALLS, 4),
            "overlap": choice("overlap (columns)", OVERLAPS, 32),
            "way": choice("windows", WAYS, "fused"),
            "seed": slider("seed of the noise", 0, 0, 99),
        }
        self.explorer = Explorer(picture, knobs)
        self.play = ipw.Button(description="Make it sound", tooltip="Takes about half a second")
        self.play.add_class("lab-play")
        self.player = ipw.Audio(format="wav", autoplay=False, loop=False, controls=True)
        self.player.add_class("lab-player")
        self.words = ipw.HTML()
        self.play.on_click(lambda button: self.sound())
        for knob in knobs.values():
            knob.observe(lambda change: self.silence(), names="value")
        super().__init__([self.explorer, ipw.HBox([self.play, self.player]), self.words])
        self.sound()

    def asked(self) -> tuple[int, int, int, str, int]:
        """The values of the knobs."""
        now = {name: knob.value for name, knob in self.explorer.knobs.items()}
        loop = LOOP_NAMES.index(now["loop"])
        return loop, now["calls"], now["overlap"], now["way"], now["seed"]

    def sound(self) -> None:
        """Render the clip on the screen, and hand it to the player."""
        self.player.value = wav_of(*self.asked())
        self.show_status("This is the clip on the screen.")

    def silence(self) -> None:
        """The sound in the player is no longer that of the picture."""
        self.show_status(
            "The settings have changed: press <i>Make it sound</i> to hear this clip."
        )

    def show_status(self, words: str) -> None:
        self.words.value = f"<p role='status' aria-live='polite'>{words}</p>"


def synth() -> Synth:
    """The synth at its first clip."""
    return Synth()
