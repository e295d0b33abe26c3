"""The methods by network calls: error to the data against diffusion's, with the floor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..atlas import ENTRIES, Row, score
from ..atlas.league import DIFFUSION, NAMES
from .method_marks import LAW, LOOK, SPAN, TALL, column, floor, frame, strand
from .style import TRUTH, sheet
from .winners import by_calls, crossing, here, judged


@dataclass(frozen=True)
class Panel:
    """Students over the DDIM curve of a ruler; the one call of `carried` is led over to it."""

    title: str
    arms: Sequence[str]
    ruler: str
    carried: str = ""


def league(rows: Sequence[Row], title: str, panels: Sequence[Panel]) -> Figure:
    """Diffusion in a panel of its own, which takes the title, then panels of students."""
    figure, (axes,) = sheet(1, 1 + len(panels), 3.7 * (1 + len(panels)), 4.7)
    real = score(rows, "truth", "law", "truth", 0)
    frame(axes[0], title, True)
    denoisers(axes[0], rows)
    for ax, panel in zip(axes[1:], panels, strict=True):
        frame(ax, panel.title, False)
        students(ax, rows, panel)
    for ax in axes:
        floor(ax, real)
    return figure


def denoisers(ax: Axes, rows: Sequence[Row]) -> None:
    """Diffusion by both solvers. Its curves lie on each other, so a legend names them."""
    for arm in here(rows, DIFFUSION):
        for solver in NAMES:
            strand(ax, arm, by_calls(rows, arm, solver), thin=solver == "heun")
    for words, place in (("DDIM", (2.6, 0.24)), ("Heun", (11.5, 0.24))):
        ax.text(*place, words, fontsize=9)
    keys = [key(arm) for arm in here(rows, DIFFUSION)]
    ax.legend(handles=keys, loc="lower left", bbox_to_anchor=(0.0, 0.17), fontsize=8.5,
              handlelength=2.6)  # fmt: skip


def key(arm: str) -> Line2D:
    """A method in a legend."""
    role = LOOK[arm]
    return Line2D([], [], color=role.color, marker=role.marker, linestyle=role.line,
                  label=ENTRIES[arm].title,
                  markerfacecolor="white" if ENTRIES[arm].teacher else role.color)  # fmt: skip


def students(ax: Axes, rows: Sequence[Row], panel: Panel) -> None:
    """Curves at 1, 2 and 4 calls over the ruler's."""
    ddim = by_calls(rows, panel.ruler, "ddim")
    last = strand(ax, panel.ruler, ddim, thin=True)
    ax.annotate(f"{last.text}, DDIM", (2, judged(ddim[2]).mean()), (6, 5), fontsize=9,
                textcoords="offset points", color=last.color)  # fmt: skip
    column(ax, [strand(ax, arm, by_calls(rows, arm)) for arm in panel.arms], 5.4)
    if panel.carried:
        one = by_calls(rows, panel.carried)[1]
        carry(ax, float(judged(one).mean()), crossing(ddim, one))


def carry(ax: Axes, error: float, calls: float) -> None:
    """A line from one call to as many calls of diffusion."""
    if np.isfinite(calls):
        ax.plot([1, calls, calls], [error, error, SPAN[0]], color=TRUTH.color, linewidth=0.8,
                linestyle=(0, (2, 2)))  # fmt: skip
        ax.annotate(f"{calls:.0f}", (calls, SPAN[0]), (3, 3), textcoords="offset points",
                    fontsize=9, fontweight="bold")  # fmt: skip


def exact(rows: Sequence[Row], titles: Sequence[str]) -> Figure:
    """The exact denoiser by both solvers: distance to the data, and to the exact end."""
    figure, (axes,) = sheet(1, 2, 9.6, 4.0)
    measures = {"law": LAW, "end": "RMS distance to the exact end (data units)"}
    for ax, (name, measure), title in zip(axes, measures.items(), titles, strict=True):
        frame(ax, title, True, measure, TALL)
        for solver, words in NAMES.items():
            curve = by_calls(rows, "exact", solver, name)
            strand(ax, "exact", curve, thin=solver == "heun")
            n = sorted(curve)[1]
            ax.annotate(words, (n, judged(curve[n]).mean()), (8, 5), fontsize=9,
                        textcoords="offset points")  # fmt: skip
    floor(axes[0], score(rows, "truth", "law", "truth", 0))
    return figure
