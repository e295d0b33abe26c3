"""Figures of lab 04: a student's error over the x–t plane, teachers by N, one update in steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import BoundaryNorm
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.data.toy import Bumps
from cmlab.metrics.plots import (
    DATA,
    DIVERGING,
    EXTRA,
    MEAN,
    NOISE,
    SEQUENTIAL,
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
from cmlab.oracle import Mixture1D

from ..common.plots_line import SOLVER_STYLE, quantile_points, slope
from ..common.study import Recording
from .study import cloud_noise

# Maps of the error: f_θ - f* over the x–t plane, and the error by noise level and step

GAPS = np.array([-0.5, -0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2, 0.5])
ERRORS = np.array([0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
LOW = 0.02  # the lowest noise level drawn: below it f is all but x
TICKS = (0.02, 0.1, 0.5, 2, 10)
PANEL_LEVEL = "noise level $t$ (data units)"
SCALED_POINT = "$x_t\\;/\\;\\sqrt{t^2+\\sigma_d^2}$"
RARE = 1e-3  # of the peak density: rarer points are left white


def map_panel(
    oracle: Mixture1D,
    runs: Mapping[str, Recording],
    trained: Mapping[str, Tensor] | None = None,
    seed: int = 0,
) -> Figure:
    """Error maps f_θ - f* with exact paths, of seed number `seed`; a column for each recording.

    `trained` are the noise levels (N,) that a column's student was trained on, marked along the
    top of its map.
    """
    figure, (axes,) = sheet(1, len(runs), 3.15 * len(runs) + 0.9, 3.4)
    for ax, (title, run) in zip(axes, runs.items(), strict=True):
        shown = draw_difference(ax, oracle, run, seed)
        name_axes(ax, PANEL_LEVEL, SCALED_POINT if ax is axes[0] else "", title)
        if trained and title in trained:
            mark_levels(ax, trained[title])
    figure.colorbar(shown, ax=axes, label=r"$f_\theta-f^*$ (data units)", ticks=GAPS)
    return figure


def error_panel(runs: Mapping[str, Recording]) -> Figure:
    """The error by training step and noise level, RMS over seeds; a panel for each recording."""
    figure, (axes,) = sheet(1, len(runs), 3.15 * len(runs) + 0.9, 3.0)
    for ax, (title, run) in zip(axes, runs.items(), strict=True):
        shown = draw_error(ax, run)
        name_axes(ax, "training step", PANEL_LEVEL if ax is axes[0] else "", title)
    said = "RMS of $f_\\theta-f^*$\n(white line: 0.1)"
    figure.colorbar(shown, ax=axes, label=said, ticks=ERRORS)
    return figure


def deviation(oracle: Mixture1D, run: Recording, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """f_θ - f* (levels, places) of a recorded map, its levels, and its places."""
    level, place, found = (torch.from_numpy(run[k][seed]) for k in ("levels", "place", "map"))
    x = place * (level[:, None] ** 2 + oracle.sigma_data**2).sqrt()
    exact = oracle.consistency(x.reshape(-1, 1), level.repeat_interleave(len(place)))
    return found - exact.reshape(x.shape), level, place


def draw_difference(ax: Axes, oracle: Mixture1D, run: Recording, seed: int) -> QuadContourSet:
    """f_θ - f* where noisy points are not rare, with exact ODE paths."""
    gap, level, place = deviation(oracle, run, seed)
    x = place * (level[:, None] ** 2 + oracle.sigma_data**2).sqrt()
    flat = oracle.log_density(x.reshape(-1, 1), level.repeat_interleave(len(place)))
    density = flat.reshape(x.shape)
    rare = density < density.amax(1, keepdim=True) + np.log(RARE)
    shown = np.ma.masked_where(rare.numpy(), gap.numpy()).T
    norm = BoundaryNorm(GAPS, 256, extend="both")
    where = (level.numpy(), place.numpy(), shown)
    filled = ax.contourf(*where, levels=GAPS, cmap=DIVERGING, norm=norm, extend="both")
    # Lines say the sign without colour: dashed below zero.
    ax.contour(*where, levels=[-0.1, 0.1], colors="#333333", linewidths=0.5)
    draw_paths(ax, oracle, level)
    log_level_axis(ax)
    ax.set(ylim=(-2.6, 2.6), yticks=(-2, -1, 0, 1, 2))
    return filled


def draw_paths(ax: Axes, oracle: Mixture1D, level: Tensor, n: int = 11) -> None:
    """Exact ODE paths from evenly spaced quantiles."""
    t = torch.logspace(np.log10(LOW), np.log10(float(level[-1])), 80, dtype=torch.float64)
    positions = oracle.path(quantile_points(oracle, float(t[-1]), n), t.flip(0)).squeeze(2).flip(0)
    scale = (t**2 + oracle.sigma_data**2).sqrt()[:, None]
    ax.plot(t, positions / scale, color=TRUTH.color, linewidth=0.6, alpha=0.7)


def draw_error(ax: Axes, run: Recording) -> QuadContourSet:
    """The error by step and noise level, root mean square over the seeds."""
    level, steps = run["levels"][0], run["steps"][0]
    error = np.sqrt((run["error"] ** 2).mean(0)).clip(1e-4)
    norm = BoundaryNorm(ERRORS, 256, extend="both")
    where = (steps, level, error.T)
    filled = ax.contourf(*where, levels=ERRORS, cmap=SEQUENTIAL, norm=norm, extend="both")
    ax.contour(*where, levels=[0.1], colors="white", linewidths=1.0)
    log_level_axis(ax, "y")
    return filled


def log_level_axis(ax: Axes, along: Literal["x", "y"] = "x") -> None:
    """The same logarithmic noise levels on every panel."""
    ax.set(**{f"{along}scale": "log", f"{along}lim": (LOW, 10)})
    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_ticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axis.set_ticks([], minor=True)
    ax.grid(False)


def mark_levels(ax: Axes, levels: Tensor) -> None:
    """Short strokes at these noise levels: triangles would merge on fine grids."""
    ax.plot(levels, np.full(len(levels), 2.42), "|", color=TRUTH.color, markersize=7,
            markeredgewidth=0.8)  # fmt: skip


# The noise of the recordings' one-call samples, and its exact endpoints


@dataclass(frozen=True, eq=False)
class NoiseValues:
    """Noise x (n, 1) at one level, its ranks (n,) among all noise, and its exact ends (n, 1).

    `weight` (n,) is the share of all ranks that lie nearest to each: a mean with these weights is
    a mean over even ranks, and the luck of the draw all but drops out.
    """

    x: Tensor
    rank: Tensor
    weight: Tensor
    ends: Tensor

    def mean_error(self, answers: Tensor, goal: Tensor | None = None) -> Tensor:
        """Mean distance of answers (…, n, 1) from a goal, the exact ends by default: (…)."""
        gap = (answers.double() - (self.ends if goal is None else goal)).abs().squeeze(-1)
        return (gap * self.weight).sum(-1)


def noise_values(data: Bumps, level: float = 10.0) -> NoiseValues:
    """The noise from which every recording's `cloud` on the line was made."""
    x = cloud_noise(data).double()
    t = torch.full((len(x),), level, dtype=torch.float64)
    rank = data.oracle.cdf(x, t).flatten()
    order, edge = rank.argsort(), torch.tensor([0.0, 1.0]).double()
    middle = (rank[order][1:] + rank[order][:-1]) / 2
    weight = torch.empty_like(rank)
    weight[order] = torch.cat([edge[:1], middle, edge[1:]]).diff()
    return NoiseValues(x, rank, weight, data.oracle.consistency(x, t))


