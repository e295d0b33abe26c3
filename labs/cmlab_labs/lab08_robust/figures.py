"""Figures of lab 08: robust losses, training with outliers, location estimates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from cmlab.metrics.plots import (
    DATA,
    EXTRA,
    MEAN,
    STUDENT,
    TEACHER,
    TRUTH,
    WRONG,
    label,
    name_axes,
    sheet,
)
from cmlab.types import Metric

from ..common.plots_recordings import plain_ticks
from .analysis import loss_and_weight

# Loss d, influence ψ and weight ω = ψ/ℓ by distance, and the constant c

LOSS_STYLE = {
    "squared L2": TEACHER, "L1": MEAN, "pseudo-Huber": STUDENT, "Cauchy": EXTRA,
    "Geman–McClure": WRONG, "clean": STUDENT, "contaminated": TEACHER,
}  # fmt: skip
INK = {
    MEAN.color: "#8a5c00",
    EXTRA.color: "#00704f",
    WRONG.color: "#a0487b",
}  # dark enough for text


def text_color(name: str) -> str:
    """The text colour of a loss."""
    color = LOSS_STYLE[name.split(",")[0]].color
    return INK.get(color, color)


def draw_curve(ax: Axes, name: str, x: Tensor, y: Tensor, every: int) -> None:
    role = LOSS_STYLE[name]
    ax.plot(x, y, color=role.color, linestyle=role.line, marker=role.marker, markevery=every,
            markersize=5)  # fmt: skip


def loss_curves(metrics: Mapping[str, Metric]) -> Figure:
    """d and ψ against ℓ = ‖a - b‖ on the line, each loss with c = 1."""
    figure, (axes,) = sheet(1, 2, 8.6, 3.7)
    x = torch.linspace(1e-3, 5, 251).double()
    for name, metric in metrics.items():
        rho, w = loss_and_weight(metric, x[:, None])
        draw_curve(axes[0], name, x, rho, 50)
        draw_curve(axes[1], name, x, w * x, 50)
    places = ((1.42, 2.55), (2.72, 2.3), (3.7, 3.3), (3.3, 1.42), (3.3, 0.55))
    for name, near_by in zip(metrics, places, strict=True):
        label(axes[0], *near_by, name, text_color(name))
    for ax in axes:
        ax.axvline(1, color=DATA.color, linewidth=0.8, linestyle=":")
    label(axes[0], 1.05, 3.7, "ℓ = c")
    axes[0].set_ylim(0, 4)
    axes[1].set_ylim(0, 2.2)
    length = "length ℓ = ‖a − b‖ (in units of c)"
    name_axes(axes[0], length, "loss d(ℓ)", "Squared L2 grows fastest")
    name_axes(axes[1], length, "pull ψ = d′(ℓ)", "Two pulls level off, and two fall again")
    return figure


# Training with outliers: samples, scores, and errors by noise level

RUNS_X, RUNS_Y = "x₁ (data units)", "x₂ (data units)"
ERROR = "RMS distance from the clean $f^*$"
FAR = 1.5  # the ring has radius 1: what lies beyond is no part of it


@dataclass(frozen=True, eq=False)
class LabelledSamples:
    """Samples of one panel (n, 2), and their caption."""

    points: np.ndarray
    words: str


def sample_panels(
    rows: Mapping[str, Mapping[str, LabelledSamples]], truth: Tensor, title: str
) -> Figure:
    """Samples over the clean data: a row for each share of outliers, a panel for each loss."""
    columns = len(next(iter(rows.values())))
    figure, axes = sheet(len(rows), columns, 1.9 * columns, 2.15 * len(rows) + 0.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    for line, (share, row) in zip(axes, rows.items(), strict=True):
        for ax, (name, made) in zip(line, row.items(), strict=True):
            scatter(ax, made.points, truth)
            ax.set_title(f"{name}\n{made.words}", fontsize=8.5, fontweight="normal")
            ax.tick_params(labelleft=ax is line[0], labelbottom=line[0] is axes[-1, 0])
        line[0].set_ylabel(f"{share}\n{RUNS_Y}", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel(RUNS_X, fontsize=9)
    return figure


def scatter(ax: Axes, points: np.ndarray, truth: Tensor, reach: float = 4.0) -> None:
    """Samples as dots, those beyond FAR as crosses, with their number; the clean data in grey."""
    far = np.linalg.norm(points, axis=1) > FAR
    ax.scatter(*truth.T, s=2, color=DATA.color, alpha=0.12, linewidths=0)
    ax.scatter(*points[~far].T, s=3, color=STUDENT.color, linewidths=0, antialiased=False)
    ax.scatter(*points[far].T, s=9, marker="x", color=TEACHER.color, linewidths=0.8)
    label(ax, 0.03 * reach - reach, 0.87 * reach, f"{far.sum()} far", TEACHER.color)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set(xticks=(-3, 0, 3), yticks=(-3, 0, 3))


@dataclass(frozen=True, eq=False)
class Score:
    """One score of each run, and that of the contaminated f*."""

    name: str
    title: str
    runs: Mapping[str, np.ndarray]  # by loss: (shares, seeds)
    faithful: np.ndarray  # (shares,)


def score_ranges(shares: Sequence[float], scores: Sequence[Score]) -> Figure:
    """Scores by share of outliers: a panel each, a marker for each seed, means as lines."""
    figure, (axes,) = sheet(1, len(scores), 3.8 * len(scores), 3.9)
    place = np.arange(len(shares))
    for ax, score in zip(axes, scores, strict=True):
        ax.plot(place, score.faithful, color=TRUTH.color, marker="_", markersize=16, linestyle=":")
        for number, (name, values) in enumerate(score.runs.items()):
            role, at = LOSS_STYLE[name], place + 0.08 * (number - 2)
            ax.plot(at, values.mean(1), color=role.color, linestyle=role.line, linewidth=1.2)
            ax.plot(at, values, role.marker, color=role.color, markersize=5)
        ax.set_xticks(place, [f"{100 * share:.0f} %" for share in shares])
        name_axes(ax, "fraction of outliers in training", score.name, score.title)
    label(axes[0], 1.1, float(scores[0].faithful[1]) + 0.005, "contaminated f*")
    label_beside(axes[-1], {n: float(v[-1].mean()) for n, v in scores[-1].runs.items()}, 2.0, 1.25)
    return figure


def label_beside(ax: Axes, heights: Mapping[str, float], x: float, room: float) -> None:
    """The losses' names to the right of x, on any scale, kept apart from one another."""
    ax.set_xlim(None, x + room)
    inside, last = ax.transAxes.inverted(), -np.inf
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        up = inside.transform(ax.transData.transform((x, height)))[1]
        last = max(up - 0.02, last + 0.06)
        y = ax.transData.inverted().transform(ax.transAxes.transform((0, last)))[1]
        label(
            ax,
            x + 0.22 * room if ax.get_xscale() == "linear" else 1.25 * x,
            float(y),
            name,
            text_color(name),
        )


