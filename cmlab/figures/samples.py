"""Sheets of generated images."""

from collections.abc import Sequence
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import pad

from ..checkpoint import replace
from ..model import Denoiser
from ..recipe import Recipe
from .style import DATA, STUDENT, bare, name_axes, sheet


def mosaic(images: Tensor, columns: int) -> np.ndarray:
    """Images (N, C, H, W) in [-1, 1] as one array in [0, 1], a thin margin around each."""
    paper = -1.0 if images.shape[1] == 1 else 1.0  # grey images are ink on paper
    images = pad(images.clamp(-1, 1), (0, margin(images), 0, margin(images)), value=paper)
    n, c, h, w = images.shape
    rows = ceil(n / columns)
    empty = torch.full_like(images[:1], paper).expand(rows * columns - n, -1, -1, -1)
    grid = torch.cat([images, empty]).reshape(rows, columns, c, h, w)
    flat = grid.permute(0, 3, 1, 4, 2).reshape(rows * h, columns * w, c)
    return ((flat + 1) / 2).cpu().numpy()


def margin(images: Tensor) -> int:
    """Pixels between two images: an eighth of one."""
    return max(1, images.shape[-1] // 8)


def image_sheets(groups: Sequence[Tensor], titles: Sequence[str], columns: int = 8) -> Figure:
    """One mosaic of images (N, C, H, W) beside another, each with its title."""
    size = 3.2 if len(groups) > 2 else 4.0
    rows = ceil(max(len(group) for group in groups) / columns)
    height = size * rows / columns + 0.35
    figure, axes = sheet(1, len(groups), size * len(groups), height)
    for ax, images, title in zip(axes[0], groups, titles, strict=True):
        picture = mosaic(images, columns)
        # Ink is dark on white paper, as it was on the scanned forms.
        shown = 1 - picture[..., 0] if picture.shape[2] == 1 else picture
        bare(ax).imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(title, loc="left", fontsize=10)
    return figure


def point_sheets(
    groups: Sequence[Tensor], titles: Sequence[str], truth: Tensor, reach: float = 0.0
) -> Figure:
    """Clouds of points (N, 2), each over the truth's in grey."""
    size = 2.6 if len(groups) > 2 else 3.4
    figure, axes = sheet(1, len(groups), size * len(groups), size + 0.4)
    reach = reach or 1.25 * float(truth.abs().max())
    for ax, points, title in zip(axes[0], groups, titles, strict=True):
        ax.scatter(*truth.T, s=3, color=DATA.color, alpha=0.15, linewidths=0)
        ax.scatter(*points.detach().T, s=5, color=STUDENT.color, alpha=0.6, linewidths=0)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        name_axes(ax, "$x_1$", "$x_2$", title)
    return figure


def draw(model: Denoiser, recipe: Recipe, n: int, calls: Sequence[int]) -> Figure:
    """n samples at each number of network calls, from the same noise."""
    data: Any = recipe.data
    real, cond = data.sample(n)
    z = torch.randn(n, *real.shape[1:])
    if cond is not None:
        cond = torch.arange(n) % data.classes
    with torch.no_grad():
        groups = [
            recipe.sampler(model.process, lambda x_t, t: model(x_t, t, cond), z, c) for c in calls
        ]
    titles = [f"{c} call" + "s" * (c > 1) for c in calls]
    if real.ndim == 2:
        return point_sheets(groups, titles, data.sample(2000)[0])
    return image_sheets(groups, titles, columns=10 if cond is not None else 8)


def save_grid(model: Denoiser, recipe: Recipe, n: int, calls: Sequence[int], out: Path) -> None:
    """The drawing as a PNG file, written whole or not at all."""
    replace(out, lambda temporary: temporary.write_bytes(png(draw(model, recipe, n, calls))))


def png(figure: Figure, dpi: int = 100) -> bytes:
    """The figure as PNG bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
