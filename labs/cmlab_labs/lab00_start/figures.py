"""Figures of lab 00: training towards the consistency function, and one-step digits."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.metrics.plots import DATA, MEAN, STUDENT, TRUTH, Role, label, name_axes, sheet

from ..common.plots_samples import contact_sheet, contrast_scaled

BEFORE = Role(DATA.color, "o", ":")


@dataclass(frozen=True, eq=False)
class Stage:
    """A network at one training step: answers along paths (m, p, 2), error at each noise level."""

    step: int
    along: Tensor
    error: Tensor  # (L,), root mean square of ‖f_θ - f*‖


def training_progress(
    start: Stage,
    planes: Sequence[Stage],
    ends: Tensor,
    levels: Tensor,
    mean_error: Tensor,
    modes: Tensor,
) -> Figure:
    """Answers along paths, a panel for each stage, and errors by noise level (L,).

    `ends` (p, 2) are where the exact paths end; `mean_error` (L,) is the error of the posterior
    mean, D in place of f; `modes` (K, 2) are the data's.
    """
    width = 3.1 * len(planes) + 4.3
    figure, axes = sheet(1, len(planes) + 1, width, 3.5, (*(1.0 for _ in planes), 1.3))
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(0.6 / width, 0.14, 1 - 0.1 / width, 0.9, wspace=0.4)
    for ax, stage in zip(axes[0], planes, strict=False):
        draw_answers(ax, stage, ends, modes)
    draw_errors(axes[0, -1], start, planes[-1], levels, mean_error)
    return figure


def draw_answers(ax: Axes, stage: Stage, ends: Tensor, modes: Tensor) -> None:
    """The network's answers along each path as a line, from pure noise (square) to the data."""
    ax.scatter(*modes.T, s=330, color=DATA.color, alpha=0.15, linewidths=0)
    ways = stage.along.transpose(0, 1).numpy()
    ax.add_collection(LineCollection(list(ways), colors=STUDENT.color, linewidths=1, alpha=0.8))
    ax.scatter(*ends.T, s=16, color=TRUTH.color, zorder=3, linewidths=0)
    ax.scatter(*stage.along[0].T, s=22, marker=STUDENT.marker, color=STUDENT.color, zorder=4,
               edgecolors="white", linewidths=0.6)  # fmt: skip
    ax.set(xlim=(-1.45, 1.45), ylim=(-1.45, 1.45), aspect="equal")
    ax.set_xticks([-1, 0, 1])
    ax.set_yticks([-1, 0, 1])
    off = float((stage.along[0] - ends).square().sum(1).mean().sqrt())
    title = f"Step {stage.step}: the squares miss by {off:.2f}"
    name_axes(ax, "x₁ (data units)", "x₂ (data units)", title)


def draw_errors(ax: Axes, start: Stage, now: Stage, levels: Tensor, mean_error: Tensor) -> None:
    """The error against the noise level, with the posterior mean's for comparison."""
    rows = (
        ("mean D", mean_error, MEAN, 0.3, 0.35),
        ("step 0", start.error, BEFORE, 0.1, 60),
        (f"step {now.step}", now.error, STUDENT, 0.8, 0.4),
    )
    for name, error, role, share, up in rows[: 3 if now.step else 2]:
        ax.plot(levels, error, color=role.color, linestyle=role.line, marker=role.marker,
                markersize=4)  # fmt: skip
        place = int(share * (len(levels) - 1))
        color = "#8a5c00" if role is MEAN else role.color
        label(ax, float(levels[place]), float(error[place]) * up, name, color)
    ax.set(xscale="log", yscale="log", ylim=(1e-3, 2))
    for axis, ticks in ((ax.xaxis, (0.01, 0.1, 1, 10)), (ax.yaxis, (0.001, 0.01, 0.1, 1))):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    title = f"Step {now.step}: largest error {float(now.error.max()):.2f}"
    name_axes(ax, "noise level t (data units)", "RMS of f − f* (data units)", title)


