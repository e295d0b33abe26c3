"""Figures of lab 14: curriculum and momentum decay, recorded runs, two networks on one noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.methods.faster_training import Axis, Compensation, MomentumDecay, NoiseCurriculum
from cmlab.metrics import plots
from cmlab.metrics.plots import (
    DATA,
    MEAN,
    NOISE,
    STUDENT,
    TARGET,
    TEACHER,
    WRONG,
    bare,
    label,
    mosaic,
    name_axes,
    sheet,
)

from ..common.plots_recordings import (
    DARK,
    compare_seeds,
    compare_variants,
    decade_ticks,
    score_by_name,
)
from ..common.study import Recording, ranged
from .analysis import Agreement, stability_limit, stationary_variance

# The curriculum's distribution of levels, momentum decay, and both on a quadratic loss

U = torch.linspace(0, 1, 401, dtype=torch.float64)
INNER = U[2:-2]


def dark(color: str) -> str:
    """A colour dark enough for words."""
    return DARK.get(color, color)


def curriculum_densities(
    pairs: NoiseCurriculum, steps: Sequence[int], total: int, axes: Mapping[str, Axis]
) -> Figure:
    """p_τ(u) at these steps, and which noise level u is, by axis."""
    figure, ((left, right),) = sheet(1, 2, 10.0, 3.7)
    for number, step in enumerate(steps):
        height, share = pairs.density(U, step), number / max(len(steps) - 1, 1)
        look = {"color": STUDENT.color, "alpha": 0.3 + 0.7 * share}
        left.plot(U, height, linewidth=1.2 + share, **look)
        top = int(height.argmax()) if number else 40
        label(left, float(U[top]), float(height[top]) + 0.03, f"τ = {step / total:g}")
    left.set(xlim=(0, 1), ylim=(0, 2.05))
    name_axes(left, "$u$, from data (0) to noise (1)", "density $p_τ(u)$",
              "Levels near pure noise are drawn less and less often")  # fmt: skip
    heights = (0.03, 0.77, 0.075)  # of the labels: below all curves, but for DDPM's
    roles = (STUDENT, TEACHER, WRONG)
    for (name, axis), role, y in zip(axes.items(), roles, heights, strict=True):
        right.plot(INNER, axis.at(INNER), color=role.color, linestyle=role.line)
        at = float(axis.at(torch.tensor([0.3], dtype=torch.float64)))
        right.plot(0.3, at, role.marker, color=role.color)
        label(right, 0.33, y, f"{name}: {at:.2f}", dark(role.color))
    right.set(yscale="log", xlim=(0, 1), ylim=(0.002, 200))
    right.axvline(0.3, color=NOISE.color, linewidth=0.8, linestyle=":")
    name_axes(right, "$u$, from data (0) to noise (1)", "noise level $σ$ (data units)",
              "u = 0.3 is a different level on each axis")  # fmt: skip
    return figure


def momentum_decay(beta: MomentumDecay) -> Figure:
    """β, its memory and the rate over a run; and the two limits of curvature."""
    figure, ((left, right),) = sheet(1, 2, 10.0, 3.7)
    tau = torch.linspace(0, 1, 201).tolist()
    b = [beta(round(t * beta.total)) for t in tau]
    rate = [Compensation(beta)(round(t * beta.total)) for t in tau]
    memory = [v / (1 - v) * (1 - beta.beta0) / beta.beta0 for v in b]
    lines = ((b, STUDENT, "momentum β", 120), (rate, TEACHER, "rate / rate₀", 60),
             (memory, MEAN, "memory β/(1−β), scaled", 100))  # fmt: skip
    for values, role, name, place in lines:
        left.plot(tau, values, color=role.color, linestyle=role.line)
        label(left, tau[place] + 0.01, values[place] + 0.02, name, dark(role.color))
    left.set(xlim=(0, 1), ylim=(0, 1.05))
    name_axes(left, "τ, fraction of the run", "value (no unit)",
              "Memory and rate fall linearly, β falls late")  # fmt: skip
    curvature_limits(right, b, rate, tau)
    return figure


def curvature_limits(
    ax: Axes, b: Sequence[float], rate: Sequence[float], tau: Sequence[float]
) -> None:
    """Largest curvature without divergence, over a run with momentum decay."""
    alone = [stability_limit(v) for v in b]
    with_rate = [stability_limit(v) / r for v, r in zip(b, rate, strict=True)]
    for values, role, name in (
        (with_rate, STUDENT, "with the rate"),
        (alone, WRONG, "momentum alone"),
    ):
        ax.plot(tau, values, color=role.color, linestyle=role.line)
        label(ax, 0.55, values[110] * 1.15, name, dark(role.color))
        ax.plot(1, values[-1], role.marker, color=role.color, clip_on=False)
    ax.set(yscale="log", xlim=(0, 1), ylim=(1, 60))
    ax.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    ax.minorticks_off()
    name_axes(ax, "τ, fraction of the run", "limit of rate₀ · curvature (no unit)",
              "Momentum decay alone lowers the limit")  # fmt: skip


def stationary_spread(rate: float, beta: MomentumDecay, tau: float) -> Figure:
    """The stationary variance by curvature, at the start and at a fraction τ of the run."""
    figure, ((ax,),) = sheet(1, 1, 6.0, 3.6)
    step = round(tau * beta.total)
    h = np.geomspace(0.01, 100, 400)
    cases = (("start", 1.0, beta.beta0, TEACHER), ("momentum alone", 1.0, beta(step), WRONG),
             ("momentum and rate", Compensation(beta)(step), beta(step), STUDENT),
             ("rate alone", Compensation(beta)(step), beta.beta0, MEAN))  # fmt: skip
    for number, (name, factor, b, role) in enumerate(cases):
        values = np.array([stationary_variance(rate * factor, b, v) * v for v in h])
        ax.plot(rate * h, values / rate, color=role.color, linestyle=role.line)
        place, up = ((260, 0.7), (60, 1.12), (60, 1.12), (300, 0.68))[number]
        label(ax, rate * h[place], values[place] / rate * up, name,
              dark(role.color))  # fmt: skip
    ax.set(xscale="log", yscale="log", ylim=(0.04, 20))
    name_axes(ax, "rate₀ · curvature (no unit)", "stationary variance · curvature / rate₀",
              f"At τ = {tau:g}, only the rate reduces the noise")  # fmt: skip
    return figure


# Recorded runs with a curriculum and with momentum decay

LOOKS = {
    "constant": TEACHER, "momentum and rate": STUDENT, "momentum alone": WRONG,
    "rate alone": plots.MEAN, "EDM's levels": TEACHER, "curriculum": plots.EXTRA,
    "last density": plots.MEAN,
}  # fmt: skip


SCHEDULES = {"constant": "constant rate", "both": "momentum and rate",
             "momentum": "momentum alone", "rate": "rate alone"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class VariantScores:
    """Scores of one variant: steps (m,), values (seeds, m)."""

    steps: np.ndarray
    values: np.ndarray

    def until(self, goal: Sequence[float] | np.ndarray) -> np.ndarray:
        """The first step at which each seed is at its goal or below, between looks on a straight
        line in ln value; nan where it never is."""
        found = []
        for row, wanted in zip(np.log(self.values), np.log(goal), strict=True):
            below = np.flatnonzero(row <= wanted + 1e-12)
            if not len(below) or below[0] == 0:
                found.append(np.nan if not len(below) else float(self.steps[0]))
                continue
            k = below[0]
            share = (row[k - 1] - wanted) / (row[k - 1] - row[k])
            found.append(self.steps[k - 1] + share * (self.steps[k] - self.steps[k - 1]))
        return np.array(found)


def score_curve(recording: Recording, score: str) -> VariantScores:
    """A named score of the averaged weights as they trained."""
    return VariantScores(recording["steps"][0], score_by_name(recording, score))


def speed_up(base: VariantScores, other: VariantScores) -> np.ndarray:
    """Steps of the base over those that the other took to the base's last value, by seed."""
    return base.steps[-1] / other.until(base.values[:, -1])


