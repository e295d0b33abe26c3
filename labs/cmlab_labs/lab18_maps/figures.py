"""Figures of lab 18: what each condition sees of a flow map, and trained maps side by side."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from cmlab.metrics.plots import (
    DATA,
    EXTRA,
    MEAN,
    STUDENT,
    TRUTH,
    label,
    name_axes,
    sheet,
)
from cmlab.oracle import Mixture1D

from ..common.study import Recording
from .analysis import CONDITIONS, ZERO, Flow, FlowMap, data_estimate, points
from .study import TITLES

TIME = "time $t$ (0 data, 1 noise)"
WHERE = "$x_t$ (data units)"
SPOKEN = {
    "boundary": "no jump",
    "start": "move the start",
    "end": "move the end",
    "split": "split the jump",
    "distribution": "distribution",
}
REACH, LOWEST, HIGHEST = 2.6, 1e-3, 10.0
EDGES = np.linspace(-REACH, REACH, 53)


def number(residual: float) -> str:
    """A residual as text; "holds" where only the error of the solver is left."""
    return "holds" if residual < ZERO else f"{residual:.2f}"


@dataclass(frozen=True, eq=False)
class JumpView:
    """What the explorer draws of one jump; numpy arrays, times ascending.

    path    (2, n) times and places of the exact path through the start
    ends    (2, n) for every end time: where the map sends the start
    starts  (n,) for every start on the path: where the map sends it at the end time
    split   (2, 3) start, middle and landing of the two jumps
    jump    t, x_t, s, X(x_t, t -> s) and the exact x_s
    reached (k,) where the map sends evenly spaced quantiles of x_t, and `wanted` those of x_s
    missed  the size of each residual at this jump
    """

    path: np.ndarray
    ends: np.ndarray
    starts: np.ndarray
    split: np.ndarray
    jump: tuple[float, float, float, float, float]
    reached: np.ndarray
    wanted: np.ndarray
    missed: Mapping[str, float]


class MapPicture:
    """The explorer's figure: drawn once, and its artists moved for each view."""

    def __init__(self, oracle: Mixture1D) -> None:
        self.figure, (axes,) = sheet(1, 3, 10.4, 4.0, ratios=(1.75, 0.6, 1.05))
        self.figure.set_layout_engine(None)  # finding a layout would take most of a redraw
        self.figure.subplots_adjust(left=0.055, right=0.985, bottom=0.125, top=0.92, wspace=0.2)
        self.plane, self.across, self.bars = axes
        draw_plane(self.plane, oracle)
        (self.path,) = self.plane.plot([], [], color=TRUTH.color, linewidth=2)
        (self.ends,) = self.plane.plot([], [], color=STUDENT.color, linewidth=2.4)
        (self.starts,) = self.plane.plot(
            [], [], "o", color="#E69F00", markersize=6, mew=1.2, fillstyle="none"
        )
        (self.split,) = self.plane.plot(
            [], [], "P--", color=EXTRA.color, markersize=8, linewidth=1.3
        )
        (self.landing,) = self.plane.plot([], [], "s", color=STUDENT.color, markersize=10)
        (self.start,) = self.plane.plot([], [], "o", color=TRUTH.color, markersize=10)
        (self.truth,) = self.plane.plot(
            [], [], "o", color=TRUTH.color, markersize=13, fillstyle="none"
        )
        self.key = self.plane.legend(
            [self.path, self.ends, self.starts, self.split],
            ["exact path", "move the end", "move the start", "split the jump"],
            loc="upper left", fontsize=8.5, ncols=2, columnspacing=1, handlelength=1.6,
        )  # fmt: skip
        (self.reached,) = self.across.step([], [], color=STUDENT.color)
        (self.wanted,) = self.across.step([], [], color=TRUTH.color, linewidth=1.1)
        self.across.set(ylim=(-REACH, REACH), xlim=(0, 1.7), yticks=(-2, -1, 0, 1, 2))
        self.across.legend([self.wanted, self.reached], ["of $x_s$", "of all jumps"],
                           loc="upper right", fontsize=8.5, handlelength=1)  # fmt: skip
        rows = np.arange(len(CONDITIONS))[::-1]
        (self.sizes,) = [
            self.bars.barh(rows, [LOWEST] * len(rows), height=0.4, color=STUDENT.color)
        ]
        self.bars.set(xscale="log", xlim=(LOWEST, HIGHEST), ylim=(-0.6, len(rows) - 0.2))
        self.bars.set_yticks([])
        self.words = [
            self.bars.text(LOWEST * 1.15, y + 0.27, "", fontsize=9.5, va="bottom") for y in rows
        ]
        self.bars.set_xticks([0.001, 0.01, 0.1, 1, 10], ["0", "0.01", "0.1", "1", "10"])
        self.bars.set_xticks([], minor=True)

    def show(self, view: JumpView, name: str) -> Figure:
        """Move everything to where this view of the map `name` has it."""
        t, x_t, s, there, exact = view.jump
        self.path.set_data(*view.path)
        self.ends.set_data(*view.ends)
        self.starts.set_data(np.full(len(view.starts), s), view.starts)
        self.split.set_data(*view.split)
        self.start.set_data([t], [x_t])
        self.landing.set_data([s], [there])
        self.truth.set_data([s], [exact])
        for line, places in ((self.reached, view.reached), (self.wanted, view.wanted)):
            share = np.histogram(places.clip(-REACH, REACH), EDGES)[0] / len(places)
            line.set_data(share / (EDGES[1] - EDGES[0]), EDGES[1:])
        right = view.missed["distribution"] < ZERO
        name_axes(self.across, "density", "", "Right density" if right else "Wrong density")
        where = f"“{name}” lands {abs(there - exact):.2f} from the exact path"
        name_axes(self.plane, TIME, WHERE, where)
        for bar, word, key in zip(self.sizes, self.words, CONDITIONS, strict=True):
            size = view.missed[key]
            bar.set_width(max(size, LOWEST))
            bar.set_color(STUDENT.color if size >= ZERO else "#bbbbbb")
            word.set_text(f"{SPOKEN[key]}: {number(size)}")
        broken = sum(size >= ZERO for size in view.missed.values())
        said = (
            "Every condition holds"
            if not broken
            else f"{broken} of 5 conditions {'is' if broken == 1 else 'are'} broken"
        )
        name_axes(self.bars, "residual (0 where it holds)", "", said)
        return self.figure


