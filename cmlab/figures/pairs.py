"""One noise, two levels: what such a pair gets right on average, and how far a single one is off.

Everything here is exact: the laws come from `oracle`, the targets from `evaluate.pairs`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..evaluate.pairs import shared, target
from ..oracle import Mixture1D
from ..times import KarrasGrid
from .consistency import NOISE_LEVEL, POINT, ranked
from .style import EXTRA, MEAN, NOISE, STUDENT, TEACHER, TRUTH, label, name_axes, sheet

GAP = "gap $(t-r)/t$"
LOW, HIGH = 0.002, 10.0
SCATTER = EXTRA  # a single target, and the spread of many


@dataclass(frozen=True, eq=False)
class Off:
    """Targets at n points of level t: the exact f*, CT's mean and spread, CD's Euler step."""

    exact: Tensor
    mean: Tensor
    spread: Tensor
    euler: Tensor

    @property
    def bias(self) -> Tensor:
        return self.mean - self.exact


def off(law: Mixture1D, x_t: Tensor, t: Tensor, r: Tensor) -> Off:
    """Each row (b,), for x_t (b,) at levels t (b,) with neighbours at r (b,)."""
    x = x_t.double()[:, None]
    mean, spread = target(law, shared(law, x_t, t, r), r)
    step = x + (r - t)[:, None] * law.velocity(x, t)
    exact = law.consistency(x, t)[:, 0]
    return Off(exact, mean, spread, law.consistency(step, r)[:, 0])


def slopes(law: Mixture1D, t: float, x: Tensor, z: Tensor) -> Figure:
    """Slopes z of single samples over x_t = x + t z, both (n,), and their mean in 24 bins."""
    x_t = x + t * z
    edges = torch.linspace(-3.2 * t, 3.2 * t, 25).double()
    bins = torch.bucketize(x_t, edges)
    seen = [b for b in range(1, 25) if int((bins == b).sum()) > 20]
    middles = torch.stack([x_t[bins == b].mean() for b in seen])
    means = torch.stack([z[bins == b].mean() for b in seen])
    figure, ((ax,),) = sheet(1, 1, 7.0, 3.6)
    ax.plot(x_t[:3000], z[:3000], ".", color=NOISE.color, markersize=2, alpha=0.5, zorder=0)
    rows = edges[:, None]
    exact = law.velocity(rows, torch.full_like(edges, t))[:, 0]
    ax.plot(edges, exact, color=TRUTH.color, linestyle=TRUTH.line, zorder=2)
    ax.plot(middles, means, MEAN.marker, color=MEAN.color, markersize=7, zorder=3)
    one, many = (
        (said - law.velocity(at[:, None], torch.full_like(at, t))[:, 0])
        for said, at in ((z, x_t), (means, middles))
    )
    label(ax, -3.1 * t, 1.9, "grey: one sample's slope $z$", "#666666")
    label(ax, 0.9 * t, -1.9, "line: exact $dx_t/dt$", TRUTH.color)
    label(ax, 0.9 * t, -2.5, "triangles: mean of $z$", "#8a5c00")
    ax.set(ylim=(-3, 3), xlim=(-3.3 * t, 3.3 * t))
    title = f"One slope is off by {rms(one):.2f}, the mean of many by {rms(many):.3f} (RMS)"
    name_axes(ax, POINT, "slope $dx/dt$", title)
    return figure


def targets(law: Mixture1D, rank: int, grids: Sequence[int]) -> Figure:
    """Along one exact path, a panel for each grid: the targets at its levels.

    `rank` is how many of 100 paths lie below the path at the highest level.
    """
    figure, (axes,) = sheet(1, len(grids), 9.8, 3.5)
    for ax, points in zip(axes, grids, strict=True):
        draw_targets(ax, along(law, rank, points), points)
        ax.sharey(axes[0])
    axes[0].set_ylabel("target $f^*(x_r, r)$ (data units)")
    return figure


def along(law: Mixture1D, rank: int, points: int) -> tuple[Tensor, Off]:
    """The levels t of a grid but its first, and the targets where the path passes them."""
    levels = KarrasGrid(LOW, HIGH).up(points)
    start = ranked(law, HIGH, 100)[rank : rank + 1]
    way = law.path(start, levels.flip(0)).flip(0)[:, 0, 0]
    return levels[1:], off(law, way[1:], levels[1:], levels[:-1])


def draw_targets(ax: Axes, seen: tuple[Tensor, Off], points: int) -> None:
    """Mean and spread of CT's target, and CD's, at levels t."""
    t, here = seen
    low, high = here.mean - here.spread, here.mean + here.spread
    ax.fill_between(t, low, high, color=SCATTER.color, alpha=0.22, linewidth=0)
    ax.plot(t, here.exact, color=TRUTH.color, linestyle=TRUTH.line)
    size = 6 if points < 50 else 3
    for values, role in ((here.mean, SCATTER), (here.euler, TEACHER)):
        ax.plot(t, values, color=role.color, linestyle=role.line, marker=role.marker,
                markersize=size, linewidth=1.2)  # fmt: skip
    worst, wide = float(here.bias.abs().max()), float(here.spread.max())
    name_axes(ax, NOISE_LEVEL, "", f"N = {points}: bias {worst:.3f}, spread {wide:.2f}")
    ax.set(xscale="log", xlim=(0.03, 12))


def orders(law: Mixture1D, t: float, gaps: Sequence[float]) -> Figure:
    """Bias and spread of CT's target at level t against the gap (t - r)/t, over 200 points x_t."""
    bias, spread = by_gap(law, t, gaps)
    figure, (axes,) = sheet(1, 2, 9.8, 3.6)
    for ax, (name, over) in zip(axes, OVER.items(), strict=True):
        powers = {}
        for rows, role, what in ((bias, STUDENT, "bias"), (spread, SCATTER, "spread")):
            found = [over(row) for row in rows]
            ax.loglog(gaps, found, color=role.color, linestyle=role.line, marker=role.marker)
            powers[what] = order(gaps, found)
            at = gaps[3], found[3] * (0.3 if rows is bias else 1.9)
            label(ax, *at, what, role.color)
        said = ", ".join(f"{what} of order {power:.1f}" for what, power in powers.items())
        name_axes(ax, GAP, f"data units, {name}", said.capitalize())
    axes[1].sharey(axes[0])
    axes[0].set_ylim(top=1.0)
    return figure


def by_gap(law: Mixture1D, t: float, gaps: Sequence[float]) -> tuple[list[Tensor], list[Tensor]]:
    """|bias| and spread of CT's target at 200 evenly ranked x_t, for each gap: rows (200,)."""
    x, level = ranked(law, t, 200)[:, 0], torch.full((200,), t).double()
    seen = [off(law, x, level, level * (1 - gap)) for gap in gaps]
    return [s.bias.abs() for s in seen], [s.spread for s in seen]


def order(gaps: Sequence[float], values: Sequence[float]) -> float:
    """The power of the gap that the last four values follow."""
    return float(np.polyfit(np.log(gaps[-4:]), np.log(values[-4:]), 1)[0])


def typical(values: Tensor) -> float:
    return float(values.median())


def rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


OVER = {
    "median over $x_t$": typical,
    "root mean square over $x_t$": rms,
}
