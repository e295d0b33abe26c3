"""Where a tangent is long: the clock that the network reads, and the two brackets of g."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .continuous import ANGLE
from .style import (
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

FEATURES = ((STUDENT, 2.0), (EXTRA, 2.0), (TEACHER, 1.6), (WRONG, 0.3))  # and where names go
END = np.pi / 2


def clocks(
    t: np.ndarray, told: Mapping[str, np.ndarray], features: Mapping[str, np.ndarray]
) -> Figure:
    """sin t |d c_noise / dt| of time inputs, and sin t |d features / dt|; each (m,) by name."""
    figure, (axes,) = sheet(1, 2, 9.8, 3.8)
    looks = {name: role for name, role in zip(told, (STUDENT, TEACHER), strict=True)}
    for name, speed in told.items():
        axes[0].semilogy(t, speed, color=looks[name].color, linestyle=looks[name].line)
        up = 1.35 if name == next(iter(told)) else 0.5
        label(axes[0], 0.75, float(np.interp(0.75, t, speed)) * up, name, looks[name].color)
    last = list(told.values())[-1]
    axes[0].set(ylim=(0.03, 300), xlim=(0, END))
    title = f"ln(σ)/4 runs away, to {last[-1]:.0f} at t = {t[-1]:.2f}"
    name_axes(axes[0], ANGLE, "$\\sin t \\cdot |d\\,c_{noise}/dt|$", title)
    for (name, speed), (role, up) in zip(features.items(), FEATURES, strict=True):
        axes[1].semilogy(t, speed, color=role.color, linestyle=role.line)
        label(axes[1], 0.55, float(np.interp(0.65, t, speed)) * up, name, role.color)
    axes[1].set(ylim=(0.03, 2e5), xlim=(0, END))
    name_axes(axes[1], ANGLE, "$\\sin t \\cdot |d\\,features/dt|$",
              "The scale of the features counts more")  # fmt: skip
    return figure


@dataclass(frozen=True, eq=False)
class Lengths:
    """‖·‖ of the first and the second bracket and of g at angles t (m,): each (m, samples)."""

    t: np.ndarray
    first: np.ndarray
    second: np.ndarray
    whole: np.ndarray


def band(ax: Axes, t: np.ndarray, lengths: np.ndarray, role: Role) -> float:
    """Median and the middle 98 % of lengths (m, samples); the highest of what is shown."""
    low, middle, high = np.quantile(lengths, (0.01, 0.5, 0.99), axis=1)
    ax.fill_between(t, low, high, color=role.color, alpha=0.18, linewidth=0)
    ax.semilogy(t, middle, color=role.color, linestyle=role.line)
    return float(high.max())


def bounds(
    smooth: Lengths, loud: Lengths, titles: tuple[str, str], after: Mapping[str, np.ndarray]
) -> Figure:
    """The brackets of two networks, and the second's ‖g‖ (m, samples) after each stabiliser."""
    figure, (axes,) = sheet(1, 3, 11.2, 3.8)
    for ax, seen, title in zip(axes, (smooth, loud), titles, strict=False):
        band(ax, seen.t, seen.first, TEACHER)
        top = band(ax, seen.t, seen.second, STUDENT)
        label(ax, 0.08, 0.025, "first bracket", TEACHER.color)
        label(ax, 0.7, 1.3 * top, "second bracket", STUDENT.color)
        ratio = np.median(seen.second, axis=1).max() / np.median(seen.first, axis=1).max()
        name_axes(ax, ANGLE, "", f"{title}: second = {ratio:.1f} × first")
    stabilised(axes[2], loud, after)
    name_axes(axes[2], ANGLE, "", f"{titles[1]}, stabilised: 99 %")
    for ax in axes:
        ax.set(xlim=(0, END), ylim=(8e-3, 60))
        ax.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        ax.minorticks_off()
    axes[0].set_ylabel("length (data units)")
    return figure


def stabilised(ax: Axes, seen: Lengths, after: Mapping[str, np.ndarray]) -> None:
    """The 99th percentile of ‖g‖ (m, samples), as it is and after each stabiliser."""
    high = np.quantile(seen.whole, 0.99, axis=1)
    ax.semilogy(seen.t, high, color=TRUTH.color, linewidth=2.4)
    label(ax, 0.7, 1.3 * float(high.max()), "as it is")
    for (name, lengths), role in zip(after.items(), (STUDENT, EXTRA, MEAN), strict=True):
        row = np.quantile(lengths, 0.99, axis=1)
        ax.semilogy(seen.t, row, color=role.color, linestyle=role.line, label=name)
    ax.legend(loc="lower center", fontsize=9, frameon=False)
