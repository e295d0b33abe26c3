"""Plots of samples: grids of images, digits.

Digits on paper: what goes into a network call, what comes out, and what was there before.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cmlab.metrics.plots import sheet, styled

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

    The title stands above the columns' names.
    """
    picture = page(images)
    down, across = images.shape[:2]
    high, wide = picture.shape[0] / down, picture.shape[1] / across
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="none")
    ax.set_axis_off()
    for k, name in enumerate(columns):
        beside(ax, ((k + 0.5) * wide, 0), name, (0, 2), ("center", "bottom"))
    for k, name in enumerate(rows):
        beside(ax, (0, (k + 0.5) * high), name, (-4, 0), ("right", "center"))
    # With y given, matplotlib spares itself the search for a free place at every redraw.
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", y=1.0, pad=18)
    return ax


def beside(
    ax: Axes,
    place: tuple[float, float],
    text: str,
    away: tuple[float, float],
    align: tuple[str, str],
) -> None:
    """Text this many points away from a place on the picture."""
    ax.annotate(
        text, place, away, textcoords="offset points", ha=align[0], va=align[1], fontsize=9
    )


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
            torch.cat([visible(x_t, levels, sigma_data), gap, scan[None]]),
            torch.cat([mean, gap, gap]),
        ]
    )
    names = [f"t = {level:.2g}" for level in levels.tolist()]
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
    figure, (left, right, below) = three_boards()
    count = len(calls[0])
    empty = torch.full((2, 4 - count, *scan.shape), torch.nan)
    names = [f"call {i + 1}" for i in range(count)]
    title = f"{count} network call{'s' * (count > 1)}"
    contact(left, torch.cat([torch.stack(calls), empty], 1), names, ("in: xₜ", "out: f"), title)
    pair = torch.stack([calls[1][-1], scan])[None]
    contact(right, pair, ("made just now", "nearest training scan"), title="New, or a copy?")
    names = [f"t = {level:.2g}" for level in levels.tolist()]
    title = "Answers along one exact path: a perfect f would not change"
    contact(below, along, names, ("on the path: xₜ", "mean: D", "network: f"), title)
    return figure


def three_boards(width: float = 8.6, height: float = 5.9) -> tuple[Figure, list[Axes]]:
    """Boards of 4 × 2, 2 × 1 and 8 × 3 images, in inches; the last has the first one's scale."""
    with styled():
        figure = Figure(figsize=(width, height), dpi=100)
    left, right, unit = 0.125, 0.995, (0.995 - 0.125) / 8
    tall = unit * width / height
    boxes = (
        (left, 0.915 - 2 * tall, 4 * unit, 2 * tall),
        (left + 4.2 * unit, 0.915 - 2 * tall, right - left - 4.2 * unit, 2 * tall),
        (left, 0.01, 8 * unit, 3 * tall),
    )
    return figure, [figure.add_axes(box, anchor="NW") for box in boxes]
