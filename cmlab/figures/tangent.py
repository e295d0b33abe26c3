"""The tangent g = cos t df/dt under the microscope: its two brackets, its bound, its weight."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .emphasis import plain
from .style import DATA, EXTRA, MEAN, STUDENT, TEACHER, TRUTH, Role, label, name_axes, sheet

TIME = "time t (radians)"
LENGTH = "length (data units)"
FLOOR, TOP = 1e-3, 1e5  # lengths shown: what the exact f* leaves is far below, or above if it is
LIMITS = ((FLOOR, TOP), (FLOOR, TOP), (1e-6, 1e6))
TICKS = ((0.01, 1, 100, 10_000), (0.01, 1, 100, 10_000), (0.001, 1, 1000))
NOTHING = 1e-4  # shorter than this is zero but for rounding
INK = {MEAN: "#8a5c00"}  # dark enough for words


@dataclass(frozen=True, eq=False)
class Tangents:
    """Tangents of n samples at m times t (m,), every other array (m, n, D).

    first, second  the brackets -cos²t (σ_d F - dx/dt) and -r cos t sin t (x_t + σ_d dF/dt)
    bounded        their sum g after its bound, which promises at most `promise` for ‖g‖
    """

    t: np.ndarray
    first: np.ndarray
    second: np.ndarray
    bounded: np.ndarray
    promise: float

    @property
    def g(self) -> np.ndarray:
        return self.first + self.second

    @property
    def longest(self) -> tuple[int, int]:
        """Which time and which sample has the longest g."""
        where = np.unravel_index(long(self.g).argmax(), long(self.g).shape)
        return int(where[0]), int(where[1])

    @property
    def loss(self) -> np.ndarray:
        """E‖g‖²/D of the bounded tangent at each time: (m,)."""
        return np.square(self.bounded).mean((1, 2))


def long(g: np.ndarray) -> np.ndarray:
    """‖g‖ of each sample."""
    return np.linalg.norm(g, axis=-1)


def short(value: float) -> str:
    """Three digits, and no powers of ten for large numbers."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def microscope(seen: Tangents, bound: str) -> Figure:
    """Brackets, length before and after the bound, and the weight w* that this loss asks for."""
    figure, (axes,) = sheet(1, 3, 10.6, 3.5)
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(left=0.078, right=0.982, bottom=0.145, top=0.9, wspace=0.21)
    for ax, (low, high), ticks in zip(axes, LIMITS, TICKS, strict=True):
        ax.set(yscale="log", xlim=(0, np.pi / 2), ylim=(low, high))
        ax.set_xticks([0, np.pi / 4, np.pi / 2], ["0", "π/4", "π/2"])
        plain(ax.yaxis, ticks)
    brackets(axes[0], seen)
    before_and_after(axes[1], seen, bound)
    weighed(axes[2], seen)
    return figure


def cloud(ax: Axes, t: np.ndarray, values: np.ndarray, role: Role, shift: float) -> None:
    """A dot for each sample (m, n), and their median over t."""
    places = np.repeat(t + shift, values.shape[1])
    ax.plot(places, values.ravel(), ".", color=role.color, markersize=2.5, alpha=0.45)
    row(ax, t + shift, np.median(values, 1), role)


def row(ax: Axes, t: np.ndarray, values: np.ndarray, role: Role) -> None:
    """One number for each time."""
    ax.plot(t, values, color=role.color, linestyle=role.line, marker=role.marker, markersize=4.5,
            markevery=3)  # fmt: skip


def key(ax: Axes, line: int, text: str, role: Role) -> None:
    """A label at the top left, in that line."""
    low, high = np.log(ax.get_ylim())
    label(ax, 0.05, float(np.exp(high - (high - low) * 0.075 * line)), text,
          INK.get(role, role.color))  # fmt: skip


def brackets(ax: Axes, seen: Tangents) -> None:
    """How long the two parts of g are."""
    cloud(ax, seen.t, long(seen.first), TEACHER, -0.008)
    key(ax, 1, "▲ first: cos² t (σ_d F − dx_t/dt)", TEACHER)
    cloud(ax, seen.t, long(seen.second), STUDENT, 0.008)
    on = "r cos t sin t (x_t + σ_d dF/dt)" if seen.second.any() else "off, r = 0"
    key(ax, 2, f"■ second: {on}", STUDENT)
    parts = [long(g)[seen.longest] for g in (seen.first, seen.second)]
    which = ("first", "second")[int(np.argmax(parts))]
    title = f"The longest: mostly the {which}"
    name_axes(ax, TIME, LENGTH, "They cancel" if long(seen.g).max() < NOTHING else title)


def before_and_after(ax: Axes, seen: Tangents, bound: str) -> None:
    """The length of g, what the bound leaves of it, and the band that it promises."""
    g, after = long(seen.g), long(seen.bounded)
    bounded = np.isfinite(seen.promise)
    if bounded:
        ax.axhspan(FLOOR / 10, seen.promise, color=EXTRA.color, alpha=0.13, linewidth=0)
        label(ax, 0.05, FLOOR * 1.6, f"promised: at most {seen.promise:.3g}", EXTRA.color)
    cloud(ax, seen.t, g, DATA, -0.008)
    key(ax, 1, "● ‖g‖ as it is", DATA)
    if bounded:
        cloud(ax, seen.t, after, EXTRA, 0.008)
        key(ax, 2, f"✚ after the bound: {bound}", EXTRA)
    if g.max() < FLOOR:
        label(ax, 0.05, 4 * FLOOR, f"all below {FLOOR:g}: at most {g.max():.1g}", DATA.color)
    title = f"Longest: {short(g.max())}"
    name_axes(ax, TIME, "", f"{title}, bounded {short(after.max())}" if bounded else title)


def weighed(ax: Axes, seen: Tangents) -> None:
    """The loss by time, the weight that evens it, and what the two make together."""
    weight = 1 / np.maximum(seen.loss, 1e-300)
    row(ax, seen.t, seen.loss, STUDENT)
    key(ax, 1, "■ loss E‖g‖²/D", STUDENT)
    row(ax, seen.t, weight, MEAN)
    key(ax, 2, "▼ best weight e^(w*) = 1/loss", MEAN)
    ax.plot(seen.t, seen.loss * weight, color=TRUTH.color, linestyle=":")
    key(ax, 3, "dotted: their product", TRUTH)
    uneven = seen.loss.max() / max(seen.loss.min(), 1e-300)
    title = f"Uneven ×{short(uneven)}; w* evens it"
    gone = seen.loss.max() < NOTHING**2
    name_axes(ax, TIME, "", "No loss left to weigh" if gone else title)
