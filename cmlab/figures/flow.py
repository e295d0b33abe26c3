"""Noise on its way to data: exact paths over the densities that they carry, and solvers on them.

All planes have the noise level t along x and the sample x_t along y; sampling walks leftwards.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from ..oracle import Mixture1D
from .style import DATA, STUDENT, TEACHER, TRUTH, Role, label, name_axes, sheet

LEVEL, POINT = "noise level $t$ (data units)", "sample $x_t$ (data units)"
BANDS = colormaps["Greys"].resampled(20)  # few greys keep the pictures small on disk
ROLES = {"Euler": TEACHER, "Heun": STUDENT}  # orange dashes and triangles, blue and squares


def fan(law: Mixture1D, high: float, paths: int, levels: int = 120) -> tuple[Tensor, Tensor]:
    """Exact paths from evenly spaced ranks: levels (m,) from `high` to 0, and x (m, paths)."""
    share = (torch.arange(paths).double() + 0.5) / paths
    start = torch.special.ndtri(share) * (law.sigma_data**2 + high**2) ** 0.5
    t = high * torch.linspace(1, 0, levels, dtype=torch.float64) ** 2
    return t, law.path(start[:, None], t).squeeze(2)


def density(law: Mixture1D, t: Tensor, x: Tensor) -> np.ndarray:
    """p_t(x) over its largest value at each t: (len(x), len(t))."""
    rows, columns = torch.meshgrid(x, t, indexing="ij")
    log_p = law.log_density(rows.reshape(-1, 1), columns.flatten()).reshape(rows.shape)
    return (log_p - log_p.amax(0)).exp().numpy()


def backdrop(
    ax: Axes, law: Mixture1D, high: float, reach: float, paths: tuple[Tensor, Tensor]
) -> None:
    """The density in grey, darkest on its ridges, and exact paths as thin lines."""
    t, x = torch.linspace(1e-3, high, 120).double(), torch.linspace(-reach, reach, 240).double()
    box = (0.0, high, -reach, reach)
    ax.imshow(density(law, t, x), cmap=BANDS, vmax=1.9, extent=box, aspect="auto",
              origin="lower", interpolation="bilinear")  # fmt: skip
    levels, many = paths
    lines = [np.column_stack([levels, one]) for one in many.T]
    ax.add_collection(LineCollection(lines, colors=DATA.color, linewidths=0.8, alpha=0.8))
    ax.set(xlim=(-0.01 * high, high), ylim=(-reach, reach))
    ax.grid(False)


def ranks(law: Mixture1D, levels: Sequence[float], paths: int = 5, reach: float = 4.5) -> Figure:
    """The density at a few noise levels, drawn sideways, and paths that keep their rank."""
    figure, axes = sheet(1, 1, 8.0, 4.0)
    ax, x = axes[0, 0], torch.linspace(-reach, reach, 500).double()
    room = 0.85 * min(np.diff(levels))
    for t, shape in zip(levels, density(law, torch.tensor(levels).double(), x).T, strict=True):
        ax.fill_betweenx(x, t, t + room * shape, color=DATA.color, alpha=0.3, linewidth=0)
        ax.axvline(t, color=DATA.color, linewidth=0.6)
    t, many = fan(law, max(levels), paths)
    ax.plot(t, many, color=TRUTH.color, linewidth=1.5)
    for share, x_t in zip(np.arange(paths) + 0.5, many[0].tolist(), strict=True):
        label(ax, max(levels) + 0.03, x_t + 0.08, f"{100 * share / paths:.0f} %")
    ax.set(xlim=(-0.02, max(levels) + room + 0.05), ylim=(-reach, reach))
    name_axes(ax, LEVEL, POINT, "Noise blurs the data, and every path keeps its rank")
    return figure


def journey(
    law: Mixture1D,
    paths: tuple[Tensor, Tensor],
    exact: tuple[Tensor, Tensor],
    walked: tuple[Tensor, Tensor],
    role: Role,
    spans: Sequence[tuple[float, float]],
) -> Figure:
    """A solver's steps over the exact path from the same start: once whole, once near the data.

    Paths are levels (m,) and x (m, …); `spans` are the largest t and |x| of each panel.
    """
    figure, axes = sheet(1, 2, 10.0, 4.0, ratios=(1, 1.4))
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(left=0.065, right=0.99, bottom=0.13, top=0.92, wspace=0.13)
    titles = ("All the way: nearly straight", "Near the data: the bend decides")
    for ax, (high, reach), title in zip(axes[0], spans, titles, strict=True):
        backdrop(ax, law, high, reach, paths)
        ax.plot(*exact, color=TRUTH.color, linewidth=2.2)
        ax.plot(*walked, color=role.color, linestyle=role.line, marker=role.marker, markersize=6)
        name_axes(ax, LEVEL, POINT if ax is axes[0, 0] else "", title)
        tick = 10 ** np.floor(np.log10(reach))
        ax.set_xticks([0, high / 2, high])
        ax.set_yticks(reach // tick * tick * np.array([-1, 0, 1]))
    (high, reach), ax = spans[1], axes[0, 1]
    label(ax, 0.6 * high, 0.86 * reach, "black line: exact path")
    label(ax, 0.6 * high, 0.74 * reach, "marked line: the solver", role.color)
    return figure
