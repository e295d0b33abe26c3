"""Figures of lab 13: digits under a measurement, posterior sampling, and zero-shot editing."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.metrics.plots import MEAN, NOISE, STUDENT, TRUTH, Role, label, name_axes, sheet

from ..common.plots_posterior import ink
from ..common.plots_samples import contact_sheet
from ..common.study import Recording

# Digits under a measurement: point estimates, and A of each

ROLES: dict[str, Role] = {"mean D": MEAN, "network f": STUDENT, "posterior sample": TRUTH}


def as_picture(y: Tensor) -> Tensor:
    """Measurements (n, …) as images (n, 1, 8, 8): enlarged; features are 4 × 8 fields."""
    if y.ndim == 2:
        return (y / y.abs().max().clamp_min(1e-6)).reshape(-1, 1, 4, 8).repeat_interleave(2, 2)
    return y.repeat_interleave(8 // y.shape[-1], 2).repeat_interleave(8 // y.shape[-1], 3)


def measured_digits(
    images: Tensor, measured: Tensor, names: Sequence[str], far: Mapping[str, float], title: str
) -> Figure:
    """Images (n, 1, 8, 8) over their measurements, and the mismatch ‖A(h) - y‖ of each."""
    figure, (axes,) = sheet(1, 2, 9.6, 2.9, ratios=(2.1, 1))
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.17, top=0.83, wspace=0.32)
    rows = torch.stack([images, as_picture(measured)])
    contact_sheet(axes[0], rows, names, ("h", "A(h)"), title)
    for place, (name, value) in enumerate(far.items()):
        role = ROLES[name]
        axes[1].barh(place, value, 0.6, color=role.color, alpha=0.85)
        axes[1].text(value, place, f" {value:.2f}", va="center", fontsize=9, color=ink(role))
    axes[1].set(yticks=range(len(far)), xlim=(0, 1.25 * max(*far.values(), 1e-3)))
    axes[1].set_yticklabels(list(far), fontsize=9)
    axes[1].yaxis.set_inverted(True)  # invert_yaxis would turn a reused sheet back
    title = f"Nearest: {min(far, key=far.__getitem__)}"
    name_axes(axes[1], r"mismatch $\|y - A(h)\|$", "", title)
    return figure


def edited_digits(given: Tensor, made: Tensor, names: Sequence[str], title: str) -> Figure:
    """The given image beside its edits: given (2, 1, 8, 8), made (rows, n, 1, 8, 8)."""
    figure, (axes,) = sheet(
        1, 2, 9.0, 0.7 + 1.0 * max(len(made), 2), ratios=(1, made.shape[1] / 1.0)
    )
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.06, right=0.99, bottom=0.02, top=0.84, wspace=0.12)
    contact_sheet(axes[0], given[:, None], [""], ("truth", "given"))
    contact_sheet(axes[1], made, [""] * made.shape[1], names, title)
    return figure


def task_sheet(rows: Mapping[str, Tensor], columns: Sequence[str], title: str) -> Figure:
    """Images (n, 1, 8, 8) by row, each column with its name."""
    images = torch.stack(list(rows.values()))
    left, high, down = 0.3 + 0.075 * max(map(len, rows)), 0.9 * len(rows), 0.5  # inches
    wide = left + 0.9 * images.shape[1] + 0.1
    figure, ((ax,),) = sheet(1, 1, wide, high + down)
    figure.set_layout_engine(None)  # it leaves no room for the rows' names
    top = 1 - (down - 0.05) / (high + down)
    figure.subplots_adjust(left=left / wide, right=1 - 0.1 / wide, bottom=0.01, top=top)
    contact_sheet(ax, images, columns, list(rows), title)
    return figure


# Posterior sampling with two estimates, and the error of editing by calls

ESTIMATES = {"mean": (MEAN, "mean"), "cm": (STUDENT, "endpoint")}
CEILING = 1 - np.exp(-4.5)  # of exact posterior samples: three standard deviations in the plane


def success_by_calls(
    runs: Mapping[str, Recording], title: str, exact: Mapping[str, np.ndarray]
) -> Figure:
    """Success against network calls by task, means over seeds with their range.

    exact: by task, the success (seeds, steps) with the exact guidance, in one call a step.
    """
    tasks = runs["mean"].record["tasks"]
    figure, (axes,) = sheet(1, len(tasks), 2.6 * len(tasks), 3.7)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    for ax, task in zip(axes, tasks, strict=True):
        if task in exact:
            steps, known = runs["mean"]["steps"], exact[task]
            ax.plot(steps, known.mean(0), color=TRUTH.color, marker=TRUTH.marker, ms=4)
            ax.fill_between(steps, known.min(0), known.max(0), color=TRUTH.color, alpha=0.2, lw=0)
            label(ax, 11, 0.82, "exact\n$p(y\\,|\\,x_t)$", TRUTH.color)
        for estimate, run in runs.items():
            role, name = ESTIMATES[estimate]
            seen = run["success"][:, tasks.index(task)]
            calls = run["steps"] * run.record["calls a step"]
            ax.plot(calls, seen.mean(0), color=role.color, marker=role.marker, ls=role.line, ms=5)
            ax.fill_between(calls, seen.min(0), seen.max(0), color=role.color, alpha=0.25, lw=0)
            if ax is axes[0]:
                spot = 2 if estimate == "mean" else 3
                away = (-6, 4) if estimate == "mean" else (6, -12)
                ax.annotate(name, (calls[spot], seen[:, spot].mean()), away, color=ink(role),
                            textcoords="offset points", fontsize=9,
                            ha="right" if estimate == "mean" else "left")  # fmt: skip
        ax.axhline(CEILING, color=TRUTH.color, linewidth=0.9, linestyle=":")
        ax.set(xscale="log", ylim=(0, 1.04))
        ax.set_xticks([4, 16, 64, 256], ["4", "16", "64", "256"])
        ax.minorticks_off()
        name_axes(ax, "network calls", "success (share)" * (ax is axes[0]), task)
    return figure


def success_by_zeta(runs: Mapping[str, Recording], task: str, budget: int) -> Figure:
    """Success against ζ: the tuning seeds, one budget."""
    figure, ((ax,),) = sheet(1, 1, 6.4, 3.4)
    for estimate, run in runs.items():
        role, name = ESTIMATES[estimate]
        at = (run.record["tasks"].index(task), list(run["steps"]).index(budget))
        row, zetas = run["tuning"][:, at[0], at[1]].mean(0), run["zetas"]
        place = np.maximum(zetas, zetas[1] / 2)  # ζ = 0 has no place on a log axis
        ax.plot(place, row, color=role.color, marker=role.marker, linestyle=role.line, ms=5)
        best = int(row.argmax())
        up = 0.05 if estimate == "mean" else -0.14
        label(
            ax, 0.35 * place[best], row[best] + up, f"{name}: best at {zetas[best]:g}", ink(role)
        )
    ax.set(xscale="log", ylim=(0, 1.12))
    ticks = [place[0], 0.01, 0.1, 1, 10]
    ax.set_xticks(ticks, ["0", "0.01", "0.1", "1", "10"])
    ax.minorticks_off()
    title = f"{task.capitalize()}, {budget} steps: a pull can be too weak or too strong"
    return name_axes(ax, "strength $\\zeta$", "success (share)", title).figure  # type: ignore


def editing_error(
    steps: Sequence[int],
    away: np.ndarray,
    floor: float,
    prior: float,
    clouds: Mapping[str, np.ndarray],
) -> Figure:
    """W₁ to the exact posterior (seeds, steps), and histograms of the missing coordinate."""
    figure, (axes,) = sheet(1, 2, 9.6, 3.5, ratios=(1, 1.25))
    left: Axes = axes[0]
    left.plot(steps, away.mean(0), color=STUDENT.color, marker=STUDENT.marker)
    left.fill_between(steps, away.min(0), away.max(0), color=STUDENT.color, alpha=0.25, lw=0)
    for level, word in ((floor, "two sets of exact samples"), (prior, "nothing given")):
        left.axhline(level, color=TRUTH.color, linewidth=1, linestyle=":")
        label(left, steps[0], level * 1.06, word)
    left.set(xscale="log", yscale="log", ylim=(0.01, 2))
    left.set_xticks(list(steps), [str(s) for s in steps])
    left.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    left.minorticks_off()
    name_axes(left, "calls of f", "$W_1$ to the exact posterior (data units)",
              "More calls come nearer, but slowly")  # fmt: skip
    densities(axes[1], clouds)
    return figure


def densities(ax: Axes, clouds: Mapping[str, np.ndarray]) -> None:
    """Outlines of three histograms by name: the truth, and two that should be like it."""
    looks = ((TRUTH, "-", 2.4), (STUDENT, "-", 1.6), (NOISE, "--", 1.6))
    for (role, line, wide), (name, values) in zip(looks, clouds.items(), strict=True):
        tall, edges = np.histogram(values, np.linspace(-2.6, 2.6, 40), density=True)
        name = f"{name} ({100 * (values < 0).mean():.0f} % below 0)"
        ax.stairs(tall, edges, color=role.color, linestyle=line, linewidth=wide, label=name)
    ax.legend(loc="upper left", fontsize=9)
    name_axes(ax, "the missing coordinate (data units)", "density",
              "Editing puts too many points on the wrong mode")  # fmt: skip
