"""How hard a loss pulls: its value, its slope and its weight by distance, and where c lies."""

from collections.abc import Mapping

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..evaluate.centre import weigh
from ..vocabulary import Metric
from .style import DATA, EXTRA, MEAN, STUDENT, TEACHER, WRONG, label, name_axes, sheet

LOOK = {
    "squared L2": TEACHER, "L1": MEAN, "pseudo-Huber": STUDENT, "Cauchy": EXTRA,
    "Geman–McClure": WRONG, "clean": STUDENT, "contaminated": TEACHER,
    "whole vector": STUDENT, "per element": WRONG,
}  # fmt: skip
INK = {
    MEAN.color: "#8a5c00",
    EXTRA.color: "#00704f",
    WRONG.color: "#a0487b",
}  # dark enough to read


def ink(name: str) -> str:
    """The colour of the words for a loss."""
    return INK.get(LOOK[name].color, LOOK[name].color)


def draw(ax: Axes, name: str, x: Tensor, y: Tensor, every: int) -> None:
    role = LOOK[name]
    ax.plot(x, y, color=role.color, linestyle=role.line, marker=role.marker, markevery=every,
            markersize=5)  # fmt: skip


def curves(metrics: Mapping[str, Metric]) -> Figure:
    """ρ, ψ and w = ψ/r against r = ‖a - b‖ on the line, each loss with c = 1."""
    figure, (axes,) = sheet(1, 3, 11.2, 3.7)
    near, far = (torch.linspace(1e-3, 5, 251).double(), torch.logspace(-1, 2, 121).double())
    for name, metric in metrics.items():
        rho, w = weigh(metric, near[:, None])
        draw(axes[0], name, near, rho, 50)
        draw(axes[1], name, near, w * near, 50)
        draw(axes[2], name, far, weigh(metric, far[:, None])[1], 24)
    ends = ((12, 2.3), (25, 0.055), (1.7, 0.75), (14, 2e-3), (4.0, 2e-6))
    places = ((1.42, 2.55), (2.72, 2.3), (3.7, 3.3), (3.3, 1.42), (3.3, 0.55))
    for name, near_by, far_off in zip(metrics, places, ends, strict=True):
        label(axes[0], *near_by, name, ink(name))
        label(axes[2], *far_off, name, ink(name))
    for ax in axes:
        ax.axvline(1, color=DATA.color, linewidth=0.8, linestyle=":")
    label(axes[0], 1.05, 3.7, "r = c")
    axes[0].set_ylim(0, 4)
    axes[1].set_ylim(0, 2.2)
    axes[2].set(xscale="log", yscale="log", ylim=(1e-7, 10))
    r = "distance r = ‖a − b‖ (in units of c)"
    name_axes(axes[0], r, "loss ρ(r)", "One outlier must not be the sum")
    name_axes(axes[1], r, "influence ψ = ρ′(r)", "Three are bounded, two let go")
    name_axes(axes[2], r, "weight w = ψ/r", "The tails: how fast they forget")
    return figure


def whole_or_parts(
    size: Tensor,
    lengths: Mapping[str, Tensor],
    delta: Tensor,
    pulls: Mapping[str, Tensor],
    spacing: Mapping[int, tuple[Tensor, Tensor]],
    c: float,
) -> Figure:
    """The whole-vector norm beside the sum over elements; and which pairs of a grid lie below c.

    size     (n,) error of each element, and the length of each loss's gradient there (n,)
    delta    (d,) one image's errors, and the gradient of each loss there (d,)
    spacing  by N: the upper level of each pair, and the noise difference (N - 1,)
    c        the constant over √d, so in units of one element
    """
    figure, (axes,) = sheet(1, 3, 11.2, 3.8)
    for name, length in lengths.items():
        draw(axes[0], name, size, length, 15)
        axes[1].plot(delta, pulls[name], LOOK[name].marker, c=LOOK[name].color, ms=3, alpha=0.5)
    axes[0].set(xscale="log", yscale="log")
    reach, top = float(delta.abs().max()), float(pulls["whole vector"].abs().max())
    label(axes[0], 1.5e-3, 0.4, "whole: length 1", ink("whole vector"))
    label(axes[0], 6e-6, 9, "per element", ink("per element"))
    axes[0].axvline(1e-3, color=DATA.color, linewidth=0.8, linestyle=":")
    label(axes[1], 0.12 * reach, -0.35 * top, "whole: straight", ink("whole vector"))
    label(axes[1], -0.95 * reach, 0.05 * top, "per element: bent", ink("per element"))
    name_axes(axes[0], "error of each element (data units)", "length of the gradient",
              "Not normalised where the other is")  # fmt: skip
    error = "error δ of an element (data units)"
    name_axes(axes[1], error, "its part of the gradient", "Per element the pull turns away")
    pairs(axes[2], spacing, c)
    return figure


def pairs(ax: Axes, spacing: Mapping[int, tuple[Tensor, Tensor]], c: float) -> None:
    """The noise difference of neighbouring levels against the level, and the line c."""
    for number, (points, (level, step)) in enumerate(spacing.items()):
        shade = str(0.62 * (1 - number / (len(spacing) - 1)))
        ax.plot(level, step, color=shade, linewidth=1.4)
        label(ax, float(level[-1]) * 1.15, float(step[-1]) * 0.8, f"N = {points}", shade)
    ax.axhline(c, color=STUDENT.color, linewidth=1.8)
    ax.fill_between([1e-3, 2e3], 1e-6, c, color=STUDENT.color, alpha=0.12, linewidth=0)
    label(ax, 2.0, c * 0.3, "below c: quadratic", STUDENT.color)
    ax.set(xscale="log", yscale="log", xlim=(2e-3, 2e3), ylim=(2e-5, 60))
    below = {n: float((step < c).double().mean()) for n, (_, step) in spacing.items()}
    first = min((n for n, share in below.items() if share), default=0)
    title = f"Below c only from N = {first} on" if first else "No pair lies below c"
    name_axes(ax, "noise level $t$ of the pair (data units)", "t − r (data units)", title)
