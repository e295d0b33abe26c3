"""What each loss learned from data with outliers: its samples, its scores, its error by level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .emphasis import plain
from .losses import LOOK, ink
from .style import DATA, STUDENT, TEACHER, TRUTH, label, name_axes, sheet

X, Y = "x₁ (data units)", "x₂ (data units)"
FAR = 1.5  # the ring has radius 1: what lies beyond is no part of it


@dataclass(frozen=True, eq=False)
class Made:
    """Samples of one panel (n, 2), and a line on them."""

    points: np.ndarray
    words: str


def clouds(rows: Mapping[str, Mapping[str, Made]], truth: Tensor, title: str) -> Figure:
    """A row of panels for each share of outliers, a panel for each loss, over the clean law."""
    columns = len(next(iter(rows.values())))
    figure, axes = sheet(len(rows), columns, 1.9 * columns, 2.15 * len(rows) + 0.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    for line, (share, row) in zip(axes, rows.items(), strict=True):
        for ax, (name, made) in zip(line, row.items(), strict=True):
            scatter(ax, made.points, truth)
            ax.set_title(f"{name}\n{made.words}", fontsize=8.5, fontweight="normal")
            ax.tick_params(labelleft=ax is line[0], labelbottom=line[0] is axes[-1, 0])
        line[0].set_ylabel(f"{share}\n{Y}", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel(X, fontsize=9)
    return figure


def scatter(ax: Axes, points: np.ndarray, truth: Tensor, reach: float = 4.0) -> None:
    """Samples as dots, those beyond FAR as crosses; the clean law in grey."""
    far = np.linalg.norm(points, axis=1) > FAR
    ax.scatter(*truth.T, s=2, color=DATA.color, alpha=0.12, linewidths=0)
    ax.scatter(*points[~far].T, s=3, color=STUDENT.color, alpha=0.6, linewidths=0)
    ax.scatter(*points[far].T, s=9, marker="x", color=TEACHER.color, linewidths=0.8)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set(xticks=(-3, 0, 3), yticks=(-3, 0, 3))


@dataclass(frozen=True, eq=False)
class Score:
    """One number of each run, and what the exact answer to the data as they are would have."""

    name: str
    title: str
    runs: Mapping[str, np.ndarray]  # by loss: (shares, seeds)
    faithful: np.ndarray  # (shares,)


def ranges(shares: Sequence[float], scores: Sequence[Score]) -> Figure:
    """A panel for each score: a marker for each seed, the means as lines."""
    figure, (axes,) = sheet(1, len(scores), 3.8 * len(scores), 3.9)
    place = np.arange(len(shares))
    for ax, score in zip(axes, scores, strict=True):
        ax.plot(place, score.faithful, color=TRUTH.color, marker="_", markersize=16, linestyle=":")
        for number, (name, values) in enumerate(score.runs.items()):
            role, at = LOOK[name], place + 0.08 * (number - 2)
            ax.plot(at, values.mean(1), color=role.color, linestyle=role.line, linewidth=1.2)
            ax.plot(at, values, role.marker, color=role.color, markersize=5)
        ax.set_xticks(place, [f"{share:.0%}" for share in shares])
        name_axes(ax, "share of outliers in training", score.name, score.title)
    label(axes[0], 1.1, float(scores[0].faithful[1]) + 0.005, "exact f* of the data")
    beside(axes[-1], {n: float(v[-1].mean()) for n, v in scores[-1].runs.items()}, 2.0, 1.25)
    return figure


def beside(ax: Axes, heights: Mapping[str, float], x: float, room: float) -> None:
    """The losses' names to the right of x, on any scale, kept apart from one another."""
    ax.set_xlim(None, x + room)
    inside, last = ax.transAxes.inverted(), -np.inf
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        up = inside.transform(ax.transData.transform((x, height)))[1]
        last = max(up - 0.02, last + 0.06)
        y = ax.transData.inverted().transform(ax.transAxes.transform((0, last)))[1]
        label(ax, x + 0.22 * room, float(y), name, ink(name))


@dataclass(frozen=True, eq=False)
class Errors:
    """RMS of f - f* by noise level (levels,): low, mean and high over the seeds."""

    levels: np.ndarray
    low: np.ndarray
    mean: np.ndarray
    high: np.ndarray


def run(
    loss: str, share: str, points: np.ndarray, truth: Tensor, errors: Mapping[str, Errors],
    faithful: np.ndarray, course: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Figure:  # fmt: skip
    """One run's samples, the errors of all by level, and their course while training.

    errors    of each loss, `loss` among them: drawn broad, the others thin
    faithful  (levels,) the distance of the contaminated law's own f* from the clean one's
    course    by loss: the steps, and the RMS error over all levels at each (seeds, moments)
    """
    figure, (axes,) = sheet(1, 3, 11.2, 3.7, ratios=(0.85, 1.15, 1.0))
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.14, top=0.9, wspace=0.3)
    scatter(axes[0], points, truth)
    name_axes(axes[0], X, Y, f"{loss}, {share} outliers")
    by_level(axes[1], loss, errors, faithful)
    for name, (steps, rows) in course.items():
        role, wide = LOOK[name], name == loss
        axes[2].plot(steps, rows.mean(0), color=role.color, linestyle=role.line,
                     linewidth=2.4 if wide else 0.8, alpha=1 if wide else 0.6)  # fmt: skip
    last = float(course[loss][0][-1])
    end = {name: float(rows[:, -1].mean()) for name, (_, rows) in course.items()}
    axes[2].set(yscale="log", ylim=(0.03, 2), xlim=(0, last + 1))
    plain(axes[2].yaxis, (0.03, 0.1, 0.3, 1))
    beside(axes[2], end, last, 0.75 * last + 1)
    axes[2].set_xticks(sorted({0, round(last / 2), round(last)}))
    title = f"Its course: {end[loss]:.2f} off at step {last:.0f}"
    name_axes(axes[2], "training step", "RMS of f − f*, all levels", title)
    return figure


def by_level(ax: Axes, loss: str, errors: Mapping[str, Errors], faithful: np.ndarray) -> None:
    """Errors against the noise level: the chosen loss with its range, the others thin."""
    for name, e in errors.items():
        role, wide = LOOK[name], name == loss
        ax.plot(e.levels, e.mean, color=role.color, linestyle=role.line, marker=role.marker,
                markersize=4 if wide else 0, linewidth=2.4 if wide else 0.8,
                alpha=1 if wide else 0.6, markevery=3)  # fmt: skip
    chosen = errors[loss]
    ax.fill_between(chosen.levels, chosen.low, chosen.high, color=LOOK[loss].color, alpha=0.2,
                    linewidth=0)  # fmt: skip
    if faithful.max() > 1e-3:
        ax.plot(chosen.levels, faithful, color=TRUTH.color, linestyle=":", linewidth=1.4)
        label(ax, 0.0045, 0.85, "dotted: exact f* of the data\nas they are, outliers and all")
    ax.set(xscale="log", yscale="log", ylim=(1e-3, 2.5), xlim=(0.004, 12))
    plain(ax.xaxis, (0.01, 0.1, 1, 10))
    plain(ax.yaxis, (0.001, 0.01, 0.1, 1))
    label(ax, 0.4, 1.4e-3, f"broad: {loss}", ink(loss))
    name_axes(ax, "noise level t (data units)", "RMS of f − f* (data units)",
              "Error to the clean f*")  # fmt: skip