def speed_up_text(base: VariantScores, other: VariantScores) -> str:
    """`speed_up` in words, or how many seeds come to the base's last value at all."""
    found = speed_up(base, other)
    there = np.isfinite(found)
    return ranged(found, ".2f") if there.all() else f"{there.sum()} of {len(found)} seeds"


def claim_row(
    text: str, found: Mapping[str, np.ndarray], a: str, b: str, form: str = ".3g",
    control: str = "",
) -> str:  # fmt: skip
    """A row of a table: what is claimed, the scores of two variants, and the verdict.

    With a control, a third variant, the claim is confirmed only if the first is lower than both.
    """
    a, b = variant_name(a), variant_name(b)
    found = {variant_name(key): values for key, values in found.items()}
    scores, verdict = compare_variants(found, a, b, form)
    if control and a in found:
        name = variant_name(control)
        scores += f"; {name} {ranged(found[name], form)}"
        if compare_seeds(found[a], found[name]) != "lower":
            verdict = verdict.replace("confirmed here", f"partly: ahead, but not of *{name}*")
    return f"| {text} | {scores} | {verdict} |"


def variant_name(key: str) -> str:
    """The name of a recorded variant such as "curriculum-both"; EDM's own levels go unnamed."""
    levels, _, schedule = key.partition("-")
    levels = "last density throughout" if levels == "last" else levels
    said = SCHEDULES.get(schedule, schedule)
    return said if levels == "uniform" else f"{levels}, {said}" if schedule else key


