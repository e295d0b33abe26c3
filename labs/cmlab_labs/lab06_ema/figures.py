"""Figures of lab 06: two springs, error by level and step, and what a slow target leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cmlab.metrics.plots import (
    DATA,
    SEQUENTIAL,
    STUDENT,
    TARGET,
    TRUTH,
    Role,
    label,
    name_axes,
    sheet,
)

from ..common.plots_recordings import spread_labels

# The point mass as two springs: where student and target stand, and how far they have come


def two_springs(
    course: Mapping[str, np.ndarray], step: int, whole: int, pulls: tuple[float, float]
) -> Figure:
    """Student and target on the line with the springs that pull the student, and their course.

    course   distances to the truth after steps 0, 1, … step: "student", "target", "no lag"
    pulls    the spring constants: to the target, and to the truth
    """
    figure, (axes,) = sheet(1, 2, 9.8, 3.1, (1.15, 1))
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.03, right=0.965, bottom=0.17, top=0.88, wspace=0.2)
    line, distance = axes
    theta, target = float(course["student"][-1]), float(course["target"][-1])
    force = pulls[0] * (target - theta), pulls[1] * theta
    for end, height, role, pull in ((target, 0.62, TARGET, force[0]), (0, 0.3, TRUTH, force[1])):
        spring(line, theta, end, height, SPRING_INK[role.color])
        words = f"pull {abs(pull):.2f}"
        label(line, (theta + end) / 2 - 0.06, height + 0.09, words, SPRING_INK[role.color])
    line.plot(0, 0.3, TRUTH.marker, color=TRUTH.color, markersize=11)
    line.plot(target, 0.62, "|", color=SPRING_INK[TARGET.color], markersize=22, markeredgewidth=3)
    line.plot([theta, theta], [0.3, 0.62], color=STUDENT.color, linewidth=1.2)
    line.plot(theta, 0.46, STUDENT.marker, color=STUDENT.color, markersize=11)
    for x, y, text, role in (
        (0, 0.12, "truth ξ", TRUTH), (target, 0.78, "target θ⁻", TARGET),
        (theta, 0.12, "student θ", STUDENT),
    ):  # fmt: skip
        line.text(x, y, text, ha="center", fontsize=9, color=SPRING_INK[role.color])
    line.set(xlim=(-0.12, 1.16), ylim=(0, 1), yticks=[])
    name_axes(
        line,
        "distance to the truth",
        "",
        f"The student still has {100 * theta:.0f} % of the way to go",
    )
    steps = np.arange(len(course["student"]))
    for name, role in (("no lag", DATA), ("target", TARGET), ("student", STUDENT)):
        distance.plot(steps, course[name], color=role.color, linestyle=role.line,
                      linewidth=1.2 if name == "no lag" else 2.2)  # fmt: skip
    distance.set(xlim=(0, whole), ylim=(0, 1.05))
    rows = ("solid blue: student", "dashed: target", "thin grey: the same without a lag")
    for row, (text, role) in enumerate(zip(rows, (STUDENT, TARGET, DATA), strict=True)):
        label(distance, 0.42 * whole, 0.95 - 0.09 * row, text, SPRING_INK[role.color])
    title = f"Without a lag, {100 * course['no lag'][-1]:.0f} % would be left"
    name_axes(distance, "step", "distance to the truth", title)
    return figure


SPRING_INK = {  # dark enough for text
    TRUTH.color: TRUTH.color, TARGET.color: "#1d6f9e", STUDENT.color: STUDENT.color,
    DATA.color: DATA.color,
}  # fmt: skip


def spring(ax: Axes, start: float, end: float, height: float, color: str) -> None:
    """A zigzag between two places at one height, with fewer coils if it is short."""
    coils = int(np.clip(round(28 * abs(end - start)), 5, 24))
    x = np.linspace(start, end, coils)
    y = height + 0.035 * np.where(np.arange(coils) % 2, 1, -1)
    y[[0, -1]] = height
    ax.plot(x, y, color=color, linewidth=1.4, zorder=1)


# Error by noise level and training step

NEAR = 0.2  # data units, the ring having radius 1: an error below it counts as "close to f*"
DECAY_STYLE = {  # how each decay μ of the target looks
    0.0: Role("#0072B2", "s", "-"),
    0.9: Role("#009E73", "P", (0, (5, 2, 1, 2))),
    0.99: Role("#B87800", "v", "--"),
    0.999: Role("#D55E00", "^", "-."),
}
STEP, WAVEFRONT_LEVEL, ERROR = (
    "step",
    "noise level $t$ (data units)",
    "RMS of $f - f^*$ (data units)",
)


@dataclass(frozen=True, eq=False)
class ErrorHistory:
    """The history of runs: steps (T,), levels (L,), error (seeds, T, L), loss (seeds, T).

    Entries that are not there yet are nan.
    """

    mu: float
    steps: np.ndarray
    levels: np.ndarray
    error: np.ndarray
    loss: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The error of the mean seed, (T, L)."""
        return self.error.mean(0)

    def fronts(self, near: float = NEAR) -> np.ndarray:
        """The front of each seed at each observation: (seeds, T)."""
        return front(self.levels, self.error, near)


