"""Truth spreads from t = ε outward: the error by noise level and step, and its front."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .style import SEQUENTIAL, Role, label, name_axes, sheet

NEAR = 0.2  # data units, the ring having radius 1: an error below it counts as "close to f*"
PACES = {  # how each decay μ of the target looks
    0.0: Role("#0072B2", "s", "-"),
    0.9: Role("#009E73", "P", (0, (5, 2, 1, 2))),
    0.99: Role("#B87800", "v", "--"),
    0.999: Role("#D55E00", "^", "-."),
}
STEP, LEVEL, ERROR = "step", "noise level $t$ (data units)", "RMS of f − f* (data units)"


@dataclass(frozen=True, eq=False)
class Run:
    """What was seen of runs: steps (T,), levels (L,), error (seeds, T, L), loss (seeds, T).

    Entries that are not there yet are nan.
    """

    mu: float
    steps: np.ndarray
    levels: np.ndarray
    error: np.ndarray
    loss: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The error of the mean seed, (T, L)."""
        return self.error.mean(0)

    def fronts(self, near: float = NEAR) -> np.ndarray:
        """The front of each seed at each moment: (seeds, T)."""
        return front(self.levels, self.error, near)


def front(levels: np.ndarray, error: np.ndarray, near: float = NEAR) -> np.ndarray:
    """The noise level up to which every error (..., L) is below `near`: (...).

    Between two levels the error is taken as a straight line over ln t.
    """
    above = ~(error < near)
    first = np.where(above.any(-1), above.argmax(-1), len(levels) - 1)[..., None]
    low = np.maximum(first - 1, 0)
    a, b = (np.take_along_axis(error, i, -1)[..., 0] for i in (low, first))
    share = np.clip((near - a) / np.where(b > a, b - a, 1), 0, 1)
    x, y = np.log(levels)[low[..., 0]], np.log(levels)[first[..., 0]]
    return np.exp(x + np.where(above.any(-1), share, 1) * (y - x))


def heat(ax: Axes, steps: np.ndarray, levels: np.ndarray, error: np.ndarray) -> QuadMesh:
    """error (T, L) over step and noise level, on one scale for all maps of the lab."""
    values = np.ma.masked_invalid(np.maximum(error, 1e-9)).T
    shown = ax.pcolormesh(
        steps, levels, values, cmap=SEQUENTIAL, norm=LogNorm(0.03, 1), shading="nearest"
    )
    ax.set(yscale="log", ylim=(0.01, levels[-1]))
    ax.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    ax.set_yticks([], minor=True)
    ax.grid(False)
    return shown


def wavefronts(runs: Mapping[str, Run]) -> Figure:
    """One map a run, one scale; the line is the front, thin for each seed and thick for all."""
    figure, axes = sheet(1, len(runs), 2.55 * len(runs), 3.5)
    for ax, (name, run) in zip(axes[0], runs.items(), strict=True):
        shown = heat(ax, run.steps, run.levels, run.mean)
        for line, width in [(f, 0.8) for f in run.fronts()] + [(centre(run), 2.4)]:
            ax.plot(run.steps, line, color="white", linewidth=width)
        name_axes(ax, STEP, LEVEL if ax is axes[0, 0] else "", f"{name}\n{arrival(run)}")
        ax.title.set_fontsize(10)
    bar = figure.colorbar(shown, ax=list(axes[0]), label=ERROR, extend="both", pad=0.01)
    bar.set_ticks([0.03, 0.1, 0.3, 1], labels=["0.03", "0.1", "0.3", "1"])
    bar.minorticks_off()
    return figure


def centre(run: Run, near: float = NEAR) -> np.ndarray:
    """The front of the mean error, (T,)."""
    return front(run.levels, run.mean, near)


def arrival(run: Run, near: float = NEAR) -> str:
    """When the front of the mean error is at the top for good, or where it ends."""
    line = centre(run, near)
    below = np.flatnonzero(line < 0.99 * run.levels[-1])
    if below.size and below[-1] == len(line) - 1:
        return f"ends at t = {line[-1]:.2g}"
    return f"top at step {run.steps[below[-1] + 1 if below.size else 0]}"


def moment(run: Run, now: int, beside: Run | None = None) -> Figure:
    """A run at its moment `now`: the map, the error by level, and the loss so far.

    `beside` is another run, drawn at the same moment for comparison.
    """
    figure, axes = sheet(1, 3, 10.0, 3.0, (1.25, 1, 1))
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(0.07, 0.16, 0.975, 0.89, wspace=0.32)
    plane, profile, loss = axes[0]
    heat(plane, run.steps, run.levels, run.mean)
    plane.plot(run.steps, centre(run), color="white", linewidth=2.4)
    plane.axvline(run.steps[now], color="white", linewidth=1, linestyle=":")
    plane.set(xlim=(0, run.steps[-1]))
    name_axes(plane, STEP, LEVEL, f"Below {NEAR} up to t = {centre(run)[now]:.2g}")
    for one in (beside, run) if beside else (run,):
        role, width = PACES[one.mu], 2.2 if one is run else 1.2
        look = {"color": role.color, "linestyle": role.line, "linewidth": width}
        profile.plot(one.levels, one.mean[now], **look)
        loss.plot(one.steps[: now + 1], one.loss.mean(0)[: now + 1], **look)
        label(profile, 0.0025, 0.55 if one is run else 0.3, f"μ = {one.mu:g}", role.color)
    profile.axhline(NEAR, color="#666666", linewidth=0.8, linestyle=":")
    finish(profile, loss, run, now)
    return figure


def finish(profile: Axes, loss: Axes, run: Run, now: int) -> None:
    """Axes of the two small panels."""
    profile.set(xscale="log", yscale="log", ylim=(1e-3, 2), xlim=(run.levels[0], run.levels[-1]))
    for axis, ticks in ((profile.xaxis, (0.01, 0.1, 1, 10)), (profile.yaxis, (0.01, 0.1, 1))):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    worst = run.mean[now].max()
    name_axes(profile, LEVEL, ERROR, f"Largest error {worst:.2f}")
    loss.set(xlim=(0, run.steps[-1]))
    seen = run.loss.mean(0)[now]
    said = f"Loss {seen:.3f}"
    if np.isnan(seen):
        said, _ = "No loss yet", loss.set_ylim(0, 1)
    name_axes(loss, STEP, "loss (running mean)", said)
