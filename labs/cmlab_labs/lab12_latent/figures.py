"""Figures of lab 12 (sLCT): heavy tails and losses, scores of runs, optimal transport."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.metrics.plots import (
    DATA,
    EXTRA,
    MEAN,
    NOISE,
    STUDENT,
    TARGET,
    TEACHER,
    TRUTH,
    WRONG,
    label,
    name_axes,
    sheet,
)
from cmlab.types import Metric

from ..common.plots_recordings import plain_ticks
from .analysis import INNER, OUTER, Impulsiveness, fences, influence

# Tails of data and residuals, and their influence on losses

LOSSES = {"squared L2": WRONG, "pseudo-Huber": STUDENT, "Cauchy": TEACHER}
NORMAL = {"inner": 0.00698, "outer": 2.34e-6, "kurtosis": 3.0}
LEAST = 1e-6  # of a share on a log axis: none at all is drawn there, hollow


def tails(rows: Mapping[str, Impulsiveness], title: str = "") -> Figure:
    """Shares beyond the fences, and kurtosis, by data set; dotted: a normal distribution."""
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
    set_ticks(axes[1], (2, 3, 5, 10, 20, 50, 100))
    name_axes(axes[0], f"share beyond the inner fence, {INNER:g} IQR (squares), and the outer, "
              f"{OUTER:g} IQR (triangles)", "", title or "Tails")  # fmt: skip
    heaviest = max(rows, key=lambda name: rows[name].kurtosis)
    heaviest = " of ".join(reversed(heaviest.split(", ")))
    name_axes(axes[1], "kurtosis (normal distribution: 3)", "", f"Highest kurtosis: {heaviest}")
    return figure


def set_ticks(ax: Axes, ticks: Sequence[float]) -> None:
    """Those of these ticks of a logarithmic x axis that lie on it, in plain numbers."""
    low, high = ax.get_xlim()
    plain_ticks(ax.xaxis, [tick for tick in ticks if low <= tick <= high])


@dataclass(frozen=True, eq=False)
class ImpulseScene:
    """Elements (n,), the lengths of samples' residuals (m,), and the losses of them."""

    elements: Tensor
    lengths: Tensor
    losses: Mapping[str, Metric]
    c: float


def impulses(scene: ImpulseScene, title: str) -> Figure:
    """The elements with their fences, and the influence of residuals by length."""
    figure, (axes,) = sheet(1, 2, 10.0, 3.5)
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.16, top=0.9, wspace=0.22)
    histogram(axes[0], scene.elements)
    name_axes(axes[0], "latent element (standardised)", "share of elements", title)
    u = torch.logspace(-4, 2, 241, dtype=torch.float64)
    for name, metric in scene.losses.items():
        role, y = LOSSES[name], influence(metric, u)
        axes[1].plot(u, y / y.max(), color=role.color, linestyle=role.line)
    low, high = (float(scene.lengths.quantile(q)) for q in (0.05, 0.95))
    axes[1].axvspan(max(low, 1e-4), max(high, 1.1e-4), color=DATA.color, alpha=0.15, linewidth=0)
    axes[1].axvline(2**0.5 * scene.c, color=TEACHER.color, linewidth=0.8, linestyle=":")
    axes[1].set(xscale="log", xlim=(1e-4, 1e2), ylim=(0, 1.12))
    set_ticks(axes[1], (1e-4, 1e-3, 0.01, 0.1, 1, 10, 100))
    for y, (name, role) in zip((0.35, 0.25, 0.15), LOSSES.items(), strict=True):
        label(axes[1], 1.3e-4, y, name, role.color)
    name_axes(axes[1], "length of a sample's residual $\\|f_t - f_r\\|$",
              "pull ψ / its largest value here",
              "The Cauchy pull peaks at the dotted line")  # fmt: skip
    return figure


def histogram(ax: Axes, elements: Tensor) -> None:
    """Shares on a log scale, the fences dashed (inner) and solid (outer)."""
    reach = float(elements.abs().max()) * 1.02
    shares, edges = np.histogram(elements.numpy(), 81, (-reach, reach))
    ax.stairs(shares / len(elements), edges, fill=True, color=TARGET.color)
    for ranges, line in ((INNER, "--"), (OUTER, "-")):
        for fence in fences(elements, ranges):
            ax.axvline(fence, color=TRUTH.color, linestyle=line, linewidth=1)
    for y, words in ((0.86, "dashed: inner fences"), (0.78, "solid: outer fences")):
        ax.text(0.98, y, words, fontsize=9, ha="right", transform=ax.transAxes)
    ax.set(yscale="log", ylim=(0.5 / len(elements), 1), xlim=(-reach, reach))
    plain_ticks(ax.yaxis, (1e-4, 1e-3, 0.01, 0.1, 1))


# Scores of runs on latents, and their residuals during training

