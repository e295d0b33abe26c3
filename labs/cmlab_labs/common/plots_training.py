"""Plots of training: schedules, step counts, error by noise level over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.metrics.plots import (
    DATA,
    EXTRA,
    MEAN,
    SEQUENTIAL,
    STUDENT,
    TEACHER,
    TRUTH,
    WRONG,
    Role,
    label,
    name_axes,
    sheet,
)
from cmlab.oracle import Oracle
from cmlab.process import EDM
from cmlab.types import Denoise

# A plan of noise levels, and where samples end by it

PLAN_LOW = 0.006  # where level 0 is drawn


def plan(
    levels: Sequence[float], marks: Sequence[float], renoised: bool,
    found: np.ndarray, exact: np.ndarray, role: Role, title: str,
) -> Figure:  # fmt: skip
    """The levels (n,) of the calls, a network's own edges as marks; ends (b, 2) and exact ones."""
    figure, (axes,) = sheet(1, 2, 9.6, 3.9, ratios=(1.0, 1.15))
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.085, right=0.985, bottom=0.14, top=0.9, wspace=0.24)
    staircase(axes[0], levels, marks, renoised, role)
    cloud(axes[1], found, exact, role, title)
    return figure


def staircase(
    ax: Axes, levels: Sequence[float], marks: Sequence[float], renoised: bool, role: Role
) -> None:
    """The noise level of the sample before and after each call."""
    calls, down = np.arange(1, len(levels) + 1), [*levels[1:], PLAN_LOW]
    for mark in marks:
        ax.axhline(mark, color=DATA.color, linewidth=0.8, linestyle=":")
    for n, top, end in zip(calls, levels, down, strict=True):
        bottom = PLAN_LOW if renoised else end
        ax.annotate("", (n + 0.35, bottom), (n, top), arrowprops={"arrowstyle": "->",
                    "color": role.color, "linewidth": 1.8})  # fmt: skip
        if renoised and end > PLAN_LOW:
            ax.annotate("", (n + 1, end), (n + 0.4, PLAN_LOW), arrowprops={"arrowstyle": "->",
                        "color": DATA.color, "linestyle": ":"})  # fmt: skip
    ax.plot(calls, levels, role.marker, color=role.color, markersize=7)
    ax.set(
        ylim=(PLAN_LOW * 0.8, 16), xlim=(0.6, 9.2)
    )  # before the scale, which looks at the points
    ax.set_yscale("log")
    ax.set_yticks([PLAN_LOW, 0.01, 0.1, 1, 10], ["0", "0.01", "0.1", "1", "10"])
    ax.set_xticks(range(1, 9))
    ax.minorticks_off()
    if len(marks):
        label(ax, 5.6, 11.5, "dotted: its own edges", DATA.color)
    said = "down to the data, up by fresh noise" if renoised else "down along the line"
    name_axes(ax, "network call", "noise level $\\sigma$ (data units)", f"The plan: {said}")


def cloud(ax: Axes, found: np.ndarray, exact: np.ndarray, role: Role, title: str) -> None:
    """Ends, and a stroke from the exact end of each of the first 60."""
    ax.plot(*exact.T, "o", color=TRUTH.color, markersize=5, fillstyle="none", alpha=0.3,
            markeredgewidth=0.8)  # fmt: skip
    ends = np.stack([exact[:60], found[:60], np.full_like(found[:60], np.nan)], 1).reshape(-1, 2)
    ax.plot(*ends.T, color=role.color, linewidth=0.9, alpha=0.8)
    ax.plot(*found.T, role.marker, color=role.color, markersize=2.5, alpha=0.7)
    ax.set(xlim=(-1.75, 1.75), ylim=(-1.45, 1.45), aspect="equal")
    name_axes(ax, "$x_1$ (data units)", "$x_2$ (data units)", title)


# More steps: routes through noise levels, and where they end by the number of network calls