@dataclass(frozen=True, eq=False)
class ErrorRange:
    """Distance from the clean f* by noise level (levels,): low, mean, high over the seeds."""

    levels: np.ndarray
    low: np.ndarray
    mean: np.ndarray
    high: np.ndarray


def run_figure(
    loss: str, share: str, points: np.ndarray, truth: Tensor, errors: Mapping[str, ErrorRange],
    faithful: np.ndarray, course: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Figure:  # fmt: skip
    """One run's samples, the errors of all by level, and their course while training.

    errors    of each loss, `loss` among them: drawn broad, the others thin
    faithful  (levels,) the distance of the contaminated data's exact f* from the clean data's
    course    by loss: the steps, and the RMS error over all levels at each (seeds, moments)
    """
    figure, (axes,) = sheet(1, 3, 11.2, 3.7, ratios=(0.85, 1.15, 1.0))
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.14, top=0.9, wspace=0.3)
    scatter(axes[0], points, truth)
    name_axes(axes[0], RUNS_X, RUNS_Y, f"{loss}, {share} outliers")
    by_level(axes[1], loss, errors, faithful)
    for name, (steps, rows) in course.items():
        role, wide = LOSS_STYLE[name], name == loss
        axes[2].plot(steps, rows.mean(0), color=role.color, linestyle=role.line,
                     linewidth=2.4 if wide else 0.8, alpha=1 if wide else 0.6)  # fmt: skip
    last = float(course[loss][0][-1])
    end = {name: float(rows[:, -1].mean()) for name, (_, rows) in course.items()}
    axes[2].set(yscale="log", ylim=(0.03, 2), xlim=(0, last + 1))
    plain_ticks(axes[2].yaxis, (0.03, 0.1, 0.3, 1))
    label_beside(axes[2], end, last, 0.75 * last + 1)
    axes[2].set_xticks(sorted({0, round(last / 2), round(last)}))
    title = f"RMS error {end[loss]:.2f} at step {last:.0f}"
    name_axes(axes[2], "training step", f"{ERROR}, all levels", title)
    return figure


