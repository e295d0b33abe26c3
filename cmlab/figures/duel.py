"""Two clouds of samples from the same noise, each over the ends of the exact paths."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from .plan import cloud
from .style import Role, sheet


def duel(found: Sequence[tuple[str, np.ndarray, Role]], exact: np.ndarray) -> Figure:
    """A panel for each (title, ends, look); ends (b, 2), and strokes from 60 of the exact ones."""
    figure, (axes,) = sheet(1, len(found), 4.75 * len(found), 3.9)
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.07, right=0.99, bottom=0.13, top=0.92, wspace=0.2)
    for ax, (title, ends, role) in zip(axes, found, strict=True):
        cloud(ax, ends, exact, role, title)
        ax.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    for ax in axes[1:]:
        ax.set_ylabel("")
    return figure