VARIANT_NAMES = {
    "l2": "squared L2", "ict": "iCT", "huber": "iCT", "cauchy": "Cauchy loss alone",
    "slct-no-denoising": "Cauchy and norm", "slct-no-norm": "Cauchy and denoising",
    "slct-independent": "sLCT without transport", "slct": "sLCT",
    "slct-across": "sLCT, pairs across classes", "slct-8c": "sLCT, 8 times the c",
    "slct-first": "sLCT with another first c",
    "l2-levels": "squared L2, levels as pseudo-Huber",
}  # fmt: skip
VARIANT_NAMES |= {f"{name}-impulses": said for name, said in VARIANT_NAMES.items()}


def full_name(variant: str) -> str:
    """A variant's name, and whether impulses were injected."""
    return VARIANT_NAMES[variant] + ", impulses" * variant.endswith("-impulses")


VARIANT_ROLES = {
    "l2": WRONG, "ict": STUDENT, "huber": STUDENT, "cauchy": TEACHER, "slct-no-denoising": MEAN,
    "slct-no-norm": MEAN, "slct-independent": MEAN, "slct": EXTRA, "slct-across": WRONG,
    "slct-8c": TARGET,
}  # fmt: skip


LEVEL_ROLES = (TARGET, STUDENT, MEAN, WRONG)  # of the four bands of noise levels


def variant_scores(
    panels: Mapping[str, Mapping[str, np.ndarray]], floor: float, name: str
) -> Figure:
    """Scores of variants, one marker per seed and a bar at the mean; panels share their axis."""
    rows = max(len(variants) for variants in panels.values())
    figure, (axes,) = sheet(1, len(panels), 9.6, 0.27 * rows + 1.3)
    for ax, (title, variants) in zip(axes, panels.items(), strict=True):
        place = np.arange(len(variants))[::-1]
        for y, (variant, scores) in zip(place, variants.items(), strict=True):
            role = VARIANT_ROLES.get(variant, DATA)
            ax.plot(scores, np.full(len(scores), y), role.marker, color=role.color, markersize=7)
            ax.plot([scores.mean()] * 2, [y - 0.28, y + 0.28], color=role.color, linewidth=2)
            ax.text(scores.max() * 1.16, y, f"{scores.mean():.0f}", va="center", fontsize=9)
        ax.axvline(floor, color=TRUTH.color, linestyle=":", linewidth=1)
        ax.set(xscale="log", ylim=(-0.6, len(variants) - 0.3))
        ax.set_yticks(place, [VARIANT_NAMES.get(variant, variant) for variant in variants])
        name_axes(ax, name, "", title)
    span = [v for variants in panels.values() for s in variants.values() for v in s]
    for ax in axes:
        ax.set_xlim(0.8 * floor, 1.9 * max([*span, floor]))
        set_ticks(ax, (5, 10, 20, 50, 100, 200, 500, 1000))
    return figure


def residual_sizes(
    points: Sequence[int], quantiles: Mapping[str, np.ndarray], c: Sequence[float], title: str
) -> Figure:
    """Root mean square residuals by stage: 5 to 95 % as bars, the median; c(N), and √2 c(N).

    quantiles  by band of the noise level: (stages, 3) 5 %, 50 %, 95 %
    """
    figure, axes = sheet(1, 1, 8.2, 3.8)
    ax, roles = axes[0, 0], LEVEL_ROLES
    n = np.array(points, dtype=float)
    for number, ((band, q), role) in enumerate(zip(quantiles.items(), roles, strict=False)):
        at = n * 1.1 ** (number - 1.5)
        ax.vlines(at, q[:, 0], q[:, 2], color=role.color, linewidth=2, alpha=0.6)
        ax.plot(at, q[:, 1], role.marker, color=role.color, markersize=6)
        label(ax, n[-1] * 1.5, float(q[-1, 1]), f"t {band}", role.color)
    ax.plot(n, 2**0.5 * np.array(c), color=TRUTH.color, linewidth=1.2, linestyle="--")
    ax.plot(n, c, color=TRUTH.color, linewidth=2)
    label(ax, n[-1] * 1.5, float(c[-1]) * 0.62, "c(N); dashed: √2 c(N)", TRUTH.color)
    ax.set(xscale="log", yscale="log", xlim=(7, 3600))
    ax.set_xticks(n, [f"{int(v)}" for v in n])
    ax.minorticks_off()
    name_axes(ax, "number of grid points N", "RMS residual per coordinate (data units)", title)
    return figure


def pull_by_level(shares: Mapping[str, np.ndarray], bands: Sequence[str], title: str) -> Figure:
    """Bars of one length, a loss each: the bands' shares (bands,) of its whole pull."""
    figure, axes = sheet(1, 1, 8.2, 0.36 * len(shares) + 1.4)
    ax, roles, place = axes[0, 0], LEVEL_ROLES, np.arange(len(shares))[::-1]
    left = np.zeros(len(shares))
    for number, (band, role) in enumerate(zip(bands, roles, strict=False)):
        width = np.array([share[number] for share in shares.values()])
        ax.barh(place, width, 0.7, left, color=role.color, edgecolor="white", label=f"t {band}")
        for y, start, w in zip(place, left, width, strict=True):
            if w > 0.05:
                ax.text(start + w / 2, y, f"{w:.0%}", ha="center", va="center", fontsize=9,
                        color="white" if role is STUDENT else "black")  # fmt: skip
        left += width
    ax.set(xlim=(0, 1), yticks=place, yticklabels=list(shares), xticks=[])
    ax.legend(ncols=len(bands), loc="upper center", bbox_to_anchor=(0.45, 0), frameon=False)
    name_axes(ax, "", "", title)
    return figure


