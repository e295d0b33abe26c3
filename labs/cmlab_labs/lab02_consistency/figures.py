"""Figures of lab 02: basins of the consistency function f, and its gap to the mean D."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.metrics.plots import DATA, MEAN, TRUTH, label, name_axes, sheet
from cmlab.oracle import Mixture, Mixture1D

from ..common.plots_line import NOISE_LEVEL, quantile_points

# Basins of the consistency function in the plane: the mode that each noise is mapped to

# Okabe and Ito's eight colours, neighbours far apart in lightness too; numbers say it again.
COLORS = (
    "#0072B2", "#F0E442", "#CC79A7", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#BBBBBB",
)  # fmt: skip


def nearest_mode(oracle: Mixture, x: Tensor) -> Tensor:
    """The number of the mode, from 0, whose mean is nearest to each x (b, 2)."""
    return torch.cdist(x.double(), oracle.components.means).argmin(1)


def basins(oracle: Mixture, noise: Tensor, high: float, cells: int = 110) -> Figure:
    """Basins of f in the noise plane at level `high`, by mode; f and D of noise (b, 2)."""
    level = noise.new_full((len(noise),), high)
    f, mean = oracle.consistency(noise, level), oracle.denoise(noise, level)
    figure, axes = sheet(1, 3, 9.8, 3.4)
    draw_basins(axes[0, 0], oracle, noise, high, cells)
    draw_modes(axes[0, 1], oracle, f, "f puts each noise into a mode")
    draw_modes(axes[0, 2], oracle, mean, "D puts all in the middle")
    axes[0, 1].scatter(*f.T, s=5, color=TRUTH.color, marker=TRUTH.marker, linewidths=0)
    axes[0, 2].scatter(*mean.T, s=9, color=MEAN.color, marker=MEAN.marker, linewidths=0)
    return figure


def draw_basins(ax: Axes, oracle: Mixture, noise: Tensor, high: float, cells: int) -> None:
    """Numbered basins at noise level `high`, and the noise itself as dots."""
    reach = 3 * high
    line = torch.linspace(-reach, reach, cells).double()
    x = torch.cartesian_prod(line, line)
    mode = nearest_mode(oracle, oracle.consistency(x, torch.full_like(x[:, 0], high)))
    picture = mode.reshape(cells, cells).T.numpy()
    extent = (-reach, reach, -reach, reach)
    colors = ListedColormap(COLORS[: len(oracle.components.means)])
    ax.imshow(picture, cmap=colors, origin="lower", extent=extent, alpha=0.75, vmin=-0.5,
              vmax=len(oracle.components.means) - 0.5, interpolation="nearest")  # fmt: skip
    ax.scatter(*noise.T, s=2, color="black", alpha=0.4, linewidths=0)
    for k in mode.unique().tolist():
        x_label, y_label = x[(mode == k) & (x.norm(dim=1) < 0.8 * reach)].mean(0).tolist()
        label_mode(ax, x_label, y_label, k)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.grid(False)
    name_axes(ax, "$x_{T,1}$ (data units)", "$x_{T,2}$ (data units)", "Each noise has one mode")


def draw_modes(ax: Axes, oracle: Mixture, points: Tensor, title: str) -> None:
    """The modes of the data, drawn and numbered."""
    means, stds = oracle.components.means, oracle.components.stds
    for k, (mean, std) in enumerate(zip(means.tolist(), stds.tolist(), strict=True)):
        ax.scatter(*mean, s=2200 * (3 * std), color=COLORS[k], alpha=0.5, linewidths=0)
        label_mode(ax, 1.36 * mean[0], 1.36 * mean[1], k)
    ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
    name_axes(ax, "$x_1$ (data units)", "$x_2$ (data units)", title)


def label_mode(ax: Axes, x: float, y: float, k: int) -> None:
    label(ax, x, y, str(k + 1))
    ax.texts[-1].set(ha="center", va="center", fontweight="bold", fontsize=11)


# The gap between f and D by noise level


def rms_gap(oracle: Mixture1D, level: float, ranks: int = 2000) -> float:
    """Root mean square of f − D over the noisy distribution at a level, by its quantiles."""
    x, t = quantile_points(oracle, level, ranks), torch.full((ranks,), level).double()
    return float((oracle.consistency(x, t) - oracle.denoise(x, t)).square().mean().sqrt())


def gap_curves(oracles: Mapping[str, Mixture1D], levels: Sequence[float]) -> Figure:
    """Root mean square of f − D against the noise level, for two distributions."""
    figure, ((ax,),) = sheet(1, 1, 6.6, 3.2)
    for (name, oracle), role, up in zip(oracles.items(), (TRUTH, MEAN), (3.5, 0.5), strict=True):
        gaps = [rms_gap(oracle, level) for level in levels]
        style = {"color": role.color, "linestyle": role.line, "marker": role.marker}
        ax.loglog(levels, gaps, markersize=5, **style)
        label(ax, levels[up < 1], gaps[1] * up, name, "#8a5c00" if role is MEAN else role.color)
        ax.axhline(oracle.sigma_data, color=DATA.color, linewidth=0.8, linestyle=":")
    label(ax, levels[0], 1.1 * oracle.sigma_data, "standard deviation of the data", DATA.color)
    title = "The gap grows with the square of the noise, up to the data's spread"
    name_axes(ax, NOISE_LEVEL, "RMS of $f - D$ (data units)", title)
    return figure