# The endpoints of a teacher's steps, and the students trained on them

TEACHERS = {
    "exact": STUDENT,
    "learned": EXTRA,
    "one-sample": TEACHER,
    "one-sample, squared": WRONG,
}
LEVELS, ERROR = "levels $N$", "mean error at $t=10$ (data units)"
RANK, ANSWER = "rank of $x_T$ among the noise (%)", "answer at $t=10$ (data units)"
DARK_MEAN = "#8a5c00"  # the mean's colour, dark enough for words
Curve = tuple[Sequence[int], np.ndarray]  # grids (g,), and errors (g,) or (g, seeds)


def compositions(
    starts: NoiseValues, mean: Tensor, solved: Mapping[str, Tensor], cloud: Tensor
) -> Figure:
    """Answers (n, 1) to noise at t = 10, by its rank: exact f, D, and the ends of two solvers.

    `cloud` (n, 1) is the output of a network that was distilled from the first solver.
    """
    figure, axes = sheet(1, 2, 9.8, 3.8)
    order = starts.rank.argsort()
    rank = 100 * starts.rank[order]
    for ax in axes[0]:
        ax.plot(rank, starts.ends[order], color=TRUTH.color, linewidth=2.4)
        ax.set(xlim=(0, 100), ylim=(-1.9, 1.9))
    looks = ((TEACHER.line, "dash-dotted", -1.15), ((0, (1, 1)), "dotted", -1.55))
    for (name, ends), (line, look, y) in zip(solved.items(), looks, strict=True):
        axes[0, 0].plot(rank, ends[order], color=TEACHER.color, linestyle=line)
        text = f"{look}: {name}, mean error {starts.mean_error(ends):.2f}"
        label(axes[0, 0], 99, y, text, TEACHER.color)
    axes[0, 0].plot(rank, mean[order], color=MEAN.color, linestyle=MEAN.line)
    label(axes[0, 0], 99, -0.35, "dashed: D, the teacher's answer", DARK_MEAN)
    label(axes[0, 0], 99, -0.75, "black: the exact $f^*$")
    (name, ends), *_ = solved.items()
    draw_trained(axes[0, 1], rank, ends[order], cloud[order])
    off = starts.mean_error(cloud, ends), starts.mean_error(cloud)
    label(axes[0, 1], 99, -0.75, "dash-dotted: ends of Euler's steps", TEACHER.color)
    label(axes[0, 1], 99, -1.15, "squares: the network", STUDENT.color)
    text = f"({off[0]:.3f} from the steps, {off[1]:.2f} from $f^*$)"
    label(axes[0, 1], 99, -1.55, text, STUDENT.color)
    for text in (*axes[0, 0].texts, *axes[0, 1].texts):
        text.set_ha("right")
    name_axes(axes[0, 0], RANK, ANSWER, "An ideal student ends where Euler's steps end")
    name_axes(axes[0, 1], RANK, "", f"So does a trained network ({name})")
    return figure


