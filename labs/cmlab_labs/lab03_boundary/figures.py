"""Figures of lab 03: the coefficients c_skip, c_out, c_in, the boundary condition, collapse."""

from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.metrics import plots
from cmlab.metrics.plots import DATA, MEAN, NOISE, STUDENT, TEACHER, TRUTH, WRONG, label, name_axes

LEVEL, POINT = "noise level $t$ (data units)", "$x_t$ (data units)"
STYLE = {
    "CM form": STUDENT, "EDM form": TEACHER, "ε/t form": plots.EXTRA, "bare": WRONG,
    "exact f": TRUTH, "minus f": plots.TARGET, "constant": WRONG, "mean D": MEAN,
    "identity": NOISE, "untrained": STUDENT, "right": STUDENT, "half": MEAN, "double": TEACHER,
}  # fmt: skip
LABEL_HEIGHTS = {"right": 1.13, "exact f": 0.83, "untrained": 1.4, "mean D": 0.6}  # where names go
FLOOR = 1e-10  # where a loss of 0 is drawn on a logarithmic axis, below a break
Form = Callable[[Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]
Curves = Mapping[str, Sequence[float] | Tensor]


def parametrisation_figure(
    name: str, form: Form | None, levels: Tensor, x: Tensor, answers: Tensor
) -> Figure:
    """A form's coefficients beside f (levels, networks, points) at x (points,); levels[0] is ε.

    Without a form there is no panel for its coefficients.
    """
    wide = (1.8, 1, 1, 1) if form else (1, 1, 1)
    figure, (axes,) = plots.sheet(1, len(wide), 11.2, 3.1, ratios=wide)
    # A fixed layout draws in half the time, and a slider is waiting.
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.035, right=0.99, bottom=0.165, top=0.9, wspace=0.22)
    if form:
        draw_coefficients(axes[0], form, levels)
        title = f"Coefficients ({name})" if name != "bare" else "Coefficients (bare network)"
        name_axes(axes[0], LEVEL, "", title)
    for ax, t, f in zip(axes[-3:], levels.tolist(), answers, strict=True):
        ax.plot(x, f.T, color=STYLE[name].color, linewidth=1.2)
        ax.plot(x, x, color=TRUTH.color, linestyle="--", linewidth=1)
        ax.set(ylim=(-2.4, 2.4), xlim=(-2, 2), xticks=(-2, 0, 2), yticks=(-2, 0, 2))
        ax.tick_params(labelleft=ax is axes[-3])
        name_axes(ax, POINT, "", f"f at t = {'ε = ' * (ax is axes[-3])}{t:.2g}")
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
    level_ticks(ax)
    ax.minorticks_off()  # each tick costs a millisecond


def boundary(levels: Tensor, forms: Mapping[str, Form], losses: Curves) -> Figure:
    """c_skip and c_out of named forms, and losses of named functions from levels[1] on."""
    figure, (axes,) = plots.sheet(1, 3, 11.2, 3.9, ratios=(1, 1, 1.5))
    t = torch.logspace(float(levels[0].log10()), 1, 80, dtype=torch.float64)
    for name, form in forms.items():
        for ax, values in zip(axes, form(t)[:2], strict=False):
            role = STYLE[name]
            ax.semilogx(t, values, color=role.color, linestyle=role.line)
            ax.plot(t[0], values[0], role.marker, color=role.color, markersize=8)
    label(axes[0], 0.018, 0.84, "CM and EDM", STUDENT.color)
    label(axes[0], 0.007, 0.3, "ε/t form", STYLE["ε/t form"].color)
    label(axes[0], 0.1, 0.03, "bare", WRONG.color)
    name_axes(axes[0], LEVEL, "$c_{skip}$", "At ε, $c_{skip}$ must be 1")
    name_axes(axes[1], LEVEL, "$c_{out}$", "At ε, $c_{out}$ must be 0")
    draw_curves(axes[2], levels[1:], losses)
    axes[2].set(xlim=(float(levels[1]) / 1.4, 150), ylim=(FLOOR / 4, None))
    axes[2].set_yticks(
        [FLOOR, 1e-8, 1e-6, 1e-4, 1e-2, 1],
        ["0", *(f"$10^{{{k}}}$" for k in (-8, -6, -4, -2)), "1"],
    )
    broken = {"transform": axes[2].get_yaxis_transform(), "ha": "center", "va": "center"}
    axes[2].text(0, 5 * FLOOR, "≈", fontsize=15, **broken, zorder=9,
                 bbox={"facecolor": "white", "edgecolor": "none", "pad": 0})  # fmt: skip
    level_ticks(*axes)
    name_axes(
        axes[2],
        LEVEL,
        "consistency loss (data units²)",
        "A constant has loss 0, like the exact f",
    )
    return figure


