"""Figures of lab 07: iCT's effective weight, ablations, time features, schedules, runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.data.toy import ToyData
from cmlab.metrics.plots import (
    DATA,
    DIVERGING,
    EXTRA,
    MEAN,
    STUDENT,
    TEACHER,
    WRONG,
    Role,
    bare,
    label,
    name_axes,
    sheet,
    styled,
)
from cmlab.noise_levels import AdjacentLevels, KarrasGrid
from cmlab.types import Metric, Schedule, Weight

from ..common.plots_recordings import plain_ticks, spread_labels

# Effective weight: how often a noise level is sampled, how much it weighs, and the product

LEVEL, PER_LOG = "noise level t (data units)", "share per unit of ln t"
PULL_LABELS = ((1.7, 1.0), (4, 1.07), (0.0075, 0.95), (0.055, 0.9))
SCHEDULE_STYLE = {"CT": TEACHER, "weight alone": EXTRA, "log-normal alone": MEAN, "iCT": STUDENT}

INK = {MEAN: "#8a5c00"}  # dark enough for text


@dataclass(frozen=True, eq=False)
class EffectiveWeight:
    """Mass p(i) and loss weight λ(i), both (N - 1,), of the intervals of a grid `levels` (N,)."""

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


def effective_weight(pairs: AdjacentLevels, weight: Weight, step: int) -> EffectiveWeight:
    """Masses and weights on the grid that is in use at this step."""
    levels = pairs.grid.up(int(pairs.points(step)))
    return EffectiveWeight(levels, pairs.proposal.masses(levels), weight(levels[1:], levels[:-1]))


def exact_differences(data: ToyData, levels: Tensor, each: int = 256, seed: int = 0) -> Tensor:
    """f*(x_t, t) - f*(x_r, r) of pairs on each interval of a grid (N,): (N - 1, each, dim)."""
    g = torch.Generator().manual_seed(seed)
    t, r = (v.double().repeat_interleave(each) for v in (levels[1:], levels[:-1]))
    x, f = data.sample(len(t), g)[0].double(), data.oracle.consistency
    z = torch.randn(x.shape, generator=g).double()
    return (f(x + t[:, None] * z, t) - f(x + r[:, None] * z, r)).reshape(len(levels) - 1, each, -1)


def pulled(seen: EffectiveWeight, metric: Metric, difference: Tensor) -> EffectiveWeight:
    """The same with λ(i) times the mean pull E ψ, the length of the metric's gradient."""
    delta = difference.flatten(0, 1).requires_grad_()
    slope = torch.autograd.grad(metric(delta, torch.zeros_like(delta)).sum(), delta)[0]
    pull = slope.norm(dim=1).reshape(difference.shape[:2]).mean(1)
    return replace(seen, weight=seen.weight * pull)


def pulls(four: Mapping[str, EffectiveWeight], merged: int = 5) -> Figure:
    """Where four recipes pull, the last one iCT's: p(i) λ(i) E ψ, so many intervals as one."""
    figure, ((ax,),) = sheet(1, 1, 7.2, 3.4)
    for role, (name, seen) in zip(BAND_STYLE, four.items(), strict=True):
        share = seen.share.reshape(-1, merged).sum(1)
        coarse = EffectiveWeight(seen.levels[::merged], share, torch.ones_like(share))
        density = coarse.density(share)
        draw_stairs(ax, coarse, density, role)
        middle = seen.quantile(seen.share, 0.5)
        ax.axvline(middle, ymax=0.04, color=role.color, linewidth=2.5)
        place, size = PULL_LABELS[len(ax.texts)]
        label(ax, place, size * float(density.max()), name, INK.get(role, role.color))
    ax.set(xscale="log", xlim=(0.0015, 15), ylim=(0, None))
    plain_ticks(ax.xaxis, (0.01, 0.1, 1, 10))
    title = "CT pulls around t = 1, iCT near the data"
    name_axes(ax, LEVEL, "share of the total pull per unit of ln t", title)
    return figure