def path_strip(
    x_t: Tensor, mean: Tensor, levels: Tensor, sigma_data: float, scan: Tensor
) -> Figure:
    """One path from noise (m, 1, h, w) and the posterior mean D at each of its levels (m,).

    `scan` is the image that the path ends in, drawn at the right of both rows' last column.
    """
    figure, ((ax,),) = sheet(1, 1, 9.6, 2.45)
    gap = torch.full_like(scan[None], torch.nan)
    rows = torch.stack(
        [
            torch.cat([contrast_scaled(x_t, levels, sigma_data), gap, scan[None]]),
            torch.cat([mean, gap, gap]),
        ]
    )
    names = [f"t = {level:.2g}" for level in levels.tolist()]
    title = "The path from noise ends in one of the training scans"
    sides = ("on the path: $x_t$", "answer: $D(x_t, t)$")
    contact_sheet(ax, rows, [*names, "", "nearest scan"], sides, title)
    return figure


def one_beside_many(
    one: Tensor, many: Tensor, one_names: Sequence[str], many_names: Sequence[str]
) -> Figure:
    """Contact sheets of images (rows, columns, 1, h, w): one-step samples, and a solver's path."""
    widths = (one.shape[1], many.shape[1])
    figure, axes = sheet(1, 2, 10.6, 0.75 + 0.93 * len(one), ratios=widths)
    contact_sheet(axes[0, 0], one, one_names, title="One network call makes a new digit")
    contact_sheet(
        axes[0, 1], many, many_names, title="35 calls of the perfect denoiser return a scan"
    )
    return figure


def generator_at_work(
    calls: tuple[Tensor, Tensor], scan: Tensor, along: Tensor, levels: Tensor
) -> Figure:
    """A generator's network calls, its digit beside the nearest scan, and f along an exact path.

    `calls` are what goes into and comes out of each network call, (c, 1, h, w); `along` are x_t,
    D and f_θ at each level of an exact path, (3, m, 1, h, w).
    """
    figure, (left, right, below) = generator_axes()
    count = len(calls[0])
    empty = torch.full((2, 4 - count, *scan.shape), torch.nan)
    names = [f"call {i + 1}" for i in range(count)]
    title = f"{count} network call{'s' * (count > 1)}"
    contact_sheet(
        left, torch.cat([torch.stack(calls), empty], 1), names, ("in: xₜ", "out: f"), title
    )
    pair = torch.stack([calls[1][-1], scan])[None]
    contact_sheet(right, pair, ("made just now", "nearest training scan"), title="New, or a copy?")
    names = [f"t = {level:.2g}" for level in levels.tolist()]
    title = "Answers along a path of the perfect denoiser"
    contact_sheet(below, along, names, ("on the path: xₜ", "mean: D", "network: f"), title)
    return figure


def generator_axes(width: float = 8.6, height: float = 5.9) -> tuple[Figure, list[Axes]]:
    """Axes for 4 × 2, 2 × 1 and 8 × 3 images, on a figure of this size in inches."""
    figure, (axes,) = sheet(1, 3, width, height)
    figure.set_layout_engine(None)
    left, right, unit = 0.125, 0.995, (0.995 - 0.125) / 8
    tall = unit * width / height
    boxes = (
        (left, 0.915 - 2 * tall, 4 * unit, 2 * tall),
        (left + 4.2 * unit, 0.915 - 2 * tall, right - left - 4.2 * unit, 2 * tall),
        (left, 0.01, 8 * unit, 3 * tall),
    )
    for ax, box in zip(axes, boxes, strict=True):
        ax.set_position(box)
        ax.set_anchor("NW")
    return figure, list(axes)


def noisy_scan(x: Tensor, z: Tensor, x_t: Tensor, t: float, digit: int) -> Figure:
    """A scan x, noise z and their sum x + t z, each (1, 1, h, w), with what to read off them.

    `digit` is what the scan shows.
    """
    figure, ((ax,),) = sheet(1, 1, 7.0, 2.1)
    figure.set_layout_engine(None)
    ax.set_position((0.005, 0.01, 0.99, 0.72))
    ax.set_anchor("NW")
    gap = torch.full_like(x, torch.nan)
    images = torch.stack([x, gap, z, gap, x_t], 1)
    names = (f"the data: $x$, a {digit}", "", "noise: $z$", "", "noisy: $x_t = x + t\\,z$")
    gone = "the scan is still readable" if t < 0.5 else "the scan fades"
    title = "nothing of the scan can be seen" if t > 3 else gone
    contact_sheet(ax, images, names, title=f"At noise level t = {t:.2g} {title}")
    return figure