def draw_trained(ax: Axes, rank: Tensor, ends: Tensor, cloud: Tensor) -> None:
    """A network's answers as squares, under the endpoints of its teacher's steps."""
    ax.plot(rank[::12], cloud[::12], STUDENT.marker, color=STUDENT.color, markersize=6, alpha=0.6)
    ax.plot(rank, ends, color=TEACHER.color, linestyle=TEACHER.line, linewidth=1.4)


def orders(ideal: Mapping[str, Curve], found: Mapping[str, Curve]) -> Figure:
    """The ideal students' errors against N - 1 with their slopes, and the trained ones' dots."""
    figure, axes = sheet(1, 1, 8.0, 4.4)
    ax = axes[0, 0]
    for name, (points, error) in ideal.items():
        role, steps = SOLVER_STYLE[name], np.array(points) - 1
        ax.loglog(steps, error, color=role.color, linestyle=role.line)
        fitted = f"{slope(steps.tolist(), error.tolist()):.2f}".replace("-", "−")
        x, y = (9.5, 1.35) if name == "Euler" else (4.5, 0.45)
        label(ax, x, error[1] * y, f"ideal, {name}: slope {fitted}", role.color)
    places = ((0.98, 1.3), (1.02, 0.6))  # shift of the markers, and where their name goes
    for (name, curve), (shift, y) in zip(found.items(), places, strict=False):
        role, middle = SOLVER_STYLE[name], curve[1].mean(1)
        error_bars(ax, curve, role, shift)
        label(ax, 40, middle[-2] * y, f"trained, {name}", role.color)
    level_ticks(ax, max((points for points, _ in ideal.values()), key=len))
    best = {name: points[int(errors.mean(1).argmin())] for name, (points, errors) in found.items()}
    said = " and ".join(f"N = {n} ({name})" for name, n in best.items())
    name_axes(ax, LEVELS, ERROR, f"Trained students are best at {said}")
    return figure


def error_bars(ax: Axes, curve: Curve, role: Role, shift: float = 1.0) -> None:
    """Mean over seeds with the range as error bars."""
    points, errors = np.array(curve[0]), curve[1]
    middle = errors.mean(1)
    span = (middle - errors.min(1), errors.max(1) - middle)
    ax.errorbar((points - 1) * shift, middle, span, color=role.color, marker=role.marker,
                markersize=8, linestyle="", capsize=4, markeredgecolor="white")  # fmt: skip


def level_ticks(ax: Axes, points: Sequence[int]) -> None:
    """The numbers N of levels along the axis of N - 1 steps, and plain numbers beside it."""
    ax.set_xticks([n - 1 for n in points], [str(n) for n in points])
    ax.set_xticks([], minor=True)
    low, high = ax.get_ylim()
    marks = [v for v in (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3) if low < v < high]
    ax.set_yticks(marks, [f"{v:g}" for v in marks])
    ax.set_yticks([], minor=True)


