"""From the gap to its limit: what vanishes along a path, what the gradient tends to, who pulls."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import DATA, EXTRA, MEAN, NOISE, STUDENT, TEACHER, TRUTH, label, name_axes, sheet

ANGLE = "time $t$ (radians)"
GAP = "gap $t - r$ (radians)"
PRECISIONS = {"float64": STUDENT, "float32": TEACHER}
NAMED = {"float64": "64 bits", "float32": "32 bits"}


def binned(x: np.ndarray, y: np.ndarray, bins: int = 21) -> tuple[np.ndarray, np.ndarray]:
    """Means of x and y (n,) in bins of equal width over the middle 98 % of x."""
    low, high = np.quantile(x, (0.01, 0.99))
    edges = np.linspace(low, high, bins + 1)
    where = np.digitize(x, edges)
    rows = [where == i for i in range(1, bins + 1)]
    return np.array([x[row].mean() for row in rows]), np.array([y[row].mean() for row in rows])


def steepness(x: np.ndarray, y: np.ndarray) -> float:
    """The slope of the straight line through the points (x, y) of least squared error."""
    return float(np.polyfit(x, y, 1)[0])


def in_the_mean(panels: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """x_t and two tangents, each (n,), by title: along one sample's path and the exact path."""
    figure, (axes,) = sheet(1, len(panels), 9.8, 3.6)
    for ax, (title, (x, sampled, exact)) in zip(axes, panels.items(), strict=True):
        ax.plot(x[:800], sampled[:800], ".", color=NOISE.color, markersize=3, alpha=0.5)
        order = np.argsort(x)
        ax.plot(x[order], exact[order], color=TRUTH.color, linewidth=2)
        ax.plot(*binned(x, sampled), MEAN.marker, color=MEAN.color, markersize=7)
        reach = float(np.quantile(np.abs(x), 0.995))
        ax.set(xlim=(-reach, reach), ylim=(-0.55, 0.55))
        name_axes(ax, "$x_t$ (data units)", "", title)
    axes[0].set_ylabel("$g = \\cos t\\; df/dt$ (data units)")
    rows = (
        ("grey dots: paths of single samples", "#666666"),
        ("triangles: their mean", "#8a5c00"),
    )
    for number, (text, color) in enumerate((*rows, ("black line: the exact path", "black"))):
        label(axes[0], 0.95 * axes[0].get_xlim()[0], 0.47 - 0.08 * number, text, color)
    return figure


def order(x: Sequence[float], y: Sequence[float], low: float, high: float) -> float:
    """The slope of ln y against ln x for low ≤ x ≤ high."""
    a, b = np.log(x), np.log(y)
    inside = (np.asarray(x) >= low * 0.99) & (np.asarray(x) <= high * 1.01)
    return steepness(a[inside], b[inside])


def to_the_limit(
    gaps: Sequence[float], errors: Mapping[str, Sequence[float]], floors: Mapping[str, float]
) -> Figure:
    """Error of the discrete gradient over the gap, by precision; floors: the limit's own error."""
    figure, ((ax,),) = sheet(1, 1, 7.6, 3.9)
    for name, row in errors.items():
        role = PRECISIONS[name]
        ax.loglog(gaps, row, color=role.color, linestyle=role.line, marker=role.marker)
    for name, floor in floors.items():
        ax.axhline(floor, color=PRECISIONS[name].color, linewidth=1, linestyle=":")
        label(ax, gaps[0] * 0.9, floor * 1.5, f"the limit itself, {NAMED[name]}",
              PRECISIONS[name].color)  # fmt: skip
    places = {"float32": (0.1, 0.06), "float64": (0.5, 0.06)}
    for name, (right, up) in places.items():
        middle = len(gaps) * 5 // 8
        label(ax, gaps[middle] * right, errors[name][middle] * up, NAMED[name],
              PRECISIONS[name].color)  # fmt: skip
    fitted = order(gaps, errors["float64"], 1e-4, 1e-1)
    best = gaps[int(np.argmin(errors["float32"]))]
    ax.set(xlim=(max(gaps) * 1.8, min(gaps) / 1.8), ylim=(2e-10, 5))
    title = f"Slope {fitted:.2f} over three decades; in 32 bits a gap of {best:g} is best"
    name_axes(ax, GAP + ", smaller to the right", "relative error of the gradient", title)
    return figure


def pulled(
    places: Sequence[float], pulls: Sequence[float], ours: np.ndarray, theirs: np.ndarray
) -> Figure:
    """F and g (one sample on the line, step by step), and two gradients entry by entry."""
    figure, (axes,) = sheet(1, 2, 9.8, 3.7)
    walk(axes[0], places, pulls)
    ax, reach = axes[1], 1.1 * float(np.abs(theirs).max())
    ax.plot([-reach, reach], [-2 * reach, 2 * reach], color=TRUTH.color, linewidth=1)
    ax.plot(theirs, ours, ".", color=STUDENT.color, markersize=4)
    ax.set(xlim=(-reach, reach), ylim=(-2 * reach, 2 * reach))
    ax.locator_params(axis="x", nbins=5)
    ratio = float(np.linalg.norm(ours) / np.linalg.norm(theirs))
    cosine = float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs))
    label(ax, -0.9 * reach, 1.5 * reach, f"a dot for each of {len(ours):,} weights\nline: twice")
    name_axes(ax, "gradient of $w\\,\\langle f_\\theta,\\; df_{\\theta^-}/dt\\rangle$",
              "gradient of $\\|F_\\theta - F_{\\theta^-} - g\\|^2$",
              f"Cosine {cosine:.6f}, ratio {ratio:.6f}")  # fmt: skip
    return figure


def walk(ax: Axes, places: Sequence[float], pulls: Sequence[float]) -> None:
    """A parabola for each step: F stands on its flank, and its bottom is g away."""
    low = min(*places, *(F + g for F, g in zip(places, pulls, strict=True)))
    high = max(*places, *(F + g for F, g in zip(places, pulls, strict=True)))
    room = 0.25 * (high - low)
    s = np.linspace(low - room, high + room, 200)
    for number, (F, g) in enumerate(zip(places, pulls, strict=True)):
        alpha = 0.35 + 0.65 * number / max(len(places) - 1, 1)
        ax.plot(s, (s - F - g) ** 2, color=STUDENT.color, linewidth=1.2, alpha=alpha)
        ax.plot(F, g**2, STUDENT.marker, color=STUDENT.color, markersize=8, alpha=alpha)
        ax.plot(F + g, 0, EXTRA.marker, color=EXTRA.color, markersize=8, alpha=alpha)
        ax.annotate(f"{number}", (F, g**2), xytext=(7, 3), textcoords="offset points", fontsize=9)
    tall = 3 * max(g**2 for g in pulls)
    ax.axhline(pulls[0] ** 2, color=DATA.color, linewidth=0.8, linestyle=":")
    ax.set(ylim=(-0.08 * tall, tall))
    label(ax, s[0], 0.92 * tall, "squares: $F$ at each step, by number", STUDENT.color)
    label(ax, s[0], 0.82 * tall, "crosses: where it is pulled, $F^- + g$", EXTRA.color)
    name_axes(
        ax,
        "answer $F$ of the network",
        "loss of one sample",
        "Never at the bottom: the bottom is $g$ away",
    )
