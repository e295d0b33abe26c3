"""Windows on a long canvas: how they fuse, what averaging does to noise, and their seams."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ..data.sound import Sound
from .music import line_over
from .style import DATA, STUDENT, TARGET, TEACHER, TRUTH, WRONG, label, name_axes, sheet
from .trap import apart

WAY_ROLES = {"side by side": TEACHER, "fused": STUDENT, "tapered": TARGET, "own noise": WRONG}


def seam_curves(
    overlaps: Sequence[int], ways: Mapping[str, np.ndarray], title: str, sound: Sound
) -> Figure:
    """Seam error (seeds, overlaps) of each way, against the overlap in columns."""
    figure, ((ax,),) = sheet(1, 1, 7.2, 3.6)
    for name, rows in ways.items():
        line_over(ax, list(overlaps), rows, name, WAY_ROLES[name], beside=False)
    ends = apart({name: float(rows[:, -1].mean()) for name, rows in ways.items()}, 0.17)
    for name, height in ends.items():
        label(ax, overlaps[-1], height, f" {name}", WAY_ROLES[name].color)
    ax.axhspan(0, 1.1, color=DATA.color, alpha=0.08, linewidth=0)
    ax.axhline(1, color=TRUTH.color, linestyle=":", linewidth=1.2)
    label(ax, 0, 1, "no louder than the music", TRUTH.color)
    ax.set_xlim(-2, max(overlaps) * 1.25)
    ax.set_ylim(bottom=0)
    milli = 1000 * sound.seconds
    return name_axes(
        ax, f"overlap of two windows / columns of {milli:.0f} ms", "seam error", title
    ).get_figure()  # type: ignore[return-value]


def cells(values: Sequence[float], rows: Sequence[Sequence[float]], at: Sequence[int]) -> Figure:
    """A canvas of few cells: the windows' answers, each on its line, and what they fuse to."""
    figure, ((ax,),) = sheet(1, 1, 8.0, 2.4)
    for height, (first, row) in enumerate(zip(at, rows, strict=True)):
        for k, value in enumerate(row):
            ax.text(first + k, -height, f"{value:g}", ha="center", va="center", fontsize=10)
        ax.plot([first - 0.45, first + len(row) - 0.55], [-height - 0.42] * 2, color=TEACHER.color)
        label(ax, len(values), -height, f"window {height + 1}", TEACHER.color)
    for k, value in enumerate(values):
        ax.text(k, -len(rows), f"{value:g}", ha="center", va="center", fontweight="bold")
    label(ax, len(values), -len(rows), "fused", STUDENT.color)
    ax.set(xlim=(-0.6, len(values) + 1.5), ylim=(-len(rows) - 0.6, 0.6), yticks=[])
    ax.set_xticks(range(len(values)))
    ax.grid(False)
    return name_axes(
        ax, "cell of the canvas", "", "Where two windows lie, the least squares take the mean"
    ).get_figure()  # type: ignore[return-value]


def noise_spread(averaged: Sequence[float], expected: Sequence[float], title: str) -> Figure:
    """Standard deviation of noise cell by cell: the windows' means, 1/√k, and one shared draw."""
    figure, ((ax,),) = sheet(1, 1, 7.2, 2.9)
    k = list(range(len(averaged)))
    ax.plot(k, averaged, color=WRONG.color, marker=WRONG.marker, ms=4, linestyle="none")
    ax.plot(k, expected, color=TRUTH.color, drawstyle="steps-mid", linewidth=1)
    ax.axhline(1, color=STUDENT.color, linestyle="--")
    label(ax, k[-1] + 1, 1, "one shared draw", STUDENT.color)
    label(ax, k[-1] + 1, averaged[-1] - 0.2, "×  windows' own,\n    averaged", WRONG.color)
    label(ax, k[len(k) // 2], expected[len(k) // 2] - 0.1, "1/√k", TRUTH.color)
    ax.set(ylim=(0, 1.15), xlim=(-1, len(k) * 1.28))
    return name_axes(ax, "cell of the canvas", "standard deviation", title).get_figure()  # type: ignore[return-value]