# Noise and data paired by optimal transport, and the gain by dimension

X, Y = "x₁ (data units)", "x₂ (data units)"
COUPLING_ROLES = {"independent pairs": MEAN, "optimal transport": STUDENT}


def draw_pairs(ax: Axes, x: Tensor, z: Tensor, role: str) -> None:
    """Data (discs) and noise (dots), a line for each pair."""
    pairs = np.stack([x.numpy(), z.numpy()], axis=1)
    ax.add_collection(
        LineCollection(list(pairs), colors=COUPLING_ROLES[role].color, linewidths=0.7)
    )
    ax.scatter(*z.T, s=9, color=NOISE.color, zorder=2)
    ax.scatter(*x.T, s=14, color=DATA.color, zorder=3)
    ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xticks=(-2, 0, 2), yticks=(-2, 0, 2))


def pairing(
    x: Tensor, pairs: Mapping[str, Tensor], x_t: Mapping[str, Tensor], t: float, title: str
) -> Figure:
    """Each way of pairing (n, 2): its lines above, and below what they make of x_t = x + t z."""
    figure, axes = sheet(1, 4, 11.0, 3.1)
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.16, top=0.84, wspace=0.28)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    for column, (name, z) in enumerate(pairs.items()):
        draw_pairs(axes[0, column], x, z, name)
        axes[0, column].set_title(name, fontsize=10, loc="left")
        below = axes[0, 2 + column]
        below.scatter(
            *x_t[name].T, s=7, color=COUPLING_ROLES[name].color, marker=COUPLING_ROLES[name].marker
        )
        reach = 1.3 + 2.6 * t
        below.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        below.set_title(f"$x_t$ at t = {t:.2g}, {name}", fontsize=10, loc="left")
    axes[0, 0].set_ylabel(Y)
    for ax in axes[0]:
        ax.set_xlabel(X)
    return figure


def transport_gains(
    dims: Sequence[int], ratios: np.ndarray, levels: Sequence[float],
    spread: Mapping[str, np.ndarray], scores: Mapping[str, Mapping[str, np.ndarray]],
) -> Figure:  # fmt: skip
    """The cost that is left by dimension, the variance of x by level, and trained errors.

    ratios (dims, draws), spread by pairing (levels, draws), scores by name and pairing (seeds,)
    """
    figure, (axes,) = sheet(1, 3, 11.2, 3.5)
    axes[0].plot(dims, ratios.mean(1), color=STUDENT.color, marker=STUDENT.marker)
    axes[0].axhline(1, color=TRUTH.color, linestyle=":", linewidth=1)
    axes[0].set(xscale="log", ylim=(0, 1.08))
    left = ratios.mean(1)
    said = f"Cost left: {left[0]:.0%} in 2 dimensions,\n{left[-1]:.1%} in {dims[-1]}"
    name_axes(axes[0], "number of dimensions", "remaining share of the cost", said)
    for name, values in spread.items():
        role = COUPLING_ROLES[name]
        axes[1].plot(levels, values.mean(1), color=role.color, marker=role.marker,
                     linestyle=role.line)  # fmt: skip
        label(axes[1], levels[1] * 1.15, float(values[1].mean()) * 0.5, name, role.color)
    axes[1].set(xscale="log", yscale="log")
    name_axes(axes[1], "noise level t (data units)", "mean Var($x$ | $x_t$) (data units²)",
              "The variance of $x$ falls")  # fmt: skip
    seed_scores(axes[2], scores)
    return figure


def seed_scores(ax: Axes, scores: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """A marker for each seed, the two pairings side by side."""
    place = np.arange(len(scores))
    for number, name in enumerate(COUPLING_ROLES):
        for x, found in zip(place, scores.values(), strict=True):
            role, at = COUPLING_ROLES[name], np.full(len(found[name]), x + 0.16 * (number - 0.5))
            ax.plot(at, found[name], role.marker, color=role.color)
    for y, (name, role) in zip((0.83, 0.91), COUPLING_ROLES.items(), strict=True):
        ax.text(0.5, y, name, color=role.color, fontsize=9, ha="center", transform=ax.transAxes)
    ax.set_xticks(place, list(scores))
    ax.set(xlim=(-0.5, len(scores) - 0.5), ylim=(0, None))
    alone, paired = COUPLING_ROLES
    worse = sum(bool(found[paired].min() > found[alone].max()) for found in scores.values())
    title = f"Yet {worse} of {len(scores)} errors rise"
    name_axes(ax, "", "error (data units), one marker per seed", title)
