"""A run of sCM while it trains: its error by noise level, and how long its tangents are."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from .emphasis import plain
from .style import DATA, STUDENT, Role, label, name_axes, sheet

LEVEL, ERROR = "noise level σ_d tan t (data units)", "RMS of f − f* (data units)"


@dataclass(frozen=True, eq=False)
class Course:
    """A run of sCM: steps (T,), levels (L,), error (T, L), tangent (T, L, 3).

    tangent holds median, 99th percentile and maximum of ‖g‖ before it is bounded.
    """

    steps: np.ndarray
    levels: np.ndarray
    error: np.ndarray
    tangent: np.ndarray

    @property
    def median(self) -> np.ndarray:
        """Of the medians at all levels, (T,)."""
        return np.median(self.tangent[..., 0], 1)

    @property
    def longest(self) -> np.ndarray:
        """(T,)."""
        return self.tangent[..., 2].max(1)

    @property
    def total(self) -> np.ndarray:
        """RMS of the error over all levels, (T,)."""
        return np.sqrt(np.square(self.error).mean(1))

    def at(self, step: float) -> int:
        """The moment nearest to a step."""
        return int(np.abs(self.steps - step).argmin())


def training(run: Course, beside: Course | None, whole: int) -> Figure:
    """Where a run of `whole` steps stands: error by level, and length of g so far.

    `beside` is another run: its error is drawn at the same step.
    """
    figure, (axes,) = sheet(1, 2, 9.6, 3.5, ratios=(1, 1.15))
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(left=0.075, right=0.975, bottom=0.15, top=0.9, wspace=0.24)
    now = int(run.steps[-1])
    if beside:
        draw(axes, beside, now, DATA, "recorded sCT", 1.4)
    draw(axes, run, now, STUDENT, "this run", 2.2)
    by_level, by_step = axes
    by_level.set(xscale="log", yscale="log", xlim=(0.002, 10), ylim=(1e-3, 100))
    plain(by_level.xaxis, (0.01, 0.1, 1, 10))
    plain(by_level.yaxis, (0.001, 0.01, 0.1, 1, 10, 100))
    name_axes(by_level, LEVEL, ERROR, f"Step {now}: {run.total[-1]:.3g} off in all")
    by_step.set(yscale="log", xlim=(0, whole), ylim=(0.1, 1e6))
    by_step.set_xticks([0, whole // 2, whole])
    plain(by_step.yaxis, (0.1, 1, 10, 100, 1000, 10_000, 100_000))
    label(by_step, 0.03 * whole, 3e5, "dashed: the longest; solid: the median")
    name_axes(by_step, "training step", "‖g‖ before its bound (data units)",
              f"Longest tangent: {run.longest[-1]:.3g}")  # fmt: skip
    return figure


def draw(axes: np.ndarray, run: Course, now: int, role: Role, name: str, width: float) -> None:
    """One run in both panels: its error at the step `now`, its tangents at all its steps."""
    look = {"color": role.color, "linewidth": width}
    axes[0].plot(run.levels, run.error[run.at(now)], linestyle=role.line, **look)
    label(axes[0], 0.0025, 45 if role is STUDENT else 18, name, role.color)
    axes[1].plot(run.steps, run.median, linestyle="-", **look)
    axes[1].plot(run.steps, run.longest, linestyle=(0, (5, 2)), **look)
