"""The consistency function f beside the posterior mean D: where a path ends, and the average.

Everything here is exact: the laws come from `oracle`, and nothing is trained.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from .. import solve
from ..oracle import Mixture1D
from .style import DIVERGING, SEQUENTIAL, label, name_axes, sheet

NOISE_LEVEL = "noise level $t$ (data units)"
POINT = "noisy point $x_t$ (data units)"
MAP_TITLES = (
    "f: one value along each path",
    "D: it changes along every path",
    "|f − D|: small only near the data",
)


def plane(high: float, reach: float, rows: int = 320, columns: int = 60) -> tuple[Tensor, Tensor]:
    """All points of the x–t plane, t the faster index: x (rows · columns, 1) and t."""
    x = torch.linspace(-reach, reach, rows).double()
    grid = torch.cartesian_prod(x, torch.linspace(0.005, high, columns).double())
    return grid[:, :1], grid[:, 1]


def ranked(law: Mixture1D, level: float, n: int) -> Tensor:
    """n points (n, 1) at evenly spaced ranks of the noisy law: its quantiles, without chance."""
    rank = (torch.arange(n).double() + 0.5) / n
    t, far = torch.full_like(rank, level), law.components.means.abs().max() + 40 * (1 + level)

    def curve(y: Tensor) -> tuple[Tensor, Tensor]:
        return law.cdf(y, t) - rank, law.log_density(y, t).exp()

    return solve.root(curve, -far * torch.ones_like(rank), far * torch.ones_like(rank))[:, None]


def fan(law: Mixture1D, high: float, paths: int, levels: int = 60) -> tuple[Tensor, Tensor]:
    """Exact paths at evenly spaced ranks: levels (m,) rising, and positions (m, paths)."""
    t = torch.cat([torch.tensor([0.002]), torch.linspace(0.02, high, levels - 1)]).double()
    return t, law.path(ranked(law, high, paths), t.flip(0)).squeeze(2).flip(0)


def maps(law: Mixture1D, high: float = 3.0, reach: float = 4.5, ends: float = 1.8) -> Figure:
    """f and D over the x–t plane with exact paths on them, and the gap between the two.

    `high` is the largest noise level, `reach` the largest |x|, `ends` the end of the colours.
    """
    x, t = plane(high, reach)
    f, mean = law.consistency(x, t), law.denoise(x, t)
    figure, axes = sheet(1, 3, 9.8, 3.5)
    for ax, title in zip(axes[0], MAP_TITLES, strict=True):
        name_axes(ax, NOISE_LEVEL, POINT if ax is axes[0, 0] else "", title)
        ax.set(ylim=(-reach, reach), xlim=(0, high))
    both, gaps = torch.linspace(-ends, ends, 13), torch.linspace(0, 1.2, 9)
    filled(axes[0, 0], f, x, t, both, DIVERGING, lines=False)
    shown = filled(axes[0, 1], mean, x, t, both, DIVERGING)
    figure.colorbar(shown, ax=axes[0, 1], label="$f$ and $D$ (data units)", ticks=both[::2])
    for ax, answer in ((axes[0, 0], f), (axes[0, 1], mean)):
        hatch_empty(ax, law, answer, x, t)
    shown = filled(axes[0, 2], (f - mean).abs(), x, t, gaps, SEQUENTIAL)
    figure.colorbar(shown, ax=axes[0, 2], label="$|f-D|$ (data units)", ticks=gaps[::2])
    draw_fan(list(axes[0, :2]), law, high)
    return figure


def draw_fan(panels: Sequence[Axes], law: Mixture1D, high: float) -> None:
    """Exact paths on each panel; on the first, each with the value that f has along it."""
    levels, ways = fan(law, high, 13, levels=40)
    for ax in panels:
        ax.plot(levels, ways, color="black", linewidth=0.8, alpha=0.85 if ax is panels[0] else 0.4)
    for way in ways.T[1:-1:2]:
        label(panels[0], 0.76 * high, float(way[-10]) - 0.1, f"{float(way[0]):.2f}")


def filled(
    ax: Axes, values: Tensor, x: Tensor, t: Tensor, edges: Tensor, cmap: str, lines: bool = True
) -> QuadContourSet:
    """Filled contours over the plane, with every second edge drawn and written."""
    where = on_plane(t, t), on_plane(x, t), on_plane(values, t)
    shown = ax.contourf(*where, levels=edges.numpy(), cmap=cmap, extend="both")
    if lines:
        drawn = ax.contour(*where, levels=edges[::2].numpy(), colors="#333333", linewidths=0.5)
        for text in ax.clabel(drawn, fontsize=8, fmt="%.1f"):
            text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    ax.grid(False)
    return shown


def on_plane(values: Tensor, t: Tensor) -> np.ndarray:
    """Values of all points of the plane as an array (x, t)."""
    return values.reshape(int((t == t[0]).sum()), -1).numpy()


def hatch_empty(ax: Axes, law: Mixture1D, answer: Tensor, x: Tensor, t: Tensor) -> None:
    """Hatch where an answer falls between the modes, where the data have next to no density."""
    empty = between_modes(law, answer).double()
    where = on_plane(t, t), on_plane(x, t), on_plane(empty, t)
    ax.contourf(*where, levels=[0.5, 1.5], colors="none", hatches=["///"])


def between_modes(law: Mixture1D, answer: Tensor, share: float = 0.01) -> Tensor:
    """Whether answers (b, 1) lie between the outer means with under 1 % of the peak density."""
    means = law.components.means
    level = torch.full_like(answer[:, 0], 0.002)
    peak = law.log_density(means, torch.full_like(means[:, 0], 0.002)).max()
    low = law.log_density(answer, level) < peak + math.log(share)
    return low & (answer[:, 0] > means.min()) & (answer[:, 0] < means.max())
