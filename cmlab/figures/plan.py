"""A plan of noise levels, and where samples end by it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import DATA, TRUTH, Role, label, name_axes, sheet

LOW = 0.006  # where level 0 is drawn


def plan(
    levels: Sequence[float], marks: Sequence[float], renoised: bool,
    found: np.ndarray, exact: np.ndarray, role: Role, title: str,
) -> Figure:  # fmt: skip
    """The levels (n,) of the calls, a network's own edges as marks; ends (b, 2) and exact ones."""
    figure, (axes,) = sheet(1, 2, 9.6, 3.9, ratios=(1.0, 1.15))
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.085, right=0.985, bottom=0.14, top=0.9, wspace=0.24)
    staircase(axes[0], levels, marks, renoised, role)
    cloud(axes[1], found, exact, role, title)
    return figure


def staircase(
    ax: Axes, levels: Sequence[float], marks: Sequence[float], renoised: bool, role: Role
) -> None:
    """The noise level of the sample before and after each call."""
    calls, down = np.arange(1, len(levels) + 1), [*levels[1:], LOW]
    for mark in marks:
        ax.axhline(mark, color=DATA.color, linewidth=0.8, linestyle=":")
    for n, top, end in zip(calls, levels, down, strict=True):
        bottom = LOW if renoised else end
        ax.annotate("", (n + 0.35, bottom), (n, top), arrowprops={"arrowstyle": "->",
                    "color": role.color, "linewidth": 1.8})  # fmt: skip
        if renoised and end > LOW:
            ax.annotate("", (n + 1, end), (n + 0.4, LOW), arrowprops={"arrowstyle": "->",
                        "color": DATA.color, "linestyle": ":"})  # fmt: skip
    ax.plot(calls, levels, role.marker, color=role.color, markersize=7)
    ax.set(ylim=(LOW * 0.8, 16), xlim=(0.6, 9.2))  # before the scale, which looks at the points
    ax.set_yscale("log")
    ax.set_yticks([LOW, 0.01, 0.1, 1, 10], ["0", "0.01", "0.1", "1", "10"])
    ax.set_xticks(range(1, 9))
    ax.minorticks_off()
    if len(marks):
        label(ax, 5.6, 11.5, "dotted: its own edges", DATA.color)
    said = "down to the data, up by fresh noise" if renoised else "down along the line"
    name_axes(ax, "network call", "noise level $\\sigma$ (data units)", f"The plan: {said}")


def cloud(ax: Axes, found: np.ndarray, exact: np.ndarray, role: Role, title: str) -> None:
    """Ends, and a stroke from the exact end of each of the first 60."""
    ax.plot(*exact.T, "o", color=TRUTH.color, markersize=5, fillstyle="none", alpha=0.3,
            markeredgewidth=0.8)  # fmt: skip
    ends = np.stack([exact[:60], found[:60], np.full_like(found[:60], np.nan)], 1).reshape(-1, 2)
    ax.plot(*ends.T, color=role.color, linewidth=0.9, alpha=0.8)
    ax.plot(*found.T, role.marker, color=role.color, markersize=2.5, alpha=0.7)
    ax.set(xlim=(-1.75, 1.75), ylim=(-1.45, 1.45), aspect="equal")
    name_axes(ax, "$x_1$ (data units)", "$x_2$ (data units)", title)