def score_curves(panels: Mapping[str, Mapping[str, VariantScores]], measure: str) -> Figure:
    """A panel by title, in it variants by the names in LOOKS: means and ranges over the seeds."""
    figure, (axes,) = sheet(1, len(panels), 5.0 * len(panels), 3.8)
    for ax, (title, variants) in zip(axes, panels.items(), strict=True):
        name_axes(ax, "optimiser step", measure, title)
        if not variants:
            ax.text(0.5, 0.5, "not recorded yet", ha="center", transform=ax.transAxes)
            continue
        for name, seen in variants.items():
            draw_curve(ax, seen, LOOKS[name])
        ax.set(yscale="log")
        decade_ticks(ax)
        name_curves(ax, variants)
    return figure


def draw_curve(ax: Axes, seen: VariantScores, role: plots.Role) -> None:
    """One variant's mean, and its range over the seeds."""
    ax.fill_between(seen.steps, seen.values.min(0), seen.values.max(0), color=role.color,
                    alpha=0.15)  # fmt: skip
    ax.plot(seen.steps, seen.values.mean(0), color=role.color, linestyle=role.line, linewidth=1.6)
    ax.plot(seen.steps[-1], seen.values.mean(0)[-1], role.marker, color=role.color)


def name_curves(ax: Axes, variants: Mapping[str, VariantScores]) -> None:
    """The variants' names beside their last points, kept apart."""
    right = max(seen.steps[-1] for seen in variants.values())
    ax.set_xlim(0, 1.55 * right)
    ax.set_xticks([x for x in ax.get_xticks() if x <= right])
    low, high = np.log(ax.get_ylim())
    last = -np.inf
    for name, seen in sorted(variants.items(), key=lambda item: item[1].values[:, -1].mean()):
        last = max(np.log(seen.values[:, -1].mean()) - 0.02, last + 0.065 * (high - low))
        label(ax, 1.03 * right, float(np.exp(last)), name, dark(LOOKS[name].color))


def scores_by_rate(
    found: Mapping[str, Mapping[float, np.ndarray]], measure: str, title: str
) -> Figure:
    """The last value (seeds,) of each schedule at each base rate."""
    figure, ((ax,),) = sheet(1, 1, 6.4, 3.9)
    for number, (name, at) in enumerate(found.items()):
        role, rates = LOOKS[name], np.array(sorted(at))
        x = rates * 1.04 ** (number - 1.5)  # side by side
        values = np.stack([at[rate] for rate in sorted(at)], 1)
        ax.plot(x, values.mean(0), color=role.color, linestyle=role.line, marker=role.marker)
        ax.vlines(x, values.min(0), values.max(0), color=role.color, linewidth=1.2)
        aside = {"momentum alone": 1.14, "rate alone": 0.9}.get(name, 1.0)  # clear of the lines
        label(ax, x[-1] * 1.06, values.mean(0)[-1] * aside, name, dark(role.color))
    every = sorted({rate for at in found.values() for rate in at})
    ax.set(xscale="log", yscale="log")
    if every:
        ax.set_xlim(every[0] / 1.25, every[-1] * 2.1)
        ax.set_xticks(every, [f"{rate:g}" for rate in every])
    ax.minorticks_off()
    decade_ticks(ax)
    name_axes(ax, "base learning rate of Adam", measure, title)
    return figure


# Two networks on shared noise: pairs of answers, and the permutation test


