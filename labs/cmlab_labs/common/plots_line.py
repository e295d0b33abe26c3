"""Plots of one-dimensional data: ODE paths, the consistency function f and the posterior mean D.

Everything here is exact: the distributions come from `cmlab.oracle`, and nothing is trained. All
planes have the noise level t along x and the noisy point x_t along y; sampling goes leftwards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from cmlab import gaussian_mixture
from cmlab.metrics.plots import (
    DATA,
    DIVERGING,
    EXTRA,
    MEAN,
    SEQUENTIAL,
    STUDENT,
    TEACHER,
    TRUTH,
    Role,
    label,
    name_axes,
    sheet,
)
from cmlab.oracle import Mixture1D

NOISE_LEVEL = "noise level $t$ (data units)"
NOISY_POINT = "noisy point $x_t$ (data units)"
RARE = 1e-3  # of the peak density at a level: below it there are practically no noisy points
MAP_TITLES = (
    "f has one value per path",
    "D changes along every path",
    "f and D agree near the data",
)


def xt_grid(
    high: float, reach: float, rows: int = 320, columns: int = 60
) -> tuple[Tensor, Tensor]:
    """All points of the x–t plane, t the faster index: x (rows · columns, 1) and t."""
    x = torch.linspace(-reach, reach, rows).double()
    grid = torch.cartesian_prod(x, torch.linspace(0.005, high, columns).double())
    return grid[:, :1], grid[:, 1]


def quantile_points(oracle: Mixture1D, level: float, n: int) -> Tensor:
    """Quantiles (n, 1) of the noisy distribution at a level, evenly spaced: no sampling noise."""
    rank = (torch.arange(n).double() + 0.5) / n
    t, far = torch.full_like(rank, level), oracle.components.means.abs().max() + 40 * (1 + level)

    def curve(y: Tensor) -> tuple[Tensor, Tensor]:
        return oracle.cdf(y, t) - rank, oracle.log_density(y, t).exp()

    return gaussian_mixture.root(curve, -far * torch.ones_like(rank), far * torch.ones_like(rank))[
        :, None
    ]


def exact_paths(
    oracle: Mixture1D, high: float, paths: int, levels: int = 60
) -> tuple[Tensor, Tensor]:
    """Exact ODE paths from evenly spaced quantiles: rising levels (m,), positions (m, paths)."""
    t = torch.cat([torch.tensor([0.002]), torch.linspace(0.02, high, levels - 1)]).double()
    return t, oracle.path(quantile_points(oracle, high, paths), t.flip(0)).squeeze(2).flip(0)


def maps(oracle: Mixture1D, high: float = 3.0, reach: float = 4.5, ends: float = 1.8) -> Figure:
    """f and D over the x–t plane with exact paths on them, and the gap between the two.

    `high` is the largest noise level, `reach` the largest |x|, `ends` the end of the colours.
    """
    x, t = xt_grid(high, reach)
    f, mean = oracle.consistency(x, t), oracle.denoise(x, t)
    figure, axes = sheet(1, 3, 9.8, 3.5)
    for ax, title in zip(axes[0], MAP_TITLES, strict=True):
        name_axes(ax, NOISE_LEVEL, NOISY_POINT if ax is axes[0, 0] else "", title)
        ax.set(ylim=(-reach, reach), xlim=(0, high))
    both, gaps = torch.linspace(-ends, ends, 13), torch.linspace(0, 1.2, 9)
    filled_contours(axes[0, 0], f, x, t, both, DIVERGING, lines=False)
    shown = filled_contours(axes[0, 1], mean, x, t, both, DIVERGING)
    figure.colorbar(shown, ax=axes[0, 1], label="$f$ and $D$ (data units)", ticks=both[::2])
    for ax, answer in ((axes[0, 0], f), (axes[0, 1], mean)):
        hatch_empty(ax, oracle, answer, x, t)
    density = oracle.log_density(x, t).reshape(-1, int((x == x[0]).sum()))
    rare = density < density.amax(0) + math.log(RARE)  # white: there are no points to be wrong at
    gap = (f - mean).abs().masked_fill(rare.reshape(f.shape), torch.nan)
    shown = filled_contours(axes[0, 2], gap, x, t, gaps, SEQUENTIAL)
    figure.colorbar(shown, ax=axes[0, 2], label="$|f-D|$ (data units)", ticks=gaps[::2])
    draw_paths(list(axes[0, :2]), oracle, high)
    return figure


def draw_paths(panels: Sequence[Axes], oracle: Mixture1D, high: float) -> None:
    """Exact paths on each panel; on the first, each with the value that f has along it."""
    levels, positions = exact_paths(oracle, high, 13, levels=40)
    for ax in panels:
        ax.plot(
            levels, positions, color="black", linewidth=0.8, alpha=0.85 if ax is panels[0] else 0.4
        )
    for path in positions.T[1:-1:2]:
        said = f"{float(path[0]):.2f}".replace("-", "−")
        label(panels[0], 0.76 * high, float(path[-10]) - 0.1, said)


def filled_contours(
    ax: Axes, values: Tensor, x: Tensor, t: Tensor, edges: Tensor, cmap: str, lines: bool = True
) -> QuadContourSet:
    """Filled contours over the plane, with every second edge drawn and labelled."""
    where = as_image(t, t), as_image(x, t), as_image(values, t)
    shown = ax.contourf(*where, levels=edges.numpy(), cmap=cmap, extend="both")
    if lines:
        drawn = ax.contour(*where, levels=edges[::2].numpy(), colors="black", linewidths=1,
                           linestyles=":")  # fmt: skip
        drawn.set_path_effects([withStroke(linewidth=2.5, foreground="white", alpha=0.7)])
        for text in ax.clabel(drawn, fontsize=8, fmt=one_decimal, inline=False, colors="black"):
            text.set_path_effects([withStroke(linewidth=3, foreground="white")])
            place = ax.transAxes.inverted().transform(ax.transData.transform(text.get_position()))
            if not (0.1 < place.min() and place.max() < 0.9):
                text.remove()  # the frame would cut it off
    ax.grid(False)
    return shown


def one_decimal(value: float) -> str:
    """The number with one digit after the point and, below 0, the true minus sign."""
    return f"{value:.1f}".replace("-", "−")


def as_image(values: Tensor, t: Tensor) -> np.ndarray:
    """Values of all points of the plane, reshaped to an image (x, t)."""
    return values.reshape(int((t == t[0]).sum()), -1).numpy()


def hatch_empty(ax: Axes, oracle: Mixture1D, answer: Tensor, x: Tensor, t: Tensor) -> None:
    """Hatch where f or D lies between the modes, where the data have next to no density."""
    empty = between_modes(oracle, answer).double()
    where = as_image(t, t), as_image(x, t), as_image(empty, t)
    ax.contourf(*where, levels=[0.5, 1.5], colors="none", hatches=["///"])


def between_modes(oracle: Mixture1D, answer: Tensor, share: float = 0.01) -> Tensor:
    """Whether values (b, 1) lie between the outer modes, at under 1 % of the peak density."""
    means = oracle.components.means
    level = torch.full_like(answer[:, 0], 0.002)
    peak = oracle.log_density(means, torch.full_like(means[:, 0], 0.002)).max()
    low = oracle.log_density(answer, level) < peak + math.log(share)
    return low & (answer[:, 0] > means.min()) & (answer[:, 0] < means.max())


# Noise on its way to data: exact paths over the densities that they carry, and solvers on them

SOLVER_STYLE = {"Euler": TEACHER, "Heun": STUDENT}  # orange dashes and triangles, blue and squares


# What a solver's steps cost: the error left, by steps, by network calls, and by noise level


def slope(steps: Sequence[int], errors: Sequence[float], beyond: int = 16) -> float:
    """The slope of ln error against ln steps, fitted where there are at least `beyond` steps."""
    n, e = np.asarray(steps), np.asarray(errors)
    return float(np.polyfit(np.log(n[n >= beyond]), np.log(e[n >= beyond]), 1)[0])


def integer_ticks(ax: Axes, values: Sequence[int]) -> None:
    """Tick labels that are whole numbers, on a logarithmic axis."""
    ax.set_xticks(list(values), [str(v) for v in values])
    ax.minorticks_off()


# One path in the x–t plane: a point on it, where its path ends (f), where its tangent ends (D)

SIGMA_MIN = 0.002
REACH = 4.6  # the largest |x| shown


@dataclass(frozen=True)
class Point:
    """A point (x, t) with the exact f (end of its path) and the posterior mean D."""

    x: float
    t: float
    f: float
    mean: float


def double(values: list) -> Tensor:
    """A float64 tensor: 0.7 in float32 is off by 3e-8, and so would be its path."""
    return torch.tensor(values, dtype=torch.float64)


def point(oracle: Mixture1D, x: float, t: float) -> Point:
    """The point x at noise level t, with the exact f and D."""
    here, level = double([[x]]), double([t])
    return Point(x, t, float(oracle.consistency(here, level)), float(oracle.denoise(here, level)))


@dataclass(frozen=True)
class PathPlane:
    """Background of the x–t plane: levels (m,), paths (m, n), the data's density and its gap."""

    oracle: Mixture1D
    levels: Tensor
    positions: Tensor
    rows: Tensor
    density: Tensor
    empty: tuple[float, float]


