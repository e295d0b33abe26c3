"""How often training looks at a noise level, how hard, and the product: the effective weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..times import Neighbours
from ..vocabulary import Weight
from .style import EXTRA, MEAN, STUDENT, TEACHER, Role, label, name_axes, sheet

LEVEL, PER_LOG = "noise level t (data units)", "share per unit of ln t"
LOOK = {"CT": TEACHER, "weight alone": EXTRA, "proposal alone": MEAN, "iCT": STUDENT}
INK = {MEAN: "#8a5c00"}  # dark enough for words


@dataclass(frozen=True, eq=False)
class Emphasis:
    """What a grid's intervals get: `levels` (N,), `mass` p(i) and `weight` λ(i), both (N - 1,)."""

    levels: Tensor
    mass: Tensor
    weight: Tensor

    @property
    def share(self) -> Tensor:
        """The effective weight p(i) λ(i), normalised: to Adam a common factor means nothing."""
        return self.mass * self.weight / (self.mass * self.weight).sum()

    def density(self, share: Tensor) -> Tensor:
        """Shares of the intervals per unit of ln t, so that grids of any N can be compared."""
        return share / self.levels.log().diff()

    def quantile(self, share: Tensor, q: float) -> float:
        """The level below which the part q of these shares lies."""
        below = torch.cat([share.new_zeros(1), share.cumsum(0)]).numpy()
        return float(np.exp(np.interp(q, below, self.levels.log().numpy())))


def emphasis(pairs: Neighbours, weight: Weight, step: int) -> Emphasis:
    """Masses and weights on the grid that is in use at this step."""
    levels = pairs.grid.up(int(pairs.points(step)))
    return Emphasis(levels, pairs.proposal.masses(levels), weight(levels[1:], levels[:-1]))


def effective(four: Mapping[str, Emphasis]) -> Figure:
    """Proposals, weights and their four products on one axis of noise levels; names as in LOOK."""
    figure, (axes,) = sheet(1, 3, 11.2, 3.5, ratios=(1, 1, 1.35))
    for name in ("CT", "iCT"):
        stairs(axes[0], four[name], four[name].density(four[name].mass), LOOK[name])
        stairs(axes[1], four[name], four[name].weight, LOOK[name])
    for name, seen in four.items():
        density = seen.density(seen.share)
        stairs(axes[2], seen, density, LOOK[name])
        top = int(density.argmax())
        label(axes[2], float(seen.levels[top]) * 1.2, float(density[top]) + 0.006, name, ink(name))
    label(axes[0], 0.008, 0.2, "log-normal", ink("iCT"))
    label(axes[0], 0.0025, 0.105, "uniform index", ink("CT"))
    label(axes[1], 0.015, 1000, "1/(t − r)", ink("iCT"))
    label(axes[1], 0.0025, 1.3, "1", ink("CT"))
    axes[1].set_yscale("log")
    titles = "How often: p(i)", "How hard: λ(i)", "Together: the weight pulls to low noise"
    for ax, y, title in zip(axes, (PER_LOG, "weight λ", PER_LOG), titles, strict=True):
        ax.set(xscale="log", xlim=(0.0015, 15))
        plain(ax.xaxis, (0.01, 0.1, 1, 10))
        name_axes(ax, LEVEL, y, title)
    return figure


def ink(name: str) -> str:
    """The colour of a name in LOOK, as words."""
    return INK.get(LOOK[name], LOOK[name].color)


def stairs(ax: Axes, seen: Emphasis, values: Tensor, role: Role, **look: Any) -> None:
    """One value for each interval of the grid."""
    look = {"baseline": None, "color": role.color, "linestyle": role.line, "linewidth": 1.8} | look
    ax.stairs(values.numpy(), seen.levels.numpy(), **look)


def plain(axis: Any, ticks: Sequence[float]) -> None:
    """Ticks of a logarithmic axis in plain numbers."""
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def decades(ax: Axes) -> None:
    """Plain ticks on a logarithmic y axis: 1, 2 and 5 of each decade, of many decades 1 alone."""
    low, high = ax.get_ylim()
    steps = (1, 2, 5) if high < 100 * low else (1,)
    ticks = [m * 10.0**k for k in range(-4, 6) for m in steps]
    plain(ax.yaxis, [tick for tick in ticks if low <= tick <= high])
    ax.set_ylim(low, high)