def level_ticks(*axes: Axes) -> None:
    """Ticks of noise levels with plain numbers."""
    for ax in axes:
        ax.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        ax.tick_params(axis="x", which="minor", bottom=False)


def draw_curves(ax: Axes, levels: Tensor, values: Curves, at: int = -1) -> None:
    """Curves by name on logarithmic axes, named at levels[at]. Zeros lie on one floor.

    Rows of several seeds (seeds, levels) are drawn as their mean and range.
    """
    zeros = []
    for name, rows in values.items():
        role, found = STYLE[name], torch.as_tensor(rows).clamp_min(FLOOR)
        shown = found if found.ndim == 1 else found.mean(0)
        if found.ndim > 1:
            ax.fill_between(levels, found.amin(0), found.amax(0), color=role.color, alpha=0.3)
        drawn = {"color": role.color, "linestyle": role.line, "marker": role.marker}
        ax.loglog(levels, shown, markersize=4, linewidth=1.4, **drawn)
        if bool((shown > FLOOR).all()):
            y = float(shown[at]) * LABEL_HEIGHTS.get(name, 1.0 if at < 0 else 1.13)
            color = "#8a5c00" if role is MEAN else role.color  # dark enough for words
            label(ax, 1.25 * float(levels[at]), y, name, color)
        else:
            zeros.append(name)
    if zeros:
        label(ax, 2 * float(levels[0]), 2 * FLOOR, "exactly 0: " + ", ".join(zeros))


def variances(levels: Tensor, inputs: Curves, targets: Curves) -> Figure:
    """Variance of the network's input and of its training target, by assumed σ_data."""
    figure, (axes,) = plots.sheet(1, 2, 9.6, 3.4)
    titles = (
        "A wrong $\\sigma_d$ spoils the input near the data",
        "A wrong $\\sigma_d$ spoils the target at high noise",
    )
    for ax, values, title in zip(axes, (inputs, targets), titles, strict=True):
        ax.axhline(1, color=DATA.color, linewidth=0.8)
        draw_curves(ax, levels, values, at=0 if ax is axes[0] else -1)
        ax.set(xlim=(float(levels[0]) / 1.4, 80), ylim=(0.1 if ax is axes[0] else 0.005, 10))
        name_axes(ax, LEVEL, "variance of the " + ("input", "target")[ax is axes[1]], title)
    level_ticks(*axes)
    return figure


def collapse(levels: Tensor, truth: Tensor, spreads: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Spread of f's answers by level; a panel for each title, its rows by form, one a seed."""
    figure, (axes,) = plots.sheet(1, len(spreads), 9.6, 3.6)
    for ax, (title, by_form) in zip(axes, spreads.items(), strict=True):
        ax.loglog(levels, truth, color=TRUTH.color, linewidth=1.6, linestyle="--", zorder=4)
        label(ax, 0.0025, 1.4 * float(truth[0]), "dashed: exact f")
        for name, rows in by_form.items():
            role = STYLE[name]
            drawn = {"color": role.color, "linestyle": role.line, "marker": role.marker}
            ax.loglog(levels, rows.T, markersize=4, linewidth=1.2, **drawn)
            label(ax, 13, float(rows[:, -1].max()), name, role.color)
        ax.set(xlim=(0.0014, 90), ylim=(3e-4, 20))
        name_axes(ax, LEVEL, "spread of the answers (data units)" * (ax is axes[0]), title)
    level_ticks(*axes)
    return figure