def path_plane(oracle: Mixture1D, high: float, paths: int = 15) -> PathPlane:
    """Exact paths and the density of a distribution, up to noise level `high`."""
    levels, positions = exact_paths(oracle, high, paths, levels=40)
    rows = torch.linspace(-REACH, REACH, 400).double()[:, None]
    density = oracle.log_density(rows, torch.full_like(rows[:, 0], SIGMA_MIN)).exp()
    gap = rows[between_modes(oracle, rows)]
    empty = (float(gap.min()), float(gap.max())) if len(gap) else (0.0, 0.0)
    return PathPlane(oracle, levels, positions, rows[:, 0], density / density.max(), empty)


DARK_MEAN = "#8a5c00"  # the mean's colour, dark enough for words


def same_path(scene: PathPlane, on: Point, off: Point, mean: bool = True) -> Figure:
    """The plane with the path of `on` and, if it differs, of `off`; beside it f and D over x_t."""
    points = [(on, TRUTH)] if off.x == on.x else [(on, TRUTH), (off, EXTRA)]
    figure, (axes,) = sheet(1, 2, 9.8, 3.8, ratios=(1.5, 1))
    # A fixed layout draws in half the time, and a slider is waiting.
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.06, right=0.985, bottom=0.135, top=0.92, wspace=0.17)
    draw_plane(axes[0], scene)
    for at, role in points:
        draw_path(axes[0], scene, at, role)
    draw_answers(axes[0], *points[-1], mean)
    draw_slice(axes[1], scene, points, mean)
    said = f"f is {on.f:.2f} at every point of this path"
    if len(points) > 1:
        said = f"Another path, another end: f was {on.f:.2f}, now {off.f:.2f}"
    name_axes(axes[0], NOISE_LEVEL, NOISY_POINT, said)
    return figure


