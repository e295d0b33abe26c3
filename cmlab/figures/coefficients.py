"""Skip, out and in by noise level, and what holds a consistency function: the boundary."""

from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .style import (
    DATA,
    EXTRA,
    MEAN,
    NOISE,
    STUDENT,
    TARGET,
    TEACHER,
    TRUTH,
    WRONG,
    label,
    name_axes,
    sheet,
)

LEVEL, POINT = "noise level $t$ (data units)", "$x_t$ (data units)"
LOOK = {
    "CM form": STUDENT, "EDM form": TEACHER, "ε/t form": EXTRA, "none": WRONG,
    "exact f": TRUTH, "minus f": TARGET, "constant": WRONG, "mean D": MEAN, "identity": NOISE,
    "untrained": STUDENT, "right": STUDENT, "half": MEAN, "double": TEACHER,
}  # fmt: skip
INK = {MEAN: "#8a5c00", TARGET: "#23749c"}  # dark enough for words
FLOOR = 1e-9  # where a loss of 0 is drawn on a logarithmic axis
Form = Callable[[Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]
Curves = Mapping[str, Sequence[float]]


def bench(name: str, form: Form, levels: Tensor, x: Tensor, answers: Tensor) -> Figure:
    """A form's coefficients beside f (levels, networks, points) at x (points,); levels[0] is ε."""
    figure, (axes,) = sheet(1, 4, 11.2, 3.1, ratios=(1.8, 1, 1, 1))
    # A fixed layout draws in half the time, and a slider is waiting.
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.035, right=0.99, bottom=0.165, top=0.9, wspace=0.22)
    draw_coefficients(axes[0], form, levels)
    name_axes(axes[0], LEVEL, "", f"{name}: what counts at which level")
    for ax, t, f in zip(axes[1:], levels.tolist(), answers, strict=True):
        ax.plot(x, f.T, color=LOOK[name].color, linewidth=1.2)
        ax.plot(x, x, color=TRUTH.color, linestyle="--", linewidth=1)
        ax.set(ylim=(-2.4, 2.4), xlim=(-2, 2), xticks=(-2, 0, 2), yticks=(-2, 0, 2))
        ax.tick_params(labelleft=ax is axes[1])
        name_axes(ax, POINT, "", f"f at t = {'ε = ' * (ax is axes[1])}{t:.2g}")
    return figure


def draw_coefficients(ax: Axes, form: Form, levels: Tensor) -> None:
    """c_skip, c_out and c_in from ε to t = 10, the boundary marked."""
    t = torch.logspace(float(levels[0].log10()), 1, 60, dtype=torch.float64)
    looks = (("skip", STUDENT), ("out", TEACHER), ("in", NOISE))
    for (name, role), values in zip(looks, form(t)[:3], strict=True):
        ax.semilogx(t, values, color=role.color, linestyle=role.line)
        ax.plot(t[0], values[0], color=role.color, marker=role.marker, markersize=8)
        x, y = (t[0] * 1.3, values[0] + 0.03) if name == "in" else (11, values[-1])
        label(ax, float(x), float(y), f"c_{name}", role.color)
    for level in levels:
        ax.axvline(float(level), color=NOISE.color, linewidth=0.8, linestyle=":")
    ax.set(xlim=(0.0014, 55), ylim=(-0.06, 1.15 * float(torch.stack(form(t)[:3]).max())))
    ax.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    ax.minorticks_off()  # each tick costs a millisecond


def boundary(t: Tensor, forms: Mapping[str, Form], levels: Tensor, losses: Curves) -> Figure:
    """c_skip and c_out of named forms over t; losses of named functions at noise levels."""
    figure, (axes,) = sheet(1, 3, 11.2, 3.9, ratios=(1, 1, 1.5))
    for name, form in forms.items():
        for ax, values in zip(axes, form(t)[:2], strict=False):
            role = LOOK[name]
            ax.semilogx(t, values, color=role.color, linestyle=role.line)
            ax.plot(t[0], values[0], role.marker, color=role.color, markersize=8)
    said = {"CM form\nEDM form": (0.09, 0.88, STUDENT), "ε/t form": (0.006, 0.3, EXTRA)}
    for name, (x, y, role) in (said | {"none": (0.1, 0.03, WRONG)}).items():
        label(axes[0], x, y, name, role.color)
    name_axes(axes[0], LEVEL, "$c_{skip}$", "At ε the skip must be 1 …")
    name_axes(axes[1], LEVEL, "$c_{out}$", "… and the network silent")
    curves(axes[2], levels, losses)
    axes[2].set(xlim=(float(levels[0]) / 1.4, 250), ylim=(FLOOR / 4, None))
    name_axes(axes[2], LEVEL, "consistency loss (data units²)", "A constant does as well as f")
    return figure


def curves(ax: Axes, levels: Tensor, values: Curves) -> None:
    """Curves by name on logarithmic axes, named at their right ends. Zeros lie on one floor."""
    zeros = []
    for name, row in values.items():
        role, shown = LOOK[name], torch.as_tensor(row).clamp_min(FLOOR)
        style = {"color": role.color, "linestyle": role.line, "marker": role.marker}
        ax.loglog(levels, shown, markersize=4, linewidth=1.4, **style)
        if bool((shown > FLOOR).all()):
            label(ax, 1.25 * float(levels[-1]), float(shown[-1]), name, INK.get(role, role.color))
        else:
            zeros.append(name)
    if zeros:
        label(ax, 2 * float(levels[0]), 2 * FLOOR, "exactly 0: " + ", ".join(zeros))


def variances(levels: Tensor, inputs: Curves, targets: Curves) -> Figure:
    """Variance of what the network is given and of what it is asked for, by assumed σ_data."""
    figure, (axes,) = sheet(1, 2, 9.6, 3.4)
    for ax, values in zip(axes, (inputs, targets), strict=True):
        ax.axhline(1, color=DATA.color, linewidth=0.8)
        curves(ax, levels, values)
        ax.set(xlim=(float(levels[0]) / 1.4, 80), ylim=(0.1, 10))
    title = "Wrong σ_data: the input is off near the data …"
    name_axes(axes[0], LEVEL, "variance of the input", title)
    name_axes(axes[1], LEVEL, "variance of the target", "… and the target far from them")
    return figure


def collapse(levels: Tensor, truth: Tensor, spreads: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Spread of f's answers by level, for ways to train (panels) and forms; rows are seeds."""
    figure, (axes,) = sheet(1, len(spreads), 9.6, 3.6)
    for ax, (way, by_form) in zip(axes, spreads.items(), strict=True):
        ax.loglog(levels, truth, color=TRUTH.color, linewidth=2.4)
        for name, rows in by_form.items():
            role = LOOK[name]
            style = {"color": role.color, "linestyle": role.line, "marker": role.marker}
            ax.loglog(levels, rows.T, markersize=4, linewidth=1.2, **style)
            label(ax, 13, float(rows[:, -1].log().mean().exp()), name, role.color)
        ax.set(xlim=(0.0014, 90), ylim=(5e-5, 20))
        name_axes(ax, LEVEL, "spread of the answers (data units)" * (ax is axes[0]), way)
    return figure
