"""Figures of lab 09, easy consistency tuning (ECT): the mapping r(t), ideal functions by stage.

The ideal functions are exact, on the line, without a network. At a level t the answer is compared
with f(x_r, r), where x_r = x + r z is on no path: of z no more is known than x_t = x + t z tells.
The best answer is then, from the lowest level upwards,

    with ‖·‖²   f(x_t, t) = E[f(x_r, r) | x_t]
    with ‖·‖    f(x_t, t) = median of f(x_r, r) given x_t, on the line

At r = 0 both are about x itself: the posterior mean D, and the posterior median.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from cmlab.methods.ect import ECTMapping
from cmlab.metrics.plots import MEAN, NOISE, STUDENT, TRUTH, WRONG, label, name_axes, sheet
from cmlab.noise_levels import LogNormal
from cmlab.oracle import Mixture1D

from ..common.plots_line import quantile_points

# The ideal function of each stage on the line

LOW = 0.002
NODES, HALVINGS = 15, 41


@dataclass(frozen=True, eq=False)
class IdealFunction:
    """The ideal function at one level: f (n,) at x (n,), rising."""

    level: float
    x: Tensor
    f: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Between its places by a monotone cubic, which blurs no cliff; beyond them constant."""
        inside = x.clamp(float(self.x[0]), float(self.x[-1]))
        return torch.from_numpy(PchipInterpolator(self.x.numpy(), self.f.numpy())(inside.numpy()))


def level_sequence(pairs: ECTMapping, top: float, step: int = 0, low: float = LOW) -> list[float]:
    """t, r, the r of that, and so on down to the first level below `low`, which may be 0."""
    down = [top]
    while down[-1] >= low:
        t = torch.tensor(down[-1], dtype=torch.float64)
        down.append(float(t * pairs.ratio(t, step)))
    return down


def posterior(oracle: Mixture1D, x: Tensor, level: float) -> tuple[Tensor, Tensor, Tensor]:
    """The posterior of x given x_t (b,): weights (b, K), means (b, K), stds (K,)."""
    weights, means, stds = oracle.weights, oracle.means, oracle.stds
    wide = stds**2 + level**2
    logs = weights.log() - wide.log() / 2 - (x[:, None] - means) ** 2 / (2 * wide)
    middle = (stds**2 * x[:, None] + level**2 * means) / wide
    return logs.softmax(1), middle, stds * level / wide.sqrt()


def mean_functions(
    oracle: Mixture1D, down: list[float], places: int = 601, reach: float = 5.0
) -> list[IdealFunction]:
    """The ideal functions under ‖·‖² at each level but the last, lowest first.

    `reach` counts standard deviations of the noisy data.
    """
    node, weight = gauss_hermite(NODES)
    place, found = torch.linspace(-reach, reach, places).double(), []
    for t, r in reversed(list(zip(down, down[1:], strict=False))):
        x = place * (t**2 + oracle.sigma_data**2) ** 0.5
        share, middle, spread = posterior(oracle, x, t)
        data = middle[..., None] + spread[:, None] * node
        x_r = r / t * x[:, None, None] + (1 - r / t) * data
        target = found[-1](x_r) if found else x_r
        found.append(IdealFunction(t, x, (share[..., None] * weight * target).sum((1, 2))))
    return found


def gauss_hermite(n: int) -> tuple[Tensor, Tensor]:
    """Points and weights of Gauss and Hermite's rule for the standard normal distribution."""
    off = torch.arange(1, n).double().sqrt()
    node, vectors = torch.linalg.eigh(off.diag(1) + off.diag(-1))
    return node, vectors[0] ** 2


def median_answers(oracle: Mixture1D, x: Tensor, down: list[float]) -> Tensor:
    """The ideal answers (b,) under ‖·‖ at x (b,) on the top level.

    f rises, so the median of f(x_r) is f at the median of x_r, level by level down.
    """
    for t, r in zip(down, down[1:], strict=False):
        x = r / t * x + (1 - r / t) * posterior_median(oracle, x, t)
    return x


def posterior_median(oracle: Mixture1D, x: Tensor, level: float) -> Tensor:
    """The median (b,) of the data given x_t = x (b,), by halving."""
    share, middle, spread = posterior(oracle, x, level)
    low, high = middle.amin(1) - 6 * spread.max(), middle.amax(1) + 6 * spread.max()
    for _ in range(HALVINGS):
        half = (low + high) / 2
        below = (share * torch.special.ndtr((half[:, None] - middle) / spread)).sum(1) < 0.5
        low, high = torch.where(below, half, low), torch.where(below, high, half)
    return (low + high) / 2


def random_trajectories(
    oracle: Mixture1D, x: Tensor, down: list[float], generator: torch.Generator
) -> Tensor:
    """Random trajectories (levels, b) from x (b,), each step towards a posterior sample."""
    way = [x]
    for t, r in zip(down, down[1:], strict=False):
        share, middle, spread = posterior(oracle, way[-1], t)
        k = torch.multinomial(share, 1, generator=generator)
        z = torch.randn(len(x), generator=generator, dtype=x.dtype)
        data = middle.gather(1, k)[:, 0] + spread[k[:, 0]] * z
        way.append(r / t * way[-1] + (1 - r / t) * data)
    return torch.stack(way)