def draw_plane(ax: Axes, scene: PathPlane) -> None:
    """Exact paths in grey, the data's density at the left, noise at the right."""
    lines = [torch.stack([scene.levels, path], 1).numpy() for path in scene.positions.T]
    ax.add_collection(LineCollection(lines, colors=DATA.color, linewidths=0.6, alpha=0.45))
    ax.fill_betweenx(scene.rows, -0.45 * scene.density, 0, color=DATA.color, alpha=0.35, lw=0)
    ax.axvline(0, color=DATA.color, linewidth=0.8)
    ax.set(xlim=(-0.85, 1.03 * float(scene.levels[-1])), ylim=(-REACH, REACH))
    ax.set(xticks=range(int(scene.levels[-1]) + 1), yticks=(-4, -2, 0, 2, 4))


def draw_path(ax: Axes, scene: PathPlane, at: Point, role: Role) -> None:
    """The whole exact path through a point, and the point."""
    t = scene.levels.flip(0)
    here, ends = double([[at.x]]), double([[at.t], [float(t[0])]])
    path = scene.oracle.path(scene.oracle.flow(here, *ends), t)[:, 0, 0]
    ax.plot(t, path, color=role.color, linestyle=role.line, linewidth=2.2)
    ax.plot(at.t, at.x, marker=role.marker, color=role.color, markersize=9)


