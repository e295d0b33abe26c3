"""Plots of image samples: noisy images at visible contrast, and contact sheets of digits."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

ZOOM, GAP, EDGE = 6, 4, 0.72  # screen pixels of a dot, between two images, and the frame's grey


def contrast_scaled(x_t: Tensor, level: Tensor, sigma_data: float) -> Tensor:
    """Noisy images (b, 1, h, w) scaled to the contrast of the data."""
    scale = sigma_data / (sigma_data**2 + level**2).sqrt()
    return scale.reshape(-1, 1, 1, 1) * x_t


def image_sheet(images: Tensor) -> np.ndarray:
    """Images (rows, columns, 1, h, w) in [-1, 1] as one RGB array, ink dark, each in a thin frame.

    Images of NaN are left out. Bytes, since matplotlib takes twice as long to draw floats.
    """
    ink = (1 - images[:, :, 0].clamp(-1, 1)) / 2
    big = ink.repeat_interleave(ZOOM, 2).repeat_interleave(ZOOM, 3).float()
    rows, columns, height, width = big.shape
    out = torch.ones(rows, columns, height + GAP, width + GAP)
    edge = torch.where(ink[:, :, :1, :1].isnan(), 1.0, EDGE)
    out[:, :, 1 : height + 3, 1 : width + 3] = edge.expand(-1, -1, height + 2, width + 2)
    out[:, :, 2 : height + 2, 2 : width + 2] = big.nan_to_num(1.0)
    grey = (255 * out).round().to(torch.uint8).permute(0, 2, 1, 3)
    return grey.reshape(rows * (height + GAP), -1, 1).repeat(1, 1, 3).numpy()


def contact_sheet(
    ax: Axes, images: Tensor, columns: Sequence[str], rows: Sequence[str] = (), title: str = ""
) -> Axes:
    """A contact sheet of images (rows, columns, 1, h, w) with names of columns and rows.

    The title stands above the columns' names.
    """
    picture = image_sheet(images)
    down, across = images.shape[:2]
    high, wide = picture.shape[0] / down, picture.shape[1] / across
    ax.imshow(picture, interpolation="none")
    ax.set_axis_off()
    for k, name in enumerate(columns):
        annotate_at(ax, ((k + 0.5) * wide, 0), name, (0, 2), ("center", "bottom"))
    for k, name in enumerate(rows):
        annotate_at(ax, (0, (k + 0.5) * high), name, (-4, 0), ("right", "center"))
    # With y given, matplotlib spares itself the search for a free place at every redraw.
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", y=1.0, pad=18)
    return ax


def annotate_at(
    ax: Axes,
    place: tuple[float, float],
    text: str,
    away: tuple[float, float],
    align: tuple[str, str],
) -> None:
    """Text at an offset in points from a position in data coordinates."""
    ax.annotate(
        text, place, away, textcoords="offset points", ha=align[0], va=align[1], fontsize=9
    )