def front(levels: np.ndarray, error: np.ndarray, near: float = NEAR) -> np.ndarray:
    """The noise level up to which every error (..., L) is below `near`: (...).

    Between two levels the error is taken as a straight line over ln t.
    """
    above = ~(error < near)
    first = np.where(above.any(-1), above.argmax(-1), len(levels) - 1)[..., None]
    low = np.maximum(first - 1, 0)
    a, b = (np.take_along_axis(error, i, -1)[..., 0] for i in (low, first))
    share = np.clip((near - a) / np.where(b > a, b - a, 1), 0, 1)
    x, y = np.log(levels)[low[..., 0]], np.log(levels)[first[..., 0]]
    return np.exp(x + np.where(above.any(-1), share, 1) * (y - x))


def heat(ax: Axes, steps: np.ndarray, levels: np.ndarray, error: np.ndarray) -> QuadMesh:
    """The error (T, L) by step and noise level as a colour map, one scale for the whole lab."""
    values = np.ma.masked_invalid(np.maximum(error, 1e-9)).T
    shown = ax.pcolormesh(
        steps, levels, values, cmap=SEQUENTIAL, norm=LogNorm(0.03, 1), shading="nearest"
    )
    ax.set(yscale="log", ylim=(0.01, levels[-1]))
    ax.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    ax.set_yticks([], minor=True)
    ax.grid(False)
    return shown


