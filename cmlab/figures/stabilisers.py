"""What the recordings of continuous time say: by arm, by moment, and by gap."""

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..studies import STUDIES, Recording, read
from ..studies.recording import path_of
from .style import (
    DATA,
    EXTRA,
    MEAN,
    NOISE,
    STUDENT,
    TARGET,
    TEACHER,
    WRONG,
    Role,
    label,
    name_axes,
    sheet,
)

RMSE, STEP = "RMS error to $f^*$ (data units)", "step"
TICKS = (0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
LENGTH = "median of $\\|\\cos t\\; df/dt\\|$ (data units)"
LOOKS: dict[str, Role] = {
    "sct": STUDENT, "sct-no-norm": TARGET, "sct-fourier-16": WRONG, "scd": TEACHER,
    "scd-norm": MEAN, "scd-no-bound": EXTRA, "sct-fourier-16-bare": NOISE,
}  # fmt: skip


def kept(study: str, arms: Iterable[str]) -> dict[str, Recording]:
    """The recordings of these arms that there are, in this order."""
    return {arm: read(study, arm) for arm in arms if path_of(study, arm).is_file()}


def title_of(study: str, arm: str) -> str:
    """The arm in words."""
    return STUDIES[study].arms[arm].title  # type: ignore[attr-defined]


def rows(ax: Axes, runs: Mapping[str, Recording], base: str, role: Role) -> None:
    """A row for each arm, a mark for each seed, and a line at the mean."""
    order = list(runs)[::-1]
    for height, arm in enumerate(order):
        found = runs[arm].score("rmse")
        ax.plot(found, [height] * len(found), role.marker, color=role.color, markersize=6)
        ax.plot([found.mean()] * 2, [height - 0.3, height + 0.3], color=role.color, linewidth=2)
    low, high = runs[base].score("rmse").min(), runs[base].score("rmse").max()
    ax.axvspan(low, high, color=role.color, alpha=0.15, linewidth=0)
    names = [title_of("stabilisers", arm) for arm in order]
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set(ylim=(-0.6, len(names) - 0.4))


def arms(panels: Mapping[str, tuple[Mapping[str, Recording], str]], log: str) -> Figure:
    """Panels by title: the recordings and the arm that they are held against. `log`: one title."""
    figure, (axes,) = sheet(1, len(panels), 11.2, 3.8)
    for ax, (title, (runs, base)), role in zip(
        axes, panels.items(), (STUDENT, TEACHER, WRONG), strict=False
    ):
        rows(ax, runs, base, role)
        means = {arm: run.score("rmse").mean() for arm, run in runs.items()}
        others = [mean / means[base] for arm, mean in means.items() if arm != base]
        ends = (f"×{v:.2f}" if v < 10 else f"×{v:.0f}" for v in (min(others), max(others)))
        name_axes(ax, RMSE, "", f"{title}: {' to '.join(ends)}")
        high = max(run.score("rmse").max() for run in runs.values())
        ax.set_xlim(0, 1.1 * high)
        if title == log:
            ax.set(xscale="log", xlim=(0.02, 2.5 * high))
            ax.minorticks_off()
    return figure


def over_training(runs: Mapping[str, Recording]) -> Figure:
    """Median length of the tangent, and the error, means over levels, by step and arm."""
    figure, (axes,) = sheet(1, 2, 10.4, 3.9)
    for arm, run in runs.items():
        role, steps = LOOKS[arm], run["steps"].mean(0)
        for ax, values in zip(axes, (run["tangent"][..., 0], run["error"]), strict=True):
            by_seed = values.mean(2)
            ax.semilogy(steps, by_seed.mean(0), color=role.color, linestyle=role.line)
            ax.fill_between(steps, by_seed.min(0), by_seed.max(0), color=role.color, alpha=0.15,
                            linewidth=0)  # fmt: skip
        end = float(run["tangent"][..., 0].mean((0, 2))[-1])
        up = {"scd": 0.6, "scd-norm": 1.3}.get(arm, 1.0)
        label(axes[0], steps[-1] * 1.03, end * up, title_of("stabilisers", arm), role.color)
    axes[0].set_xlim(-200, 5600)
    axes[0].set_ylim(bottom=0.02)
    name_axes(axes[0], STEP, LENGTH, "Fast features stretch it, a teacher shrinks it")
    name_axes(axes[1], STEP, RMSE, "The error of the same runs")
    return figure


def by_gap(
    gaps: Mapping[float, Recording], limit: Recording, difference: Recording | None = None
) -> Figure:
    """RMS error of discrete twins by gap, a mark for each seed, beside the limit's range."""
    figure, ((ax,),) = sheet(1, 1, 7.6, 3.8)
    base = limit.score("rmse")
    ax.axhspan(base.min(), base.max(), color=STUDENT.color, alpha=0.2, linewidth=0)
    ax.axhline(base.mean(), color=STUDENT.color, linewidth=1)
    label(ax, max(gaps) * 1.6, base.max() * 1.03, "the limit", STUDENT.color)
    found = {gap: run.score("rmse") for gap, run in sorted(gaps.items())}
    for gap, scores in found.items():
        ax.plot([gap] * len(scores), scores, MEAN.marker, color=MEAN.color, markersize=6)
    ax.plot(list(found), [s.mean() for s in found.values()], color=MEAN.color, linestyle="--")
    if difference:
        scores = difference.score("rmse")
        ax.plot([1.5e-6] * len(scores), scores, DATA.marker, color=DATA.color)
        label(ax, 4e-6, scores.max() * 1.06, "differences of F", DATA.color)
    ax.set(xscale="log", yscale="log", xlim=(max(gaps) * 2, 8e-7))
    low, high = ax.get_ylim()
    ticks = [v for v in TICKS if low <= v <= high]
    ax.set_yticks(ticks, [f"{v:g}" for v in ticks])
    ax.set_yticks([], minor=True)
    name_axes(ax, "gap $t - r$ (radians), smaller to the right", RMSE, gap_title(found, base))
    return figure


def gap_title(found: Mapping[float, np.ndarray], base: np.ndarray) -> str:
    """What the smallest error over the gaps says."""
    off = {gap: scores.mean() / base.mean() - 1 for gap, scores in found.items()}
    near = [gap for gap, share in off.items() if abs(share) <= 0.1]
    if not near:
        return "No gap comes within 10 % of the limit"
    return f"Within 10 % of the limit: gaps of {min(near):g} to {max(near):g}"
