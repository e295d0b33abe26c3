"""The curriculum's law of levels, the momentum's decay, and what a bowl makes of the two."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..curriculum import Axis, Easing
from ..evaluate.bowl import limit, spread
from ..momentum import Compensation, MomentumDecay
from .budgets import DARK
from .style import MEAN, NOISE, STUDENT, TEACHER, WRONG, label, name_axes, sheet

U = torch.linspace(0, 1, 401, dtype=torch.float64)
INNER = U[2:-2]


def dark(color: str) -> str:
    """A colour dark enough for words."""
    return DARK.get(color, color)


def easing(pairs: Easing, steps: Sequence[int], total: int, axes: Mapping[str, Axis]) -> Figure:
    """p_τ(u) at these steps, and which noise level u is, by axis."""
    figure, ((left, right),) = sheet(1, 2, 10.0, 3.7)
    for number, step in enumerate(steps):
        height, share = pairs.density(U, step), number / max(len(steps) - 1, 1)
        look = {"color": STUDENT.color, "alpha": 0.3 + 0.7 * share}
        left.plot(U, height, linewidth=1.2 + share, **look)
        top = int(height.argmax()) if number else 40
        label(left, float(U[top]), float(height[top]) + 0.03, f"τ = {step / total:g}")
    left.set(xlim=(0, 1), ylim=(0, 2.05))
    name_axes(left, "$u$, from data (0) to noise (1)", "density $p_τ(u)$",
              "Ever less of the nearly pure noise")  # fmt: skip
    for (name, axis), role in zip(axes.items(), (STUDENT, TEACHER, WRONG), strict=False):
        right.plot(INNER, axis.at(INNER), color=role.color, linestyle=role.line)
        at = float(axis.at(torch.tensor([0.3], dtype=torch.float64)))
        right.plot(0.3, at, role.marker, color=role.color)
        label(right, 0.32, at * 0.62, f"{name}: {at:.2f}", dark(role.color))
    right.set(yscale="log", xlim=(0, 1), ylim=(0.002, 200))
    right.axvline(0.3, color=NOISE.color, linewidth=0.8, linestyle=":")
    name_axes(right, "$u$, from data (0) to noise (1)", "noise level $σ$ (data units)",
              "u = 0.3 is another noise on every axis")  # fmt: skip
    return figure


def pace(beta: MomentumDecay) -> Figure:
    """β, its memory and the rate over a run; and the bowl's two limits."""
    figure, ((left, right),) = sheet(1, 2, 10.0, 3.7)
    tau = torch.linspace(0, 1, 201).tolist()
    b = [beta(round(t * beta.total)) for t in tau]
    rate = [Compensation(beta)(round(t * beta.total)) for t in tau]
    memory = [v / (1 - v) * (1 - beta.beta0) / beta.beta0 for v in b]
    lines = ((b, STUDENT, "momentum β", 120), (rate, TEACHER, "rate / rate₀", 60),
             (memory, MEAN, "memory β/(1−β), share", 100))  # fmt: skip
    for values, role, name, place in lines:
        left.plot(tau, values, color=role.color, linestyle=role.line)
        label(left, tau[place] + 0.01, values[place] + 0.02, name, dark(role.color))
    left.set(xlim=(0, 1), ylim=(0, 1.05))
    name_axes(left, "τ, share of the run that is done", "value (no unit)",
              "Memory and rate fall evenly, β late")  # fmt: skip
    room(right, b, rate, tau)
    return figure


def room(ax: Axes, b: Sequence[float], rate: Sequence[float], tau: Sequence[float]) -> None:
    """How much steeper a bowl may be before descent with momentum runs away."""
    alone = [limit(v) for v in b]
    with_rate = [limit(v) / r for v, r in zip(b, rate, strict=True)]
    for values, role, name in ((with_rate, STUDENT, "with the rate"), (alone, WRONG, "without")):
        ax.plot(tau, values, color=role.color, linestyle=role.line)
        label(ax, 0.55, values[110] * 1.15, name, dark(role.color))
        ax.plot(1, values[-1], role.marker, color=role.color, clip_on=False)
    ax.set(yscale="log", xlim=(0, 1), ylim=(1, 60))
    ax.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    ax.minorticks_off()
    name_axes(ax, "τ, share of the run that is done", "largest rate₀ · curvature (no unit)",
              "Without compensation the room is lost")  # fmt: skip


def unrest(rate: float, beta: MomentumDecay, tau: float) -> Figure:
    """The spread at rest in bowls of all curvatures, at the start and at a share τ of the run."""
    figure, ((ax,),) = sheet(1, 1, 6.0, 3.6)
    step = round(tau * beta.total)
    h = np.geomspace(0.01, 100, 400)
    cases = (("start", 1.0, beta.beta0, TEACHER), ("momentum alone", 1.0, beta(step), WRONG),
             ("momentum and rate", Compensation(beta)(step), beta(step), STUDENT))  # fmt: skip
    for number, (name, factor, b, role) in enumerate(cases):
        values = np.array([spread(rate * factor, b, v) * v for v in h])
        ax.plot(rate * h, values / rate, color=role.color, linestyle=role.line)
        place = (260, 60, 60)[number]
        label(ax, rate * h[place], values[place] / rate * (0.7, 1.12, 1.12)[number], name,
              dark(role.color))  # fmt: skip
    ax.set(xscale="log", yscale="log", ylim=(0.04, 20))
    name_axes(ax, "rate₀ · curvature (no unit)", "spread at rest · curvature / rate₀",
              f"At τ = {tau:g}: only the rate brings calm")  # fmt: skip
    return figure