def wavefronts(runs: Mapping[str, ErrorHistory]) -> Figure:
    """The error by level and step of each run; lines: the front of each seed, and of the mean."""
    figure, axes = sheet(1, len(runs), 2.55 * len(runs), 3.5)
    for ax, (name, run) in zip(axes[0], runs.items(), strict=True):
        shown = heat(ax, run.steps, run.levels, run.mean)
        for line, width in [(f, 0.8) for f in run.fronts()] + [(mean_front(run), 2.4)]:
            edge = [withStroke(linewidth=width + 1.2, foreground="black")]  # on light maps too
            ax.plot(run.steps, line, color="white", linewidth=width, path_effects=edge)
        arrival = front_arrival(run).split(" (")[0].replace(" from", "\nfrom")
        title = f"{name}: the front\n{arrival}"
        name_axes(ax, STEP, WAVEFRONT_LEVEL if ax is axes[0, 0] else "", title)
        ax.title.set_fontsize(9)
    bar = figure.colorbar(shown, ax=list(axes[0]), label=ERROR, extend="both", pad=0.01)
    bar.set_ticks([0.03, 0.1, 0.3, 1], labels=["0.03", "0.1", "0.3", "1"])
    bar.minorticks_off()
    for ax in axes[0]:
        ax.set_xticks([0, run.steps[-1] // 2])  # a last one would meet the next panel's first
    return figure


def mean_front(run: ErrorHistory, near: float = NEAR) -> np.ndarray:
    """The front of the mean error, (T,)."""
    return front(run.levels, run.mean, near)


def arrival_step(run: ErrorHistory, line: np.ndarray) -> int | None:
    """The step from which a front (T,) stays at the highest level; None if it never does."""
    below = np.flatnonzero(line < 0.99 * run.levels[-1])
    first = below[-1] + 1 if below.size else 0
    return int(run.steps[first]) if first < len(line) else None


def front_arrival(run: ErrorHistory, near: float = NEAR) -> str:
    """When the front of the mean error, and of every seed, reaches the top; or where it ends."""
    line = mean_front(run, near)
    mean, seeds = arrival_step(run, line), [arrival_step(run, f) for f in run.fronts(near)]
    if mean is None:
        return f"reaches t = {line[-1]:.2g}"
    known = [step for step in seeds if step is not None]
    every = f"every seed from {max(known)}" if len(known) == len(seeds) else "not every seed"
    return f"is at the top from step {mean} on" + (f" ({every})" if set(seeds) != {mean} else "")


def snapshot(run: ErrorHistory, now: int, beside: ErrorHistory | None = None) -> Figure:
    """A run at observation number `now`: the map, the error by level, and the loss so far.

    `beside` is another run, drawn for comparison.
    """
    figure, axes = sheet(1, 4, 10.0, 3.0)
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    plane, profile, loss, scale = axes[0]
    for ax, left, width in (
        (plane, 0.065, 0.245), (scale, 0.32, 0.012), (profile, 0.44, 0.225), (loss, 0.745, 0.225)
    ):  # fmt: skip
        ax.set_position((left, 0.16, width, 0.73))
    heat(plane, run.steps, run.levels, run.mean)
    color_scale(scale)
    plane.plot(run.steps, mean_front(run), color="white", linewidth=2.4)
    plane.axvline(run.steps[now], color="white", linewidth=1, linestyle=":")
    plane.set(xlim=(0, run.steps[-1]))
    name_axes(plane, STEP, WAVEFRONT_LEVEL, f"The front is at t = {mean_front(run)[now]:.2g}")
    for one in (beside, run) if beside else (run,):
        role, width = DECAY_STYLE[one.mu], 2.2 if one is run else 1.2
        look = {"color": role.color, "linestyle": role.line, "linewidth": width}
        profile.plot(one.levels, one.mean[now], **look)
        loss.plot(one.steps[: now + 1], one.loss.mean(0)[: now + 1], **look)
        label(profile, 0.0025, 0.55 if one is run else 0.3, f"μ = {one.mu:g}", role.color)
    profile.axhline(NEAR, color="#666666", linewidth=0.8, linestyle=":")
    small_axes(profile, loss, run, now)
    losses = np.concatenate([one.loss.mean(0) for one in ([beside, run] if beside else [run])])
    if np.isfinite(losses).any():  # of the whole runs, so that the axis stands still in a replay
        loss.set_ylim(0, 1.05 * np.nanmax(losses))
    return figure


def color_scale(ax: Axes) -> None:
    """The colours of `heat` on axes of their own: a colour bar would have to be made anew."""
    edges = np.geomspace(0.03, 1, 65)
    middles = np.sqrt(edges[1:] * edges[:-1])[:, None]
    ax.pcolormesh([0, 1], edges, middles, cmap=SEQUENTIAL, norm=LogNorm(0.03, 1))
    ax.set(yscale="log", ylim=(0.03, 1), xlim=(0, 1), xticks=[])
    ax.set_yticks([0.03, 0.1, 0.3, 1], ["≤ 0.03", "0.1", "0.3", "≥ 1"], fontsize=8)
    ax.set_yticks([], minor=True)
    ax.yaxis.tick_right()
    ax.grid(False)
    ax.set_title("error", fontsize=9, fontweight="normal")


def small_axes(profile: Axes, loss: Axes, run: ErrorHistory, now: int) -> None:
    """Set the axes of the error by level and of the loss."""
    profile.set(xscale="log", yscale="log", ylim=(1e-3, 2), xlim=(run.levels[0], run.levels[-1]))
    for axis, ticks in ((profile.xaxis, (0.01, 0.1, 1, 10)), (profile.yaxis, (0.01, 0.1, 1))):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    worst = run.mean[now].max()
    name_axes(profile, WAVEFRONT_LEVEL, ERROR, f"Largest error {worst:.2f}")
    loss.set(xlim=(0, run.steps[-1]))
    seen = run.loss.mean(0)[now]
    said = f"Loss {seen:.3f}"
    if np.isnan(seen):
        said, _ = "No loss yet", loss.set_ylim(0, 1)
    name_axes(loss, STEP, "loss (running mean)", said)


# Losses of the runs without their names; then samples, errors and names

INK = "#333333"
LINES = ("-", "--", "-.", ":")


def unlabelled_losses(runs: Mapping[str, ErrorHistory], switches: Sequence[int] = ()) -> Figure:
    """The loss of each run, mean over seeds, without its decay; the last quarter enlarged.

    `switches` are the steps at which the grid doubles.
    """
    figure, axes = sheet(1, 2, 8.4, 3.3, (1.6, 1))
    for (name, run), line in zip(runs.items(), LINES, strict=False):
        curve = run.loss.mean(0)
        for ax in axes[0]:
            ax.plot(run.steps, curve, color=INK, linestyle=line, linewidth=1.5, label=name)
    axes[0, 0].legend(loc="lower left", handlelength=3.5, frameon=False)
    for step in switches:
        axes[0, 0].axvline(step, color="#bbbbbb", linewidth=0.8, linestyle=":")
    whole = next(iter(runs.values())).steps[-1]
    low, high = late_range(runs, 0.75 * whole)
    axes[0, 1].set(xlim=(0.75 * whole, 1.07 * whole), ylim=(low, high))
    axes[0, 1].set_xticks([0.75 * whole, 0.875 * whole, whole])
    ends = {k: float(run.loss.mean(0)[-1]) for k, run in runs.items()}
    for name, place in spread_labels(ends, 0.07 * (high - low)).items():
        axes[0, 1].annotate(
            name, (whole, ends[name]), (1.04 * whole, place), va="center", fontsize=9,
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "color": INK},
        )  # fmt: skip
    name_axes(axes[0, 0], STEP, "loss (running mean)", "Four runs that differ in one number only")
    name_axes(axes[0, 1], STEP, "", "The last quarter, enlarged")
    return figure


def late_range(runs: Mapping[str, ErrorHistory], since: float) -> tuple[float, float]:
    """The range of the losses from a step on, with a margin."""
    late = np.concatenate([run.loss.mean(0)[run.steps >= since] for run in runs.values()])
    room = 0.08 * float(np.ptp(late)) + 1e-6
    return float(late.min()) - room, float(late.max()) + room


def labelled_samples(
    runs: Mapping[str, ErrorHistory], clouds: Mapping[str, np.ndarray], modes: np.ndarray
) -> Figure:
    """One-call samples (n, 2) of each run, its final loss and error at the highest level."""
    figure, axes = sheet(1, len(runs), 2.5 * len(runs), 3.4)
    losses = {name: float(run.loss.mean(0)[-1]) for name, run in runs.items()}
    for ax, (name, run) in zip(axes[0], runs.items(), strict=True):
        ax.scatter(*modes.T, s=260, color=DATA.color, alpha=0.2, linewidths=0)
        ax.scatter(*clouds[name].T, s=5, color=STUDENT.color, alpha=0.7, linewidths=0)
        ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
        ax.set_xticks([-1, 0, 1])
        ax.set_yticks([-1, 0, 1])
        mark = ", the lowest" if losses[name] == min(losses.values()) else ""
        error = f"error at t = {run.levels[-1]:g}: {run.mean[-1, -1]:.2f}"
        title = f"{name}\n{error}\nloss {losses[name]:.3f}{mark}"
        name_axes(ax, "$x_1$", "$x_2$" if ax is axes[0, 0] else "", title)
        ax.title.set_fontsize(10)
    return figure


# What is left of the error, beside what the two springs leave


def share_left(run: ErrorHistory, free: ErrorHistory) -> np.ndarray:
    """What each seed has left of the way from the first error to the last of `free`: (seeds, T).

    `free` is the same run with θ⁻ = θ; errors are RMS over all noise levels.
    """
    error, reached = (np.sqrt((each.error**2).mean(-1)) for each in (run, free))
    return (error - reached[:, -1:]) / (error[:, :1] - reached[:, -1:])


Runs = Mapping[float, ErrorHistory]  # by μ, with 0 among them


def left_by_step(grids: Mapping[str, tuple[Runs, Mapping[float, np.ndarray]]]) -> Figure:
    """The share left by step, one panel for each grid: networks, and the course of two springs.

    Each grid has its runs, and θ - ξ of the model by μ, after 0, 1, … steps.
    """
    figure, axes = sheet(1, len(grids), 3.35 * len(grids), 3.5)
    for ax, (name, (runs, model)) in zip(axes[0], grids.items(), strict=True):
        ends = {}
        for mu, run in runs.items():
            role, shares = DECAY_STYLE[mu], share_left(run, runs[0.0])
            ax.fill_between(run.steps, shares.min(0), shares.max(0), color=role.color, alpha=0.2,
                            linewidth=0)  # fmt: skip
            ax.plot(run.steps, shares.mean(0), color=role.color, linewidth=2.4, alpha=0.6)
            ends[mu] = float(shares[:, -1].mean())
            if mu in model:
                ax.plot(model[mu], color=role.color, linestyle=(0, (4, 2)), linewidth=1.2)
        arrived = [mu for mu, end in sorted(ends.items()) if end < 0.03]
        names = {mu: f"μ = {mu:g}" for mu in ends if mu not in arrived or len(arrived) == 1}
        if len(arrived) > 1:  # one label for the runs whose ends coincide
            label(ax, 1.03 * run.steps[-1], -0.02, f"μ = {', '.join(f'{mu:g}' for mu in arrived)}",
                  DATA.color)  # fmt: skip
        for mu, place in spread_labels({mu: ends[mu] for mu in names}, 0.075).items():
            label(ax, 1.03 * run.steps[-1], place - 0.02, names[mu], DECAY_STYLE[mu].color)
        said = min(model, key=lambda mu: abs(ends[mu] - 0.5))  # neither all nor nothing
        title = f"{name}: μ = {said:g} leaves {100 * ends[said]:.0f} %"
        ax.set(xlim=(0, 1.32 * run.steps[-1]), ylim=(-0.05, 1.05))
        ax.set_xticks([0, run.steps[-1] // 2, run.steps[-1]])
        name_axes(ax, STEP, "share of the error left" if ax is axes[0, 0] else "", title)
        ax.title.set_fontsize(10)
    return figure
