"""Plots of multistep sampling: noise levels of the calls, routes of samples, scores by calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.metrics.plots import (
    DATA,
    EXTRA,
    MEAN,
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
from cmlab.process import VarianceExploding
from cmlab.types import Denoise

# The noise levels of the calls, and the samples that they lead to

PLAN_LOW = 0.006  # where level 0 is drawn


def level_plan(
    levels: Sequence[float], marks: Sequence[float], renoised: bool,
    found: np.ndarray, exact: np.ndarray, role: Role, title: str,
) -> Figure:  # fmt: skip
    """Noise levels (n,) of the calls, a phased network's edges as marks, and samples (b, 2)."""
    figure, (axes,) = sheet(1, 2, 9.6, 3.9, ratios=(1.0, 1.15))
    figure.set_layout_engine(None)  # a fixed layout draws in half the time
    figure.subplots_adjust(left=0.085, right=0.985, bottom=0.14, top=0.87, wspace=0.24)
    level_steps(axes[0], levels, marks, renoised, role)
    end_points(axes[1], found, exact, role, title)
    return figure


def level_steps(
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
        label(ax, 5.6, 11.5, "dotted: its edges", DATA.color)
    said = (
        "Each call jumps to the data; noise leads up again"
        if renoised
        else "Each call moves along a straight line"
    )
    name_axes(ax, "network call", "noise level $\\sigma$ (data units)", said)


def end_points(ax: Axes, found: np.ndarray, exact: np.ndarray, role: Role, title: str) -> None:
    """Samples, with a line from the exact endpoint to each of the first 60."""
    ax.plot(*exact.T, "o", color=TRUTH.color, markersize=5, fillstyle="none", alpha=0.3,
            markeredgewidth=0.8)  # fmt: skip
    ends = np.stack([exact[:60], found[:60], np.full_like(found[:60], np.nan)], 1).reshape(-1, 2)
    ax.plot(*ends.T, color=role.color, linewidth=0.9, alpha=0.8)
    ax.plot(*found.T, role.marker, color=role.color, markersize=2.5, alpha=0.7)
    ax.set(xlim=(-1.75, 1.75), ylim=(-1.45, 1.45), aspect="equal")
    name_axes(ax, "$x_1$ (data units)", "$x_2$ (data units)", title)


# Routes through the noise levels, and scores by the number of network calls

STEPS_LEVEL = "noise level $\\sigma$ (data units)"
CALLS = (1, 2, 4, 8)
LOWEST = 0.01  # where level 0 is drawn
HIDDEN = 1e-4  # below this a value is 0, which a log axis does not have
SAMPLER_STYLE: dict[str, Role] = {
    "exact f*": TRUTH, "good f": STUDENT, "bad f": WRONG, "phased": EXTRA, "DDIM": TEACHER,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Route:
    """A sampler's route: positions (m, b) of b samples and the noise level (m,) of each."""

    levels: Sequence[float]
    places: Tensor


def by_renoising(denoise: Denoise, x_t: Tensor, levels: Sequence[float], z: Tensor) -> Route:
    """Multistep consistency sampling under EDM, with fresh noise z (m - 1, b, 1) between calls."""
    seen, at = [x_t], [levels[0]]
    for i, level in enumerate(levels):
        x = denoise(seen[-1], torch.full((len(x_t),), level).to(x_t))
        seen, at = [*seen, x], [*at, 0.0]
        if i + 1 < len(levels):
            seen, at = [*seen, x + levels[i + 1] * z[i]], [*at, levels[i + 1]]
    return Route(at, torch.stack(seen)[..., 0])


def by_transport(denoise: Denoise, x_t: Tensor, levels: Sequence[float]) -> Route:
    """Deterministic DDIM-like sampling under EDM: from each level to the next."""
    seen = [x_t]
    for t, s in zip(levels[:-1], levels[1:], strict=True):
        time, edge = (torch.full((len(x_t),), v).to(x_t) for v in (t, s))
        seen.append(VarianceExploding().transport(seen[-1], denoise(seen[-1], time), time, edge))
    return Route(levels, torch.stack(seen)[..., 0])


def routes(oracle: Oracle, x_t: Tensor, panels: Mapping[str, tuple[Route, Role]]) -> Figure:
    """Routes of samples x_t (b, 1) from one level, each over the exact paths, by title."""
    figure, (axes,) = sheet(1, len(panels), 10.4, 3.7)
    for ax, (title, (route, role)) in zip(axes, panels.items(), strict=True):
        levels = torch.logspace(np.log10(route.levels[0]), -2, 90, dtype=torch.float64)
        scale = (levels**2 + oracle.sigma_data**2).sqrt()[:, None]
        ax.plot(levels, oracle.path(x_t.double(), levels)[..., 0] / scale, color=TRUTH.color,
                linewidth=3.5, alpha=0.28)  # fmt: skip
        draw_route(ax, route, oracle.sigma_data, role)
        ax.set(xscale="log", xlim=(route.levels[0] * 1.15, LOWEST * 0.85))
        ax.set_xticks([10, 1, 0.1, LOWEST], ["10", "1", "0.1", "0"])
        ax.minorticks_off()
        what = "scaled position $x/\\sqrt{\\sigma^2 + \\sigma_d^2}$" * (ax is axes[0])
        name_axes(ax, STEPS_LEVEL, what, title)
    low, high = zip(*(ax.get_ylim() for ax in axes), strict=True)
    for ax in axes:
        ax.set_ylim(min(low), max(high))
    return figure


def draw_route(ax: Axes, route: Route, sigma_data: float, role: Role) -> None:
    """A route's calls as solid arrows; if noise is added between them, dotted, one sample only."""
    at = torch.tensor(route.levels, dtype=torch.float64)
    places = (route.places / (at**2 + sigma_data**2).sqrt()[:, None]).numpy()
    at, renoised = at.clamp_min(LOWEST).numpy(), bool((at.diff() > 0).any())
    for k in range(places.shape[1]):
        alpha = 1.0 if k == places.shape[1] - 1 or not renoised else 0.22
        for (a, b), (x, y) in zip(pairwise(at), pairwise(places[:, k]), strict=True):
            line = {"color": DATA.color, "linestyle": ":"} if b > a else {"color": role.color}
            ax.annotate("", (b, y), (a, x), arrowprops={"arrowstyle": "->", "linewidth": 1.4,
                        "alpha": alpha, "shrinkA": 0, "shrinkB": 0} | line)  # fmt: skip
        ax.plot(at, places[:, k], role.marker, color=role.color, markersize=4, alpha=alpha)


def score_curve(ax: Axes, calls: Sequence[int], values: np.ndarray, role: Role, text: str,
           shift: float = 1.0) -> None:  # fmt: skip
    """One curve: mean over seeds (seeds, n), range as a band, name at the end."""
    mean = values.mean(0)
    ax.plot(calls, mean, color=role.color, marker=role.marker, linestyle=role.line, markersize=5)
    ax.fill_between(calls, values.min(0), values.max(0), color=role.color, alpha=0.2, linewidth=0)
    label(ax, calls[-1] * 1.07, mean[-1] * shift, text, role.color)


def scores_by_calls(
    panels: Mapping[str, Mapping[str, np.ndarray]], measures: Sequence[str],
    floors: Sequence[float], shifts: Sequence[Mapping[str, float]] = ({}, {}),
) -> Figure:  # fmt: skip
    """Panels by title; in each, curves (seeds, 4) at 1, 2, 4, 8 calls by name. Grey: a floor.

    `shifts` moves names of curves, by a factor, where they would lie on each other.
    """
    figure, (axes,) = sheet(1, len(panels), 10.8, 4.1)
    for ax, (title, curves), measure, floor, shift in zip(
        axes, panels.items(), measures, floors, shifts, strict=True
    ):
        for name, values in curves.items():
            values = np.where(values < HIDDEN, np.nan, np.atleast_2d(values))
            style = SAMPLER_STYLE[name.split(" (")[0]]
            score_curve(ax, CALLS, values, style, name, shift.get(name, 1.0))
        ax.set(xscale="log", yscale="log", xlim=(0.9, 18))
        ax.set_xticks(CALLS, [str(n) for n in CALLS])
        plain_score_ticks(ax)
        if floor > 0:
            ax.axhline(floor, color=DATA.color, linewidth=1, linestyle=":")
            ax.set_ylim(min(ax.get_ylim()[0], 0.72 * floor))
            label(ax, 0.95, floor * 0.83, "real data", DATA.color)
        name_axes(ax, "network calls", measure, title)
    return figure


def plain_score_ticks(ax: Axes) -> None:
    """Tick labels of a logarithmic axis with plain numbers."""
    low, high = ax.get_ylim()
    ticks = [v for v in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1) if low <= v <= high]
    ax.minorticks_off()
    ax.set_yticks(ticks, [f"{v:g}" for v in ticks])


@dataclass(frozen=True, eq=False)
class LevelPanel:
    """A score of two calls by the middle level, for each network by name.

    Args:
        measure: what is scored.
        curves: the score at each level.
        once: the score of one call.
        found: the level that a search found, and its score.
        noisy: the score of one call on data with noise of each level.
        floor: the lowest and the highest score of sets of real data.
    """

    measure: str
    curves: Mapping[str, Sequence[float]]
    once: Mapping[str, float]
    found: Mapping[str, tuple[float, float]]
    noisy: Mapping[str, Sequence[float]]
    floor: tuple[float, float]


def intermediate_level(levels: Sequence[float], panels: Mapping[str, LevelPanel]) -> Figure:
    """The score of a two-call sampler by its intermediate noise level; the level of a search."""
    figure, (axes,) = sheet(1, len(panels), 10.4, 3.9)
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        for name, values in panel.curves.items():
            role = SAMPLER_STYLE[name]
            ax.axhline(panel.once[name], color=role.color, linewidth=0.8, linestyle=(0, (6, 4)))
            if name in panel.noisy:
                ax.plot(levels, panel.noisy[name], color=role.color, linewidth=1.3, linestyle=":")
            ax.plot(levels, values, color=role.color, linewidth=2)
            label(ax, levels[-1] * 1.1, values[-1], name, role.color)
            if name in panel.found:
                ax.plot(*panel.found[name], MEAN.marker, color=MEAN.color, markersize=9)
        ax.axhspan(*panel.floor, color=DATA.color, alpha=0.16, linewidth=0)
        label(ax, levels[0], panel.floor[0] * 1.03, "real data", DATA.color)
        ax.set(xscale="log", yscale="log", xlim=(levels[0] * 0.9, levels[-1] * 3.6))
        plain_score_ticks(ax)
        ax.set_xticks([0.02, 0.1, 0.5, 2, 7], ["0.02", "0.1", "0.5", "2", "7"])
        name_axes(ax, r"middle noise level $\sigma_\mathrm{mid}$", panel.measure, title)
    return figure