def joined_answers(ax: Axes, a: Tensor, b: Tensor, modes: Tensor, title: str) -> None:
    """Answers of one network (n, 2), lines to those of the other, over the data's modes (K, 2)."""
    ax.scatter(*modes.T, s=330, color=DATA.color, alpha=0.15, linewidths=0)
    lines = torch.stack([a, b], 1).numpy()
    ax.add_collection(LineCollection(list(lines), colors=WRONG.color, linewidths=1.0, zorder=1))
    ax.scatter(*a.T, s=18, marker=STUDENT.marker, color=STUDENT.color, linewidths=0)
    ax.scatter(*b.T, s=18, marker=TEACHER.marker, color=TEACHER.color, linewidths=0)
    ax.set(
        xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1)
    )
    name_axes(ax, "$x_1$ (data units)", "$x_2$ (data units)", title)


def shuffle_histogram(ax: Axes, test: Agreement, unit: str, title: str) -> None:
    """Mean distances after each shuffle, and that of the pairs as they are."""
    shuffled = test.shuffled.numpy()
    ax.stairs(*np.histogram(shuffled, 30), fill=True, color=TARGET.color, alpha=0.8)
    ax.axvline(test.distance, color=STUDENT.color, linewidth=2.4)
    top = ax.get_ylim()[1]
    right = max(float(shuffled.max()), test.distance)
    ax.set(xlim=(0, 1.12 * right), ylim=(0, 1.3 * top))
    label(ax, test.distance + 0.01 * right, 1.18 * top, "true pairs", STUDENT.color)
    label(ax, float(np.median(shuffled)) - 0.25 * right, 1.03 * top, "shuffled pairs", "#1f6f9c")
    name_axes(ax, f"mean distance of a pair ({unit})", "number of shuffles", title)


def fix_layout(figure: Figure, left: float) -> None:
    """A layout that is not searched for: a slider is waiting."""
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=left, right=0.985, bottom=0.15, top=0.91, wspace=0.24)


def pairs_and_test(
    a: Tensor, b: Tensor, modes: Tensor, test: Agreement, titles: Sequence[str], shown: int = 60
) -> Figure:
    """Figure of pairs of points, as they are and shuffled, and the test on all."""
    figure, ((left, middle, right),) = sheet(1, 3, 11.0, 3.7)
    fix_layout(figure, 0.06)
    joined_answers(left, a[:shown], b[:shown], modes, titles[0])
    joined_answers(middle, a[:shown], b[:shown].roll(1, 0), modes, titles[1])
    shuffle_histogram(right, test, "data units", titles[2])
    return figure


def image_pairs(a: Tensor, b: Tensor, test: Agreement, titles: Sequence[str]) -> Figure:
    """Images of one network (n, c, h, w) over the other's, each pair in a column; and the test."""
    figure, ((left, right),) = sheet(1, 2, 10.0, 3.3, ratios=(1.6, 1))
    fix_layout(figure, 0.04)
    rows = [v for k in range(0, len(a), 8) for v in (a[k : k + 8], b[k : k + 8])]
    picture = mosaic(torch.cat(rows), min(8, len(a)))
    grey = picture.shape[2] == 1
    bare(left).imshow(1 - picture[..., 0] if grey else picture, cmap="gray", vmin=0, vmax=1)
    left.set_title(titles[0], loc="left", fontsize=11, fontweight="bold")
    names = ("B ", "A ") * (len(rows) // 2)
    height = picture.shape[0] / len(rows)
    for k, name in enumerate(reversed(names)):
        left.text(-1, (k + 0.5) * height, name, ha="right", va="center", fontsize=9)
    shuffle_histogram(right, test, "pixel units", titles[1])
    return figure


def mode_borders(x_T: Tensor, mode: Tensor, apart: Tensor, level: float, title: str) -> Figure:
    """Noise vectors (n, 2) by where the exact path ends; a cross where two networks disagree."""
    figure, ((ax,),) = sheet(1, 1, 5.4, 5.0)
    z, kinds = x_T / level, int(mode.max()) + 1
    grey = [f"{0.5 + 0.28 * (k % 2):.2f}" for k in range(kinds)]
    for k in range(kinds):
        mine = mode == k
        ax.scatter(*z[mine & ~apart].T, s=16, color=grey[k], linewidths=0)
        far = z[mine & (z.norm(dim=1) > 1.2)]
        if len(far):
            ax.text(*far.mean(0).tolist(), str(k), fontsize=11, ha="center", va="center")
    ax.scatter(*z[apart].T, s=42, marker=WRONG.marker, color=WRONG.color, linewidths=0, zorder=3)
    ax.set(xlim=(-3.3, 3.3), ylim=(-3.3, 3.3), aspect="equal")
    name_axes(ax, "noise $z_1$ (standard deviations)", "noise $z_2$ (standard deviations)", title)
    return figure
