"""The ladder from CT to iCT, one change a rung, with what each change costs inside iCT."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .emphasis import plain
from .style import DATA, STUDENT, TEACHER, bare, label, name_axes, styled

ERROR = "RMS error to the exact f (data units)"
Scores = Mapping[str, np.ndarray]  # by name, one score a seed


def ladder(rungs: Scores, changes: Scores, clouds: Scores, modes: np.ndarray) -> Figure:
    """Errors up the ladder, errors of its last rung with one thing changed, and sample clouds.

    `clouds` (points, 2) of the rungs; `modes` (K, 2) of the data are drawn in grey under them.
    """
    with styled():
        figure = Figure(figsize=(10.8, 6.2), dpi=100, layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.9, 1))
    with styled():
        (left, right), panels = parts[0].subplots(1, 2), parts[1].subplots(1, len(clouds))
    end = list(rungs.values())[-1]
    dots(left, rungs, steps_of(rungs))
    gain = f"{list(rungs.values())[0].mean() / end.mean():.1f}"
    name_axes(left, ERROR, "", f"Up the ladder: an error {gain} times smaller")
    order = dict(sorted(changes.items(), key=lambda item: item[1].mean()))
    dots(right, order, {name: v.mean() / end.mean() for name, v in order.items()})
    right.axvline(end.mean(), color=STUDENT.color, linestyle="--", linewidth=1.2)
    label(right, end.mean() * 1.05, -0.62, "iCT", STUDENT.color)
    worst = f"× {order[list(order)[-1]].mean() / end.mean():.1f}"
    name_axes(right, ERROR, "", f"One thing changed in iCT: up to {worst}")
    for ax, (name, x) in zip(panels, clouds.items(), strict=True):
        cloud(ax, x, modes, name)
    return figure


def steps_of(rungs: Scores) -> dict[str, float]:
    """By how much each rung multiplies the mean error of the one before; 1 for the first."""
    means = np.array([v.mean() for v in rungs.values()])
    return dict(zip(rungs, [1.0, *means[1:] / means[:-1]], strict=True))


def dots(ax: Axes, scores: Scores, factors: Mapping[str, float]) -> None:
    """A row for each name: a dot for each seed, their range, and the mean's factor in words."""
    for row, (name, found) in enumerate(scores.items()):
        role = TEACHER if factors[name] > 1 else STUDENT
        ax.plot([found.min(), found.max()], [row, row], color=role.color, linewidth=5, alpha=0.3)
        ax.plot(found, [row] * len(found), role.marker, color=role.color, markersize=5)
        if factors[name] != 1:
            label(ax, found.max() * 1.1, row + 0.13, times(factors[name]), role.color)
    ax.set(xscale="log", xlim=(0.036, 0.75), ylim=(len(scores) - 0.4, -1))
    ax.set_yticks(range(len(scores)), scores)
    plain(ax.xaxis, (0.05, 0.1, 0.2, 0.4))


def times(factor: float) -> str:
    """A factor in words: ÷ 2.0 for 0.5."""
    return f"× {factor:.2f}" if factor > 1 else f"÷ {1 / factor:.2f}"


def cloud(ax: Axes, x: np.ndarray, modes: np.ndarray, title: str) -> None:
    """One-step samples (points, 2) over the modes of the data."""
    ax.scatter(*modes.T, s=190, color=DATA.color, alpha=0.25, linewidths=0)
    ax.scatter(*x.T, s=3, color=STUDENT.color, alpha=0.7, linewidths=0)
    bare(ax).set(xlim=(-1.42, 1.42), ylim=(-1.42, 1.42), aspect="equal")
    ax.set_title(title, loc="left", fontsize=9)


def lower(before: np.ndarray, after: np.ndarray) -> str:
    """A verdict on two sets of scores (seeds,) of the same seeds: are the second ones lower?"""
    if after.max() < before.min():
        return "shows"
    if after.min() > before.max():
        return "does not show: higher in every seed, the ranges do not overlap"
    won = f"lower in {int((after < before).sum())} of {len(after)} seeds, the ranges overlap"
    if after.mean() < before.mean():
        return f"shows in part: {won}"
    return f"does not show: the mean is higher, {won}"
