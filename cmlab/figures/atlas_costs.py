"""What the methods of the atlas cost, where their errors sit, and what they are used for."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..atlas import ENTRIES, Row, score
from .method_marks import LAW, LOOK, OTHER, Tag, apart, column, dark, floor, strand
from .style import NOISE, name_axes, sheet
from .winners import by_calls, judged

CALLS = "network calls an answer"
RIGHT = 92  # CPU seconds: where the names stand


def costs(rows: Sequence[Row], panels: Mapping[str, Mapping[str, np.ndarray]],
          best: Mapping[str, Sequence[str]]) -> Figure:  # fmt: skip
    """Error against CPU seconds of the whole training: a panel of errors (seeds,) by method.

    The names of `best` are in bold.
    """
    figure, (axes,) = sheet(1, len(panels), 4.9 * len(panels), 4.2)
    for ax, (title, errors) in zip(axes, panels.items(), strict=True):
        ax.set(xscale="log", yscale="log", ylim=(0.008, 1.1), xlim=(14, 280))
        tags = {priced(ax, a, score(rows, a, "seconds"), e): a for a, e in errors.items()}
        for tag, y in apart(ax, list(tags), 0.066):
            mark(ax, tags[tag], RIGHT, y)
            weight = "bold" if tags[tag] in best[title] else "normal"
            ax.text(RIGHT * 1.1, y, tag.text, fontsize=9, color=tag.color, va="center",
                    fontweight=weight)  # fmt: skip
        axis(ax.set_xticks, (15, 20, 30, 50, 80))
        axis(ax.set_yticks, (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1))
        ax.minorticks_off()
        floor(ax, score(rows, "truth", "law", "truth", 0))
        name_axes(ax, "training, all of it (CPU seconds)", LAW * (ax is axes[0]), title)
    return figure


def mark(ax: Axes, arm: str, x: float, y: float) -> None:
    """A method's mark, hollow if it was told by the exact denoiser."""
    role = LOOK[arm]
    fill = "white" if ENTRIES[arm].teacher else role.color
    ax.plot(x, y, role.marker, color=role.color, markersize=8, markerfacecolor=fill)


def axis(put: Callable[..., object], ticks: Sequence[float]) -> None:
    """Plain numbers."""
    put(ticks, [f"{v:g}" for v in ticks])


def priced(ax: Axes, arm: str, seconds: np.ndarray, errors: np.ndarray) -> Tag:
    """One method: means, and the ranges over the seeds both ways."""
    role, errors = LOOK[arm], judged(errors)
    x, y = float(seconds.mean()), float(errors.mean())
    look = {"color": role.color, "linewidth": 3, "alpha": 0.35}
    ax.hlines(y, seconds.min(), seconds.max(), **look)
    ax.vlines(x, errors.min(), errors.max(), **look)
    mark(ax, arm, x, y)
    return Tag(x, y, ENTRIES[arm].title, dark(arm))


def levels(rows: Sequence[Row], arms: Sequence[str], at: np.ndarray, title: str) -> Figure:
    """RMS distance to f* by noise level (L,): means over the seeds with their range."""
    figure, axes = sheet(1, 1, 8.6, 3.9)
    ax = axes[0, 0]
    ax.set(xscale="log", yscale="log", xlim=(at[0], at[-1] * 8), ylim=(0.0007, 1.4))
    tags = [along(ax, arm, at, by_level(rows, arm)) for arm in arms]
    axis(ax.set_xticks, (0.002, 0.01, 0.05, 0.2, 1, 10))
    axis(ax.set_yticks, (0.001, 0.01, 0.1, 1))
    ax.minorticks_off()
    column(ax, tags, at[-1] * 1.25, 0.07)
    name_axes(ax, "noise level $\\sigma$ (data units)", "RMS of $f - f^*$ (data units)", title)
    return figure


def by_level(rows: Sequence[Row], arm: str) -> np.ndarray:
    """RMS distances to f* (seeds, L) of the runs that came to something."""
    mine = [row for row in rows if row["arm"] == arm and "rmse_by_level" in row]
    return np.array([row["rmse_by_level"] for row in mine])


def along(ax: Axes, arm: str, at: np.ndarray, seen: np.ndarray) -> Tag:
    """A method's curve over noise levels."""
    role, mean = LOOK[arm], seen.mean(0)
    fill = "white" if ENTRIES[arm].teacher else role.color
    ax.plot(at, mean, color=role.color, linestyle=role.line, marker=role.marker, markevery=4,
            markersize=4, markerfacecolor=fill)  # fmt: skip
    ax.fill_between(at, seen.min(0), seen.max(0), color=role.color, alpha=0.2, linewidth=0)
    title = ENTRIES[arm].title + " (not f*)" * (arm in OTHER)
    return Tag(at[-1], float(mean[-1]), title, dark(arm))


def uses(rows: Sequence[Row], arms: Sequence[str], title: str) -> Figure:
    """W₁ to the exact posterior of a hidden coordinate, with its floor and without any answer."""
    figure, axes = sheet(1, 1, 8.6, 3.9)
    ax = axes[0, 0]
    real, blind = (score(rows, "truth", "w1", way, 0) for way in ("truth", "prior"))
    ax.set(xscale="log", yscale="log", xlim=(0.85, 440), ylim=(0.05, 0.6))
    tags = [strand(ax, arm, by_calls(rows, arm, name="w1")) for arm in arms]
    ax.axhline(blind.mean(), color=NOISE.color, linestyle=":", linewidth=1.4)
    ax.text(47, blind.mean() * 1.04, "y unheard: the prior", fontsize=9, color="#555555")
    ax.set_xticks([1, 2, 4, 16, 40], ["1", "2", "4", "16", "40"])
    axis(ax.set_yticks, (0.05, 0.1, 0.2, 0.4))
    ax.minorticks_off()
    floor(ax, real, "exact posterior samples")
    column(ax, tags, 47, 0.075)
    name_axes(ax, CALLS, "$W_1$ to the exact posterior (data units)", title)
    return figure
