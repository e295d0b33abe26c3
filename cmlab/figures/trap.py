"""The lowest loss belongs to the worst run: losses first, samples after."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import DATA, STUDENT, TRUTH, WRONG, Role, label, name_axes, sheet
from .wavefront import PACES, STEP, Run

INK = "#333333"
LINES = ("-", "--", "-.", ":")
GREYS = (Role("#999999", "o", ":"), Role("#555555", "D", "--"), Role("#000000", "s", "-"))


def blind(runs: Mapping[str, Run], switches: Sequence[int] = ()) -> Figure:
    """The loss of each run, mean over seeds, under a letter; its end larger on the right.

    `switches` are the steps at which the grid doubles.
    """
    figure, axes = sheet(1, 2, 8.4, 3.3, (2.0, 1))
    for run, line in zip(runs.values(), LINES, strict=False):
        curve = run.loss.mean(0)
        for ax in axes[0]:
            ax.plot(run.steps, curve, color=INK, linestyle=line, linewidth=1.5)
    for step in switches:
        axes[0, 0].axvline(step, color="#bbbbbb", linewidth=0.8, linestyle=":")
    whole = next(iter(runs.values())).steps[-1]
    low, high = late_range(runs, 0.75 * whole)
    axes[0, 1].set(xlim=(0.75 * whole, 1.04 * whole), ylim=(low, high))
    places = apart(
        {k: float(run.loss.mean(0)[-1]) for k, run in runs.items()}, 0.06 * (high - low)
    )
    for letter, place in places.items():
        label(axes[0, 1], whole * 1.008, place - 0.01 * (high - low), letter)
    name_axes(axes[0, 0], STEP, "loss (running mean)", "Four runs, one recipe but for one number")
    name_axes(axes[0, 1], STEP, "", "The last quarter, larger")
    return figure


def late_range(runs: Mapping[str, Run], since: float) -> tuple[float, float]:
    """The range of the losses from a step on, with a margin."""
    late = np.concatenate([run.loss.mean(0)[run.steps >= since] for run in runs.values()])
    room = 0.08 * float(np.ptp(late)) + 1e-6
    return float(late.min()) - room, float(late.max()) + room


def apart(places: Mapping[str, float], least: float) -> dict[str, float]:
    """The places in rising order, moved up where two would be closer than `least`."""
    found: dict[str, float] = {}
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        found[name] = max(place, max(found.values(), default=place - least) + least)
    return found


def unmasked(
    runs: Mapping[str, Run], clouds: Mapping[str, np.ndarray], modes: np.ndarray
) -> Figure:
    """One-step samples (n, 2) of each run, its loss and its error at the highest level, last."""
    figure, axes = sheet(1, len(runs), 2.5 * len(runs), 2.9)
    losses = {name: float(run.loss.mean(0)[-1]) for name, run in runs.items()}
    for ax, (name, run) in zip(axes[0], runs.items(), strict=True):
        ax.scatter(*modes.T, s=260, color=DATA.color, alpha=0.2, linewidths=0)
        ax.scatter(*clouds[name].T, s=5, color=STUDENT.color, alpha=0.7, linewidths=0)
        ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
        ax.set_xticks([-1, 0, 1])
        ax.set_yticks([-1, 0, 1])
        mark = ", the lowest" if losses[name] == min(losses.values()) else ""
        title = f"{name}: error {run.mean[-1, -1]:.2f}\nloss {losses[name]:.3f}{mark}"
        name_axes(ax, "$x_1$", "$x_2$" if ax is axes[0, 0] else "", title)
        ax.title.set_fontsize(10)
    return figure


Scores = Mapping[float, np.ndarray]  # μ -> the error of each seed at the end


def two_recipes(inside: Mapping[str, Scores], plain: Scores, schedule: np.ndarray) -> Figure:
    """The error by μ, in iCT's recipe on several grids and in plain CT. A marker is a seed.

    `schedule` has the errors of plain CT with the μ(k) of its paper.
    """
    figure, axes = sheet(1, 2, 9.6, 3.7, (1.2, 1))
    for (name, found), role in zip(inside.items(), GREYS, strict=True):
        against_decay(axes[0, 0], name, found, role)
    against_decay(axes[0, 1], "constant μ", plain, TRUTH)
    dots(axes[0, 1], 4, schedule, WRONG)
    for ax in axes[0]:
        ax.set(yscale="log", ylim=(0.035, 1), xlim=(-0.3, 4.4))
        ax.set_yticks([0.05, 0.1, 0.2, 0.5, 1], ["0.05", "0.1", "0.2", "0.5", "1"])
        ax.set_yticks([], minor=True)
    ticks = [f"{mu:g}" for mu in PACES]
    axes[0, 0].set_xticks(range(4), ticks)
    axes[0, 1].set_xticks(range(5), [*ticks, "μ(k) of\n2023"])
    cost = {name: ratio(found, 0.99) for name, found in inside.items()}
    ends = (min(cost, key=cost.__getitem__), max(cost, key=cost.__getitem__))
    title = "iCT: μ = 0.99 costs " + ", ".join(f"×{cost[name]:.1f} at {name}" for name in ends)
    name_axes(axes[0, 0], "decay μ", "RMSE to f* (data units)", title)
    title = f"Plain CT: ×{ratio(plain, 0.9):.2f} at 0.9, ×{ratio(plain, 0.999):.1f} at 0.999"
    name_axes(axes[0, 1], "decay μ", "", title)
    for ax in axes[0]:
        ax.title.set_fontsize(10)
    return figure


def ratio(found: Scores, mu: float) -> float:
    """The mean error at μ over that at μ = 0."""
    return float(found[mu].mean() / found[0.0].mean())


def against_decay(ax: Axes, name: str, found: Scores, role: Role) -> None:
    """One line over the decays, evenly spaced, through the means."""
    means = [float(scores.mean()) for scores in found.values()]
    ax.plot(range(len(means)), means, color=role.color, linestyle=role.line)
    for place, scores in enumerate(found.values()):
        dots(ax, place, scores, role)
    label(ax, len(means) - 0.88, means[-1], name, role.color)


def dots(ax: Axes, place: float, scores: np.ndarray, role: Role) -> None:
    """One marker a seed."""
    ax.plot([place] * len(scores), scores, color=role.color, marker=role.marker, linestyle="",
            markersize=5, alpha=0.8)  # fmt: skip
