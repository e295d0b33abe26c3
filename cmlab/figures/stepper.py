"""One update of distillation in slow motion, in the x–t plane with exact paths."""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from .style import DATA, NOISE, STUDENT, TARGET, TEACHER, TRUTH, Role, label, name_axes, sheet

# Plain letters, since mathtext takes a third of the time of a redraw.
LEVEL, POINT = "noise level t (data units)", "noisy point x_t (data units)"
DARK_TARGET = "#1f6f9f"  # the target's colour, dark enough for words
STAGES = (
    "the noisy point",
    "the teacher's step",
    "the online answer",
    "the target, held fixed",
    "the gradient's pull",
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
    ways: Tensor
    rows: Tensor
    density: Tensor


def slow_motion(paths: Paths, way: Tensor, update: Update, stage: int) -> Figure:
    """Sub-steps 1 to `stage`. `way` (m,) is the exact path through x_t at the paths' levels."""
    figure, (axes,) = sheet(1, 2, 9.8, 4.1, ratios=(1.9, 1))
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(left=0.075, right=0.985, bottom=0.125, top=0.925, wspace=0.22)
    plane(axes[0], paths, update, stage)
    if stage >= 2:
        teacher(axes[0], paths.levels, way, update)
    if stage >= 3:
        answer(axes[0], update.t, update.x_t, update.f_t, STUDENT)
    if stage >= 4:
        answer(axes[0], update.r, update.x_r, update.f_r, TARGET)
    name_axes(axes[0], LEVEL, POINT, f"{stage} of 5: {STAGES[stage - 1]}")
    line_of_answers(axes[1], update, stage)
    return figure


def plane(ax: Axes, paths: Paths, u: Update, stage: int) -> None:
    """Exact paths in grey, the data's density at the left, and the line from x to x_t."""
    lines = [torch.stack([paths.levels, way], 1).numpy() for way in paths.ways.T]
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
    label(ax, 1.02 * u.t, u.x_t - 0.2 * room, "x_t")
    label(ax, 0.02 * u.t, u.x + (0.3 if u.x > u.x_t else -0.6) * room, "x", DATA.color)


def teacher(ax: Axes, levels: Tensor, way: Tensor, u: Update) -> None:
    """The exact path through x_t, and the teacher's step beside it."""
    ax.plot(levels, way, color=TRUTH.color, linewidth=1.8)
    ax.plot(u.r, u.on_path, marker="o", markersize=10, markerfacecolor="none", color=TRUTH.color)
    style = {"color": TEACHER.color, "linestyle": TEACHER.line}
    if abs(u.guess - u.x_r) > 1e-12:
        ax.plot([u.t, u.r], [u.x_t, u.guess], linewidth=0.9, alpha=0.7, **style)
        ax.plot(u.r, u.guess, marker="+", color=TEACHER.color, markersize=8)
    ax.plot([u.t, u.r], [u.x_t, u.x_r], linewidth=2.2, **style)
    ax.plot(u.r, u.x_r, marker=TEACHER.marker, color=TEACHER.color, markersize=9)
    low, high = ax.get_ylim()
    up = 0.04 if u.x_r > u.on_path else -0.075
    label(ax, u.r, u.x_r + up * (high - low), "x_r", TEACHER.color)


def answer(ax: Axes, t: float, x: float, f: float, role: Role) -> None:
    """A bow from a point to its answer at the left edge: online above, target below."""
    bow = f"arc3,rad={0.2 if role is STUDENT else -0.2}"
    style = {"arrowstyle": "-", "connectionstyle": bow, "linestyle": role.line}
    ax.annotate("", (0, f), (t, x), arrowprops=style | {"color": role.color, "linewidth": 1.3})
    ax.plot(0, f, marker=role.marker, color=role.color, markersize=8, markeredgecolor="white")


def line_of_answers(ax: Axes, u: Update, stage: int) -> None:
    """The answers on a line of their own, magnified, and the arrow of the gradient."""
    shown = [u.end, u.end_r, u.f_t, u.f_r]
    middle, half = (max(shown) + min(shown)) / 2, max(max(shown) - min(shown), 0.02)
    ax.set(xlim=(0, 1), ylim=(middle - 0.8 * half, middle + 0.8 * half), xticks=[])
    ax.axhline(u.end, color=TRUTH.color, linewidth=1.6)
    written(ax, 0.02, u.end, half, "exact end", TRUTH.color)
    if stage >= 2:
        ax.axhline(u.end_r, color=TEACHER.color, linestyle=TEACHER.line)
        below = stage >= 4 and u.f_r > u.end_r
        written(ax, 0.69, u.end_r, half, "end from x_r", TEACHER.color, below)
    if stage >= 3:
        ax.plot(0.2, u.f_t, marker=STUDENT.marker, color=STUDENT.color, markersize=10)
        written(ax, 0.25, u.f_t, half, "online", STUDENT.color)
    if stage >= 4:
        ax.plot(0.5, u.f_r, marker=TARGET.marker, color=TARGET.color, markersize=10)
        written(ax, 0.55, u.f_r, half, "target", DARK_TARGET)
    if stage == 5:
        style = {"arrowstyle": "-|>", "color": STUDENT.color, "linewidth": 2.2}
        ax.annotate("", (0.2, u.f_r), (0.2, u.f_t), arrowprops=style)
    name_axes(ax, "", "answer (data units)", "The answers, magnified")


def written(
    ax: Axes, x: float, y: float, scale: float, text: str, color: str, below: bool = False
) -> None:
    """A label just above its height, or just below."""
    label(ax, x, y + (-0.085 if below else 0.035) * scale, text, color)
