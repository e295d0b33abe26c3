"""Figures of lab 15: spectrograms, scores of music by steps, and seams of sliding windows."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

from cmlab.metrics.plots import (
    DATA,
    EXTRA,
    STUDENT,
    TARGET,
    TEACHER,
    TRUTH,
    WRONG,
    Role,
    label,
    name_axes,
    sheet,
)

from ..common.plots_recordings import compare_seeds, spread_labels
from .data import LOOPS, Sound
from .windows import starts

# Spectrograms, and scores by sampling steps

LOOP_NAMES = tuple("–".join(loop) for loop in LOOPS)
TICKS = (250, 500, 1000, 2000, 3000)  # Hz
DISTANCES = (0.5, 1, 2, 5)  # ticks of the spectral distance; the axis ends at the last


def draw_spectrogram(ax: Axes, x: Tensor, sound: Sound, title: str = "") -> Axes:
    """One picture of sound (bands, columns): seconds across, frequency up, loud is light."""
    decibel = x.numpy() * sound.spread + sound.centre
    ax.imshow(
        decibel,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        vmin=sound.quiet,
        vmax=15,
        extent=(0, x.shape[1] * sound.seconds, 0, len(x)),
    )
    ax.grid(False)
    centres = sound.filters() @ np.linspace(0, sound.rate / 2, 1 + sound.window // 2)
    centres = centres / sound.filters().sum(1)
    ax.set_yticks(np.interp(TICKS, centres, np.arange(len(centres)) + 0.5), map(str, TICKS))
    ax.set_title(title, loc="left", fontsize=10)
    return ax


def spectrograms(
    rows: Mapping[str, Sequence[Tensor]], columns: Sequence[str], title: str, sound: Sound
) -> Figure:
    """Rows of pictures (bands, columns) by name, the columns named on top."""
    figure, axes = sheet(len(rows), len(columns), 9.5, 0.75 + 1.55 * len(rows))
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for ax, x, above in zip(line, pictures, columns, strict=True):
            draw_spectrogram(ax, x, sound, above if ax in axes[0] else "")
            ax.tick_params(labelsize=7)
            if ax is not line[0]:
                ax.set_yticklabels([])
            if ax not in axes[-1]:
                ax.set_xticklabels([])
        line[0].set_ylabel(f"{name}\nfrequency / Hz", fontsize=8)
    for ax in axes[-1]:
        ax.set_xlabel("time / s", fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
    return figure


def mean_and_range(
    ax: Axes, x: Sequence[float], rows: ArrayLike, name: str, role: Role, beside: bool = True
) -> None:
    """Mean and range of rows (seeds, len(x)), the name beside the last point or for a legend."""
    values = np.asarray(rows, dtype=float)
    mean = values.mean(0)
    ax.plot(x, mean, color=role.color, marker=role.marker, linestyle=role.line, ms=5, label=name)
    ax.fill_between(x, values.min(0), values.max(0), color=role.color, alpha=0.2, linewidth=0)
    if beside:
        label(ax, x[-1], float(mean[-1]), f" {name}", role.color)


def scores_by_steps(
    teacher: Mapping[str, tuple[Sequence[int], np.ndarray, np.ndarray]],
    students: Mapping[str, tuple[Sequence[int], np.ndarray, np.ndarray]],
    floor: tuple[float, float],
    titles: tuple[str, str],
) -> Figure:
    """Spectral distance and pitch accuracy (runs, steps) against steps; the corpus's own, dotted.

    Distances above the last of DISTANCES, those of a teacher in a few steps, are left out.
    """
    top = DISTANCES[-1]
    figure, (axes,) = sheet(1, 2, 9.5, 3.7)
    roles = (
        *((n, v, r) for (n, v), r in zip(teacher.items(), (TEACHER, DATA), strict=False)),
        *((n, v, r) for (n, v), r in zip(students.items(), (STUDENT, EXTRA), strict=False)),
    )
    for name, (steps, *measures), role in roles:
        for ax, rows in zip(axes, measures, strict=True):
            mean_and_range(ax, steps, rows, name, role, beside=False)
    for ax, value in zip(axes, floor, strict=True):
        ax.axhline(value, color=TRUTH.color, linestyle=":", linewidth=1.2)
        label(ax, 1, value, "the corpus itself", TRUTH.color)
        ax.set_xscale("log", base=2)
        ax.set_xticks([1, 2, 4, 8, 16, 32, 100], ["1", "2", "4", "8", "16", "32", "100"])
    axes[0].set_yscale("log")
    axes[0].set_ylim(0.45, top)
    axes[0].set_yticks(DISTANCES, map(str, DISTANCES))
    axes[0].yaxis.set_minor_formatter("")
    cut = f"spectral distance to held-out clips (cut at {top})"
    name_axes(axes[0], "network calls", cut, titles[0])
    right = name_axes(axes[1], "network calls", "pitch accuracy (share of columns)", titles[1])
    right.legend(loc="lower right", fontsize=8)
    return figure


def bound_verdict(values: ArrayLike, bound: float) -> str:
    """Verdict on a claimed upper bound, from one value per seed."""
    found = np.asarray(values, dtype=float)
    if found.max() <= bound:
        return "confirmed here" if len(found) > 2 else "confirmed, on too few seeds"
    return "partly: on average" if found.mean() <= bound else "not seen at this scale"


def verdict_by_measure(found: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> str:
    """Verdict on whether a part helps: errors with it and without, one per seed, by measure."""
    orders = {name: compare_seeds(*map(np.asarray, pair)) for name, pair in found.items()}
    if set(orders.values()) == {"lower"}:
        return "confirmed here"
    said = {"lower": "better", "higher": "worse"}
    parts = [
        f"{said.get(order, order)} by {' and '.join(n for n in orders if orders[n] == order)}"
        for order in ("lower", "higher", "indistinguishable", "too few seeds")
        if order in orders.values()
    ]
    head = "partly" if "lower" in orders.values() else "not seen at this scale"
    return f"{head}: {', '.join(parts)}"


def long_spectrogram(x: Tensor, borders: Sequence[int], step: int, window: int, sound: Sound,
                 title: str) -> Figure:  # fmt: skip
    """A long clip (bands, columns), its windows as bars below and its borders as dashed lines."""
    figure, axes = sheet(1, 1, 9.0, 3.0)
    ax = draw_spectrogram(axes[0][0], x, sound)
    for border in borders:
        ax.axvline(border * sound.seconds, color="white", linestyle="--", linewidth=1)
    for number, first in enumerate(starts(x.shape[1], window, step)):
        ends = [first * sound.seconds, (first + window) * sound.seconds]
        ax.plot(ends, [-1.4 - 1.3 * (number % 3)] * 2, color=TEACHER.color, linewidth=2.5,
                solid_capstyle="butt", clip_on=False)  # fmt: skip
    ax.set_ylim(-5, len(x))
    return name_axes(ax, "time / s", "frequency / Hz", title).get_figure()  # type: ignore[return-value]


# Windows on a long canvas: fusion, the spread of averaged noise, and seams

WAY_ROLES = {"side by side": TEACHER, "fused": STUDENT, "tapered": TARGET, "own noise": WRONG}


def seam_curves(
    overlaps: Sequence[int], ways: Mapping[str, np.ndarray], title: str, sound: Sound
) -> Figure:
    """Seam error (seeds, overlaps) of each way, against the overlap in columns."""
    figure, ((ax,),) = sheet(1, 1, 7.2, 3.6)
    for name, rows in ways.items():
        mean_and_range(ax, list(overlaps), rows, name, WAY_ROLES[name], beside=False)
    ends = spread_labels({name: float(rows[:, -1].mean()) for name, rows in ways.items()}, 0.17)
    for name, height in ends.items():
        label(ax, overlaps[-1], height, f" {name}", WAY_ROLES[name].color)
    ax.axhspan(0, 1.1, color=DATA.color, alpha=0.08, linewidth=0)
    ax.hlines(1, -2, overlaps[-1], color=TRUTH.color, linestyle=":", linewidth=1.2)
    label(ax, 0, 0.88, "no seam", TRUTH.color)
    ax.set_xlim(-2, max(overlaps) * 1.25)
    ax.set_ylim(bottom=0)
    milli = 1000 * sound.seconds
    return name_axes(
        ax, f"overlap of two windows (columns of {milli:.0f} ms)", "seam error", title
    ).get_figure()  # type: ignore[return-value]


def fused_cells(
    values: Sequence[float], rows: Sequence[Sequence[float]], at: Sequence[int]
) -> Figure:
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
        ax, "cell of the canvas", "", "Where windows overlap, least squares gives their mean"
    ).get_figure()  # type: ignore[return-value]


def noise_std(averaged: Sequence[float], expected: Sequence[float], title: str) -> Figure:
    """Standard deviation of noise cell by cell: the windows' means, 1/√k, and one shared draw."""
    figure, ((ax,),) = sheet(1, 1, 7.2, 2.9)
    k = list(range(len(averaged)))
    ax.plot(k, averaged, color=WRONG.color, marker=WRONG.marker, ms=4, linestyle="none")
    ax.plot(k, expected, color=TRUTH.color, drawstyle="steps-mid", linewidth=1)
    ax.hlines(1, -1, k[-1], color=STUDENT.color, linestyle="--")
    label(ax, k[-1] + 1, 1, "one shared draw", STUDENT.color)
    label(ax, k[-1] + 1, averaged[-1] - 0.2, "×  one per window,\n    averaged", WRONG.color)
    label(ax, k[len(k) // 2], expected[len(k) // 2] - 0.1, "1/√k", TRUTH.color)
    ax.set(ylim=(0, 1.15), xlim=(-1, len(k) * 1.28))
    return name_axes(ax, "cell of the canvas", "standard deviation", title).get_figure()  # type: ignore[return-value]