def effective_weights(four: Mapping[str, EffectiveWeight]) -> Figure:
    """How often, how much, and the four products by noise level; names as in SCHEDULE_STYLE."""
    figure, (axes,) = sheet(1, 3, 11.2, 3.5, ratios=(1, 1, 1.35))
    for name in ("CT", "iCT"):
        draw_stairs(axes[0], four[name], four[name].density(four[name].mass), SCHEDULE_STYLE[name])
        draw_stairs(axes[1], four[name], four[name].weight, SCHEDULE_STYLE[name])
    for name, seen in four.items():
        density = seen.density(seen.share)
        draw_stairs(axes[2], seen, density, SCHEDULE_STYLE[name])
        top = int(density.argmax())
        label(
            axes[2],
            float(seen.levels[top]) * 1.2,
            float(density[top]) + 0.006,
            name,
            text_color(name),
        )
    label(axes[0], 0.008, 0.2, "log-normal", text_color("iCT"))
    label(axes[0], 0.0025, 0.105, "uniform", text_color("CT"))
    label(axes[1], 0.015, 1000, "1/(t − r)", text_color("iCT"))
    label(axes[1], 0.0025, 1.3, "1", text_color("CT"))
    axes[1].set_yscale("log")
    titles = (
        "How often a level is drawn: p(i)", "How much it counts: λ(i)",
        "The weight moves the product to low noise",
    )  # fmt: skip
    for ax, y, title in zip(axes, (PER_LOG, "weight λ", PER_LOG), titles, strict=True):
        ax.set(xscale="log", xlim=(0.0015, 15))
        plain_ticks(ax.xaxis, (0.01, 0.1, 1, 10))
        name_axes(ax, LEVEL, y, title)
    return figure


def text_color(name: str) -> str:
    """The text colour of a name in SCHEDULE_STYLE."""
    return INK.get(SCHEDULE_STYLE[name], SCHEDULE_STYLE[name].color)


def draw_stairs(ax: Axes, seen: EffectiveWeight, values: Tensor, role: Role, **look: Any) -> None:
    """A step plot: one value for each interval of the grid."""
    look = {"baseline": None, "color": role.color, "linestyle": role.line, "linewidth": 1.8} | look
    ax.stairs(values.numpy(), seen.levels.numpy(), **look)


# From CT to iCT, one change at a time, and iCT with one ingredient changed

LADDER_ERROR = "RMS of $f - f^*$ (data units)"
Scores = Mapping[str, np.ndarray]  # by name, one score per seed


def ladder(
    variants: Scores, old: Scores, others: Scores, clouds: Scores, modes: np.ndarray
) -> Figure:
    """Errors from CT to iCT, errors of iCT with one ingredient changed, and samples.

    `old` are changes back to CT's choices, drawn above `others`; each is sorted by its mean.
    `clouds` (points, 2) of the variants; `modes` (K, 2) of the data are drawn in grey under them.
    """
    with styled():
        figure = Figure(figsize=(10.8, 6.2), dpi=100, layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.9, 1))
    with styled():
        (left, right), panels = parts[0].subplots(1, 2), parts[1].subplots(1, len(clouds))
    end = list(variants.values())[-1]
    score_rows(left, variants, improvement_factors(variants))
    gain = f"{list(variants.values())[0].mean() / end.mean():.1f}"
    name_axes(left, LADDER_ERROR, "", f"From CT to iCT the error falls by a factor of {gain}")
    order = {k: v for part in (old, others) for k, v in sorted(part.items(), key=by_mean)}
    score_rows(right, order, {name: v.mean() / end.mean() for name, v in order.items()})
    right.axvline(end.mean(), color=STUDENT.color, linestyle="--", linewidth=1.2)
    label(right, end.mean() * 1.05, -0.62, "iCT", STUDENT.color)
    right.axhline(len(old) - 0.5, color=DATA.color, linewidth=0.8)
    for row, words in ((0, "changed to CT's choice"), (len(old), "changed otherwise")):
        label(right, 0.73, row + 0.12, words, DATA.color)
        right.texts[-1].set_ha("right")
    name, worst = max(old.items(), key=by_mean)
    times = f"{worst.mean() / end.mean():.1f}"
    name_axes(right, LADDER_ERROR, "", f"Of CT's five, {name} costs most: × {times}")
    for ax, (name, x) in zip(panels, clouds.items(), strict=True):
        draw_cloud(ax, x, modes, name)
    return figure