def rms_error(oracle: Mixture1D, function: IdealFunction, ranks: int = 500) -> float:
    """Root mean square of f - f* over the noisy data at that level, at evenly spaced quantiles."""
    x = quantile_points(oracle, function.level, ranks)
    exact = oracle.consistency(x, torch.full((ranks,), function.level, dtype=torch.float64))
    return float((function(x[:, 0]) - exact[:, 0]).square().mean().sqrt())


# The mapping r(t) by stage, and the ideal functions

LEVEL = "noise level $t$ (data units)"
T = torch.logspace(-2, 2, 161, dtype=torch.float64)
TICKS = ([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])


def shade(stage: int, last: int) -> str:
    """A grey that darkens with the stage."""
    return f"{0.72 - 0.6 * stage / max(last, 1):.3f}"


def curriculum(stages: Mapping[int, ECTMapping], now: int) -> Figure:
    """r and r/t against t by stage, one in colour, over the distribution of the samples' t."""
    figure, (axes,) = sheet(1, 2, 10.0, 3.6)
    # A fixed layout draws in half the time, and a slider is waiting.
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.08, right=0.975, bottom=0.15, top=0.9, wspace=0.2)
    last = max(stages)
    for stage, pairs in stages.items():
        ratio, here = pairs.ratio(T, 0), stage == now
        look = {"color": STUDENT.color if here else shade(stage, last), "zorder": 3 if here else 2}
        wide = {"linewidth": 2.6 if here else 0.9, **look}
        rising = torch.where(ratio > 0, T * ratio, torch.nan)
        axes[0].plot(T, rising, **wide)
        axes[1].plot(T, ratio, **wide)
        if stage in (now, 0, last, last // 2):
            axes[1].text(105, float(ratio[-1]), f"{stage}", fontsize=9, va="center",
                         color=look["color"], clip_on=False)  # fmt: skip
    axes[0].plot(T, T, color=TRUTH.color, linewidth=0.8, linestyle=":")
    draw_density(axes[1], stages[now])
    label_curriculum(list(axes), stages[now], now)
    return figure


def draw_density(ax: Axes, pairs: ECTMapping) -> None:
    """The density of ln t along the bottom; its part with r = 0 hatched."""
    proposal, ratio = pairs.proposal, pairs.ratio(T, 0)
    if isinstance(proposal, LogNormal):
        height = 0.35 * torch.exp(-((T.log() - proposal.mean) ** 2) / (2 * proposal.std**2))
        ax.fill_between(T, height, color=NOISE.color, alpha=0.35, linewidth=0)
        label(
            ax, math.exp(proposal.mean) * 0.45, 0.04, "distribution of the samples' t", "#444444"
        )
        ax.fill_between(T, height, where=(ratio == 0).numpy(), facecolor="none",
                        edgecolor=MEAN.color, hatch="///", linewidth=0)  # fmt: skip


def label_curriculum(axes: Sequence[Axes], pairs: ECTMapping, now: int) -> None:
    """Scales, names and titles."""
    zero = float((pairs.ratio(T, 0) == 0).double().mean())
    tell = "r = 0 at every level: denoising" if zero == 1 else "r > 0 at every level"
    if 0 < zero < 1:
        tell = f"r = 0 up to about t = {float(T[pairs.ratio(T, 0) == 0][-1]):.2g}"
    axes[0].set(xscale="log", yscale="log", xlim=(0.01, 100), ylim=(1e-3, 100))
    axes[1].set(xscale="log", xlim=(0.01, 100), ylim=(0, 1.02))
    for ax in axes:
        ax.set_xticks(*TICKS)
        ax.minorticks_off()
    axes[0].set_yticks([0.001, 0.01, 0.1, 1, 10, 100], ["0.001", *TICKS[1]])
    label(axes[0], 0.9, 25, "dotted: r = t")
    name_axes(axes[0], LEVEL, "$r$ (data units)", f"Stage {now}: {tell}")
    name_axes(axes[1], LEVEL, "ratio $r/t$", "Each stage brings r closer to t")


def trajectories(down: Mapping[str, Sequence[float]], ways: Sequence[Tensor], oracle: Mixture1D,
              answers: Sequence[float]) -> Figure:  # fmt: skip
    """Random trajectories (levels, b) by title, over the exact path through their common start."""
    figure, (axes,) = sheet(1, len(ways), 10.2, 3.7)
    for ax, (title, levels), way, mean in zip(axes, down.items(), ways, answers, strict=True):
        t = torch.tensor(levels).double().clamp_min(0.01)
        ax.plot(t, way[:, :14], color=STUDENT.color, linewidth=0.8, alpha=0.7)
        grid = torch.logspace(math.log10(float(t[0])), -2, 80, dtype=torch.float64)
        ax.plot(
            grid, oracle.path(way[:1, :1].double(), grid)[:, 0], color=TRUTH.color, linewidth=2
        )
        ax.plot(0.0085, mean, MEAN.marker, color=MEAN.color, markersize=9, clip_on=False, zorder=4)
        ax.set(xscale="log", xlim=(10.5, 0.0085), ylim=(-1.8, 3.2))
        ax.set_xticks([10, 1, 0.1, 0.01], ["10", "1", "0.1", "≤ 0.01"])
        ax.minorticks_off()
        name_axes(ax, LEVEL, "$x_t$ (data units)" * (ax is axes[0]), title)
    return figure


def walks(levels: Sequence[float], way: Tensor, oracle: Mixture1D, title: str) -> Figure:
    """Random trajectories (levels, b) from one start, and their ends, beside the exact path."""
    figure, (axes,) = sheet(1, 2, 9.8, 3.6, ratios=(1.5, 1))
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.07, right=0.985, bottom=0.14, top=0.9, wspace=0.12)
    plane, ends = axes
    t = torch.tensor(levels).double().clamp_min(0.01)
    plane.plot(t, way[:, :14], color=STUDENT.color, linewidth=0.8, alpha=0.7)
    grid = torch.logspace(math.log10(float(t[0])), -2, 80, dtype=torch.float64)
    exact = oracle.path(way[:1, :1].double(), grid)[:, 0]
    plane.plot(grid, exact, color=TRUTH.color, linewidth=2)
    low, high = min(-2.2, float(way[0, 0]) - 1), max(3.0, float(way[0, 0]) + 2)
    plane.set(xscale="log", xlim=(10.5, 0.0085), ylim=(low, high))
    plane.set_xticks([10, 1, 0.1, 0.01], ["10", "1", "0.1", "≤ 0.01"])
    plane.minorticks_off()
    label(
        plane, 9, high - 0.06 * (high - low), "black: the exact path; blue: 14 of 400 random walks"
    )
    name_axes(plane, LEVEL, "$x_t$ (data units)", title)
    ends.hist(
        way[-1],
        bins=60,
        range=(-2.2, 2.4),
        alpha=0.6,
        orientation="horizontal",
        color=STUDENT.color,
    )
    ends.axhline(float(exact[-1]), color=TRUTH.color, linewidth=2)
    mean = float(way[-1].mean())
    ends.axhline(mean, color=MEAN.color, linestyle=MEAN.line, linewidth=2)
    right = ends.get_xlim()[1]
    up = 1 if exact[-1] > mean else -1
    label(ends, 0.4 * right, float(exact[-1]) - 0.1 + 0.2 * up, "end of the exact path")
    label(ends, 0.4 * right, mean - 0.06 - 0.22 * up, "mean end of the walks", "#8a5c00")
    ends.set(ylim=(-2.2, 2.4))
    off = abs(mean - float(exact[-1]))
    name_axes(ends, "number of walks", "", f"Mean end {off:.2f} from the exact end")
    return figure


