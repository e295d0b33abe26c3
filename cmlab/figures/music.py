"""Music seen: spectrograms, and how many steps they take."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

from ..data.sound import Sound
from ..data.tunes import LOOPS
from ..windows import starts
from .style import DATA, EXTRA, STUDENT, TEACHER, TRUTH, Role, label, name_axes, sheet

LOOP_NAMES = tuple("–".join(loop) for loop in LOOPS)
TICKS = (250, 500, 1000, 2000, 3000)  # Hz


def show(ax: Axes, x: Tensor, sound: Sound, title: str = "") -> Axes:
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
            show(ax, x, sound, above if ax in axes[0] else "")
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


def line_over(
    ax: Axes, x: Sequence[float], rows: ArrayLike, name: str, role: Role, beside: bool = True
) -> None:
    """Mean and range of rows (seeds, len(x)), the name beside the last point or for a legend."""
    values = np.asarray(rows, dtype=float)
    mean = values.mean(0)
    ax.plot(x, mean, color=role.color, marker=role.marker, linestyle=role.line, ms=5, label=name)
    ax.fill_between(x, values.min(0), values.max(0), color=role.color, alpha=0.2, linewidth=0)
    if beside:
        label(ax, x[-1], float(mean[-1]), f" {name}", role.color)


def by_steps(
    teacher: Mapping[str, tuple[Sequence[int], np.ndarray, np.ndarray]],
    students: Mapping[str, tuple[Sequence[int], np.ndarray, np.ndarray]],
    floor: tuple[float, float],
    title: str,
) -> Figure:
    """Spectral distance and pitch accuracy (runs, steps) against steps; the corpus's own, grey."""
    figure, (axes,) = sheet(1, 2, 9.5, 3.7)
    roles = (
        *((n, v, r) for (n, v), r in zip(teacher.items(), (TEACHER, DATA), strict=False)),
        *((n, v, r) for (n, v), r in zip(students.items(), (STUDENT, EXTRA), strict=False)),
    )
    for name, (steps, *measures), role in roles:
        for ax, rows in zip(axes, measures, strict=True):
            line_over(ax, steps, rows, name, role, beside=False)
    for ax, value in zip(axes, floor, strict=True):
        ax.axhline(value, color=TRUTH.color, linestyle=":", linewidth=1.2)
        label(ax, 1, value, "the corpus itself", TRUTH.color)
        ax.set_xscale("log", base=2)
        ax.set_xticks([1, 2, 4, 8, 16, 50], ["1", "2", "4", "8", "16", "50"])
    axes[0].set_yscale("log")
    name_axes(axes[0], "steps", "spectral distance to held-out clips", title)
    name_axes(axes[1], "steps", "pitch accuracy").legend(loc="lower right", fontsize=9)
    return figure


def within(values: ArrayLike, bound: float) -> str:
    """The verdict on a claim that a number is at most so large, from one for each seed."""
    found = np.asarray(values, dtype=float)
    if found.max() <= bound:
        return "shows" if len(found) > 2 else "shows, for too few seeds"
    return "shows in part: in the mean" if found.mean() <= bound else "does not show at this size"


def long_picture(x: Tensor, borders: Sequence[int], step: int, window: int, sound: Sound,
                 title: str) -> Figure:  # fmt: skip
    """A long clip (bands, columns), its windows as bars below and its borders as dashed lines."""
    figure, axes = sheet(1, 1, 9.0, 3.0)
    ax = show(axes[0][0], x, sound)
    for border in borders:
        ax.axvline(border * sound.seconds, color="white", linestyle="--", linewidth=1)
    for number, first in enumerate(starts(x.shape[1], window, step)):
        ends = [first * sound.seconds, (first + window) * sound.seconds]
        ax.plot(ends, [-1.4 - 1.3 * (number % 3)] * 2, color=TEACHER.color, linewidth=2.5,
                solid_capstyle="butt", clip_on=False)  # fmt: skip
    ax.set_ylim(-5, len(x))
    return name_axes(ax, "time / s", "frequency / Hz", title).get_figure()  # type: ignore[return-value]
