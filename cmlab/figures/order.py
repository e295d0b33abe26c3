"""What a solver's steps cost: the error left, by steps, by network calls, and by noise level."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from ..oracle import Mixture1D
from .flow import LEVEL, POINT, ROLES, backdrop, fan
from .style import DATA, EXTRA, TEACHER, TRUTH, label, name_axes, sheet


def slope(steps: Sequence[int], errors: Sequence[float], beyond: int = 16) -> float:
    """The slope of ln error against ln steps, fitted where there are at least `beyond` steps."""
    n, e = np.asarray(steps), np.asarray(errors)
    return float(np.polyfit(np.log(n[n >= beyond]), np.log(e[n >= beyond]), 1)[0])


def order(law: Mixture1D, steps: Sequence[int], errors: Mapping[str, Sequence[float]]) -> Figure:
    """Exact paths beside the solvers' errors against the number of steps, slopes measured."""
    figure, axes = sheet(1, 2, 11.0, 4.4)
    ax, plot = axes[0]
    backdrop(ax, law, 3.0, 4.5, fan(law, 10.0, 32, 300))
    name_axes(ax, LEVEL, POINT, "Straight far out, one bend, then a mode")
    for name, error in errors.items():
        role, fitted = ROLES[name], slope(steps, error)
        plot.loglog(steps, error, color=role.color, marker=role.marker, linestyle=role.line)
        text = f"{name}: slope {fitted:.2f}".replace("-", "−")
        label(plot, *((20, error[-3] * 2.2) if name == "Euler" else (4, error[-4] / 2)), text,
              role.color)  # fmt: skip
        guide = error[-1] * (np.array(steps[-4:]) / steps[-1]) ** round(fitted)
        plot.loglog(steps[-4:], guide / 2, color=TRUTH.color, linewidth=0.9, linestyle=":")
    label(plot, steps[0], min(errors["Heun"]), "dotted: slopes −1 and −2")
    ticks(plot, steps)
    title = "Twice the steps: half the error, or a quarter"
    name_axes(plot, "steps $N$", "mean error at $t = 0$ (data units)", title)
    return figure


def ticks(ax: Axes, values: Sequence[int]) -> None:
    """Whole numbers along a logarithmic axis."""
    ax.set_xticks(list(values), [str(v) for v in values])
    ax.minorticks_off()


def bends(levels: Tensor, errors: Tensor, width: float) -> Figure:
    """What one Euler step over a tenth of the noise misses: errors (m, paths) at levels (m,)."""
    figure, axes = sheet(1, 1, 8.0, 3.4)
    ax, (low, middle, high) = axes[0, 0], np.quantile(errors.numpy(), (0.1, 0.5, 0.9), axis=1)
    ax.fill_between(levels, low, high, color=TEACHER.color, alpha=0.2, linewidth=0)
    ax.loglog(levels, middle, color=TEACHER.color)
    ax.axvline(width, color=DATA.color, linestyle=":")
    label(ax, width * 1.05, high.max() / 400, f"spread of the data, {width:.2f}", DATA.color)
    label(ax, 1.2 * float(levels[-1]), high.max() / 3, "line: median path\nband: 80 % of paths")
    title = "Paths bend in the middle: there a step misses most"
    name_axes(ax, LEVEL, "error of one step (data units)", title)
    return figure


def ring(paths: Tensor, calls: Mapping[str, Sequence[int]], errors: Mapping[str, Sequence[float]],
         reach: float = 2.2) -> Figure:  # fmt: skip
    """Exact paths (m, b, 2) onto a ring, and the solvers' errors against network calls."""
    figure, axes = sheet(1, 2, 10.0, 4.4, ratios=(1, 1.25))
    ax, plot = axes[0]
    ax.add_collection(LineCollection(list(paths.transpose(0, 1).numpy()), colors=DATA.color,
                                     linewidths=0.7, alpha=0.7))  # fmt: skip
    ax.scatter(*paths[-1].T, s=9, color=EXTRA.color, marker=EXTRA.marker, zorder=3)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    name_axes(
        ax, "$x_1$ (data units)", "$x_2$ (data units)", "Inwards first, then to one of eight"
    )
    for name, error in errors.items():
        role = ROLES[name]
        plot.loglog(calls[name], error, color=role.color, marker=role.marker, linestyle=role.line)
        x, y = (1.0, 1.7) if name == "Euler" else (0.45, 0.8)
        label(plot, x * calls[name][-2], y * error[-2], name, role.color)
    ticks(plot, calls["Euler"])
    title = f"Heun is ahead from {overtaken(calls, errors)} calls on"
    name_axes(plot, "network calls", "mean error at $t = 0$ (data units)", title)
    return figure


def overtaken(calls: Mapping[str, Sequence[int]], errors: Mapping[str, Sequence[float]]) -> int:
    """The first number of calls with which Heun errs less than Euler does with as many."""
    euler = np.interp(np.log(calls["Heun"]), np.log(calls["Euler"]), np.log(errors["Euler"]))
    return int(np.asarray(calls["Heun"])[np.log(errors["Heun"]) < euler][0])