def by_level(ax: Axes, loss: str, errors: Mapping[str, ErrorRange], faithful: np.ndarray) -> None:
    """Errors against the noise level: the chosen loss with its range, the others thin."""
    for name, e in errors.items():
        role, wide = LOSS_STYLE[name], name == loss
        ax.plot(e.levels, e.mean, color=role.color, linestyle=role.line, marker=role.marker,
                markersize=4 if wide else 0, linewidth=2.4 if wide else 0.8,
                alpha=1 if wide else 0.6, markevery=3)  # fmt: skip
    chosen = errors[loss]
    color = LOSS_STYLE[loss].color
    ax.fill_between(chosen.levels, chosen.low, chosen.high, color=color, alpha=0.2, linewidth=0)
    if faithful.max() > 1e-3:
        ax.plot(chosen.levels, faithful, color=TRUTH.color, linestyle=":", linewidth=1.4)
        label(ax, 0.0045, 0.85, "dotted: contaminated f*")
    ax.set(xscale="log", yscale="log", ylim=(1e-3, 2.5), xlim=(0.004, 12))
    plain_ticks(ax.xaxis, (0.01, 0.1, 1, 10))
    plain_ticks(ax.yaxis, (0.001, 0.01, 0.1, 1))
    label(ax, 0.4, 1.4e-3, f"thick line: {loss}", text_color(loss))
    name_axes(ax, "noise level t (data units)", f"{ERROR} (data units)",
              "Distance from the clean $f^*$")  # fmt: skip


# The share of the pull that outliers have, and the error that it predicts


def by_points(
    points: Sequence[int], found: Mapping[str, np.ndarray], what: str, title: str,
    shares: bool = False, even: float | None = None,
) -> Figure:  # fmt: skip
    """Shares or errors by number of grid points: (points, draws or seeds) for each loss.

    A loss's name may go on with its c after a comma: such a line is thin.

    what    the quantity, for its axis
    shares  whether it is one, from 0 to 1
    even    a share that a dotted line marks
    """
    figure, axes = sheet(1, 1, 6.6, 3.7)
    ax = axes[0, 0]
    for name, values in found.items():
        role, thin = LOSS_STYLE[name.split(",")[0]], "," in name
        ax.plot(points, values.mean(1), color=role.color, linestyle=role.line, marker=role.marker,
                markersize=3 if thin else 6, linewidth=0.9 if thin else 2)  # fmt: skip
        ax.vlines(points, values.min(1), values.max(1), color=role.color, linewidth=1)
    top = max(float(v.max()) for v in found.values())
    ax.set(xscale="log", ylim=(0, 1.12 * top))  # room for the names below the title
    plain_ticks(ax.xaxis, points)
    ends = {n.replace("a tenth of c", "c/10"): float(v[-1].mean()) for n, v in found.items()}
    label_beside(ax, ends, max(points), 12 * max(points))
    if even is not None:
        ax.axhline(even, color=TRUTH.color, linestyle=":", linewidth=1)
    if shares:
        step = 0.25 if max(v.max() for v in found.values()) > 0.5 else 0.05
        ticks = np.arange(0, ax.get_ylim()[1], step)
        ax.set_yticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks])
    name_axes(ax, "number of grid points N", what, title)
    return figure


# Location estimates of a point cloud with outliers

X, Y = "x₁ (data units)", "x₂ (data units)"
LEVEL = "noise level t of the pair (data units)"


@dataclass(frozen=True, eq=False)
class OutlierCloud:
    """Clean points, outliers and the moved one; each loss's location estimates, lowest first."""

    clean: Tensor  # (n, 2)
    strays: Tensor  # (k, 2)
    moved: Tensor  # (2,)
    minima: Mapping[str, Tensor]  # by loss: (m, 2)


def location_figure(scene: OutlierCloud, reach: float, close: float) -> Figure:
    """The plane, its middle enlarged with each loss's location estimate, and their errors."""
    figure, (axes,) = sheet(1, 3, 11.2, 3.9, ratios=(1, 1, 1.05))
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.13, top=0.91, wspace=0.24)
    for ax, wide in ((axes[0], reach), (axes[1], close)):
        draw_cloud(ax, scene, 10 if ax is axes[0] else 22)
        ax.set(xlim=(-wide, wide), ylim=(-wide, wide), aspect="equal")
    axes[0].add_patch(Rectangle((-close, -close), 2 * close, 2 * close, fill=False, linewidth=0.8))
    label(axes[0], *shifted(scene.moved, 0.35), "yours")
    draw_locations(list(axes), scene)
    name_axes(axes[0], X, Y, "The cloud and its outliers")
    name_axes(axes[1], X, Y, "The square, enlarged")
    best = min(scene.minima, key=lambda name: location_error(scene, name))
    name_axes(axes[2], "distance from the clean mean (data units)", "", f"{best} comes closest")
    return figure


