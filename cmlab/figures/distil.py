"""What a teacher's steps make of the noise, and how near a trained student comes to it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .flow import ROLES
from .order import slope, ticks
from .starts import Starts
from .style import (
    EXTRA,
    MEAN,
    STUDENT,
    TEACHER,
    TRUTH,
    Role,
    label,
    name_axes,
    sheet,
)

TEACHERS = {"exact": STUDENT, "learned": EXTRA, "one-sample": TEACHER}
STEPS, ERROR = "steps of the teacher, $N-1$", "mean error at $t=10$ (data units)"
RANK, ANSWER = "rank of $x_T$ among the noise (%)", "answer at $t=10$ (data units)"
DARK_MEAN = "#8a5c00"  # the mean's colour, dark enough for words
Curve = tuple[Sequence[int], np.ndarray]  # grids (g,), and errors (g,) or (g, seeds)


def compositions(
    starts: Starts, mean: Tensor, walks: Mapping[str, Tensor], cloud: Tensor
) -> Figure:
    """Answers (n, 1) to noise at t = 10, by its rank: exact, D, and the ends of two walks.

    `cloud` (n, 1) is what a network says that was trained to follow the first of the walks.
    """
    figure, axes = sheet(1, 2, 9.8, 3.8)
    order = starts.rank.argsort()
    rank = 100 * starts.rank[order]
    for ax in axes[0]:
        ax.plot(rank, starts.ends[order], color=TRUTH.color, linewidth=2.4)
        ax.set(xlim=(0, 100), ylim=(-1.9, 1.9))
    looks = ((TEACHER.line, "dash-dotted", -1.15), ((0, (1, 1)), "dotted", -1.55))
    for (name, walk), (line, look, y) in zip(walks.items(), looks, strict=True):
        axes[0, 0].plot(rank, walk[order], color=TEACHER.color, linestyle=line)
        text = f"{look}: {name}, {starts.off(walk):.2f} off"
        label(axes[0, 0], 45, y, text, TEACHER.color)
    axes[0, 0].plot(rank, mean[order], color=MEAN.color, linestyle=MEAN.line)
    label(axes[0, 0], 45, -0.35, "dashed: D, the teacher's answer", DARK_MEAN)
    label(axes[0, 0], 45, -0.75, "black: the exact $f$")
    (name, walk), *_ = walks.items()
    trained(axes[0, 1], rank, walk[order], cloud[order])
    off = starts.off(cloud, walk), starts.off(cloud)
    label(axes[0, 1], 45, -1.15, f"squares: {off[0]:.3f} from the steps' ends", STUDENT.color)
    label(axes[0, 1], 45, -1.55, f"and {off[1]:.2f} from the exact $f$", STUDENT.color)
    name_axes(axes[0, 0], RANK, ANSWER, "An ideal student ends where the steps end")
    name_axes(axes[0, 1], RANK, "", f"A trained network too: {name}")
    return figure


def trained(ax: Axes, rank: Tensor, walk: Tensor, cloud: Tensor) -> None:
    """A network's answers as squares over the ends of the steps that it was to follow."""
    ax.plot(rank, walk, color=TEACHER.color, linestyle=TEACHER.line)
    ax.plot(rank[::4], cloud[::4], STUDENT.marker, color=STUDENT.color, markersize=4, alpha=0.7)


def orders(ideal: Mapping[str, Curve], found: Mapping[str, Curve]) -> Figure:
    """The ideal students' errors against N - 1 with their slopes, and the trained ones' dots."""
    figure, axes = sheet(1, 1, 8.0, 4.4)
    ax = axes[0, 0]
    for name, (points, error) in ideal.items():
        role, steps = ROLES[name], np.array(points) - 1
        ax.loglog(steps, error, color=role.color, linestyle=role.line)
        fitted = f"{slope(steps.tolist(), error.tolist()):.2f}".replace("-", "−")
        x, y = (9.5, 1.35) if name == "Euler" else (4.5, 0.45)
        label(ax, x, error[1] * y, f"ideal, {name}: slope {fitted}", role.color)
    for (name, curve), shift in zip(found.items(), (0.98, 1.02), strict=False):
        dots(ax, curve, ROLES[name], shift)
    whole_steps(ax, max((points for points, _ in ideal.values()), key=len))
    best = {name: points[errors.mean(1).argmin()] for name, (points, errors) in found.items()}
    said = ", ".join(f"{name} at N = {n}" for name, n in best.items())
    name_axes(ax, STEPS, ERROR, f"Trained students are best with {said}")
    return figure


def dots(ax: Axes, curve: Curve, role: Role, shift: float = 1.0) -> None:
    """The mean over seeds, and the range."""
    points, errors = np.array(curve[0]), curve[1]
    middle = errors.mean(1)
    span = (middle - errors.min(1), errors.max(1) - middle)
    ax.errorbar((points - 1) * shift, middle, span, color=role.color, marker=role.marker,
                markersize=8, linestyle="", capsize=4, markeredgecolor="white")  # fmt: skip


def whole_steps(ax: Axes, points: Sequence[int]) -> None:
    """The numbers of steps along the axis, and plain numbers beside it."""
    ticks(ax, [n - 1 for n in points])
    low, high = ax.get_ylim()
    marks = [v for v in (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3) if low < v < high]
    ax.set_yticks(marks, [f"{v:g}" for v in marks])
    ax.set_yticks([], minor=True)


def teachers(found: Mapping[str, Curve], walks: Mapping[str, Curve]) -> Figure:
    """Three teachers' students by N: dots with ranges; lines are the ends of their own steps."""
    figure, axes = sheet(1, 1, 8.0, 4.2)
    ax = axes[0, 0]
    ax.set(xscale="log", yscale="log")
    looks = ((0.97, 0.75), (1.03, 1.05), (1.0, 0.95))  # beside, and names below, each other
    for (name, (points, errors)), (shift, up) in zip(found.items(), looks, strict=True):
        role = TEACHERS[name]
        dots(ax, (points, errors), role, shift)
        label(ax, 88, errors.mean(1)[-1] * up, f"student, {name} teacher", role.color)
    for name, (points, errors) in walks.items():
        role, steps = TEACHERS[name], np.array(points) - 1
        middle = errors if errors.ndim == 1 else errors.mean(1)
        ax.plot(steps, middle, color=role.color, linestyle=role.line, linewidth=1.2)
        label(ax, 88, middle[-1] * 0.95, f"steps, {name} teacher", role.color)
    whole_steps(ax, found["exact"][0])
    ax.set_xlim(3.4, 330)
    last = {name: errors[-1].mean() for name, (_, errors) in found.items()}
    ratio, n = last["one-sample"] / last["exact"], found["exact"][0][-1]
    title = f"At N = {n} one sample costs {ratio:.1f} times the error, a learned teacher "
    name_axes(ax, STEPS, ERROR, f"{title}{last['learned'] / last['exact']:.1f} times")
    return figure
