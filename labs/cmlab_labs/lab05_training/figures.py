"""Figures of lab 05: fixed points of training, bias and scatter of targets, training pairs.

Everything here but the recorded networks is exact: the distributions come from `cmlab.oracle`,
the targets from analysis.py.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.data.toy import Bumps
from cmlab.metrics.plots import (
    DATA,
    EXTRA,
    MEAN,
    NOISE,
    STUDENT,
    TEACHER,
    TRUTH,
    WRONG,
    Role,
    label,
    name_axes,
    sheet,
)
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Mixture1D

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
from ..common.plots_recordings import spread_labels
from ..common.study import path_of, ranged, read
from .analysis import (
    FixedPoint,
    MixtureBatch,
    Rule,
    fixed_point,
    fresh,
    posterior,
    shared,
    target,
    target_cdf,
)

# Fixed points of training without a teacher, by quadrature, and trained networks

ORACLE = Bumps().oracle
LIMITS_LOW, LIMITS_HIGH = 0.002, 10.0
POINTS = "number of levels N"
ERROR = "RMS error (data units)"
DASHES = ("-", (0, (6, 2)), (0, (3, 2)), (0, (1, 1.5)))


def fixed_point_on_grid(rule: Rule, points: int) -> FixedPoint:
    """The fixed point of a rule on the studies' grid of N levels, for their data."""
    # On a fine grid each step moves less than the places are apart: it needs more of them.
    return fixed_point(
        ORACLE,
        KarrasGrid(LIMITS_LOW, LIMITS_HIGH).up(points),
        rule,
        2401 if points < 200 else 4801,
    )


def fixed_points(
    title: str, row: Sequence[FixedPoint], role: Role, near: float = LIMITS_HIGH
) -> Figure:
    """f*, D and fixed points, from few levels to many, at the level of the last nearest `near`."""
    figure, ((ax,),) = sheet(1, 1, 5.6, 3.6)
    t = float(min(row[-1].levels, key=lambda level: abs(level - near)))
    x = torch.linspace(-2.4 * t, 2.4 * t, 600).double()
    level = torch.full_like(x, t)
    exact, mean = (f(x[:, None], level)[:, 0] for f in (ORACLE.consistency, ORACLE.denoise))
    ax.plot(x, exact, color=TRUTH.color, linewidth=2.4, label="exact f*")
    ax.plot(x, mean, color=MEAN.color, linestyle=DASHES[-1], linewidth=2.2, label="D")
    for limit, dash in zip(row, DASHES[len(row) - 1 :: -1], strict=True):
        f, name = limit(x, int((limit.levels - t).abs().argmin())), f"N = {len(limit.levels)}"
        ax.plot(x, f, color=role.color, linestyle=dash, linewidth=1.6, label=name)
    ax.legend(loc="lower right", fontsize=9, frameon=False)
    name_axes(ax, NOISY_POINT, f"answer at $t = {t:.2g}$ (data units)", title)
    ax.set(ylim=(-1.9, 1.9), xlim=(-2.4 * t, 2.4 * t))
    return figure


def scores(study: str, variants: Mapping[int, str]) -> dict[int, np.ndarray]:
    """RMS errors of the recorded seeds by N, for the variants that have been recorded."""
    kept = {points: v for points, v in variants.items() if path_of(study, v).is_file()}
    return {points: read(study, v).score("rmse") for points, v in kept.items()}