def draw_plane(ax: Axes, oracle: Mixture1D) -> None:
    """Exact paths in grey over time, and the density of the data at the left."""
    exact, n = Flow(oracle), 17
    times = torch.cat([torch.zeros(1), torch.linspace(0.01, 1, 50)]).double()
    top = points(oracle, 1.0, n)
    rows = [exact(top, torch.ones(n).double(), t.repeat(n))[:, 0] for t in times]
    lines = [np.stack([times, row], 1) for row in torch.stack(rows).T.numpy()]
    ax.add_collection(LineCollection(lines, colors=DATA.color, linewidths=0.6, alpha=0.45))
    y = torch.linspace(-REACH, REACH, 300).double()[:, None]
    density = oracle.log_density(y, torch.full((300,), 1e-3).double()).exp()
    ax.fill_betweenx(
        y[:, 0], -0.12 * density / density.max(), 0, color=DATA.color, alpha=0.35, lw=0
    )
    ax.axvline(0, color=DATA.color, linewidth=0.8)
    ax.set(xlim=(-0.14, 1.03), ylim=(-REACH, REACH), yticks=(-2, -1, 0, 1, 2))


# Which condition notices which wrong map


def who_notices(found: Mapping[str, Mapping[str, float]]) -> Figure:
    """A table in colours: maps down, conditions across, and the size of what is left in each."""
    names = list(found)
    size = np.array([[found[name][key] for key in CONDITIONS] for name in names])
    figure, ((ax,),) = sheet(1, 1, 8.6, 0.62 * len(names) + 0.9)
    ax.imshow(np.maximum(size, ZERO), norm=LogNorm(ZERO, 4), cmap="Blues", aspect="auto")
    for (row, column), value in np.ndenumerate(size):
        color, weight = "white" if value > 0.6 else "black", "bold" if value < ZERO else "normal"
        ax.text(column, row, number(value), ha="center", va="center", fontsize=11, color=color,
                fontweight=weight)  # fmt: skip
    ax.set_xticks(range(len(CONDITIONS)), [SPOKEN[key] for key in CONDITIONS])
    ax.set_yticks(range(len(names)), names)
    ax.grid(False)
    ax.tick_params(length=0)
    ax.set_title(
        "Every condition fails to detect some wrong map",
        loc="left",
        fontsize=11,
        fontweight="bold",
    )
    return figure


# The two faces: the denoiser on the diagonal, the consistency function at s = 0