def teachers(found: Mapping[str, Curve], solved: Mapping[str, Curve]) -> Figure:
    """Three teachers' students by N: dots with ranges; lines are the ends of their own steps."""
    figure, axes = sheet(1, 1, 8.0, 4.2)
    ax = axes[0, 0]
    ax.set(xscale="log", yscale="log")
    looks = ((0.97, 0.75), (1.03, 1.05), (1.0, 0.95), (1.0, 0.6))  # beside, and names below
    for (name, (points, errors)), (shift, up) in zip(found.items(), looks, strict=False):
        role = TEACHERS[name]
        error_bars(ax, (points, errors), role, shift)
        said = f"student, {name} teacher".replace(
            ", squared teacher", " teacher,\nsquared distance"
        )
        label(ax, 88, errors.mean(1)[-1] * up, said, role.color)
    for name, (points, errors) in solved.items():
        role, steps = TEACHERS[name], np.array(points) - 1
        middle = errors if errors.ndim == 1 else errors.mean(1)
        ax.plot(steps, middle, color=role.color, linestyle=role.line, linewidth=1.2)
        label(ax, 88, middle[-1] * 0.95, f"ideal student, {name} teacher", role.color)
    level_ticks(ax, found["exact"][0])
    ax.set_xlim(3.4, 330)
    exact = found["exact"][1][-1].mean()
    times = {name: errors[-1].mean() / exact for name, (_, errors) in found.items()}
    title = f"At N = {found['exact'][0][-1]} one sample as teacher multiplies the error\n"
    title += f"by {times['one-sample']:.1f} (pseudo-Huber) or {times['one-sample, squared']:.1f} "
    title += f"(squared), a learned teacher by {times['learned']:.1f}"
    name_axes(ax, LEVELS, ERROR, title)
    return figure


# One update of distillation, sub-step by sub-step, in the x–t plane

# Plain letters, since mathtext takes a third of the time of a redraw.
STEPPER_LEVEL, POINT = "noise level t (data units)", "noisy point xₜ (data units)"
DARK_TARGET = "#1f6f9f"  # the target's colour, dark enough for words
STAGES = (
    "the noisy point",
    "the teacher's step",
    "the online answer",
    "the target, held fixed",
    "the direction of the update",
)


@dataclass(frozen=True)
class Update:
    """All numbers of one update: x + t z = x_t, the teacher's x_r, and the answers."""

    x: float
    z: float
    t: float
    r: float
    x_t: float
    x_r: float
    guess: float  # where Euler's step ends; x_r itself unless the solver corrects it
    on_path: float  # where the exact path through x_t is at r
    f_t: float  # online
    f_r: float  # target
    end: float  # the exact end of the path through x_t
    end_r: float  # that of the path through x_r


@dataclass(frozen=True)
class Paths:
    """Exact paths (m, n) at levels (m,), and the data's density (k,) over rows (k,), peak 1."""

    levels: Tensor
    positions: Tensor
    rows: Tensor
    density: Tensor


def slow_motion(paths: Paths, path: Tensor, update: Update, stage: int) -> Figure:
    """Sub-steps 1 to `stage` of one update; `way` (m,) is the exact path through x_t."""
    figure, (axes,) = sheet(1, 2, 9.8, 4.1, ratios=(1.9, 1))
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(left=0.075, right=0.985, bottom=0.125, top=0.925, wspace=0.22)
    draw_plane(axes[0], paths, update, stage)
    if stage >= 2:
        draw_teacher(axes[0], paths.levels, path, update)
    if stage >= 3:
        draw_answer(axes[0], update.t, update.x_t, update.f_t, STUDENT)
    if stage >= 4:
        draw_answer(axes[0], update.r, update.x_r, update.f_r, TARGET)
    name_axes(axes[0], STEPPER_LEVEL, POINT, f"{stage} of 5: {STAGES[stage - 1]}")
    draw_answer_line(axes[1], update, stage)
    return figure


