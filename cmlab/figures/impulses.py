"""How heavy the tails of data and residuals are, and what that does to losses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..evaluate.impulses import INNER, OUTER, Impulsiveness, fences
from ..vocabulary import Metric
from .emphasis import plain
from .style import (
    DATA,
    STUDENT,
    TARGET,
    TEACHER,
    TRUTH,
    WRONG,
    label,
    name_axes,
    sheet,
)

LOSSES = {"squared L2": WRONG, "pseudo-Huber": STUDENT, "Cauchy": TEACHER}
NORMAL = {"inner": 0.00698, "outer": 2.34e-6, "kurtosis": 3.0}
LEAST = 1e-6  # of a share on a log axis: none at all is drawn there, hollow


def tails(rows: Mapping[str, Impulsiveness], title: str = "") -> Figure:
    """Shares beyond the fences, and the kurtosis, of one thing a row; dotted: normal numbers."""
    figure, (axes,) = sheet(1, 2, 9.6, 0.42 * len(rows) + 1.5, ratios=(1.5, 1))
    place = np.arange(len(rows))[::-1]
    for y, found in zip(place, rows.values(), strict=True):
        for share, role in ((found.inner, STUDENT), (found.outer, TEACHER)):
            axes[0].plot(max(share, LEAST), y, role.marker, color=role.color, markersize=8,
                         markerfacecolor=role.color if share > 0 else "none")  # fmt: skip
        axes[1].plot(found.kurtosis, y, DATA.marker, color=DATA.color, markersize=8)
    for ax in axes:
        ax.set(xscale="log", ylim=(-0.6, len(rows) - 0.1))
        ax.set_yticks(place, list(rows) if ax is axes[0] else [""] * len(rows))
    for name, role in (("inner", STUDENT), ("outer", TEACHER)):
        axes[0].axvline(NORMAL[name], color=role.color, linestyle=":", linewidth=1.2)
    axes[1].axvline(3, color=DATA.color, linestyle=":", linewidth=1.2)
    axes[0].set_xlim(LEAST / 2, 0.5)
    low, high = (pick([3.0, *(row.kurtosis for row in rows.values())]) for pick in (min, max))
    axes[1].set_xlim(0.85 * low, 1.2 * high)
    within(axes[1], (2, 3, 5, 10, 20, 50, 100))
    name_axes(axes[0], f"share of elements beyond {INNER:g} IQR (squares) and {OUTER:g} IQR "
              "(triangles)", "", title or "Tails")  # fmt: skip
    name_axes(axes[1], "kurtosis (normal: 3)", "", "Kurtosis")
    return figure


def within(ax: Axes, ticks: Sequence[float]) -> None:
    """Those of these ticks of a logarithmic x axis that lie on it, in plain numbers."""
    low, high = ax.get_xlim()
    plain(ax.xaxis, [tick for tick in ticks if low <= tick <= high])


@dataclass(frozen=True, eq=False)
class Bench:
    """Elements (n,), the lengths of samples' residuals (m,), and the losses that see them."""

    elements: Tensor
    lengths: Tensor
    losses: Mapping[str, Metric]
    c: float


def pull(metric: Metric, lengths: Tensor) -> Tensor:
    """ψ(r), how hard a residual of each length pulls."""
    r = lengths.double()[:, None].requires_grad_()
    return torch.autograd.grad(metric(r, torch.zeros_like(r)).sum(), r)[0][:, 0]


def bench(scene: Bench, title: str) -> Figure:
    """The elements with their fences, and how hard residuals of each length pull."""
    figure, (axes,) = sheet(1, 2, 10.0, 3.5)
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.16, top=0.9, wspace=0.22)
    histogram(axes[0], scene.elements)
    name_axes(axes[0], "latent element (standardised)", "share of elements", title)
    r = torch.logspace(-4, 2, 241, dtype=torch.float64)
    for name, metric in scene.losses.items():
        role, y = LOSSES[name], pull(metric, r)
        axes[1].plot(r, y / y.max(), color=role.color, linestyle=role.line)
    low, high = (float(scene.lengths.quantile(q)) for q in (0.05, 0.95))
    axes[1].axvspan(max(low, 1e-4), max(high, 1.1e-4), color=DATA.color, alpha=0.15, linewidth=0)
    axes[1].axvline(2**0.5 * scene.c, color=TEACHER.color, linewidth=0.8, linestyle=":")
    axes[1].set(xscale="log", xlim=(1e-4, 1e2), ylim=(0, 1.12))
    within(axes[1], (1e-4, 1e-3, 0.01, 0.1, 1, 10, 100))
    for y, (name, role) in zip((0.35, 0.25, 0.15), LOSSES.items(), strict=True):
        label(axes[1], 1.3e-4, y, name, role.color)
    name_axes(axes[1], "length of a sample's residual ‖f_t − f_r‖", "pull ψ, largest = 1",
              "Cauchy pulls hardest at √2 c, dotted")  # fmt: skip
    return figure


def histogram(ax: Axes, elements: Tensor) -> None:
    """Shares on a log scale, the fences dashed (inner) and solid (outer)."""
    reach = float(elements.abs().max()) * 1.02
    shares, edges = np.histogram(elements.numpy(), 81, (-reach, reach))
    ax.stairs(shares / len(elements), edges, fill=True, color=TARGET.color)
    for ranges, line in ((INNER, "--"), (OUTER, "-")):
        for fence in fences(elements, ranges):
            ax.axvline(fence, color=TRUTH.color, linestyle=line, linewidth=1)
    ax.set(yscale="log", ylim=(0.5 / len(elements), 1), xlim=(-reach, reach))
    plain(ax.yaxis, (1e-4, 1e-3, 0.01, 0.1, 1))
