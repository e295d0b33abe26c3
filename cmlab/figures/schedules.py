"""N(k), the number of grid points by training step, and the bench where all schedules meet."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..times import KarrasGrid
from ..vocabulary import Schedule
from .emphasis import LEVEL, LOOK, PER_LOG, Emphasis, ink, plain, stairs
from .style import DATA, STUDENT, Role, label, name_axes, sheet, styled

STEP = "training step k"


def counts(
    schedules: Mapping[str, Schedule], total: int, grid: KarrasGrid, points: Sequence[int]
) -> Figure:
    """N(k) over a run of `total` steps, by names in LOOK; and grids of so many points."""
    figure, ((left, right),) = sheet(1, 2, 9.8, 3.2, ratios=(1, 1.3))
    for name, schedule in schedules.items():
        curve(left, schedule, total, LOOK[name])
        text = f"{name}: {schedule(0):g} to {schedule(total):g}"
        label(left, 0.98 * total, schedule(total) * 1.2, text, ink(name))
        left.texts[-1].set_ha("right")
    left.set(yscale="log", xlim=(0, total), ylim=(1.5, 4000), xticks=[0, total // 2, total])
    plain(left.yaxis, (10, 100, 1000))
    name_axes(left, STEP, "grid points N(k)", "CT grows fast at first, iCT doubles")
    for row, n in enumerate(points):
        right.plot(grid.up(n), np.full(n, -row), "|", color=STUDENT.color, markersize=14)
    right.set(xscale="log", ylim=(0.5 - len(points), 0.5))
    right.set_yticks([-row for row in range(len(points))], [f"N = {n}" for n in points])
    plain(right.xaxis, (0.01, 0.1, 1, 10))
    name_axes(right, LEVEL, "", "Each doubling halves every gap")
    return figure


def curve(ax: Axes, schedule: Schedule, total: int, role: Role) -> None:
    """N(k) as the stairs that it is."""
    k = range(0, total + 1, max(total // 400, 1))
    ax.plot(k, [schedule(step) for step in k], color=role.color, linestyle=role.line,
            drawstyle="steps-post")  # fmt: skip


def bench(
    points: Schedule, total: int, step: int, seen: Emphasis, beside: Mapping[str, Emphasis]
) -> Figure:
    """N(k) with the step marked; masses, weight and effective weight on one axis of levels.

    The effective weights of `beside`, by names in LOOK, are drawn thin for comparison.
    """
    with styled():
        figure = Figure(figsize=(9.8, 4.2), dpi=100)
        left = figure.add_axes((0.065, 0.125, 0.27, 0.79))
        top = figure.add_axes((0.425, 0.665, 0.565, 0.25))
        below = figure.add_axes((0.425, 0.125, 0.565, 0.44))
    curve(left, points, total, STUDENT)
    left.plot(step, points(step), STUDENT.marker, color=STUDENT.color, markersize=9)
    left.set(yscale="log", ylim=(1.5, 6000), xticks=[0, total // 2, total])
    plain(left.yaxis, (10, 100, 1000))
    name_axes(left, STEP, "grid points N(k)", f"N = {points(step):g} at step {step}")
    stairs(top, seen, seen.weight, DATA)
    top.set(xscale="log", yscale="log", xlim=(0.0015, 15), ylim=(0.1, 3e5))
    plain(top.yaxis, (1, 100, 10_000))
    name_axes(top, "", "λ(i)", "How hard: the weight λ(i)")
    draw_shares(below, seen, beside)
    for ax in (top, below):
        plain(ax.xaxis, (0.01, 0.1, 1, 10))
    top.tick_params(labelbottom=False)
    return figure


def draw_shares(ax: Axes, seen: Emphasis, beside: Mapping[str, Emphasis]) -> None:
    """Masses and effective weight of one step, both per unit of ln t."""
    for name, other in beside.items():
        density = other.density(other.share)
        stairs(ax, other, density, LOOK[name], linewidth=0.9)
        label(ax, 10.5, float(density[-1]), name, ink(name))
    stairs(ax, seen, seen.density(seen.mass), DATA, linestyle="--")
    share = seen.density(seen.share)
    stairs(ax, seen, share, STUDENT, baseline=0, fill=True, alpha=0.25)
    stairs(ax, seen, share, STUDENT)
    highest = float(share.max())
    ax.set(xscale="log", xlim=(0.0015, 15), ylim=(0, max(1.15 * highest, 0.4)))
    middle = seen.quantile(seen.share, 0.5)
    ax.axvline(middle, color=STUDENT.color, linestyle=":", linewidth=1)
    label(ax, middle * 1.08, 0.02, f"half below {middle:.2g}", STUDENT.color)
    title = "Dashed: how often, p(i). Filled: the product p(i) λ(i)"
    name_axes(ax, LEVEL, PER_LOG, title)