def ideal_functions(
    x: Tensor, exact: Tensor, top: Mapping[int, IdealFunction], squared: Sequence[float],
    norm: Sequence[float],
) -> Figure:  # fmt: skip
    """The ideal functions at the top level by stage, and their distance to f* with each metric."""
    figure, _ = sheet(1, 2, 10.2, 3.9, ratios=(1.25, 1))
    left, right = figure.axes
    left.plot(x, exact, color=TRUTH.color, linewidth=2.2)
    for number, (stage, function) in enumerate(top.items()):
        look = {"color": STUDENT.color, "alpha": 0.35 + 0.65 * number / len(top)}
        look = {"color": MEAN.color, "linestyle": MEAN.line} if stage == 0 else look
        left.plot(x, function(x), linewidth=1.5, **look)
        place = int((0.97 - 0.03 * number) * len(x))
        label(left, float(x[place]), float(function(x)[place]), f"{stage}", look["color"])
    label(left, float(x[2]), float(exact[2]) - 0.16, "exact $f^*$")
    name_axes(left, "$x_t$ (data units)", "answer at t = 10 (data units)",
              "Stage by stage, the ideal answer tends to $f^*$")  # fmt: skip
    for name, values, role in (("squared ‖·‖²", squared, STUDENT), ("norm ‖·‖", norm, WRONG)):
        right.semilogy(values, color=role.color, marker=role.marker, linestyle=role.line)
        label(right, len(values) - 0.8, values[-1], name, role.color)
    right.set(xlim=(-0.3, len(values) + 1.6), ylim=(0.03, 1.3))
    right.set_yticks([0.03, 0.1, 0.3, 1], ["0.03", "0.1", "0.3", "1"])
    right.minorticks_off()
    name_axes(right, "stage $a$ (gap $2^{-a}$ and more)", "RMS of $f_a - f^*$ (data units)",
              "The norm does not lead to $f^*$")  # fmt: skip
    return figure