STEPS_LEVEL = "noise level $\\sigma$ (data units)"
CALLS = (1, 2, 4, 8)
LOWEST = 0.01  # where level 0 is drawn
HIDDEN = 1e-4  # below this a value is 0, which a log axis does not have
LOOK: dict[str, Role] = {
    "exact f*": TRUTH, "good f": STUDENT, "bad f": WRONG, "phased": EXTRA, "DDIM": TEACHER,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Route:
    """Places (m, b) of b samples and the noise level of each: calls lead down, noise leads up."""

    levels: Sequence[float]
    places: Tensor


def by_renoising(denoise: Denoise, x_t: Tensor, levels: Sequence[float], z: Tensor) -> Route:
    """Jump to the data, add fresh noise z (m - 1, b, 1), jump again. Under EDM."""
    seen, at = [x_t], [levels[0]]
    for i, level in enumerate(levels):
        x = denoise(seen[-1], torch.full((len(x_t),), level).to(x_t))
        seen, at = [*seen, x], [*at, 0.0]
        if i + 1 < len(levels):
            seen, at = [*seen, x + levels[i + 1] * z[i]], [*at, levels[i + 1]]
    return Route(at, torch.stack(seen)[..., 0])


def by_lines(denoise: Denoise, x_t: Tensor, levels: Sequence[float]) -> Route:
    """Along the line to the estimate of x, from each level to the next. Under EDM."""
    seen = [x_t]
    for t, s in zip(levels[:-1], levels[1:], strict=True):
        time, edge = (torch.full((len(x_t),), v).to(x_t) for v in (t, s))
        seen.append(EDM().transport(seen[-1], denoise(seen[-1], time), time, edge))
    return Route(levels, torch.stack(seen)[..., 0])


def routes(law: Oracle, x_t: Tensor, panels: Mapping[str, tuple[Route, Role]]) -> Figure:
    """Routes of samples x_t (b, 1) from one level, each over the exact paths, by title."""
    figure, (axes,) = sheet(1, len(panels), 10.4, 3.7)
    for ax, (title, (route, role)) in zip(axes, panels.items(), strict=True):
        levels = torch.logspace(np.log10(route.levels[0]), -2, 90, dtype=torch.float64)
        scale = (levels**2 + law.sigma_data**2).sqrt()[:, None]
        ax.plot(levels, law.path(x_t.double(), levels)[..., 0] / scale, color=TRUTH.color,
                linewidth=3.5, alpha=0.28)  # fmt: skip
        at = torch.tensor(route.levels, dtype=torch.float64)
        size = (at**2 + law.sigma_data**2).sqrt()[:, None]
        ax.plot(at.clamp_min(LOWEST), route.places / size, color=role.color, linestyle=role.line,
                marker=role.marker, markersize=4.5, linewidth=1.2)  # fmt: skip
        ax.set(xscale="log", xlim=(route.levels[0] * 1.15, LOWEST * 0.85))
        ax.set_xticks([10, 1, 0.1, LOWEST], ["10", "1", "0.1", "0"])
        ax.minorticks_off()
        what = "place $x/\\sqrt{\\sigma^2 + \\sigma_d^2}$" * (ax is axes[0])
        name_axes(ax, STEPS_LEVEL, what, title)
    return figure


def strand(ax: Axes, calls: Sequence[int], values: np.ndarray, role: Role, text: str,
           shift: float = 1.0) -> None:  # fmt: skip
    """One curve: its mean over seeds (seeds, n), the range as a band, its name at the end."""
    mean = values.mean(0)
    ax.plot(calls, mean, color=role.color, marker=role.marker, linestyle=role.line, markersize=5)
    ax.fill_between(calls, values.min(0), values.max(0), color=role.color, alpha=0.2, linewidth=0)
    label(ax, calls[-1] * 1.07, mean[-1] * shift, text, role.color)


def against_calls(
    panels: Mapping[str, Mapping[str, np.ndarray]], measures: Sequence[str],
    floors: Sequence[float], shifts: Sequence[Mapping[str, float]] = ({}, {}),
) -> Figure:  # fmt: skip
    """Panels by title; in each, curves (seeds, 4) at 1, 2, 4, 8 calls by name. Grey: a floor.

    `shifts` moves names of curves, by a factor, where they would lie on each other.
    """
    figure, (axes,) = sheet(1, len(panels), 10.4, 4.1)
    for ax, (title, curves), measure, floor, shift in zip(
        axes, panels.items(), measures, floors, shifts, strict=True
    ):
        for name, values in curves.items():
            values = np.where(values < HIDDEN, np.nan, np.atleast_2d(values))
            strand(ax, CALLS, values, LOOK[name], name, shift.get(name, 1.0))
        ax.set(xscale="log", yscale="log", xlim=(0.9, 15))
        ax.set_xticks(CALLS, [str(n) for n in CALLS])
        plain(ax)
        if floor > 0:
            ax.axhline(floor, color=DATA.color, linewidth=1, linestyle=":")
            label(ax, 0.95, floor * 0.88, "two clouds of real data", DATA.color)
        name_axes(ax, "network calls", measure, title)
    return figure


def plain(ax: Axes) -> None:
    """Ticks of a log axis in plain numbers."""
    low, high = ax.get_ylim()
    ticks = [v for v in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1) if low <= v <= high]
    ax.minorticks_off()
    ax.set_yticks(ticks, [f"{v:g}" for v in ticks])


def middle(
    levels: Sequence[float], curves: Mapping[str, Sequence[float]],
    asked: Mapping[str, Sequence[tuple[float, float]]], title: str,
) -> Figure:  # fmt: skip
    """The score of a two-call sampler by its middle level, and where a search has asked."""
    figure, axes = sheet(1, 1, 8.0, 3.4)
    ax = axes[0, 0]
    for name, values in curves.items():
        role = LOOK[name]
        ax.plot(levels, values, color=role.color, linestyle=role.line)
        label(ax, levels[-1] * 1.05, values[-1], name, role.color)
        places = np.array(asked.get(name, [])).reshape(-1, 2)
        ax.plot(*places.T, role.marker, color=role.color, markersize=6, fillstyle="none")
        if len(places):
            ax.plot(*places[-1], MEAN.marker, color=MEAN.color, markersize=9)
    ax.set(xscale="log", yscale="log", xlim=(levels[0] * 0.9, levels[-1] * 1.9))
    plain(ax)
    ax.set_xticks([0.02, 0.1, 0.5, 2, 7], ["0.02", "0.1", "0.5", "2", "7"])
    name_axes(ax, "middle " + STEPS_LEVEL, "sliced $W_2$ (data units)", title)
    return figure