def by_mean(item: tuple[str, np.ndarray]) -> float:
    """The mean score of a named row."""
    return float(item[1].mean())


def improvement_factors(variants: Scores) -> dict[str, float]:
    """The factor of each variant's mean error over the one before; 1 for the first."""
    means = np.array([v.mean() for v in variants.values()])
    return dict(zip(variants, [1.0, *means[1:] / means[:-1]], strict=True))


def score_rows(ax: Axes, scores: Scores, factors: Mapping[str, float]) -> None:
    """Scores by name, one row each: a dot for each seed, the range, and the mean's factor."""
    for row, (name, found) in enumerate(scores.items()):
        role = TEACHER if factors[name] > 1 else STUDENT
        ax.plot([found.min(), found.max()], [row, row], color=role.color, linewidth=5, alpha=0.3)
        ax.plot(found, [row] * len(found), role.marker, color=role.color, markersize=5)
        if factors[name] != 1:
            label(ax, found.max() * 1.1, row + 0.13, factor_text(factors[name]), role.color)
    ax.set(xscale="log", xlim=(0.036, 0.75), ylim=(len(scores) - 0.4, -1))
    ax.set_yticks(range(len(scores)), scores)
    plain_ticks(ax.xaxis, (0.05, 0.1, 0.2, 0.4))


def factor_text(factor: float) -> str:
    """A factor in words: ÷ 2.0 for 0.5."""
    return f"× {factor:.2f}" if factor > 1 else f"÷ {1 / factor:.2f}"


def draw_cloud(ax: Axes, x: np.ndarray, modes: np.ndarray, title: str) -> None:
    """One-call samples (points, 2) over the modes of the data."""
    ax.scatter(*modes.T, s=190, color=DATA.color, alpha=0.25, linewidths=0)
    ax.scatter(*x.T, s=3, color=STUDENT.color, alpha=0.7, linewidths=0)
    bare(ax).set(xlim=(-1.42, 1.42), ylim=(-1.42, 1.42), aspect="equal")
    ax.set_title(title, loc="left", fontsize=9)


def compare_scores(before: np.ndarray, after: np.ndarray) -> str:
    """A verdict on two sets of scores (seeds,) of the same seeds: are the second ones lower?

    Only ranges that do not overlap distinguish two recipes.
    """
    if after.max() < before.min():
        return "confirmed here"
    if after.min() > before.max():
        return "not seen at this scale: higher for every seed"
    won = f"{int((after < before).sum())} of {len(after)} seeds"
    return f"not seen at this scale: indistinguishable, lower for {won}"


# Sensitivity to a small step in noise level: Fourier features of time, and dropout

SCALES = (MEAN, STUDENT, TEACHER)


def features(
    frequencies: Mapping[float, Tensor], levels: Tensor, gaps: Mapping[str, float]
) -> Figure:
    """Time features by level, and how similar they are at two levels t and r.

    `frequencies` (count,) by scale, a draw for ln(t)/4; `gaps` are values of t/r - 1 to mark.
    """
    ratios = ["1"] * len(frequencies) + ["1.9"]
    figure, (axes,) = sheet(1, len(ratios), 11.2, 3.3, ratios=[float(r) for r in ratios])
    for ax, (scale, w) in zip(axes, frequencies.items(), strict=False):
        waves = (levels.log()[:, None] / 4 * w[w.abs().argsort()]).sin()
        ax.pcolormesh(range(len(w)), levels.numpy(), waves.numpy(), cmap=DIVERGING, vmin=-1,
                      vmax=1, shading="nearest", rasterized=True)  # fmt: skip
        ax.set(yscale="log", xticks=[])
        ax.grid(False)
        plain_ticks(ax.yaxis, (0.01, 0.1, 1, 10))
        name_axes(ax, "waves, slow to fast", LEVEL * (ax is axes[0]), f"Scale {scale:g}")
    draw_similarity(axes[-1], tuple(frequencies), gaps)
    return figure


def feature_similarity(scale: float, ratio: Tensor) -> Tensor:
    """Cosine of the angle between the features at r · ratio and at r, in the mean over draws."""
    return (-((2 * np.pi * scale * ratio.log() / 4) ** 2) / 2).exp()