def shifted(point: Tensor, by: float) -> tuple[float, float]:
    return float(point[0]) + by, float(point[1]) + by


def draw_cloud(ax: Axes, scene: OutlierCloud, size: float) -> None:
    ax.scatter(*scene.clean.T, s=size, color=DATA.color, alpha=0.6, linewidths=0)
    ax.scatter(*scene.strays.T, s=3 * size, marker="D", facecolors="none", edgecolors=TRUTH.color,
               linewidths=1)  # fmt: skip
    ax.scatter(*scene.moved, s=8 * size, marker="*", color=TRUTH.color)


def location_error(scene: OutlierCloud, name: str) -> float:
    """Distance of a loss's location estimate from the mean of the clean points."""
    return float((scene.minima[name][0] - scene.clean.mean(0)).norm())


def draw_locations(axes: Sequence[Axes], scene: OutlierCloud) -> None:
    """Each loss's lowest minimum as its marker, other minima as small hollow ones."""
    axes[1].scatter(*scene.clean.mean(0), s=90, marker="+", color=TRUTH.color, zorder=4)
    for row, (name, places) in enumerate(scene.minima.items()):
        role, off = LOSS_STYLE[name], location_error(scene, name)
        for ax in axes[:2]:
            ax.plot(*places[0], role.marker, color=role.color, markersize=9, zorder=5,
                    markeredgecolor="white")  # fmt: skip
            ax.plot(*places[1:].T, role.marker, color=role.color, markersize=4, zorder=4,
                    markerfacecolor="none", linestyle="none")  # fmt: skip
        axes[2].plot([0, off], [row, row], color=role.color, linestyle=role.line)
        axes[2].plot(off, row, role.marker, color=role.color, markersize=9)
        label(axes[2], off, row - 0.25, f"  {name}: {off:.2f}", text_color(name))
    axes[2].set(ylim=(len(scene.minima) - 0.4, -0.7), yticks=[], xlim=(0, None))
    axes[2].set_xlim(0, 1.75 * axes[2].get_xlim()[1])


def pair_distances(
    edges: Tensor, level: Tensor, gap: Mapping[str, Tensor], marks: Mapping[str, float]
) -> Figure:
    """Boxes of ‖f*(x_t) - f*(x_r)‖ by noise level (edges in log steps), for each distribution.

    Boxes hold the middle half, whiskers 1 % to 99 %, and the marker is the largest of all.
    """
    figure, axes = sheet(1, 1, 8.6, 3.9)
    ax, last = axes[0, 0], len(edges) - 1.45
    spans = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    names = [f"{low:.2g} to {high:.2g}" for low, high in spans]
    for shift, (name, values) in zip((-0.18, 0.18), gap.items(), strict=True):
        parts = [values[(level > low) & (level <= high)] for low, high in spans]
        draw_boxes(ax, name, parts, shift)
        top = float(parts[-1].max()) * (0.5 if shift < 0 else 1)
        label(ax, last, top, name, LOSS_STYLE[name].color)
    for name, place in marks.items():
        ax.axhline(place, color=text_color(name), linewidth=1, linestyle=LOSS_STYLE[name].line)
        label(ax, last, place * 1.1, f"c of {name}", text_color(name))
    ax.set_xticks(range(len(spans)), names)
    ax.set(yscale="log", xlim=(-0.6, last + 1.4))
    title = "The differences have a long tail even without outliers"
    name_axes(ax, LEVEL, "$\\|f^*(x_t) - f^*(x_r)\\|$ (data units)", title)
    return figure


def draw_boxes(ax: Axes, name: str, parts: list[Tensor], shift: float) -> None:
    """Boxes of one distribution, beside their ticks, and the largest value of each."""
    role, places = LOSS_STYLE[name], [i + shift for i in range(len(parts))]
    drawn = ax.boxplot([p.numpy() for p in parts], positions=places, widths=0.3, whis=(1, 99),
                       showfliers=False, patch_artist=True,
                       medianprops={"color": TRUTH.color})  # fmt: skip
    for box in drawn["boxes"]:
        box.set(facecolor=role.color, alpha=0.7)
    ax.plot(places, [float(p.max()) for p in parts], role.marker, color=role.color)