def draw_answers(ax: Axes, at: Point, role: Role, mean: bool) -> None:
    """f at the end of the path and, if asked for, D at the end of the tangent, labelled."""
    high, low = (at.f, at.mean) if at.f > at.mean else (at.mean, at.f)
    apart = max(0.5 - (high - low), 0) / 2 if mean else 0
    up = apart if at.f > at.mean else -apart
    ax.plot(SIGMA_MIN, at.f, marker="s", color=role.color, markersize=8)
    label(ax, -0.8, at.f + up - 0.12, f"f = {at.f:.2f}", role.color)
    if mean:
        ax.plot([0, at.t], [at.mean, at.x], color=MEAN.color, linestyle=MEAN.line)
        ax.plot(0, at.mean, marker=MEAN.marker, color=MEAN.color, markersize=9)
        label(ax, -0.8, at.mean - up - 0.12, f"D = {at.mean:.2f}", DARK_MEAN)


@lru_cache(maxsize=8)  # while another slider is dragged
def answers_at(oracle: Mixture1D, t: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All x_t that are shown (n, 1) with their level t (n,), and f and D there."""
    x = torch.linspace(-REACH, REACH, 400).double()[::2, None]
    level = torch.full_like(x[:, 0], t)
    return x, level, oracle.consistency(x, level), oracle.denoise(x, level)


def draw_slice(ax: Axes, scene: PathPlane, points: list[tuple[Point, Role]], mean: bool) -> None:
    """f and D as functions of x_t at the points' noise level, and the gap between the modes."""
    x, level, f, D = answers_at(scene.oracle, points[0][0].t)
    answers = [(f, TRUTH, "f", TRUTH.color)]
    if mean:
        answers.append((D, MEAN, "D", DARK_MEAN))
    ax.axhspan(*scene.empty, facecolor="none", edgecolor="#bbbbbb", hatch="///", linewidth=0)
    label(ax, -4.5, sum(scene.empty) / 2 - 0.06, "no data here", DATA.color)
    for y, role, name, color in answers:
        ax.plot(x, y, color=role.color, linestyle=role.line)
        seen = int((y[:, 0] < 1.95).sum()) - 1
        label(ax, min(float(x[seen]), 4.2), float(y[seen]) - 0.28, name, color)
    for at, role in points:
        ax.plot(at.x, at.f, marker="s", color=role.color, markersize=8)
        if mean:
            ax.plot(at.x, at.mean, marker=MEAN.marker, color=MEAN.color, markersize=8)
    ax.set(xlim=(-REACH, REACH), ylim=(-2.2, 2.2), yticks=(-2, -1, 0, 1, 2))
    # f maps the noisy distribution to the data's, so its share in the gap is that of the data.
    few = 100 * share_in_gap(scene, x, x, torch.full_like(level, SIGMA_MIN))
    many = 100 * share_in_gap(scene, x, answers[-1][0], level)
    said = f"{few:.0f} % of the answers of f lie in the gap"
    if mean:
        said = f"In the gap: D {many:.0f} %, f {few:.0f} %"
    name_axes(ax, NOISY_POINT, "answer (data units)", said)


def share_in_gap(scene: PathPlane, x: Tensor, answers: Tensor, level: Tensor) -> float:
    """The share of noisy points whose f or D, which rise with x (n, 1), lies in the data's gap."""
    edges = np.interp(scene.empty, answers[:, 0].numpy(), x[:, 0].numpy())
    low, high = scene.oracle.cdf(torch.tensor(edges)[:, None], level[:2]).tolist()
    return high - low
