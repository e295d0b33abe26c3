"""Animation of lab 15: long clips of music from windows that overlap more and more."""

import numpy as np
import torch
from matplotlib import colormaps

from cmlab.metrics.plots import TRUTH

from ..common.animation import (
    INK,
    Moving,
    Panel,
    Shot,
    animation,
    dots,
    ink,
    line,
    moving,
    picture,
    polylines,
    text_labels,
)
from ..common.study import read
from .analysis import LENGTH, OVERLAPS, WAYS, LongClip, long_clip
from .data import COLUMNS, Sound
from .explorer import shipped
from .figures import WAY_ROLES
from .preset import SAMPLER

LOOP, CALLS, SEED = 0, 4, 0
SHOWN = ("side by side", "fused", "tapered")
OVERLAP = "overlap of two windows (columns of 32 ms)"
HIGH = 70  # of a clip on the panel, whose unit is a column


def pixels(clip: LongClip, sound: Sound) -> np.ndarray:
    """A clip's spectrogram as colours, low notes below, loud is light."""
    decibel = clip.x[0, 0].numpy() * sound.spread + sound.centre
    share = ((decibel - sound.quiet) / (15 - sound.quiet)).clip(0, 1)
    return (255 * colormaps["viridis"](share[::-1])[..., :3]).round().astype(np.uint8)


@animation
def seams() -> Moving:
    """Spectrograms of a long clip by the overlap of its windows, and the seam errors recorded."""
    recorded = {way: row for way, row in zip(WAYS, read("music", "student")["seams"].mean(0),
                                             strict=True) if way in SHOWN}  # fmt: skip
    shots = [frame(k, recorded) for k in range(len(OVERLAPS))]
    still = [line([0, 50], [1, 1], TRUTH, 1, 1.2)]
    still += [text_labels([1], [0.75], ["on the line: no seam"], INK, 1)]
    still += [text_labels([0, 0], [HIGH, 2.3 * HIGH], ["fused with a taper", "side by side"],
                          side="top right")]  # fmt: skip
    heights = {"side by side": 2.9, "fused": 1.45, "tapered": 1.15}
    still += [text_labels([49], [y], [way], ink(WAY_ROLES[way]), 1, "middle left")
              for way, y in heights.items()]  # fmt: skip
    panels = [
        Panel("", "", (-1, LENGTH + 1), (-6, 2.5 * HIGH), bare=True),
        Panel(OVERLAP, "seam error (no unit)", (-1, 50), (0, 3), x_ticks=OVERLAPS),
    ]
    finding = "Windows fused with a taper leave no seam; clips side by side do"
    return moving("seams", finding, OVERLAP, panels, still, shots, 3, (0, 3))


def frame(k: int, recorded: dict[str, np.ndarray]) -> Shot:
    """One overlap: two clips from the same noise, their borders dashed, and the errors so far."""
    model, overlap = shipped()[0], OVERLAPS[k]
    pictures, borders = [], []
    for place, way in enumerate(("tapered", "side by side")):
        clip = long_clip(model, SAMPLER, way, overlap, CALLS, torch.tensor([LOOP]), SEED)
        low = 1.3 * HIGH * place
        pictures.append(picture(pixels(clip, Sound()), (0, low, LENGTH, HIGH)))
        borders += [[(at, low - 5), (at, low)] for at in clip.borders]
    traces = [polylines(borders, TRUTH, 0, 2)]
    for way, row in recorded.items():
        traces += [line(OVERLAPS[: k + 1], row[: k + 1], WAY_ROLES[way], 1)]
        traces += [dots([overlap], [row[k]], WAY_ROLES[way], 1, 11)]
    side, fused, tapered = (recorded[way][k] for way in SHOWN)
    reading = (
        f"Windows of {COLUMNS} columns that overlap by {overlap}: at their borders the sound "
        f"jumps {side:.2f} times as far as elsewhere side by side, {fused:.2f} times fused, and "
        f"{tapered:.2f} times tapered (32 clips, mean of three seeds)."
    )
    titles = (
        f"Windows that overlap by {overlap}",
        f"Seam error {side:.2f} and {tapered:.2f}",
    )
    return Shot(str(overlap), reading, titles, traces, pictures)
