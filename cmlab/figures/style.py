"""One look for every figure: a colour, a marker and a line for each role, never colour alone.

The palette is Okabe and Ito's, which colour-blind readers can tell apart.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke


@dataclass(frozen=True)
class Role:
    """How one thing looks in all labs."""

    color: str
    marker: str
    line: Any  # a matplotlib line style


DATA = Role("#4d4d4d", "o", "-")  # real data, and the exact law
NOISE = Role("#999999", ".", ":")  # pure noise
TRUTH = Role("#000000", "o", "-")  # the exact path, f*, E[x | x_t]
STUDENT = Role("#0072B2", "s", "-")  # f_θ
TARGET = Role("#56B4E9", "D", "--")  # f_θ⁻
TEACHER = Role("#D55E00", "^", "-.")  # φ, a denoiser or a solver
WRONG = Role("#CC79A7", "X", (0, (1, 1)))  # what a misconception predicts
MEAN = Role("#E69F00", "v", "--")  # the posterior mean
EXTRA = Role("#009E73", "P", (0, (5, 2, 1, 2)))

SEQUENTIAL, DIVERGING = "cividis", "PuOr"

RC: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "image.cmap": SEQUENTIAL,
    "savefig.facecolor": "white",
}


@contextmanager
def styled() -> Iterator[None]:
    """The look, for what is created inside."""
    with mpl.rc_context(RC):  # pyright: ignore[reportArgumentType]
        yield


def sheet(
    rows: int = 1,
    columns: int = 1,
    width: float = 8.0,
    height: float = 3.6,
    ratios: Sequence[float] | None = None,
) -> tuple[Figure, np.ndarray]:
    """A figure in inches and its axes, always (rows, columns).

    Not pyplot's: figures that pyplot keeps can come out blank when a widget draws them.
    """
    with styled():
        figure = Figure(figsize=(width, height), layout="constrained", dpi=100)
        axes = figure.subplots(rows, columns, squeeze=False, width_ratios=ratios)
    return figure, axes


def name_axes(ax: Axes, x: str, y: str, title: str = "") -> Axes:
    """Axis names with symbol and unit, and the finding as the title."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title, loc="left", fontsize=11, fontweight="bold")
    return ax


def label(ax: Axes, x: float, y: float, text: str, color: str = "black") -> None:
    """A direct label with a white halo, in place of a legend."""
    halo = withStroke(linewidth=3, foreground="white")
    ax.annotate(text, (x, y), color=color, fontsize=9, path_effects=[halo])


def bare(ax: Axes) -> Axes:
    """No ticks, no frame: for pictures."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax
