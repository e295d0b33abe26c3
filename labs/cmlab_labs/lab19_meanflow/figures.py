"""Figures of lab 19: velocities under a tangent, noise of targets, weights and times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.metrics.plots import (
    DATA,
    DIVERGING,
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
from cmlab.oracle import Mixture1D

from .analysis import path_points

TIME = "time $t$ (0 data, 1 noise)"
WHERE = "$x_t$ (data units)"
REACH, FAST, WIDE = 2.4, 3.4, 3.0
DARK_MEAN = "#8a5c00"
EDGES = np.linspace(-WIDE, WIDE, 41)
BEYOND = 1.367  # the right margin that puts the hidden panel outside the figure


@dataclass(frozen=True, eq=False)
class TangentView:
    """What the explorer draws; numpy arrays over times, ascending.

    path    (2, n) the exact path through the start
    jump    t, x_t, r, exact X, v at the start, v at the end, and the target
    ends    (n,) end times up to t, and at each of them: u, v_end, target (n,)
    noise   (2, k) residuals of single pairs, of MeanFlow and of improved MeanFlow
    """

    path: np.ndarray
    jump: tuple[float, float, float, float, float, float, float]
    ends: np.ndarray
    u: np.ndarray
    v_end: np.ndarray
    target: np.ndarray
    noise: np.ndarray


class TangentPicture:
    """The explorer's figure: drawn once, and its artists moved for each view."""

    def __init__(self, oracle: Mixture1D) -> None:
        self.figure, (axes,) = sheet(1, 3, 10.4, 4.0, ratios=(1.45, 1, 0.85))
        self.figure.set_layout_engine(None)  # finding a layout would take most of a redraw
        self.figure.subplots_adjust(left=0.055, right=0.985, bottom=0.125, top=0.92, wspace=0.24)
        self.plane, self.rates, self.spread = axes
        draw_plane(self.plane, oracle)
        line = self.plane.plot
        (self.path,) = line([], [], color=TRUTH.color, linewidth=2)
        (self.tangent,) = line([], [], color=MEAN.color, linestyle=":", linewidth=2)
        (self.aim,) = line([], [], color=STUDENT.color, linewidth=4, alpha=0.6)
        (self.chord,) = line([], [], color=TRUTH.color, linestyle="--", linewidth=1.2)
        (self.parallel,) = line([], [], color=WRONG.color, linewidth=3)
        (self.landing,) = line([], [], "s", color=STUDENT.color, markersize=9)
        (self.start,) = line([], [], "o", color=TRUTH.color, markersize=9)
        (self.truth,) = line([], [], "o", color=TRUTH.color, markersize=12, fillstyle="none")
        self.plane.legend(
            [self.path, self.tangent, self.chord, self.aim, self.parallel],
            ["exact path", "$v$ at the start", "mean velocity $u$", "target", "$v$ at the end"],
            loc="lower center", fontsize=8.5, ncols=3, columnspacing=1, handlelength=1.6,
        )  # fmt: skip
        looks = {
            "v": (MEAN, ":", 2),
            "target": (STUDENT, "-", 4),
            "v_end": (WRONG, "-", 2),
            "u": (TRUTH, "--", 1.2),
        }
        self.curves = {
            name: self.rates.plot(
                [],
                [],
                color=role.color,
                linestyle=style,
                linewidth=w,
                alpha=0.6 if name == "target" else 1,
            )[0]
            for name, (role, style, w) in looks.items()
        }
        (self.here,) = self.rates.plot([], [], "s", color=STUDENT.color, markersize=8)
        self.rates.legend(
            list(self.curves.values()), ["$v$ at the start", "target", "$v$ at the end", "$u$"],
            loc="lower center", fontsize=8.5, ncols=2, columnspacing=1, handlelength=1.8,
        )  # fmt: skip
        self.rates.set(xlim=(0, 1), ylim=(-FAST, FAST))
        (self.ours,) = self.spread.step([], [], color=STUDENT.color)
        (self.theirs,) = self.spread.step([], [], color=EXTRA.color, linestyle=(0, (4, 1)))
        self.spread.legend(
            [self.ours, self.theirs], ["MeanFlow", "improved"],
            loc="upper right", fontsize=8.5, handlelength=1.4,
        )  # fmt: skip
        self.spread.set(xlim=(-WIDE, WIDE), ylim=(0, 2.6))

    def show(self, view: TangentView, noise: bool) -> Figure:
        """Move everything to where this view has it; the panel of the noise may be empty."""
        t, x_t, r, X, v, v_end, target = view.jump
        back = np.array([t, r])
        lands = x_t - (t - r) * target
        self.path.set_data(*view.path)
        self.tangent.set_data(back, [x_t, x_t - (t - r) * v])
        self.chord.set_data(back, [x_t, X])
        self.aim.set_data(back, [x_t, lands])
        self.parallel.set_data([r - 0.07, r + 0.07], [X - 0.07 * v_end, X + 0.07 * v_end])
        self.landing.set_data([r], [lands])
        self.start.set_data([t], [x_t])
        self.truth.set_data([r], [X])
        for name, curve in self.curves.items():
            curve.set_data(
                view.ends, np.full_like(view.ends, v) if name == "v" else getattr(view, name)
            )
        self.here.set_data([r], [target])
        for line, values in zip((self.ours, self.theirs), view.noise, strict=True):
            share = np.histogram(values, EDGES)[0] / len(values) / (EDGES[1] - EDGES[0])
            line.set_data(EDGES[1:], share)
        ratio = view.noise[0].std() / max(view.noise[1].std(), 1e-9)
        name_axes(
            self.plane, TIME, WHERE, f"The target misses the exact end by {abs(lands - X):.2f}"
        )
        said = f"Target {target:.2f}, mean velocity {(x_t - X) / (t - r):.2f}"
        said = said.replace("-", "−")
        name_axes(self.rates, "end of the jump $r$", "velocity (data units)", said)
        found = f"MeanFlow's std: ×{ratio:.2f}"
        name_axes(self.spread, "error of one target", "density", found)
        self.spread.set_visible(noise)
        self.figure.subplots_adjust(right=0.985 if noise else BEYOND)
        return self.figure


def draw_plane(ax: Axes, oracle: Mixture1D) -> None:
    """Exact paths in grey over time, and the density of the data at the left."""
    times = torch.cat([torch.zeros(1), torch.linspace(0.01, 1, 50)]).double()
    ranks = (np.arange(17) + 0.5) / 17
    ways = [path_points(oracle, rank, times)[:, 0].numpy() for rank in ranks]
    lines = [np.stack([times, way], 1) for way in ways]
    ax.add_collection(LineCollection(lines, colors=DATA.color, linewidths=0.6, alpha=0.45))
    y = torch.linspace(-REACH, REACH, 300).double()[:, None]
    density = oracle.log_density(y, torch.full((300,), 1e-3).double()).exp()
    ax.fill_betweenx(
        y[:, 0], -0.12 * density / density.max(), 0, color=DATA.color, alpha=0.35, lw=0
    )
    ax.axvline(0, color=DATA.color, linewidth=0.8)
    ax.set(xlim=(-0.14, 1.03), ylim=(-REACH - 0.5, REACH), yticks=(-2, -1, 0, 1, 2))


# What a network learns with the wrong tangent


def learned(
    ends: np.ndarray, exact: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> Figure:
    """Velocities of one jump's start against its end r; recorded networks, a line a seed."""
    figure, ((ax,),) = sheet(1, 1, 7.4, 3.7)
    looks = {"mean": (TRUTH, "exact mean velocity u"), "end": (WRONG, "velocity at the end"),
             "average": (MEAN, "weighted average, eq. (3)")}  # fmt: skip
    for name, (role, _) in looks.items():
        ax.plot(ends, exact[name], color=role.color, linestyle=role.line, linewidth=2.2)
    roles: dict[str, Role] = {"right": STUDENT, "held": TEACHER}
    for name, rows in found.items():
        for row in rows:
            ax.plot(ends, row, color=roles[name].color, linewidth=1, marker=roles[name].marker,
                    markersize=3.5, markevery=3, alpha=0.85)  # fmt: skip
    drawn = [*ax.lines[:3], ax.lines[3], ax.lines[-1]]
    said = [text for _, text in looks.values()]
    ax.legend(
        drawn,
        [*said, "learned, r held fixed", "learned, t − r held fixed"],
        fontsize=8.5,
        loc="best",
    )
    name_axes(
        ax,
        "end of the jump $r$",
        "velocity (data units)",
        "With t − r held fixed, the network learns another function",
    )
    return figure


# Noise of the targets on the ring


def noise_on_the_ring(
    starts: Sequence[float], ends: Sequence[float], ratio: np.ndarray,
    draws: Mapping[str, tuple[Tensor, Tensor]],
) -> Figure:  # fmt: skip
    """Left: median noise over the triangle. Right: squared noises (ours, theirs) at some jumps."""
    figure, (axes,) = sheet(1, 2, 10.2, 4.0, ratios=(1.15, 1))
    ax = axes[0]
    ax.imshow(ratio, origin="lower", cmap=f"{DIVERGING}_r", norm=LogNorm(0.1, 10), aspect="auto")
    for (i, j), value in np.ndenumerate(ratio):
        if np.isfinite(value):
            color = "white" if value < 0.2 else "black"
            ax.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize=10, color=color)
    ax.set_xticks(range(len(starts)), [f"{time:g}" for time in starts])
    ax.set_yticks(range(len(ends)), [f"{time:g}" for time in ends])
    ax.grid(False)
    less = f"less noisy in {np.sum(ratio < 1)} of {np.isfinite(ratio).sum()} jumps"
    name_axes(ax, "start of the jump $t$", "end of the jump $r$",
              f"Exact u: for the median pair MeanFlow's\ntarget is {less}")  # fmt: skip
    draw_spread(axes[1], draws)
    return figure


def draw_spread(ax: Axes, draws: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Distribution functions of the ratio of squared noises, and the ratio of their means."""
    places, roles = ((2e-3, 0.62), (0.006, 0.2), (2.0, 0.42)), (STUDENT, EXTRA, TEACHER)
    rows = [np.sort((ours / theirs).numpy()) for ours, theirs in draws.values()]
    for row, (name, both), role, place in zip(rows, draws.items(), roles, places, strict=True):
        shares = (np.arange(len(row)) + 0.5) / len(row)
        ax.plot(row, shares, color=role.color, linestyle=role.line)
        label(ax, *place, name, role.color)
        mean = float(both[0].mean() / both[1].mean())
        ax.plot(mean, np.interp(mean, row, shares), "o", color=role.color, markersize=8)
    ax.plot([], [], "o", color=TRUTH.color, markersize=8, label="ratio of the means")
    ax.axvline(1, color=TRUTH.color, linewidth=0.8)
    ax.set(xscale="log", xlim=(1e-3, 1e3), ylim=(0, 1.03))
    ax.legend(loc="lower right", fontsize=9)
    most = "Most" if min(np.mean(row < 1) for row in rows) > 0.5 else "Not all"
    title = f"{most} pairs lie below 1, the largest at {max(row[-1] for row in rows):.0f}"
    name_axes(ax, "‖∂ₓX ξ‖² / ‖ξ‖², one pair", "fraction of the pairs below", title)


# The adaptive weight


def landscapes(shifts: Tensor, panels: Mapping[str, Mapping[float, Tensor]]) -> Figure:
    """The scaled loss of an answer that is off the mean, a panel a dimension, a line a power p."""
    figure, (axes,) = sheet(1, len(panels), 9.6, 3.6)
    roles = (TRUTH, EXTRA, STUDENT)
    for ax, (title, rows) in zip(axes, panels.items(), strict=True):
        for (p, row), role in zip(rows.items(), roles, strict=True):
            ax.plot(shifts, row, color=role.color, linestyle=role.line, label=f"p = {p:g}")
        ax.axvline(1, color=DATA.color, linewidth=0.8, linestyle=":")
        ax.set(xlim=(0, float(shifts[-1])), ylim=(-0.12, 1.5))
        ax.legend(loc="upper left")
        name_axes(
            ax,
            "distance of the output from the mean (ring radius 1)",
            "loss above that of the mean, scaled",
            title,
        )
    axes[1].set_ylabel("")
    return figure


# Distributions of the times


def both_ratios(panels: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """Draws (t, r) of each recipe; those on the diagonal in another colour."""
    figure, (axes,) = sheet(1, len(panels), 8.8, 3.9)
    for ax, (title, (t, r)) in zip(axes, panels.items(), strict=True):
        same = t == r
        ax.plot(t[~same], r[~same], ".", color=STUDENT.color, markersize=3, alpha=0.5)
        ax.plot(t[same], r[same], ".", color=MEAN.color, markersize=3, alpha=0.5)
        label(ax, 0.04, 0.9, f"on the diagonal: {100 * same.double().mean():.0f} %", DARK_MEAN)
        label(ax, 0.04, 0.81, f"off it: {100 * (~same).double().mean():.0f} %", STUDENT.color)
        ax.plot(1, 0, "o", color=TRUTH.color, markersize=10, fillstyle="none", clip_on=False)
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        name_axes(ax, "start of the jump $t$", "end of the jump $r$", title)
    return figure