def table(columns: Mapping[str, tuple[Mapping[int, FixedPoint], Mapping[int, np.ndarray]]]) -> str:
    """By N, trained networks and fixed points in two columns for each name (Markdown)."""
    names = [part for name in columns for part in (name, "its fixed point")]
    lines = ["| N | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for n in sorted({n for pair in columns.values() for part in pair for n in part}):
        cells = [str(n)]
        for predicted, trained in columns.values():
            cells.append(ranged(trained[n]) if n in trained else "")
            cells.append(f"{predicted[n].rms():.3f}" if n in predicted else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def networks_and_fixed_points(panels: Mapping[str, tuple[str, str, FixedPoint]]) -> Figure:
    """Networks as recorded, at t = 10: title -> study, variant, fixed point of its loss."""
    kept = {title: p for title, p in panels.items() if path_of(*p[:2]).is_file()}
    figure, (axes,) = sheet(1, len(kept), 9.8, 3.5)
    for ax, (title, (study, variant, limit)) in zip(axes, kept.items(), strict=True):
        seen = read(study, variant)
        x = torch.from_numpy(seen["place"][0]) * (LIMITS_HIGH**2 + ORACLE.sigma_data**2) ** 0.5
        fine = torch.linspace(-24, 24, 600).double()
        exact = ORACLE.consistency(fine[:, None], torch.full_like(fine, LIMITS_HIGH))[:, 0]
        ax.plot(fine, exact, color=TRUTH.color, linewidth=0.8, label="exact f*")
        for k, f in enumerate(seen["map"][:, -1]):
            name = "" if k else "networks"
            ax.plot(x, f, color=STUDENT.color, linewidth=3.5, alpha=0.3, label=name)
        style = {"color": EXTRA.color, "linestyle": EXTRA.line, "linewidth": 1.8}
        ax.plot(fine, limit(fine), label="fixed point", **style)
        name_axes(ax, NOISY_POINT, "", title)
        ax.set(ylim=(-1.9, 1.9), xlim=(-24, 24))
    axes[0].set_ylabel("answer at $t = 10$ (data units)")
    axes[0].legend(loc="upper left", fontsize=9, frameon=False)
    return figure


def errors(
    panels: Mapping[str, tuple[Mapping[int, FixedPoint], Mapping[int, np.ndarray]]],
    distilled: tuple[Mapping[int, FixedPoint], Mapping[int, np.ndarray]],
) -> Figure:
    """Error against N: fixed points as lines, three seeds each as marks; distillation on each."""
    figure, (axes,) = sheet(1, len(panels), 6.4 if len(panels) == 1 else 9.8, 3.7)
    for ax, (title, (predicted, trained)) in zip(axes, panels.items(), strict=True):
        draw_errors(ax, *distilled, TEACHER)
        draw_errors(ax, predicted, trained, STUDENT)
        name_axes(ax, POINTS, ERROR if ax is axes[0] else "", title)
        ax.set(xscale="log", yscale="log", ylim=(0.015, 0.8), xlim=(4, 1700))
        ax.set_xticks([5, 20, 80, 320, 1280], ["5", "20", "80", "320", "1280"])
        ax.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
        ax.minorticks_off()
        label(ax, 4.4, 0.55, "squares: no teacher", STUDENT.color)
        label(ax, 4.4, 0.45, "triangles: exact teacher, Euler", TEACHER.color)
        label(ax, 4.4, 0.37, "lines: fixed points", "#333333")
    return figure


def draw_errors(
    ax: Axes, predicted: Mapping[int, FixedPoint], trained: Mapping[int, np.ndarray], role: Role
) -> None:
    """A thin line for the fixed points, and mean and range of the trained seeds."""
    rms = [limit.rms() for limit in predicted.values()]
    ax.plot(list(predicted), rms, color=role.color, linestyle=role.line, linewidth=1)
    for points, found in trained.items():
        ax.plot([points] * 2, [found.min(), found.max()], color=role.color, linewidth=3, alpha=0.4)
        ax.plot(points, found.mean(), role.marker, color=role.color, markersize=7)


# Bias and scatter of the target of a pair with shared noise

GAP = "gap $(t-r)/t$"
LOW, HIGH = 0.002, 10.0
TARGET_STYLE = EXTRA  # a single target, and the scatter of many


@dataclass(frozen=True, eq=False)
class TargetErrors:
    """Targets at n points of level t: the exact f*, CT's mean and scatter, CD's Euler step."""

    exact: Tensor
    mean: Tensor
    scatter: Tensor
    euler: Tensor

    @property
    def bias(self) -> Tensor:
        return self.mean - self.exact


def target_errors(oracle: Mixture1D, x_t: Tensor, t: Tensor, r: Tensor) -> TargetErrors:
    """Targets (b,) for x_t (b,) at levels t (b,) with neighbours at r (b,), and the exact f*."""
    x = x_t.double()[:, None]
    mean, scatter = target(oracle, shared(oracle, x_t, t, r), r)
    step = x + (r - t)[:, None] * oracle.velocity(x, t)
    exact = oracle.consistency(x, t)[:, 0]
    return TargetErrors(exact, mean, scatter, oracle.consistency(step, r)[:, 0])


def slopes(oracle: Mixture1D, t: float, x: Tensor, z: Tensor) -> Figure:
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
    exact = oracle.velocity(rows, torch.full_like(edges, t))[:, 0]
    ax.plot(edges, exact, color=TRUTH.color, linestyle=TRUTH.line, zorder=2)
    ax.plot(middles, means, MEAN.marker, color=MEAN.color, markersize=7, zorder=3)
    one, many = (
        (said - oracle.velocity(at[:, None], torch.full_like(at, t))[:, 0])
        for said, at in ((z, x_t), (means, middles))
    )
    label(ax, -3.1 * t, 1.9, "grey: one sample's slope $z$", "#666666")
    label(ax, 0.9 * t, -1.9, "line: exact $dx_t/dt$", TRUTH.color)
    label(ax, 0.9 * t, -2.5, "triangles: mean of $z$", "#8a5c00")
    ax.set(ylim=(-3, 3), xlim=(-3.3 * t, 3.3 * t))
    title = f"One slope is off by {rms(one):.2f}, the mean of many by {rms(many):.3f} (RMS)"
    name_axes(ax, NOISY_POINT, "slope $dx/dt$", title)
    return figure


def targets(oracle: Mixture1D, rank: int, grids: Mapping[int, str]) -> Figure:
    """Along one exact path, a panel for each grid: the targets at its levels.

    `grids` says for each number of levels what is seen; `rank` is how many of 100 paths lie below
    the path at the highest level.
    """
    figure, (axes,) = sheet(1, len(grids), 9.8, 3.5)
    for ax, (points, finding) in zip(axes, grids.items(), strict=True):
        seen = targets_on_path(oracle, rank, points)
        draw_targets(ax, seen, size=6 if points < 50 else 3)
        name_axes(ax, NOISE_LEVEL, "", f"N = {points}: {finding}")
        low, high = -1.05, 1.1
        if float(seen[1].scatter.max()) < 0.1:  # a mere line in a panel like the others
            middle = float(seen[1].exact[0])
            low, high = middle - 0.1075, middle + 0.1075
            label(ax, 0.035, middle + 0.09, "vertical axis enlarged 10 times", DATA.color)
        ax.set(ylim=(low, high))
    axes[0].set(ylabel="target $f^*(x_r, r)$ (data units)")
    axes[0].legend(loc="upper left", fontsize=8, frameon=False)
    return figure


def targets_on_path(oracle: Mixture1D, rank: int, points: int) -> tuple[Tensor, TargetErrors]:
    """The levels t of a grid but its first, and the targets where the path passes them."""
    levels = KarrasGrid(LOW, HIGH).up(points)
    start = quantile_points(oracle, HIGH, 100)[rank : rank + 1]
    path = oracle.path(start, levels.flip(0)).flip(0)[:, 0, 0]
    return levels[1:], target_errors(oracle, path[1:], levels[1:], levels[:-1])


def draw_targets(ax: Axes, seen: tuple[Tensor, TargetErrors], size: int) -> None:
    """Mean and scatter of CT's target, and CD's, at levels t."""
    t, here = seen
    low, high = here.mean - here.scatter, here.mean + here.scatter
    ax.fill_between(t, low, high, color=TARGET_STYLE.color, alpha=0.22, linewidth=0)
    ax.plot(t, here.exact, color=TRUTH.color, linestyle=TRUTH.line, label="exact f*")
    lines = ((here.mean, TARGET_STYLE, "mean target ± scatter"),
             (here.euler, TEACHER, "exact teacher, Euler step"))  # fmt: skip
    for values, role, name in lines:
        ax.plot(t, values, color=role.color, linestyle=role.line, marker=role.marker,
                markersize=size, linewidth=1.2, label=name)  # fmt: skip
    ax.set(xscale="log", xlim=(0.03, 12))


def orders(oracle: Mixture1D, t: float, gaps: Sequence[float]) -> Figure:
    """Bias and scatter of CT's target at level t against the gap (t - r)/t, at 200 points x_t."""
    bias, scatter = by_gap(oracle, t, gaps)
    figure, (axes,) = sheet(1, 2, 9.8, 3.6)
    for ax, (name, over) in zip(axes, AVERAGES.items(), strict=True):
        powers = {}
        for rows, role, what in ((bias, STUDENT, "bias"), (scatter, TARGET_STYLE, "scatter")):
            found = [over(row) for row in rows]
            ax.loglog(gaps, found, color=role.color, linestyle=role.line, marker=role.marker)
            powers[what] = order(gaps, found)
            at = gaps[3], found[3] * (0.3 if rows is bias else 1.9)
            label(ax, *at, "|bias|" if rows is bias else what, role.color)
        said = ", ".join(f"{what} of order {power:.2g}" for what, power in powers.items())
        said = f"Typical point: {said}"
        if over is rms:
            said = "Over all points the bias falls more slowly"
        name_axes(ax, GAP, f"data units, {name}", said)
    axes[1].sharey(axes[0])
    axes[0].set_ylim(top=1.0)
    return figure


def by_gap(
    oracle: Mixture1D, t: float, gaps: Sequence[float]
) -> tuple[list[Tensor], list[Tensor]]:
    """|bias| and scatter of CT's target at 200 evenly ranked x_t, for each gap: rows (200,)."""
    x, level = quantile_points(oracle, t, 200)[:, 0], torch.full((200,), t).double()
    seen = [target_errors(oracle, x, level, level * (1 - gap)) for gap in gaps]
    return [s.bias.abs() for s in seen], [s.scatter for s in seen]


def order(gaps: Sequence[float], values: Sequence[float]) -> float:
    """The fitted order in the gap, from the last four values."""
    return float(np.polyfit(np.log(gaps[-4:]), np.log(values[-4:]), 1)[0])


def median_of_points(values: Tensor) -> float:
    return float(values.median())


def rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


AVERAGES = {
    "median over $x_t$": median_of_points,
    "root mean square over $x_t$": rms,
}


# Pairs in the x–t plane: one x_t, data drawn from p(x | x_t), and the targets

MAX_ANSWER = 1.95  # the largest |answer| shown
BIN_EDGES = torch.linspace(-MAX_ANSWER, MAX_ANSWER, 53).double()
NEIGHBOURS = {True: shared, False: fresh}


@dataclass(frozen=True, eq=False)
class Pairs:
    """A point x_t and 20 pairs that share it: data x and neighbours x_r, both (20,)."""

    x_t: float
    t: float
    r: float
    shared: bool
    x: Tensor
    x_r: Tensor
    shares: Tensor  # of all targets in each of the bars
    mean: float
    scatter: float
    exact: float
    average: float  # D, the mean of the data behind x_t

    @property
    def role(self) -> Role:
        return TARGET_STYLE if self.shared else WRONG


def pairs(scene: PathPlane, x_t: float, t: float, r: float, same: bool) -> Pairs:
    """Pairs with this x_t at level t and neighbours at r, their noise shared or fresh."""
    oracle, here, level, low = scene.oracle, double([x_t]), double([t]), double([r])
    x_r = NEIGHBOURS[same](oracle, here, level, low)
    x, average, answer, _ = about(oracle, x_t, t)
    z = (x_t - x) / t if same else torch.randn(20, generator=torch.Generator().manual_seed(0))
    neighbours = x + r * z
    mean, scatter = target(oracle, x_r, low, nodes=201)
    shares = target_cdf(oracle, x_r, r, BIN_EDGES)[0].diff()
    return Pairs(x_t, t, r, same, x, neighbours, shares, float(mean), float(scatter), answer,
                 average)  # fmt: skip


@functools.lru_cache(maxsize=16)  # while r is dragged, x_t stays
def about(oracle: Mixture1D, x_t: float, t: float) -> tuple[Tensor, float, float, Tensor]:
    """Quantiles and mean D of the data behind x_t, the exact f*, and the exact path down (30,)."""
    here, level = double([x_t]), double([t])
    behind = posterior(oracle, here, level)
    x = quantiles(behind, (torch.arange(20).double() + 0.5) / 20)
    answer = float(oracle.consistency(here[:, None], level))
    down = torch.linspace(t, SIGMA_MIN, 30).double()
    return x, float(behind.mean), answer, oracle.path(here[:, None], down)[:, 0, 0]


def quantiles(blend: MixtureBatch, ranks: Tensor) -> Tensor:
    """Where one mixture's distribution function has these ranks (n,), on a fine grid."""
    y = torch.linspace(-2.6, 2.6, 1500).double()
    return y[torch.searchsorted(blend.cdf(y[None])[0], ranks).clamp_max(len(y) - 1)]


def pair_plane(scene: PathPlane, seen: Pairs) -> Figure:
    """The plane with the pairs and their ends, and the distribution of the target given x_t."""
    figure, (axes,) = sheet(1, 2, 9.8, 3.8, ratios=(1.5, 1))
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.06, right=0.905, bottom=0.135, top=0.92, wspace=0.2)
    draw_plane(axes[0], scene)
    draw_pairs(axes[0], scene, seen)
    draw_plane_targets(axes[1], seen)
    how = (
        "Shared noise: $x_r$ lies on the line from $x_t$ to its x"
        if seen.shared
        else "Fresh noise: the two points of a pair are unrelated"
    )
    name_axes(axes[0], NOISE_LEVEL, NOISY_POINT, how)
    return figure


def draw_pairs(ax: Axes, scene: PathPlane, seen: Pairs) -> None:
    """Lines from the data to the pairs' points, paths from x_r to its end, and the exact path."""
    zero, r = torch.zeros_like(seen.x), torch.full_like(seen.x, seen.r)
    noise = torch.stack([zero, seen.x, r, seen.x_r], 1).reshape(-1, 2, 2).tolist()
    ax.add_collection(LineCollection(noise, colors=DATA.color, linewidths=0.7, linestyles=":"))
    if seen.shared:
        rest = [[(seen.t, seen.x_t), (seen.r, float(y))] for y in seen.x_r]
        ax.add_collection(LineCollection(rest, colors=seen.role.color, linewidths=1.1))
    down = torch.linspace(seen.r, SIGMA_MIN, 12).double()
    positions = scene.oracle.path(seen.x_r[:, None], down)[..., 0].T
    lines = [torch.stack([down, path], 1).numpy() for path in positions]
    ax.add_collection(LineCollection(lines, colors=seen.role.color, linewidths=0.9, alpha=0.8))
    levels = torch.linspace(seen.t, SIGMA_MIN, 30).double()
    ax.plot(levels, about(scene.oracle, seen.x_t, seen.t)[3], color=TRUTH.color)
    ax.plot(r, seen.x_r, seen.role.marker, color=seen.role.color, markersize=5)
    ax.plot(seen.t, seen.x_t, TRUTH.marker, color=TRUTH.color, markersize=9)
    label(ax, min(seen.t + 0.06, 2.8), seen.x_t - 0.15, "$x_t$")
    label(ax, seen.r, min(float(seen.x_r.max()) + 0.25, REACH - 0.4), "$x_r$", seen.role.color)


def draw_plane_targets(ax: Axes, seen: Pairs) -> None:
    """The distribution of the target, its mean, D, and the exact f*."""
    ax.stairs(seen.shares.numpy(), BIN_EDGES.numpy(), orientation="horizontal", fill=True,
              color=seen.role.color, alpha=0.55)  # fmt: skip
    # In quarters, so that the axis stands still for most of a drag; no tick at its very end.
    top = math.ceil(5.4 * float(seen.shares.max())) / 4 - 0.02
    lines = [(seen.exact, TRUTH, "exact f*", "black"), (seen.mean, seen.role, "mean", "#333333"),
             (seen.average, MEAN, "D", "#8a5c00")]  # fmt: skip
    for y, role, *_ in lines:
        ax.plot([0, top], [y, y], color=role.color, linestyle=role.line, linewidth=1.6)
    heights = spread_labels({name: y for y, _, name, _ in lines}, 0.2)
    for y, _, name, color in lines:
        said = f"{name} {y:.2f}".replace("-", "−")
        ax.text(1.02 * top, heights[name], said, color=color, fontsize=9, va="center")
    ax.set(xlim=(0, top), ylim=(-MAX_ANSWER, MAX_ANSWER))
    bias = seen.mean - seen.exact
    said = f"The mean target is {abs(bias):.2f} {'above' if bias > 0 else 'below'} f*"
    if abs(bias) < 0.005:
        said = "The mean target is within 0.01 of f*"
    name_axes(ax, "share of the pairs", "target $f^*(x_r, r)$ (data units)", said)


# Where the median of the targets leads


def mean_and_median(oracle: Mixture1D, x_t: float, t: float) -> Figure:
    """One-sample slopes at x_t with their mean and median, and the paths that each would give."""
    figure, ((ax, plane),) = sheet(1, 2, 9.8, 3.8)
    draw_slopes(ax, oracle, x_t, t)
    levels = KarrasGrid(LOW, t, 3.0).down(160).double()[:-1]
    starts = quantile_points(oracle, t, 11)
    for role, middle in ((TRUTH, "mean"), (WRONG, "median")):
        ways = follow(oracle, torch.cat([starts[:, 0], double([x_t])]), levels, middle)
        plane.plot(
            levels, ways[:, :-1], color=role.color, linestyle=role.line, linewidth=0.7, alpha=0.6
        )
        plane.plot(levels, ways[:, -1], color=role.color, linestyle=role.line, linewidth=2.6)
        end = float(ways[-1, -1])
        text = f"along the {middle}: {end:.2f}".replace("-", "−")
        label(plane, 0.03 * t, end - 0.5 if end < -0.5 else end + 0.12, text, role.color)
    plane.plot(t, x_t, "o", color=TRUTH.color, markersize=8)
    plane.set(xlim=(0, 1.03 * t), ylim=(-3.4, 3.4))
    name_axes(plane, NOISE_LEVEL, NOISY_POINT, "Along the median a path ends in another mode")
    return figure


def draw_slopes(ax: Axes, oracle: Mixture1D, x_t: float, t: float) -> None:
    """The density of the slope (x_t - x)/t of a single sample, with its mean and its median."""
    behind = posterior(oracle, double([x_t]), double([t]))
    slope = torch.linspace((x_t - 2.2) / t, (x_t + 2.2) / t, 600).double()
    share = behind.cdf((x_t - t * slope).flip(0)[None])[0].diff().flip(0)
    height = share / float(slope[1] - slope[0])
    ax.fill_between(slope[1:], height, color=TARGET_STYLE.color, alpha=0.3, linewidth=0)
    top = float(height.max())
    for value, role, name, up in (
        ((x_t - float(behind.mean)) / t, TRUTH, "mean", 1.12),
        ((x_t - float(behind.median())) / t, WRONG, "median", 1.02),
    ):
        ax.plot([value] * 2, [0, up * top], color=role.color, linestyle=role.line, linewidth=2.2)
        label(ax, value + 0.04, up * top, f"{name} {value:.2f}".replace("-", "−"), role.color)
    ax.set(ylim=(0, 1.25 * top), xlim=(float(slope[0]), float(slope[-1])))
    said = "slope $(x_t - x)/t$ of one sample"
    name_axes(ax, said, "density", "The mean and the median slope differ")


def follow(oracle: Mixture1D, x: Tensor, levels: Tensor, middle: str) -> Tensor:
    """Paths (m, n) from x (n,) down levels (m,), along the mean or median of the slopes."""
    ways = [x]
    for t, r in zip(levels[:-1], levels[1:], strict=True):
        behind = posterior(oracle, ways[-1], t.expand(len(x)))
        goal = behind.mean if middle == "mean" else behind.median()
        ways.append(ways[-1] + (r - t) * (ways[-1] - goal) / t)
    return torch.stack(ways)


# A network as it trains, against the fixed point of its loss


@dataclass(frozen=True, eq=False)
class TrainingProgress:
    """Answers (n,) at points x (n,) of the highest level, and errors so far, one for each look."""

    x: Tensor
    answers: Tensor
    steps: list[int]
    to_f: list[float]
    to_limit: list[float]


def training_figure(seen: TrainingProgress, limit: FixedPoint, exact: Tensor) -> Figure:
    """A network's answers at t = 10 beside the fixed point's and the exact f*, and its errors."""
    figure, (axes,) = sheet(1, 2, 9.8, 3.6, ratios=(1.3, 1))
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(left=0.075, right=0.985, bottom=0.14, top=0.91, wspace=0.2)
    ax, plot = axes
    ax.plot(seen.x, exact, color=TRUTH.color, linewidth=0.9)
    ax.plot(seen.x, limit(seen.x), color=EXTRA.color, linestyle=EXTRA.line, linewidth=2.6)
    ax.plot(seen.x, seen.answers, color=STUDENT.color, linewidth=1.8)
    names = (("black: exact f*", TRUTH), ("green: fixed point", EXTRA), ("blue: network", STUDENT))
    for k, (name, role) in enumerate(names):
        label(ax, -23, 1.6 - 0.3 * k, name, role.color)
    ax.set(xlim=(-24, 24), ylim=(-1.9, 1.9))
    name_axes(
        ax,
        "noisy point xₜ at t = 10 (data units)",
        "answer (data units)",
        f"Step {seen.steps[-1]}",
    )
    rows = ((seen.to_f, TRUTH, "black: from the exact f*"),
            (seen.to_limit, EXTRA, "green: from the fixed point"))  # fmt: skip
    last = max(seen.steps[-1], 100)
    for k, (values, role, name) in enumerate(rows):
        style = {"color": role.color, "linestyle": role.line, "marker": role.marker}
        plot.semilogy(seen.steps, values, markersize=4, **style)
        label(plot, 0.35 * last, 1.4 / 1.35**k, name, role.color)
    plot.set(ylim=(0.01, 2), xlim=(-0.02 * last, 1.02 * last))
    plot.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    plot.minorticks_off()  # each tick costs a millisecond
    name_axes(
        plot,
        "training step",
        "RMS difference at t = 10",
        f"{seen.to_f[-1]:.2f} from f*, {seen.to_limit[-1]:.2f} from the fixed point",
    )
    return figure