def draw_similarity(ax: Axes, scales: Sequence[float], gaps: Mapping[str, float]) -> None:
    """How similar the features of neighbours are, against their spacing."""
    step = torch.logspace(-3, 1, 200, dtype=torch.float64)
    for role, y, scale in zip(SCALES, (1.03, 0.82, 0.2), scales, strict=True):
        row = feature_similarity(scale, 1 + step)
        ax.plot(step, row, color=role.color, linestyle=role.line)
        at = 0.0012 if y > 1 else float(step[int((row < y).int().argmax())]) * 1.2
        label(ax, at, y, f"scale {scale:g}", INK.get(role, role.color))
    for name, gap in gaps.items():
        ax.axvline(gap, color=DATA.color, linestyle=":", linewidth=1)
        label(ax, gap * 1.05, -0.14, name, DATA.color)
    ax.set(xscale="log", ylim=(-0.2, 1.15), xlim=(1e-3, 10))
    plain_ticks(ax.xaxis, (0.001, 0.01, 0.1, 1, 10))
    name_axes(
        ax,
        "spacing t/r − 1",
        "similarity (cosine)",
        "At scale 16 neighbours differ",
    )


def dropout(gaps: Sequence[float], shared: Tensor, separate: Tensor) -> Figure:
    """Distance of two answers (gaps, draws) by the gap t − r: with one dropout mask, and two."""
    figure, ((ax,),) = sheet(1, 1, 6.4, 3.3)
    looks = (("two masks", separate, WRONG), ("one mask for both passes", shared, STUDENT))
    for name, rows, role in looks:
        ax.loglog(gaps, rows.mean(1), color=role.color, linestyle=role.line, marker=role.marker)
        ax.fill_between(gaps, rows.amin(1), rows.amax(1), color=role.color, alpha=0.2)
        right, up = (1, 1.25) if role is WRONG else (1.5, 0.8)
        label(ax, gaps[-1] * right, float(rows[-1].mean()) * up, name, role.color)
    name_axes(ax, "gap t − r (data units)", "RMS of $f(x_t, t) - f(x_r, r)$",
              "With two masks, neighbours never agree")  # fmt: skip
    ax.set_ylim(None, 0.2)
    plain_ticks(ax.xaxis, (0.01, 0.1))
    plain_ticks(ax.yaxis, (0.001, 0.01, 0.1))
    return figure


# The grid schedule N(k), and all schedules at one training step

STEP = "training step k"