def faces(oracle: Mixture1D, X: FlowMap, t: float = 0.8) -> Figure:
    """g(x_t, t, s) from the posterior mean at s = t to the end of the path at s = 0."""
    figure, ((ax,),) = sheet(1, 1, 6.4, 3.6)
    x_t, ends = points(oracle, t, 7), torch.linspace(0, t - 1e-3, 60).double()
    times = torch.full((7,), t).double()
    g = torch.stack([data_estimate(X, x_t, times, s.repeat(7))[:, 0] for s in ends])
    ax.plot(ends, g, color=STUDENT.color, linewidth=1.6)
    ax.plot(np.zeros(7), g[0], "s", color=TRUTH.color, markersize=7)
    ax.plot(np.full(7, t), g[-1], MEAN.marker, color=MEAN.color, markersize=8)
    label(ax, 0.015, 1.62, "f, the end of the path", TRUTH.color)
    label(ax, t - 0.3, 1.62, "D, the posterior mean", "#8a5c00")
    ax.set(xlim=(-0.03, t + 0.03), ylim=(-1.75, 1.9))
    name_axes(ax, "end of the jump $s$", f"$g(x_t, t, s)$ at $t = {t:g}$ (data units)",
              "One function leads from the average to the path's end")  # fmt: skip
    return figure


def where_trained() -> Figure:
    """The triangle of times: at which of its points each method is trained."""
    figure, ((ax,),) = sheet(1, 1, 7.2, 3.4)
    ax.fill([0, 1, 1], [0, 0, 1], color=STUDENT.color, alpha=0.12, linewidth=0)
    for length in (0.5, 0.25, 0.125):
        ax.plot([length, 1], [0, 1 - length], color=EXTRA.color, linestyle="--", linewidth=1.2)
    ax.plot([0, 1], [0, 1], color=MEAN.color, linewidth=4)
    ax.plot([0, 1], [0, 0], color=TRUTH.color, linewidth=5)
    label(ax, 0.02, 0.86, "diagonal: flow matching, denoisers", "#8a5c00")
    label(ax, 1.03, 0.8, "shaded: LSD, ESD, PSD and\nMeanFlow, with the diagonal;\n"
          "IMM, without it", STUDENT.color)  # fmt: skip
    label(ax, 1.03, 0.42, "dashed: Shortcut, t − s = ½, ¼, …\nwith the diagonal", EXTRA.color)
    label(ax, 1.03, 0.04, "s = 0: consistency models")
    ax.set(xlim=(0, 1.75), ylim=(-0.02, 1.0), xticks=np.linspace(0, 1, 6))
    ax.grid(False)
    return name_axes(
        ax,
        "start of the jump $t$",
        "end of the jump $s$",
        "Consistency models are trained on one edge, flow maps inside",
    ).get_figure()  # type: ignore[return-value]


# Trained on the ring

NAMES = {
    "lsd": "move the end (LSD)",
    "imm": "distribution (IMM)",
    "esd": "move the start (ESD)",
    "meanflow": "move the start (MeanFlow)",
    "psd": "split the jump (PSD)",
}


def trained(runs: Mapping[str, Recording], scores: Mapping[str, tuple[str, str]]) -> Figure:
    """One panel for each score, a mark for each seed; where the first score's best stands in all.

    Args:
        runs: by method; they stand in the order of the first score.
        scores: by name, what is measured (for the title) and the name of the axis.
    """
    figure, (axes,) = sheet(1, len(scores), 10.2, 0.42 * len(runs) + 1.3)
    means = {key: {name: run.score(key).mean() for name, run in runs.items()} for key in scores}
    order = sorted(runs, key=next(iter(means.values())).__getitem__, reverse=True)
    best = order[-1]
    for ax, (score, (measured, axis)) in zip(axes, scores.items(), strict=True):
        for row, name in enumerate(order):
            values = runs[name].score(score)
            ax.plot(
                values, [row] * len(values), "s", color=STUDENT.color, markersize=6, alpha=0.75
            )
            ax.plot(values.mean(), row, "|", color=TRUTH.color, markersize=18)
        ax.set_yticks(
            range(len(order)), [NAMES[n] for n in order] if ax is axes[0] else [""] * len(order)
        )
        ax.set(
            xlim=(0, 1.06 * max(run.score(score).max() for run in runs.values())),
            ylim=(-0.5, len(order) - 0.5),
        )
        ax.locator_params(axis="x", nbins=4)
        ax.xaxis.set_major_formatter("{x:g}")
        place = sorted(means[score], key=means[score].__getitem__).index(best)
        stands = {0: "nearest", len(order) - 1: "farthest"}.get(place, f"number {place + 1}")
        name_axes(ax, axis, "", f"{measured}:\n{TITLES[best]} is {stands}")
    return figure
