"""Figures of lab 02: basins of the consistency function f, and its gap to the mean D."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from cmlab.metrics.plots import (
    DATA,
    EXTRA,
    MEAN,
    NOISE,
    TEACHER,
    TRUTH,
    label,
    name_axes,
    sheet,
)
from cmlab.oracle import Mixture, Mixture1D

from ..common.plots_line import (
    NOISE_LEVEL,
    NOISY_POINT,
    REACH,
    SIGMA_MIN,
    PathPlane,
    double,
    draw_plane,
    quantile_points,
)

# Basins of the consistency function in the plane: the mode that each noise is mapped to

# Okabe and Ito's eight colours, neighbours far apart in lightness too; numbers say it again.
COLORS = (
    "#0072B2", "#F0E442", "#CC79A7", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#BBBBBB",
)  # fmt: skip

DISC_STDS = 2  # a mode is drawn as a disc with a radius of so many of its standard deviations


def nearest_mode(oracle: Mixture, x: Tensor) -> Tensor:
    """The number of the mode, from 0, whose mean is nearest to each x (b, 2)."""
    return torch.cdist(x.double(), oracle.components.means).argmin(1)


def basins(oracle: Mixture, noise: Tensor, high: float, cells: int = 110) -> Figure:
    """Basins of f in the noise plane at level `high`, by mode; f and D of noise (b, 2)."""
    level = noise.new_full((len(noise),), high)
    f, mean = oracle.consistency(noise, level), oracle.denoise(noise, level)
    figure, axes = sheet(1, 3, 9.8, 3.4)
    draw_basins(axes[0, 0], oracle, noise, high, cells)
    draw_modes(axes[0, 1], oracle, f, "f moves each point into a mode")
    draw_modes(axes[0, 2], oracle, mean, "D moves them to the middle")
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
    name_axes(
        ax, "$x_{T,1}$ (data units)", "$x_{T,2}$ (data units)", "Each point belongs to one mode"
    )


def draw_modes(ax: Axes, oracle: Mixture, points: Tensor, title: str) -> None:
    """The modes of the data, drawn and numbered."""
    means, stds = oracle.components.means, oracle.components.stds
    for k, (mean, std) in enumerate(zip(means.tolist(), stds.tolist(), strict=True)):
        ax.add_patch(
            Circle((mean[0], mean[1]), DISC_STDS * std, color=COLORS[k], alpha=0.5, linewidth=0)
        )
        label_mode(ax, 1.36 * mean[0], 1.36 * mean[1], k)
    ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
    name_axes(ax, "$x_1$ (data units)", "$x_2$ (data units)", title)


def path_in_the_plane(oracle: Mixture, path: Tensor, t: float, mean: Tensor) -> Figure:
    """A path (m, 2) from x_t at level t to f in the plane, and the mean D (2,) at x_t."""
    figure, axes = sheet(1, 1, 4.2, 4.2)
    ax, (x_t, f) = axes[0, 0], (path[0].tolist(), path[-1].tolist())
    draw_modes(ax, oracle, path[:0], f"From t = {t:.2f}, $x_t$ goes to f, not to D")
    ax.plot(*path.T, color=TRUTH.color)
    for at, name, role in ((x_t, "$x_t$", NOISE), (f, "f", TRUTH), (mean.tolist(), "D", MEAN)):
        ax.scatter(*at, s=45, color=role.color, marker=role.marker, zorder=3)
        ax.annotate(name, at, (7, 5), textcoords="offset points", color=role.color, zorder=4)
    return figure


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
    title = "The more noise, the farther D is from f"
    name_axes(ax, NOISE_LEVEL, "RMS of $f - D$ (data units)", title)
    return figure


# The quantile map: one rank, two distribution functions; and its slope


def quantile_map(oracle: Mixture1D, t: float, points: Sequence[float]) -> Figure:
    """From x_t up to its rank under F_t, across to F_ε, and down to f; beside it f for all x_t."""
    figure, ((ax, plot),) = sheet(1, 2, 9.8, 3.8, ratios=(1.35, 1))
    x = torch.linspace(-5, 5, 801).double()
    noisy, clean = (oracle.cdf(x, torch.full_like(x, level)) for level in (t, SIGMA_MIN))
    ax.plot(x, noisy, color=NOISE.color, linewidth=2, linestyle="--")
    ax.plot(x, clean, color=DATA.color, linewidth=2)
    label(ax, 2.6, 0.78, f"$F_t$: noisy points, t = {t:g}", "#666666")
    label(ax, -0.5, 0.33, "$F_\\varepsilon$: the data", DATA.color)
    plot.plot(x, oracle.consistency(x[:, None], torch.full_like(x, t))[:, 0], color=TRUTH.color)
    for place, role in zip(points, (EXTRA, TEACHER), strict=False):
        here, level = double([place]), double([t])
        rank, end = float(oracle.cdf(here, level)), float(oracle.consistency(here[:, None], level))
        corners = [(place, 0), (place, rank), (end, rank), (end, 0)]
        for a, b in pairwise(corners):
            arrow = {
                "arrowstyle": "-|>",
                "color": role.color,
                "linewidth": 1.6,
                "shrinkA": 0,
                "shrinkB": 0,
            }
            ax.annotate("", b, a, arrowprops=arrow)
        ax.plot(place, 0, role.marker, color=role.color, markersize=8, clip_on=False)
        ax.plot(end, 0, "s", color=role.color, markersize=8, clip_on=False)
        label(ax, place - 0.55 if place < end else place + 0.2, 0.03, "$x_t$", role.color)
        label(ax, end + 0.2 if place < end else end - 0.4, 0.03, "$f$", role.color)
        label(ax, min(place, end) + 0.1, rank + 0.02, f"rank {rank:.0%}", role.color)
        plot.plot(
            [place, place, -5], [-2.2, end, end], color=role.color, linewidth=1, linestyle=":"
        )
        plot.plot(place, end, "s", color=role.color, markersize=8)
    ax.set(xlim=(-5, 5), ylim=(0, 1.02))
    plot.set(xlim=(-5, 5), ylim=(-2.2, 2.2))
    name_axes(
        ax,
        "position (data units)",
        "share of the points below",
        "A noisy point and its f have the same rank",
    )
    name_axes(
        plot, NOISY_POINT, "$f(x_t, t)$ (data units)", "The same rule for every $x_t$ gives f"
    )
    return figure


def slope_of_f(oracle: Mixture1D, levels: Sequence[float]) -> Figure:
    """f over x_t at some noise levels, and its slope p_t(x)/p_ε(f) on a logarithmic axis."""
    figure, ((ax, plot),) = sheet(1, 2, 9.8, 3.6)
    ends = (
        torch.cat([torch.linspace(-2.3, 2.3, 1201), torch.linspace(-0.6, 0.4, 1001)])
        .double()
        .sort()
        .values
    )
    for t, role, line in zip(levels, (TEACHER, TRUTH, EXTRA), (":", "-", "--"), strict=False):
        low, high = torch.full_like(ends, SIGMA_MIN), torch.full_like(ends, t)
        x = oracle.flow(ends[:, None], low, high)
        slope = (oracle.log_density(x, high) - oracle.log_density(ends[:, None], low)).exp()
        top = float(f"{float(slope.max()):.1e}")  # two digits
        said = f"{top:,.0f}".replace(",", " ")
        style = {"color": role.color, "linestyle": line, "linewidth": 1.6}
        ax.plot(x[:, 0], ends, label=f"t = {t:g}", **style)
        plot.plot(x[:, 0], slope, label=f"t = {t:g}: up to {said}", **style)
    ax.legend(loc="upper left", handlelength=3, frameon=False, fontsize=9)
    plot.legend(loc="lower left", handlelength=2, frameon=False, fontsize=9)
    ax.set(xlim=(-4.5, 4.5), ylim=(-2.2, 2.3))
    plot.set(xlim=(-4.5, 4.5), yscale="log", ylim=(1e-4, 1e6))
    name_axes(
        ax,
        NOISY_POINT,
        "$f(x_t, t)$ (data units)",
        "At each t, f climbs from mode to mode near one point",
    )
    name_axes(
        plot,
        NOISY_POINT,
        "slope of $f$ (no unit)",
        "On this climb the slope of f exceeds 100 000",
    )
    return figure


# Many points on their way from noise to data


def points_on_paths(scene: PathPlane, x: Tensor, t: float) -> Figure:
    """Noisy points x (n,) at level t on their exact paths, and the density p_t beside them."""
    figure, (axes,) = sheet(1, 2, 9.8, 3.8, ratios=(1.9, 1))
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.06, right=0.985, bottom=0.135, top=0.92, wspace=0.17)
    draw_plane(axes[0], scene)
    axes[0].axvline(t, color=NOISE.color, linestyle=NOISE.line)
    axes[0].plot(torch.full_like(x, t), x, "o", color=TRUTH.color, markersize=6)
    rows = scene.rows
    density = scene.oracle.log_density(rows[:, None], torch.full_like(rows, t)).exp()
    axes[1].fill_betweenx(rows, 0, density, color=DATA.color, alpha=0.35, linewidth=0)
    shown = x[x.abs() < REACH]
    axes[1].plot(0 * shown, shown, "o", color=TRUTH.color, markersize=6, clip_on=False)
    top = 1.15 * float(density.max())
    axes[1].set(xlim=(0, top), ylim=axes[0].get_ylim(), xticks=[0], yticks=(-4, -2, 0, 2, 4))
    name_axes(axes[0], NOISE_LEVEL, NOISY_POINT, f"Each point follows its path; now t = {t:g}")
    name_axes(axes[1], "density $p_t$", "", "Their distribution now")
    return figure