# Truth spreads from t = ε outward: the error by noise level and step, and its front

NEAR = 0.2  # data units, the ring having radius 1: an error below it counts as "close to f*"
PACES = {  # how each decay μ of the target looks
    0.0: Role("#0072B2", "s", "-"),
    0.9: Role("#009E73", "P", (0, (5, 2, 1, 2))),
    0.99: Role("#B87800", "v", "--"),
    0.999: Role("#D55E00", "^", "-."),
}
STEP, WAVEFRONT_LEVEL, ERROR = "step", "noise level $t$ (data units)", "RMS of f − f* (data units)"


@dataclass(frozen=True, eq=False)
class Run:
    """What was seen of runs: steps (T,), levels (L,), error (seeds, T, L), loss (seeds, T).

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
        """The front of each seed at each moment: (seeds, T)."""
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
    """error (T, L) over step and noise level, on one scale for all maps of the lab."""
    values = np.ma.masked_invalid(np.maximum(error, 1e-9)).T
    shown = ax.pcolormesh(
        steps, levels, values, cmap=SEQUENTIAL, norm=LogNorm(0.03, 1), shading="nearest"
    )
    ax.set(yscale="log", ylim=(0.01, levels[-1]))
    ax.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    ax.set_yticks([], minor=True)
    ax.grid(False)
    return shown


def wavefronts(runs: Mapping[str, Run]) -> Figure:
    """One map a run, one scale; the line is the front, thin for each seed and thick for all."""
    figure, axes = sheet(1, len(runs), 2.55 * len(runs), 3.5)
    for ax, (name, run) in zip(axes[0], runs.items(), strict=True):
        shown = heat(ax, run.steps, run.levels, run.mean)
        for line, width in [(f, 0.8) for f in run.fronts()] + [(centre(run), 2.4)]:
            ax.plot(run.steps, line, color="white", linewidth=width)
        name_axes(ax, STEP, WAVEFRONT_LEVEL if ax is axes[0, 0] else "", f"{name}\n{arrival(run)}")
        ax.title.set_fontsize(10)
    bar = figure.colorbar(shown, ax=list(axes[0]), label=ERROR, extend="both", pad=0.01)
    bar.set_ticks([0.03, 0.1, 0.3, 1], labels=["0.03", "0.1", "0.3", "1"])
    bar.minorticks_off()
    return figure


def centre(run: Run, near: float = NEAR) -> np.ndarray:
    """The front of the mean error, (T,)."""
    return front(run.levels, run.mean, near)


def arrival(run: Run, near: float = NEAR) -> str:
    """When the front of the mean error is at the top for good, or where it ends."""
    line = centre(run, near)
    below = np.flatnonzero(line < 0.99 * run.levels[-1])
    if below.size and below[-1] == len(line) - 1:
        return f"ends at t = {line[-1]:.2g}"
    return f"top at step {run.steps[below[-1] + 1 if below.size else 0]}"


def moment(run: Run, now: int, beside: Run | None = None) -> Figure:
    """A run at its moment `now`: the map, the error by level, and the loss so far.

    `beside` is another run, drawn at the same moment for comparison.
    """
    figure, axes = sheet(1, 3, 10.0, 3.0, (1.25, 1, 1))
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(0.07, 0.16, 0.975, 0.89, wspace=0.32)
    plane, profile, loss = axes[0]
    heat(plane, run.steps, run.levels, run.mean)
    plane.plot(run.steps, centre(run), color="white", linewidth=2.4)
    plane.axvline(run.steps[now], color="white", linewidth=1, linestyle=":")
    plane.set(xlim=(0, run.steps[-1]))
    name_axes(plane, STEP, WAVEFRONT_LEVEL, f"Below {NEAR} up to t = {centre(run)[now]:.2g}")
    for one in (beside, run) if beside else (run,):
        role, width = PACES[one.mu], 2.2 if one is run else 1.2
        look = {"color": role.color, "linestyle": role.line, "linewidth": width}
        profile.plot(one.levels, one.mean[now], **look)
        loss.plot(one.steps[: now + 1], one.loss.mean(0)[: now + 1], **look)
        label(profile, 0.0025, 0.55 if one is run else 0.3, f"μ = {one.mu:g}", role.color)
    profile.axhline(NEAR, color="#666666", linewidth=0.8, linestyle=":")
    finish(profile, loss, run, now)
    return figure


def finish(profile: Axes, loss: Axes, run: Run, now: int) -> None:
    """Axes of the two small panels."""
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


# The lowest loss belongs to the worst run: losses first, samples after

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
