"""Figures of lab 06, the EMA teacher.

What a lagging target does to data that are one point: the pull, and the pace.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmlab.metrics.plots import TARGET, TRUTH, WRONG, label, name_axes, sheet

from ..common.plots_training import PACES

LAGS = {0.0: TRUTH, 0.01: TARGET, 0.05: WRONG}
POINTS = "grid points $N$"


def pull_and_pace(
    points: Sequence[int],
    gradients: Mapping[float, Sequence[float]],
    steps: Mapping[float, Sequence[int]],
) -> Figure:
    """Left: the rescaled gradient by N, a line a lag. Right: steps to ξ, a line a μ."""
    figure, axes = sheet(1, 2, 9.8, 3.7)
    pull(axes[0, 0], points, gradients)
    pace(axes[0, 1], points, steps)
    for ax in axes[0]:
        ax.set(xscale="log", xlim=(points[0] / 1.2, points[-1] * 2.2))
        ax.set_xticks(points[::2], [str(n) for n in points[::2]])
        ax.set_xticks([], minor=True)
    return figure


def pull(ax: Axes, points: Sequence[int], gradients: Mapping[float, Sequence[float]]) -> None:
    """Positive pulls towards ξ, negative away from it."""
    ax.axhspan(-1e4, 0, color="#f3e3ec", linewidth=0)
    ax.axhline(0, color="#666666", linewidth=0.8)
    for lag, values in gradients.items():
        role = LAGS[lag]
        ax.plot(points, values, color=role.color, linestyle=role.line, marker=role.marker,
                markersize=5)  # fmt: skip
        label(ax, points[-1] * 1.12, values[-1], f"lag {lag:.0%}", role.color)
    lowest = min(min(values) for values in gradients.values())
    ax.set_yscale("symlog", linthresh=10)
    ax.set(ylim=(2 * min(lowest, -1), 30))
    ax.set_yticks([-100, -10, 0, 10], ["−100", "−10", "0", "10"])
    ax.set_yticks([], minor=True)
    ax.text(0.03, 0.05, "shaded: it pulls away from ξ", transform=ax.transAxes, fontsize=9)
    name_axes(ax, POINTS, "gradient at θ − ξ = 1, λ = 1/(t − r)", turning(points, gradients))


def turning(points: Sequence[int], gradients: Mapping[float, Sequence[float]]) -> str:
    """What the largest lag does to the sign."""
    lag, values = max(gradients.items())
    wrong = [n for n, value in zip(points, values, strict=True) if value < 0]
    return f"{lag:.0%} behind: the wrong way from N = {wrong[0]}" if wrong else "No sign changes"


def pace(ax: Axes, points: Sequence[int], steps: Mapping[float, Sequence[int]]) -> None:
    """Steps of gradient descent until the distance to ξ is a twentieth of what it was."""
    for mu, counts in steps.items():
        role = PACES[mu]
        ax.plot(points, counts, color=role.color, linestyle=role.line, marker=role.marker,
                markersize=5)  # fmt: skip
        label(ax, points[-1] * 1.12, counts[-1] * 0.85, f"μ = {mu:g}", role.color)
    ax.set(yscale="log")
    slow, fast = steps[max(steps)][-1], steps[min(steps)][-1]
    title = f"N = {points[-1]}: μ = {max(steps):g} takes {slow / fast:.0f} times as long"
    name_axes(ax, POINTS, "steps until |θ − ξ| = 0.05", title)
