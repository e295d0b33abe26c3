"""What a curriculum and a decaying momentum did to training, from recorded runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..studies import Recording, ranged
from . import style
from .budgets import named, versus
from .easing import dark
from .emphasis import decades
from .style import STUDENT, TEACHER, WRONG, label, name_axes, sheet

LOOKS = {
    "constant": TEACHER, "momentum and rate": STUDENT, "momentum alone": WRONG,
    "rate alone": style.MEAN, "uniform": TEACHER, "curriculum": style.EXTRA,
    "neither": TEACHER, "both techniques": style.TARGET,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Course:
    """What a judge saw of one arm: steps (m,), values (seeds, m)."""

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


def course(recording: Recording, score: str) -> Course:
    """A named score of the averaged weights as they trained."""
    return Course(recording["steps"][0], named(recording, score))


def speed(base: Course, other: Course) -> np.ndarray:
    """Steps of the base over those that the other took to the base's last value, by seed."""
    return base.steps[-1] / other.until(base.values[:, -1])


def sped(base: Course, other: Course) -> str:
    """`speed` in words, or how many seeds come to the base's last value at all."""
    found = speed(base, other)
    there = np.isfinite(found)
    return ranged(found, ".2f") if there.all() else f"{there.sum()} of {len(found)} seeds"


def claim(text: str, found: Mapping[str, np.ndarray], a: str, b: str) -> str:
    """A row of a table: what is claimed, the scores of two arms, and the verdict."""
    return "| {} | {} | {} |".format(text, *versus(found, a, b))


def finding(what: str, arms: Mapping[str, Course]) -> str:
    """A title: the arm that ends lowest, if its range lies below all others'."""
    last = {name: seen.values[:, -1] for name, seen in arms.items()}
    if len(last) < 2:
        return what
    best = min(last, key=lambda name: float(last[name].mean()))
    alone = all(last[best].max() < last[name].min() for name in last if name != best)
    return f"{what}: {best} ends lowest" if alone else f"{what}: the lowest are not told apart"


def courses(panels: Mapping[str, Mapping[str, Course]], measure: str) -> Figure:
    """A panel by title, in it arms by the names in LOOKS: means and ranges over the seeds."""
    figure, (axes,) = sheet(1, len(panels), 5.0 * len(panels), 3.8)
    for ax, (title, arms) in zip(axes, panels.items(), strict=True):
        name_axes(ax, "optimizer step", measure * (ax is axes[0]), title)
        if not arms:
            ax.text(0.5, 0.5, "not recorded yet", ha="center", transform=ax.transAxes)
            continue
        for name, seen in arms.items():
            band(ax, seen, LOOKS[name])
        ax.set(yscale="log")
        decades(ax)
        at_ends(ax, arms)
    return figure


def band(ax: Axes, seen: Course, role: style.Role) -> None:
    """One arm's mean, and its range over the seeds."""
    ax.fill_between(seen.steps, seen.values.min(0), seen.values.max(0), color=role.color,
                    alpha=0.15)  # fmt: skip
    ax.plot(seen.steps, seen.values.mean(0), color=role.color, linestyle=role.line, linewidth=1.6)
    ax.plot(seen.steps[-1], seen.values.mean(0)[-1], role.marker, color=role.color)


def at_ends(ax: Axes, arms: Mapping[str, Course]) -> None:
    """The arms' names beside their last points, kept apart."""
    right = max(seen.steps[-1] for seen in arms.values())
    ax.set_xlim(0, 1.55 * right)
    ax.set_xticks([x for x in ax.get_xticks() if x <= right])
    low, high = np.log(ax.get_ylim())
    last = -np.inf
    for name, seen in sorted(arms.items(), key=lambda item: item[1].values[:, -1].mean()):
        last = max(np.log(seen.values[:, -1].mean()) - 0.02, last + 0.065 * (high - low))
        label(ax, 1.03 * right, float(np.exp(last)), name, dark(LOOKS[name].color))


def by_rate(found: Mapping[str, Mapping[float, np.ndarray]], measure: str, title: str) -> Figure:
    """The last value (seeds,) of each pace at each base rate."""
    figure, ((ax,),) = sheet(1, 1, 6.4, 3.9)
    for number, (name, at) in enumerate(found.items()):
        role, rates = LOOKS[name], np.array(sorted(at))
        x = rates * 1.04 ** (number - 1.5)  # side by side
        values = np.stack([at[rate] for rate in sorted(at)], 1)
        ax.plot(x, values.mean(0), color=role.color, linestyle=role.line, marker=role.marker)
        ax.vlines(x, values.min(0), values.max(0), color=role.color, linewidth=1.2)
        label(ax, x[-1] * 1.06, values.mean(0)[-1], name, dark(role.color))
    every = sorted({rate for at in found.values() for rate in at})
    ax.set(xscale="log", yscale="log")
    if every:
        ax.set_xlim(every[0] / 1.25, every[-1] * 2.1)
        ax.set_xticks(every, [f"{rate:g}" for rate in every])
    ax.minorticks_off()
    decades(ax)
    name_axes(ax, "base rate (Adam's lr)", measure, title)
    return figure