def grid_sizes(
    schedules: Mapping[str, Schedule], total: int, grid: KarrasGrid, points: Sequence[int]
) -> Figure:
    """N(k) over `total` steps, by names in SCHEDULE_STYLE; and grids of so many points."""
    figure, ((left, right),) = sheet(1, 2, 9.8, 3.2, ratios=(1, 1.3))
    for name, schedule in schedules.items():
        grid_size_curve(left, schedule, total, SCHEDULE_STYLE[name])
        text = f"{name}: {schedule(0):g} to {schedule(total):g}"
        label(left, 0.98 * total, schedule(total) * 1.2, text, text_color(name))
        left.texts[-1].set_ha("right")
    left.set(yscale="log", xlim=(0, total), ylim=(1.5, 4000), xticks=[0, total // 2, total])
    plain_ticks(left.yaxis, (10, 100, 1000))
    name_axes(left, STEP, "grid points N(k)", "CT refines early, iCT in stages")
    for row, n in enumerate(points):
        right.plot(grid.up(n), np.full(n, -row), "|", color=STUDENT.color, markersize=14)
    right.set(xscale="log", ylim=(0.5 - len(points), 0.5))
    right.set_yticks([-row for row in range(len(points))], [f"N = {n}" for n in points])
    plain_ticks(right.xaxis, (0.01, 0.1, 1, 10))
    name_axes(right, LEVEL, "", "Each doubling splits every gap in two")
    return figure


def grid_size_curve(ax: Axes, schedule: Schedule, total: int, role: Role) -> None:
    """N(k) as a step plot."""
    k = range(0, total + 1, max(total // 400, 1))
    ax.plot(k, [schedule(step) for step in k], color=role.color, linestyle=role.line,
            drawstyle="steps-post")  # fmt: skip


def schedules_at_step(
    points: Schedule,
    total: int,
    step: int,
    seen: EffectiveWeight,
    beside: Mapping[str, EffectiveWeight],
) -> Figure:
    """N(k) with the step marked; masses, weight and effective weight on one axis of levels.

    The effective weights of `beside`, by names in SCHEDULE_STYLE, are drawn thin for comparison.
    """
    with styled():
        figure = Figure(figsize=(9.8, 4.2), dpi=100)
        left = figure.add_axes((0.075, 0.125, 0.26, 0.79))
        top = figure.add_axes((0.425, 0.665, 0.565, 0.25))
        below = figure.add_axes((0.425, 0.125, 0.565, 0.44))
    grid_size_curve(left, points, total, STUDENT)
    left.plot(step, points(step), STUDENT.marker, color=STUDENT.color, markersize=9)
    left.set(yscale="log", ylim=(1.5, 6000), xticks=[0, total // 2, total])
    plain_ticks(left.yaxis, (10, 100, 1000))
    name_axes(left, STEP, "grid points N(k)", f"N = {points(step):g} at step {step}")
    draw_stairs(top, seen, seen.weight, DATA)
    top.set(xscale="log", yscale="log", xlim=(0.0015, 15), ylim=(0.1, 3e5))
    plain_ticks(top.yaxis, (1, 100, 10_000))
    name_axes(top, "", "λ(i)", "How much each interval counts: λ(i)")
    draw_shares(below, seen, beside)
    for ax in (top, below):
        plain_ticks(ax.xaxis, (0.01, 0.1, 1, 10))
    top.tick_params(labelbottom=False)
    return figure


def draw_shares(ax: Axes, seen: EffectiveWeight, beside: Mapping[str, EffectiveWeight]) -> None:
    """Masses and effective weight of one step, both per unit of ln t."""
    for name, other in beside.items():
        density = other.density(other.share)
        draw_stairs(ax, other, density, SCHEDULE_STYLE[name], linewidth=0.9)
        label(ax, 10.5, float(density[-1]), name, text_color(name))
    draw_stairs(ax, seen, seen.density(seen.mass), DATA, linestyle="--")
    share = seen.density(seen.share)
    draw_stairs(ax, seen, share, STUDENT, baseline=0, fill=True, alpha=0.25)
    draw_stairs(ax, seen, share, STUDENT)
    highest = float(share.max())
    ax.set(xscale="log", xlim=(0.0015, 15), ylim=(0, max(1.15 * highest, 0.4)))
    middle = seen.quantile(seen.share, 0.5)
    ax.axvline(middle, color=STUDENT.color, linestyle=":", linewidth=1)
    label(ax, middle * 1.08, 0.02, f"half below {middle:.2g}", STUDENT.color)
    title = "Dashed: how often, p(i). Filled: the product p(i) λ(i)"
    name_axes(ax, LEVEL, PER_LOG, title)


# Two runs side by side, over the samples and the course of the recorded iCT


@dataclass(frozen=True, eq=False)
class RingRun:
    """A run on the ring: what was changed, samples (n, 2), and the error at each step so far."""

    name: str
    samples: np.ndarray
    error: np.ndarray


def two_rings(
    runs: tuple[RingRun, RingRun], steps: np.ndarray, ghost: np.ndarray,
    past_steps: np.ndarray, past: np.ndarray,
) -> Figure:  # fmt: skip
    """Samples of a changed iCT and of iCT, and their errors by step.

    ghost             samples (n, 2) of the recorded iCT at its end
    past_steps, past  its steps (T,), and the error of each of its seeds (seeds, T)
    """
    figure, (axes,) = sheet(1, 3, 10.4, 3.6, ratios=(1, 1, 1.25))
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.045, right=0.97, bottom=0.15, top=0.85, wspace=0.3)
    looks = (WRONG, STUDENT)
    for ax, run, role in zip(axes, runs, looks, strict=False):
        ax.scatter(*ghost.T, s=5, color=DATA.color, alpha=0.3, linewidths=0)
        ax.scatter(*run.samples.T, s=5, color=role.color, alpha=0.8, linewidths=0)
        ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
        ax.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    changes = runs[0].name.count(": ")
    changed = runs[0].name if changes < 2 else f"{changes} changes"
    for ax, run, name in zip(axes, runs, (changed, "iCT unchanged"), strict=False):
        name_axes(ax, "$x_1$ (data units)", "", f"{name}\nerror {run.error[-1]:.2f}")
        ax.title.set_fontsize(10)
    draw_band(axes[2], past_steps, past, DATA)
    label(
        axes[2], 0.42 * past_steps[-1], float(past.max(0)[-1]) * 0.72, "recorded iCT", DATA.color
    )
    for run, role in zip(runs, looks, strict=True):
        axes[2].plot(steps, run.error, color=role.color, linestyle=role.line, linewidth=2.4)
        axes[2].plot(steps[-1], run.error[-1], role.marker, color=role.color, markersize=7)
    axes[2].set(yscale="log", xlim=(0, past_steps[-1]), ylim=(0.03, 1.3))
    axes[2].set_xticks(past_steps[:: len(past_steps) // 2])
    plain_ticks(axes[2].yaxis, (0.05, 0.1, 0.2, 0.5, 1))
    ratio = float(runs[0].error[-1] / runs[1].error[-1])
    title = f"Left: {ratio:.1f} times the error" if steps[-1] else "Press Start"
    name_axes(axes[2], STEP, LADDER_ERROR, title)
    return figure


# Errors of the recorded runs by noise level and by training step

BAND_STYLE = (TEACHER, EXTRA, MEAN, STUDENT)  # the last one is iCT


def where_and_when(
    levels: np.ndarray, by_level: Scores, steps: np.ndarray, by_step: Scores
) -> Figure:
    """Errors at the end by noise level (seeds, levels), and all along training (seeds, looks).

    Four names each, the last one iCT's; of the levels' the third is the second with the weight.
    """
    figure, ((left, right),) = sheet(1, 2, 10.4, 3.6)
    draw_bands(left, levels, by_level, 1.6)
    left.set(xscale="log", xlim=(0.005, 70), ylim=(3e-4, 2))
    plain_ticks(left.yaxis, (0.001, 0.01, 0.1, 1))
    plain_ticks(left.xaxis, (0.01, 0.1, 1, 10))
    before, after = (row.mean(0)[1:] for row in list(by_level.values())[1:3])
    where = "every level" if bool((after < before).all()) else "most levels"
    name_axes(left, LEVEL, LADDER_ERROR, f"The weight lowers the error at {where}")
    draw_bands(right, steps, by_step)
    right.set(xlim=(0, 1.3 * steps[-1]), xticks=steps[:: len(steps) // 2])
    plain_ticks(right.yaxis, (0.05, 0.1, 0.2, 0.4))
    ends = {name: v.mean(0)[-1] for name, v in by_step.items()}
    title = f"With {max(ends, key=ends.get)} the error stops falling"  # type: ignore[arg-type]
    name_axes(right, STEP, "", title)
    return figure


def draw_band(ax: Axes, x: np.ndarray, row: np.ndarray, role: Role) -> None:
    """The mean over seeds of one row (seeds, len(x)), and its range."""
    ax.fill_between(x, row.min(0), row.max(0), color=role.color, alpha=0.2, linewidth=0)
    ax.plot(x, row.mean(0), color=role.color, linestyle=role.line)


def draw_bands(ax: Axes, x: np.ndarray, rows: Scores, factor: float = 1.18) -> None:
    """The mean over seeds of each row (seeds, len(x)), range as a band, name at the end."""
    places = label_places([float(row.mean(0)[-1]) for row in rows.values()], factor)
    for role, place, (name, row) in zip(
        BAND_STYLE[-len(rows) :], places, rows.items(), strict=True
    ):
        draw_band(ax, x, row, role)
        label(ax, x[-1] * 1.06, place, name, INK.get(role, role.color))
        ax.texts[-1].set_verticalalignment("center")
    ax.set_yscale("log")


def label_places(values: Sequence[float], factor: float) -> list[float]:
    """Places for labels on a logarithmic axis: each at least this factor above the one below."""
    logs = {i: float(np.log(value)) for i, value in enumerate(values)}
    spread = spread_labels(logs, float(np.log(factor)))
    return [float(np.exp(spread[i])) for i in range(len(values))]
