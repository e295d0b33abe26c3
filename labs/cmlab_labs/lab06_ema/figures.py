"""Figures of lab 06: an EMA target's gradient on a point mass, and error by level and step."""

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
    WRONG,
    Role,
    label,
    name_axes,
    sheet,
)

from ..common.plots_recordings import spread_labels

LAG_STYLE = {0.0: TRUTH, 0.01: TARGET, 0.05: WRONG}
POINTS = "grid points $N$"


def over_points(points: Sequence[int]) -> tuple[Figure, Axes]:
    """A figure of one panel, with numbers of grid points on its horizontal axis."""
    figure, ((ax,),) = sheet(1, 1, 6.4, 3.4)
    ax.set(xscale="log", xlim=(points[0] / 1.2, points[-1] * 2.6))
    ax.set_xticks(points[::2], [str(n) for n in points[::2]])
    ax.set_xticks([], minor=True)
    return figure, ax


def gradient_by_points(
    points: Sequence[int], gradients: Mapping[float, Sequence[float]]
) -> Figure:
    """The rescaled gradient by N, one line per lag: positive towards ξ, negative away from it."""
    figure, ax = over_points(points)
    ax.axhspan(-1e4, 0, color="#f3e3ec", linewidth=0)
    ax.axhline(0, color="#666666", linewidth=0.8)
    for lag, values in gradients.items():
        role = LAG_STYLE[lag]
        ax.plot(points, values, color=role.color, linestyle=role.line, marker=role.marker,
                markersize=5)  # fmt: skip
        label(ax, points[-1] * 1.12, values[-1], f"lag {100 * lag:.0f} %", role.color)
    lowest = min(min(values) for values in gradients.values())
    ax.set_yscale("symlog", linthresh=10)
    ax.set(ylim=(2 * min(lowest, -1), 30))
    ax.set_yticks([-100, -10, 0, 10], ["−100", "−10", "0", "10"])
    ax.set_yticks([], minor=True)
    ax.text(0.03, 0.05, "shaded: the step leads away from ξ", transform=ax.transAxes, fontsize=9)
    name_axes(ax, POINTS, "gradient at θ − ξ = 1", sign_change(points, gradients))
    return figure


def sign_change(points: Sequence[int], gradients: Mapping[float, Sequence[float]]) -> str:
    """The N from which the largest lag turns the sign of the gradient, as a title."""
    lag, values = max(gradients.items())
    wrong = [n for n, value in zip(points, values, strict=True) if value < 0]
    if not wrong:
        return "No sign changes"
    return f"A lag of {100 * lag:.0f} % flips the sign from N = {wrong[0]} on"


def steps_by_points(
    points: Sequence[int], steps: Mapping[float, Sequence[int]], unhindered: Sequence[int]
) -> Figure:
    """Steps of gradient descent until the distance to ξ is a twentieth of what it was, by N.

    `unhindered` are the steps with μ = 0 and a step size that does without A.
    """
    figure, ax = over_points(points)
    for mu, counts in steps.items():
        role = DECAY_STYLE[mu]
        ax.plot(points, counts, color=role.color, linestyle=role.line, marker=role.marker,
                markersize=5)  # fmt: skip
        label(ax, points[-1] * 1.12, counts[-1] * 0.85, f"μ = {mu:g}", role.color)
    ax.plot(points, unhindered, color=DATA.color, linewidth=1)
    label(ax, points[-3], unhindered[-1] * 1.3, "μ = 0, step size 0.1/B", DATA.color)
    ax.set(yscale="log")
    slow, fast = steps[max(steps)][-1], steps[min(steps)][-1]
    times = f"{slow / fast:.0f} times as many steps"
    title = f"At N = {points[-1]}, μ = {max(steps):g} needs {times} as μ = {min(steps):g}"
    name_axes(ax, POINTS, "steps until |θ − ξ| = 0.05", title)
    return figure


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
GREYS = (Role("#999999", "o", ":"), Role("#555555", "D", "--"), Role("#000000", "s", "-"))


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


Scores = Mapping[float, np.ndarray]  # μ -> the error of each seed at the end


def error_by_decay(inside: Mapping[str, Scores], plain: Scores, schedule: np.ndarray) -> Figure:
    """The error by μ, in iCT's recipe on several grids and in plain CT. One marker per seed.

    `schedule` has the errors of plain CT with the μ(k) of its paper.
    """
    figure, axes = sheet(1, 2, 9.6, 3.7, (1.2, 1))
    for (name, found), role in zip(inside.items(), GREYS, strict=True):
        against_decay(axes[0, 0], name, found, role)
    against_decay(axes[0, 1], "constant μ", plain, TRUTH)
    seed_markers(axes[0, 1], 4, schedule, WRONG)
    for ax in axes[0]:
        ax.set(yscale="log", ylim=(0.035, 1), xlim=(-0.3, 4.4))
        ax.set_yticks([0.05, 0.1, 0.2, 0.5, 1], ["0.05", "0.1", "0.2", "0.5", "1"])
        ax.set_yticks([], minor=True)
    ticks = [f"{mu:g}" for mu in DECAY_STYLE]
    axes[0, 0].set_xticks(range(4), ticks)
    axes[0, 1].set_xticks(range(5), [*ticks, "the paper's\nμ(k)"])
    cost = {name: error_ratio(found, 0.99) for name, found in inside.items()}
    low, high = (pick(cost, key=cost.__getitem__) for pick in (min, max))
    title = f"In iCT, μ = 0.99 multiplies the error\nby {cost[low]:.1f} at {low}"
    title += f", by {cost[high]:.1f} at {high}"
    name_axes(axes[0, 0], "decay μ", "RMS distance from $f^*$ (data units)", title)
    mild = "helps a little" if error_ratio(plain, 0.9) < 1 else "does not help"
    strong = error_ratio(plain, 0.999)
    title = f"In plain CT, μ = 0.9 {mild},\nμ = 0.999 multiplies the error by {strong:.1f}"
    name_axes(axes[0, 1], "decay μ", "", title)
    for ax in axes[0]:
        ax.title.set_fontsize(10)
    return figure


def error_ratio(found: Scores, mu: float) -> float:
    """The mean error at μ over that at μ = 0."""
    return float(found[mu].mean() / found[0.0].mean())


def against_decay(ax: Axes, name: str, found: Scores, role: Role) -> None:
    """One line over the decays, evenly spaced, through the means."""
    means = [float(scores.mean()) for scores in found.values()]
    ax.plot(range(len(means)), means, color=role.color, linestyle=role.line)
    for place, scores in enumerate(found.values()):
        seed_markers(ax, place, scores, role)
    label(ax, len(means) - 0.88, means[-1], name, role.color)


def seed_markers(ax: Axes, place: float, scores: np.ndarray, role: Role) -> None:
    """One marker per seed."""
    ax.plot([place] * len(scores), scores, color=role.color, marker=role.marker, linestyle="",
            markersize=5, alpha=0.8)  # fmt: skip
