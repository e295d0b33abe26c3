"""How runs on latents end, and what their loss sees on the way."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .impulses import within
from .style import (
    DATA,
    EXTRA,
    MEAN,
    STUDENT,
    TARGET,
    TEACHER,
    TRUTH,
    WRONG,
    label,
    name_axes,
    sheet,
)

ARM_LOOK = {
    "ict": STUDENT, "cauchy": TEACHER, "slct": EXTRA, "slct-independent": MEAN,
    "slct-across": WRONG, "slct-8c": TARGET, "huber": STUDENT, "l2": WRONG,
}  # fmt: skip


def race(panels: Mapping[str, Mapping[str, np.ndarray]], floor: float, name: str) -> Figure:
    """Scores of arms, one marker a seed and a bar at the mean; panels share their axis."""
    figure, (axes,) = sheet(1, len(panels), 9.6, 3.3)
    for ax, (title, arms) in zip(axes, panels.items(), strict=True):
        place = np.arange(len(arms))[::-1]
        for y, (arm, scores) in zip(place, arms.items(), strict=True):
            role = ARM_LOOK.get(arm, DATA)
            ax.plot(scores, np.full(len(scores), y), role.marker, color=role.color, markersize=7)
            ax.plot([scores.mean()] * 2, [y - 0.28, y + 0.28], color=role.color, linewidth=2)
            ax.text(scores.max() * 1.07, y, f"{scores.mean():.0f}", va="center", fontsize=9)
        ax.axvline(floor, color=TRUTH.color, linestyle=":", linewidth=1)
        ax.set(xscale="log", ylim=(-0.6, len(arms) - 0.3))
        ax.set_yticks(place, list(arms))
        name_axes(ax, name, "", title)
    span = [v for arms in panels.values() for s in arms.values() for v in s]
    for ax in axes:
        ax.set_xlim(0.8 * floor, 1.5 * max([*span, floor]))
        within(ax, (5, 10, 20, 50, 100, 200, 500, 1000))
    return figure


def sizes(
    intervals: Sequence[int], quantiles: Mapping[str, np.ndarray], c: Sequence[float], title: str
) -> Figure:
    """Root mean square residuals by stage: 5 to 95 % as bars, the median; and c(N).

    quantiles  by band of the noise level: (stages, 3) 5 %, 50 %, 95 %
    """
    figure, axes = sheet(1, 1, 8.2, 3.8)
    ax, roles = axes[0, 0], (TARGET, STUDENT, MEAN, WRONG)
    n = np.array(intervals, dtype=float)
    for number, ((band, q), role) in enumerate(zip(quantiles.items(), roles, strict=False)):
        at = n * 1.1 ** (number - 1.5)
        ax.vlines(at, q[:, 0], q[:, 2], color=role.color, linewidth=2, alpha=0.6)
        ax.plot(at, q[:, 1], role.marker, color=role.color, markersize=6)
        label(ax, n[-1] * 1.5, float(q[-1, 1]), f"t {band}", role.color)
    ax.plot(n, c, color=TRUTH.color, linewidth=2)
    label(ax, n[-1] * 1.5, float(c[-1]) * 0.7, "c(N)", TRUTH.color)
    ax.set(xscale="log", yscale="log", xlim=(7, 2400))
    ax.set_xticks(n, [f"{int(v)}" for v in n])
    ax.minorticks_off()
    name_axes(ax, "N, intervals of the grid", "rms residual of a coordinate (data units)", title)
    return figure
