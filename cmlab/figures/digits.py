"""Digits on paper: what goes into a network call, what comes out, and what was there before."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .style import DATA, STUDENT, TRUTH, sheet

ZOOM, GAP, EDGE = 6, 4, 0.72  # screen pixels of a dot, between two images, and the frame's grey


def visible(x_t: Tensor, level: Tensor, sigma_data: float) -> Tensor:
    """Noisy images (b, 1, h, w) brought to the contrast of the data, so that they can be seen."""
    scale = sigma_data / (sigma_data**2 + level**2).sqrt()
    return scale.reshape(-1, 1, 1, 1) * x_t


def page(images: Tensor) -> np.ndarray:
    """Images (rows, columns, 1, h, w) in [-1, 1] as one picture, ink dark, each in a thin frame.

    An image of NaN is left out.
    """
    ink = (1 - images[:, :, 0].clamp(-1, 1)) / 2
    big = ink.repeat_interleave(ZOOM, 2).repeat_interleave(ZOOM, 3).float()
    rows, columns, height, width = big.shape
    out = torch.ones(rows, columns, height + GAP, width + GAP)
    edge = torch.where(ink[:, :, :1, :1].isnan(), 1.0, EDGE)
    out[:, :, 1 : height + 3, 1 : width + 3] = edge.expand(-1, -1, height + 2, width + 2)
    out[:, :, 2 : height + 2, 2 : width + 2] = big.nan_to_num(1.0)
    return out.permute(0, 2, 1, 3).reshape(rows * (height + GAP), -1).numpy()


def contact(
    ax: Axes, images: Tensor, columns: Sequence[str], rows: Sequence[str] = (), title: str = ""
) -> Axes:
    """A sheet of images (rows, columns, 1, h, w) with names above its columns and beside its rows.

    A title starts at the first image, above the columns' names.
    """
    picture = page(images)
    down, across = images.shape[:2]
    high, wide = (side / count for side, count in zip(picture.shape, (down, across), strict=True))
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks((np.arange(across) + 0.5) * wide - 0.5, columns)
    ax.set_yticks((np.arange(len(rows)) + 0.5) * high - 0.5, rows)
    ax.tick_params(length=0, labelsize=9, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=6)
    return ax


def path_strip(
    x_t: Tensor, mean: Tensor, levels: Tensor, sigma_data: float, scan: Tensor
) -> Figure:
    """One path from noise (m, 1, h, w) and the posterior mean D at each of its levels (m,).

    `scan` is the image that the path ends in, drawn at the right of both rows' last column.
    """
    figure, ((ax,),) = sheet(1, 1, 9.6, 2.9)
    gap = torch.full_like(scan[None], torch.nan)
    rows = torch.stack(
        [
            torch.cat([visible(x_t, levels, sigma_data), gap, scan[None]]),
            torch.cat([mean, gap, gap]),
        ]
    )
    names = [f"t = {level:.3g}" for level in levels.tolist()]
    title = "The exact path from noise ends in one of the training scans"
    sides = ("on the path: $x_t$", "mean: $D(x_t, t)$")
    contact(ax, rows, [*names, "", "nearest scan"], sides, title)
    return figure


def one_beside_many(
    one: Tensor, many: Tensor, one_names: Sequence[str], many_names: Sequence[str]
) -> Figure:
    """Two sheets of images (rows, columns, 1, h, w): one call, and the way of many calls."""
    widths = (one.shape[1], many.shape[1])
    figure, axes = sheet(1, 2, 10.6, 0.75 + 0.93 * len(one), ratios=widths)
    contact(axes[0, 0], one, one_names, title="1 network call: a new digit")
    contact(axes[0, 1], many, many_names, title="35 calls of the perfect denoiser: an old scan")
    return figure


def desk(calls: tuple[Tensor, Tensor], scan: Tensor, along: Tensor, levels: Tensor) -> Figure:
    """The generator at work: its calls, its digit beside the nearest scan, and the map f.

    `calls` are what goes into and comes out of each network call, (c, 1, h, w); `along` are x_t,
    D and f_θ at each level of an exact path, (3, m, 1, h, w).
    """
    figure, axes = sheet(2, 2, 8.4, 5.9)
    figure.set_layout_engine("none")  # finding a layout takes a third of the time of a redraw
    for ax in axes.flat:
        ax.set_in_layout(False)
    # One unit is an image: 8 across, 2 rows above and 3 below, so that all have the same scale.
    unit, left = 0.111, 0.102
    tall = unit * 8.4 / 5.9
    boxes = (
        (left, 0.605, 4 * unit, 2 * tall), (left + 4.15 * unit, 0.605, 3.85 * unit, 2 * tall),
        (left, 0.015, 8 * unit, 3 * tall), (0, 0, 0, 0),
    )  # fmt: skip
    for ax, box in zip(axes.flat, boxes, strict=True):
        ax.set_position(box)
    axes[1, 1].set_visible(False)
    count = len(calls[0])
    empty = torch.full((2, 4 - count, *scan.shape), torch.nan)
    steps = torch.cat([torch.stack(calls), empty], 1)
    names = [f"call {i + 1}" if i < count else "" for i in range(4)]
    title = f"{count} network call{'s' * (count > 1)}"
    contact(axes[0, 0], steps, names, ("in: $x_t$", "out: $f_θ$"), title)
    pair = torch.stack([calls[1][-1], scan])[None]
    contact(axes[0, 1], pair, ("made just now", "nearest training scan"), title="New, or a copy?")
    names = [f"t = {level:.2g}" for level in levels.tolist()]
    title = "Along one exact path: f says early what D only sees late"
    rows = ("path: $x_t$", "mean: $D$", "answer: $f_θ$")
    contact(axes[1, 0], along, names, rows, title)
    for text, role in zip(axes[1, 0].get_yticklabels(), (DATA, TRUTH, STUDENT), strict=True):
        text.set_color(role.color)
    return figure
