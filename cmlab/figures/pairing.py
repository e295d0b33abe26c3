"""Noise and data paired by optimal transport, and what it buys in which dimension."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from .style import DATA, MEAN, NOISE, STUDENT, TRUTH, label, name_axes, sheet

X, Y = "x₁ (data units)", "x₂ (data units)"
LOOK = {"as drawn": MEAN, "optimal transport": STUDENT}


def lines(ax: Axes, x: Tensor, z: Tensor, role: str) -> None:
    """Data (discs) and noise (dots), a line for each pair."""
    pairs = np.stack([x.numpy(), z.numpy()], axis=1)
    ax.add_collection(LineCollection(list(pairs), colors=LOOK[role].color, linewidths=0.7))
    ax.scatter(*z.T, s=9, color=NOISE.color, zorder=2)
    ax.scatter(*x.T, s=14, color=DATA.color, zorder=3)
    ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xticks=(-2, 0, 2), yticks=(-2, 0, 2))


def pairing(
    x: Tensor, pairs: Mapping[str, Tensor], x_t: Mapping[str, Tensor], t: float, title: str
) -> Figure:
    """Each way of pairing (n, 2): its lines above, and below what they make of x_t = x + t z."""
    figure, axes = sheet(1, 4, 11.0, 3.1)
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.16, top=0.84, wspace=0.28)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    for column, (name, z) in enumerate(pairs.items()):
        lines(axes[0, column], x, z, name)
        axes[0, column].set_title(f"{name}: pairs", fontsize=10, loc="left")
        below = axes[0, 2 + column]
        below.scatter(*x_t[name].T, s=7, color=LOOK[name].color, marker=LOOK[name].marker)
        reach = 1.3 + 2.6 * t
        below.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        below.set_title(f"{name}, t = {t:.2g}", fontsize=10, loc="left")
    axes[0, 0].set_ylabel(Y)
    for ax in axes[0]:
        ax.set_xlabel(X)
    return figure


def gains(
    dims: Sequence[int], ratios: np.ndarray, levels: Sequence[float],
    spread: Mapping[str, np.ndarray], scores: Mapping[str, Mapping[str, np.ndarray]],
) -> Figure:  # fmt: skip
    """The cost that is left by dimension, the target's spread by level, and trained errors.

    ratios (dims, draws), spread by pairing (levels, draws), scores by name and pairing (seeds,)
    """
    figure, (axes,) = sheet(1, 3, 11.2, 3.5)
    axes[0].plot(dims, ratios.mean(1), color=STUDENT.color, marker=STUDENT.marker)
    axes[0].axhline(1, color=TRUTH.color, linestyle=":", linewidth=1)
    axes[0].set(xscale="log", ylim=(0, 1.08))
    saved = 1 - ratios.mean(1)
    name_axes(axes[0], "dimension D", "cost left, share of the pairs as drawn",
              f"{saved[0]:.0%} saved in 2D, {saved[-1]:.0%} at {dims[-1]}")  # fmt: skip
    for name, values in spread.items():
        role = LOOK[name]
        axes[1].plot(levels, values.mean(1), color=role.color, marker=role.marker,
                     linestyle=role.line)  # fmt: skip
        label(axes[1], levels[0], float(values[0].mean()) * 1.8, name, role.color)
    axes[1].set(xscale="log", yscale="log")
    name_axes(axes[1], "noise level t (data units)", "mean Var(x | x_t) (data units²)",
              "The target's variance falls")  # fmt: skip
    seeds(axes[2], scores)
    return figure


def seeds(ax: Axes, scores: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """A marker for each seed, the two pairings side by side."""
    place = np.arange(len(scores))
    for number, name in enumerate(LOOK):
        for x, found in zip(place, scores.values(), strict=True):
            if name in found:
                at = np.full(len(found[name]), x + 0.16 * (number - 0.5))
                ax.plot(at, found[name], LOOK[name].marker, color=LOOK[name].color)
    ax.set_xticks(place, list(scores))
    ax.set(xlim=(-0.5, len(scores) - 0.5), yscale="log")
    name_axes(ax, "", "error (data units)", "Trained: one marker a seed")
