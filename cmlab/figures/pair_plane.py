"""Pairs in the x–t plane: one x_t, the data that may lie behind it, and where f sends x_r."""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from ..evaluate.pairs import Blend, fresh, posterior, shared, target, target_cdf
from .consistency import NOISE_LEVEL, POINT
from .pairs import SCATTER
from .same_path import draw_plane
from .scene import REACH, SIGMA_MIN, Scene, exact
from .style import DATA, MEAN, TRUTH, WRONG, Role, label, name_axes, sheet

ENDS = 1.95  # the largest |answer| shown
BARS = torch.linspace(-ENDS, ENDS, 53).double()
NEIGHBOURS = {True: shared, False: fresh}


@dataclass(frozen=True, eq=False)
class Pairs:
    """A point, and 20 pairs that share it: data x, neighbours x_r and their targets (20,)."""

    x_t: float
    t: float
    r: float
    shared: bool
    x: Tensor
    x_r: Tensor
    targets: Tensor
    shares: Tensor  # of all targets in each of the bars
    mean: float
    spread: float
    exact: float
    average: float  # D, the mean of the data behind x_t

    @property
    def role(self) -> Role:
        return SCATTER if self.shared else WRONG


def pairs(scene: Scene, x_t: float, t: float, r: float, same: bool) -> Pairs:
    """What pairs with this x_t at level t tell, their noise shared or fresh, neighbours at r."""
    law, here, level, low = scene.law, exact([x_t]), exact([t]), exact([r])
    x_r = NEIGHBOURS[same](law, here, level, low)
    behind = posterior(law, here, level)
    ranks = (torch.arange(20).double() + 0.5) / 20
    x = quantiles(behind, ranks)
    z = (x_t - x) / t if same else torch.randn(20, generator=torch.Generator().manual_seed(0))
    neighbours = x + r * z
    ends = law.consistency(neighbours[:, None], torch.full_like(neighbours, r))[:, 0]
    mean, spread = target(law, x_r, low, nodes=201)
    shares = target_cdf(law, x_r, r, BARS)[0].diff()
    answer = float(law.consistency(here[:, None], level))
    return Pairs(x_t, t, r, same, x, neighbours, ends, shares, float(mean), float(spread), answer,
                 float(behind.mean))  # fmt: skip


def quantiles(blend: Blend, ranks: Tensor) -> Tensor:
    """Where one mixture's distribution function has these ranks (n,), on a fine grid."""
    y = torch.linspace(-2.6, 2.6, 1500).double()
    return y[torch.searchsorted(blend.cdf(y[None])[0], ranks).clamp_max(len(y) - 1)]


def pair_plane(scene: Scene, seen: Pairs) -> Figure:
    """The plane with the pairs and their ends; beside it the law of the target, given x_t."""
    figure, (axes,) = sheet(1, 2, 9.8, 3.8, ratios=(1.5, 1))
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.06, right=0.985, bottom=0.135, top=0.92, wspace=0.17)
    draw_plane(axes[0], scene)
    draw_pairs(axes[0], scene, seen)
    draw_targets(axes[1], seen)
    how = "Shared noise: each pair lies on a line" if seen.shared else "Fresh noise: two strangers"
    name_axes(axes[0], NOISE_LEVEL, POINT, how)
    return figure


def draw_pairs(ax: Axes, scene: Scene, seen: Pairs) -> None:
    """Lines from the data to the pairs' points, paths from x_r to its end, and the exact path."""
    zero, r = torch.zeros_like(seen.x), torch.full_like(seen.x, seen.r)
    noise = torch.stack([zero, seen.x, r, seen.x_r], 1).reshape(-1, 2, 2).tolist()
    ax.add_collection(LineCollection(noise, colors=DATA.color, linewidths=0.7, linestyles=":"))
    if seen.shared:
        rest = [[(seen.t, seen.x_t), (seen.r, float(y))] for y in seen.x_r]
        ax.add_collection(LineCollection(rest, colors=seen.role.color, linewidths=1.1))
    down = torch.linspace(seen.r, SIGMA_MIN, 12).double()
    ways = scene.law.path(seen.x_r[:, None], down)[..., 0].T
    lines = [torch.stack([down, way], 1).numpy() for way in ways]
    ax.add_collection(LineCollection(lines, colors=seen.role.color, linewidths=0.9, alpha=0.8))
    levels = torch.linspace(seen.t, SIGMA_MIN, 30).double()
    ax.plot(levels, scene.law.path(exact([[seen.x_t]]), levels)[:, 0, 0], color=TRUTH.color)
    ax.plot(r, seen.x_r, seen.role.marker, color=seen.role.color, markersize=5)
    ax.plot(seen.t, seen.x_t, TRUTH.marker, color=TRUTH.color, markersize=9)
    label(ax, min(seen.t + 0.06, 2.8), seen.x_t - 0.15, "$x_t$")
    label(ax, seen.r, min(float(seen.x_r.max()) + 0.25, REACH - 0.4), "$x_r$", seen.role.color)


def draw_targets(ax: Axes, seen: Pairs) -> None:
    """How often each answer is the target, their mean, and the exact one."""
    ax.stairs(seen.shares.numpy(), BARS.numpy(), orientation="horizontal", fill=True,
              color=seen.role.color, alpha=0.55)  # fmt: skip
    top = max(1.35 * float(seen.shares.max()), 0.05)
    lines = [(seen.exact, TRUTH, "exact f", "black"), (seen.mean, seen.role, "mean", "#333333"),
             (seen.average, MEAN, "D", "#8a5c00")]  # fmt: skip
    for y, role, *_ in lines:
        ax.plot([0, top], [y, y], color=role.color, linestyle=role.line, linewidth=1.6)
    for (y, _, name, color), height in zip(lines, spaced([y for y, *_ in lines]), strict=True):
        label(ax, 0.76 * top, height + 0.03, f"{name} {y:.2f}", color)
    ax.set(xlim=(0, top), ylim=(-ENDS, ENDS))
    said = f"Targets: mean {seen.mean:.2f} ± {seen.spread:.2f}"
    name_axes(ax, "share of the pairs", "target $f^*(x_r, r)$ (data units)", said)


def spaced(heights: list[float], least: float = 0.2) -> list[float]:
    """The heights, moved up where two labels would touch."""
    ranked = sorted(range(len(heights)), key=heights.__getitem__)
    found = list(heights)
    for below, above in zip(ranked[:-1], ranked[1:], strict=True):
        found[above] = max(found[above], found[below] + least)
    return found