def draw_plane(ax: Axes, paths: Paths, u: Update, stage: int) -> None:
    """Exact paths in grey, the data's density at the left, and the line from x to x_t."""
    lines = [torch.stack([paths.levels, path], 1).numpy() for path in paths.positions.T]
    ax.add_collection(LineCollection(lines, colors=DATA.color, linewidths=0.6, alpha=0.4))
    edge = 0.07 * u.t
    ax.fill_betweenx(paths.rows, -edge * paths.density, 0, color=DATA.color, alpha=0.35, lw=0)
    ax.axvline(0, color=DATA.color, linewidth=0.8)
    ax.plot([0, u.t], [u.x, u.x_t], color=NOISE.color, linestyle=NOISE.line)
    ax.plot(0, u.x, marker="o", color=DATA.color, markersize=7)
    ax.plot(u.t, u.x_t, marker="o", color=TRUTH.color, markersize=9)
    shown = (u.x, u.x_t, u.x_r, u.guess, u.on_path, u.end, u.end_r, u.f_t, u.f_r, -1.3, 1.3)
    room = 0.12 * (max(shown) - min(shown))
    ax.set(xlim=(-1.2 * edge, 1.1 * u.t), ylim=(min(shown) - room, max(shown) + room))
    label(ax, 1.02 * u.t, u.x_t - 0.2 * room, "xₜ")
    label(ax, 0.02 * u.t, u.x + (0.3 if u.x > u.x_t else -0.6) * room, "x", DATA.color)


def draw_teacher(ax: Axes, levels: Tensor, path: Tensor, u: Update) -> None:
    """The exact path through x_t, and the teacher's step beside it."""
    ax.plot(levels, path, color=TRUTH.color, linewidth=1.8)
    ax.plot(u.r, u.on_path, marker="o", markersize=10, markerfacecolor="none", color=TRUTH.color)
    style = {"color": TEACHER.color, "linestyle": TEACHER.line}
    if abs(u.guess - u.x_r) > 1e-12:
        ax.plot([u.t, u.r], [u.x_t, u.guess], linewidth=0.9, alpha=0.7, **style)
        ax.plot(u.r, u.guess, marker="+", color=TEACHER.color, markersize=8)
    ax.plot([u.t, u.r], [u.x_t, u.x_r], linewidth=2.2, **style)
    ax.plot(u.r, u.x_r, marker=TEACHER.marker, color=TEACHER.color, markersize=9)
    low, high = ax.get_ylim()
    up = 0.04 if u.x_r > u.on_path else -0.075
    label(ax, u.r, u.x_r + up * (high - low), "xᵣ", TEACHER.color)


def draw_answer(ax: Axes, t: float, x: float, f: float, role: Role) -> None:
    """A curve from a point to its answer at the left edge: online above, target below."""
    bow = f"arc3,rad={0.2 if role is STUDENT else -0.2}"
    style = {"arrowstyle": "-", "connectionstyle": bow, "linestyle": role.line}
    ax.annotate("", (0, f), (t, x), arrowprops=style | {"color": role.color, "linewidth": 1.3})
    ax.plot(0, f, marker=role.marker, color=role.color, markersize=8, markeredgecolor="white")


def draw_answer_line(ax: Axes, u: Update, stage: int) -> None:
    """The answers on a line of their own, magnified, and the arrow of the gradient."""
    shown = [u.end, u.end_r, u.f_t, u.f_r]
    middle, half = (max(shown) + min(shown)) / 2, max(max(shown) - min(shown), 0.02)
    ax.set(xlim=(0, 1), ylim=(middle - 0.8 * half, middle + 0.8 * half), xticks=[])
    ax.axhline(u.end, color=TRUTH.color, linewidth=1.6)
    answer_label(ax, 0.02, u.end, half, "exact end", TRUTH.color)
    if stage >= 2:
        ax.axhline(u.end_r, color=TEACHER.color, linestyle=TEACHER.line)
        below = stage >= 4 and u.f_r > u.end_r
        answer_label(ax, 0.69, u.end_r, half, "end from xᵣ", TEACHER.color, below)
    if stage >= 3:
        ax.plot(0.2, u.f_t, marker=STUDENT.marker, color=STUDENT.color, markersize=10)
        answer_label(ax, 0.25, u.f_t, half, "online", STUDENT.color)
    if stage >= 4:
        ax.plot(0.5, u.f_r, marker=TARGET.marker, color=TARGET.color, markersize=10)
        answer_label(ax, 0.55, u.f_r, half, "target", DARK_TARGET)
    if stage == 5:
        style = {"arrowstyle": "-|>", "color": STUDENT.color, "linewidth": 2.2}
        ax.annotate("", (0.2, u.f_r), (0.2, u.f_t), arrowprops=style)
    name_axes(ax, "", "answer (data units)", "The answers, magnified")


def answer_label(
    ax: Axes, x: float, y: float, scale: float, text: str, color: str, below: bool = False
) -> None:
    """A label just above its height, or just below."""
    label(ax, x, y + (-0.085 if below else 0.035) * scale, text, color)
