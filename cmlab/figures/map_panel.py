"""The map panel: where a student on the line is wrong, and how it came to be right.

Above: f_θ - f* over the x–t plane, with exact paths. Below: its error by noise level and step.
"""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from torch import Tensor

from ..oracle import Mixture1D
from ..studies import Recording
from .consistency import ranked
from .style import DIVERGING, SEQUENTIAL, TRUTH, name_axes, sheet

GAPS = np.array([-0.5, -0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2, 0.5])
ERRORS = np.array([0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
LOW = 0.02  # the lowest noise level drawn: below it f is all but x
TICKS = (0.02, 0.1, 0.5, 2, 10)
LEVEL = "noise level $t$ (data units)"
PLACE = "$x_t\\;/\\;\\sqrt{t^2+\\sigma_d^2}$"
RARE = 1e-3  # of the peak density: rarer points are left white


def map_panel(
    law: Mixture1D,
    runs: Mapping[str, Recording],
    trained: Mapping[str, Tensor] | None = None,
    seed: int = 0,
) -> Figure:
    """A column for each titled recording that has a `map`.

    The map is that of the recording's seed number `seed`; the errors below are root mean squares
    over its seeds. `trained` are the noise levels (N,) that a column's student was trained on,
    marked along the top of its map.
    """
    figure, axes = sheet(2, len(runs), 3.15 * len(runs) + 0.9, 5.6)
    maps = [difference(ax, law, run, seed) for ax, run in zip(axes[0], runs.values(), strict=True)]
    fronts = [wavefront(ax, run) for ax, run in zip(axes[1], runs.values(), strict=True)]
    for column, title in enumerate(runs):
        first = column == 0
        name_axes(axes[0, column], "", PLACE if first else "", title)
        name_axes(axes[1, column], LEVEL, "training step" if first else "")
        if trained and title in trained:
            mark(axes[0, column], trained[title])
    figure.colorbar(maps[-1], ax=axes[0], label=r"$f_\theta-f^*$ (data units)", ticks=GAPS)
    said = r"RMS of $f_\theta-f^*$ (white line: 0.1)"
    figure.colorbar(fronts[-1], ax=axes[1], label=said, ticks=ERRORS)
    return figure


def deviation(law: Mixture1D, run: Recording, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """f_θ - f* (levels, places) of a recorded map, its levels, and its places."""
    level, place, found = (torch.from_numpy(run[k][seed]) for k in ("levels", "place", "map"))
    x = place * (level[:, None] ** 2 + law.sigma_data**2).sqrt()
    exact = law.consistency(x.reshape(-1, 1), level.repeat_interleave(len(place)))
    return found - exact.reshape(x.shape), level, place


def difference(ax: Axes, law: Mixture1D, run: Recording, seed: int) -> QuadContourSet:
    """f_θ - f* where noisy points are found, with exact paths."""
    gap, level, place = deviation(law, run, seed)
    x = place * (level[:, None] ** 2 + law.sigma_data**2).sqrt()
    flat = law.log_density(x.reshape(-1, 1), level.repeat_interleave(len(place)))
    density = flat.reshape(x.shape)
    rare = density < density.amax(1, keepdim=True) + np.log(RARE)
    shown = np.ma.masked_where(rare.numpy(), gap.numpy()).T
    norm = BoundaryNorm(GAPS, 256, extend="both")
    where = (level.numpy(), place.numpy(), shown)
    filled = ax.contourf(*where, levels=GAPS, cmap=DIVERGING, norm=norm, extend="both")
    # Lines say the sign without colour: dashed below zero.
    ax.contour(*where, levels=[-0.1, 0.1], colors="#333333", linewidths=0.5)
    paths(ax, law, level)
    log_levels(ax)
    ax.set(ylim=(-2.6, 2.6), yticks=(-2, -1, 0, 1, 2))
    return filled


def paths(ax: Axes, law: Mixture1D, level: Tensor, n: int = 11) -> None:
    """Exact paths at evenly spaced ranks."""
    t = torch.logspace(np.log10(LOW), np.log10(float(level[-1])), 80, dtype=torch.float64)
    ways = law.path(ranked(law, float(t[-1]), n), t.flip(0)).squeeze(2).flip(0)
    scale = (t**2 + law.sigma_data**2).sqrt()[:, None]
    ax.plot(t, ways / scale, color=TRUTH.color, linewidth=0.6, alpha=0.7)


def wavefront(ax: Axes, run: Recording) -> QuadContourSet:
    """The error by noise level and step, root mean square over the seeds."""
    level, steps = run["levels"][0], run["steps"][0]
    error = np.sqrt((run["error"] ** 2).mean(0)).clip(1e-4)
    norm = BoundaryNorm(ERRORS, 256, extend="both")
    where = (level, steps, error)
    filled = ax.contourf(*where, levels=ERRORS, cmap=SEQUENTIAL, norm=norm, extend="both")
    ax.contour(*where, levels=[0.1], colors="white", linewidths=1.0)
    log_levels(ax)
    return filled


def log_levels(ax: Axes) -> None:
    """The same logarithmic noise levels on every panel."""
    ax.set(xscale="log", xlim=(LOW, 10))
    ax.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    ax.set_xticks([], minor=True)
    ax.grid(False)


def mark(ax: Axes, levels: Tensor) -> None:
    """Small triangles at these noise levels."""
    ax.plot(levels, np.full(len(levels), 2.45), "v", color=TRUTH.color, markersize=4)
