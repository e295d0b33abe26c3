"""Where training without a teacher ends: fixed points by quadrature, and networks beside them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..data.line import Bumps
from ..evaluate.fixed_point import Limit, Rule, fixed_point
from ..studies import ranged, read
from ..studies.recording import path_of
from ..times import KarrasGrid
from .consistency import POINT
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

LAW = Bumps().oracle
LOW, HIGH = 0.002, 10.0
POINTS = "points N of the grid"
ERROR = "RMS error to $f^*$ (data units)"
DASHES = ("-", (0, (6, 2)), (0, (3, 2)), (0, (1, 1.5)))


def ends(rule: Rule, points: int) -> Limit:
    """The fixed point of a rule on the studies' grid of N levels, on their law."""
    # On a fine grid each step moves less than the places are apart: it needs more of them.
    return fixed_point(LAW, KarrasGrid(LOW, HIGH).up(points), rule, 2401 if points < 200 else 4801)


def limits(rows: Mapping[str, Sequence[Limit]], roles: Sequence[Role]) -> Figure:
    """A panel for each titled row of fixed points, from few levels to many, at the highest."""
    figure, (axes,) = sheet(1, len(rows), 9.8, 3.6)
    for ax, (title, row), role in zip(axes, rows.items(), roles, strict=True):
        x = torch.linspace(-24, 24, 600).double()
        exact = LAW.consistency(x[:, None], torch.full_like(x, HIGH))[:, 0]
        ax.plot(x, exact, color=TRUTH.color, linewidth=2.4, label="exact f")
        for limit, dash, width in zip(row, DASHES[::-1], (2.2, 1.4, 1.4, 1.8), strict=False):
            f, points = limit(x), len(limit.levels)
            color = MEAN.color if points == 2 else role.color
            name = "N = 2: this is D" if points == 2 else f"N = {points}"
            ax.plot(x, f, color=color, linestyle=dash, linewidth=width, label=name)
        ax.legend(loc="lower right", fontsize=9, frameon=False)
        name_axes(ax, POINT, "", title)
        ax.set(ylim=(-1.9, 1.9), xlim=(-24, 24))
    axes[0].set_ylabel("answer at $t = 10$ (data units)")
    return figure


def scores(study: str, arms: Mapping[int, str]) -> dict[int, np.ndarray]:
    """RMS errors of the recorded seeds by N, for the arms that have been recorded."""
    kept = {points: arm for points, arm in arms.items() if path_of(study, arm).is_file()}
    return {points: read(study, arm).score("rmse") for points, arm in kept.items()}


def table(columns: Mapping[str, tuple[Mapping[int, Limit], Mapping[int, np.ndarray]]]) -> str:
    """By N, trained networks and fixed points in two columns for each name (Markdown)."""
    names = [part for name in columns for part in (name, "its fixed point")]
    lines = ["| N | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for n in sorted({n for pair in columns.values() for part in pair for n in part}):
        cells = [str(n)]
        for predicted, trained in columns.values():
            cells.append(ranged(trained[n]) if n in trained else "")
            cells.append(f"{predicted[n].rms():.3f}" if n in predicted else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def landed(panels: Mapping[str, tuple[str, str, Limit]]) -> Figure:
    """Networks as recorded, at t = 10: title -> study, arm, and the fixed point of its loss."""
    kept = {title: p for title, p in panels.items() if path_of(*p[:2]).is_file()}
    figure, (axes,) = sheet(1, len(kept), 9.8, 3.5)
    for ax, (title, (study, arm, limit)) in zip(axes, kept.items(), strict=True):
        seen = read(study, arm)
        x = torch.from_numpy(seen["place"][0]) * (HIGH**2 + LAW.sigma_data**2) ** 0.5
        exact = LAW.consistency(x[:, None], torch.full_like(x, HIGH))[:, 0]
        ax.plot(x, exact, color=TRUTH.color, linewidth=0.8)
        ax.plot(x, limit(x), color=EXTRA.color, linestyle=EXTRA.line, linewidth=2.6)
        for f in seen["map"][:, -1]:
            ax.plot(x, f, color=STUDENT.color, linewidth=1)
        name_axes(ax, POINT, "", title)
        ax.set(ylim=(-1.9, 1.9), xlim=(-24, 24))
    axes[0].set_ylabel("answer at $t = 10$ (data units)")
    return figure


def errors(
    panels: Mapping[str, tuple[Mapping[int, Limit], Mapping[int, np.ndarray]]],
    distilled: tuple[Mapping[int, Limit], Mapping[int, np.ndarray]],
) -> Figure:
    """Error against N: fixed points as lines, three seeds each as marks; distillation on each."""
    figure, (axes,) = sheet(1, len(panels), 9.8, 3.7)
    for ax, (title, (predicted, trained)) in zip(axes, panels.items(), strict=True):
        draw_errors(ax, *distilled, TEACHER)
        draw_errors(ax, predicted, trained, STUDENT)
        name_axes(ax, POINTS, ERROR if ax is axes[0] else "", title)
        ax.set(xscale="log", yscale="log", ylim=(0.015, 0.8), xlim=(4, 1700))
        ax.set_xticks([5, 20, 80, 320, 1280], ["5", "20", "80", "320", "1280"])
        ax.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
        ax.minorticks_off()
        label(ax, 4.4, 0.55, "squares: no teacher", STUDENT.color)
        label(ax, 4.4, 0.45, "triangles: exact teacher, Euler", TEACHER.color)
        label(ax, 4.4, 0.37, "lines: fixed points", "#333333")
    return figure


def draw_errors(
    ax: Axes, predicted: Mapping[int, Limit], trained: Mapping[int, np.ndarray], role: Role
) -> None:
    """A thin line for the fixed points, and mean and range of the trained seeds."""
    rms = [limit.rms() for limit in predicted.values()]
    ax.plot(list(predicted), rms, color=role.color, linestyle=role.line, linewidth=1)
    for points, found in trained.items():
        ax.plot([points] * 2, [found.min(), found.max()], color=role.color, linewidth=3, alpha=0.4)
        ax.plot(points, found.mean(), role.marker, color=role.color, markersize=7)
