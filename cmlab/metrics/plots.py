"""Plots: the style of all figures (colours, markers, lines, axes), and grids of samples.

Each role, such as student or teacher, has a colour, a marker and a line style, never colour alone.
The palette is Okabe and Ito's, which colour-blind readers can distinguish.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox
from torch import Tensor
from torch.nn.functional import pad

from ..model import Denoiser, conditioned
from ..train.recipe import Recipe
from ..train.run_log import decoded
from .precision_recall import nearest_images


@dataclass(frozen=True)
class Role:
    """The style of one role in all figures.

    Args:
        color: its colour.
        marker: a matplotlib marker.
        line: a matplotlib line style.
    """

    color: str
    marker: str
    line: Any


DATA = Role("#4d4d4d", "o", "-")  # real data, and the exact distribution
NOISE = Role("#999999", ".", ":")  # pure noise
TRUTH = Role("#000000", "o", "-")  # the exact path, f*, E[x | x_t]
STUDENT = Role("#0072B2", "s", "-")  # f_θ
TARGET = Role("#56B4E9", "D", "--")  # f_θ⁻
TEACHER = Role("#D55E00", "^", "-.")  # φ, a denoiser or a solver
WRONG = Role("#CC79A7", "X", (0, (1, 1)))  # what a misconception predicts
MEAN = Role("#E69F00", "v", "--")  # the posterior mean
EXTRA = Role("#009E73", "P", (0, (5, 2, 1, 2)))

SEQUENTIAL, DIVERGING = "cividis", "PuOr"

RC: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "image.cmap": SEQUENTIAL,
    "savefig.facecolor": "white",
}


@contextmanager
def styled() -> Iterator[None]:
    """The style, for figures created within the context."""
    with mpl.rc_context(RC):  # pyright: ignore[reportArgumentType]
        yield


Sheets = dict[tuple, tuple[Figure, np.ndarray]]
_SHEETS: ContextVar[Sheets | None] = ContextVar("sheets", default=None)


@contextmanager
def reusing(sheets: Sheets) -> Iterator[None]:
    """Within the context `sheet` hands out its figures again, emptied: axes are slow to make.

    Args:
        sheets: the figures by their measures; empty at first.
    """
    before = _SHEETS.set(sheets)
    try:
        yield
    finally:
        _SHEETS.reset(before)


def _empty(ax: Axes) -> Axes:
    """Remove all that was drawn; ticks, scales and names stay until they are set again."""
    for artist in (*ax.lines, *ax.patches, *ax.collections, *ax.images, *ax.texts):
        artist.remove()
    if legend := ax.get_legend():
        legend.remove()
    for place in ("left", "center", "right"):
        ax.set_title("", loc=place)
    ax.set_prop_cycle(None)
    ax.dataLim.set_points(Bbox.null().get_points())
    ax.ignore_existing_data_limits = True
    ax.set_autoscale_on(True)
    return ax


def sheet(
    rows: int = 1,
    columns: int = 1,
    width: float = 8.0,
    height: float = 3.6,
    ratios: Sequence[float] | None = None,
) -> tuple[Figure, np.ndarray]:
    """A figure in the style, and its axes as an array (rows, columns).

    Not pyplot's: figures that pyplot keeps can come out blank when a widget draws them.

    Args:
        rows: of axes.
        columns: of axes.
        width: inches.
        height: inches.
        ratios: relative widths of the columns.
    """
    kept, measures = _SHEETS.get(), (rows, columns, width, height, *(ratios or ()))
    if kept and measures in kept:
        figure, axes = kept[measures]
        if figure.axes == [_empty(ax) for ax in axes.flat]:  # none was added, as for a colour bar
            return figure, axes
    with styled():
        figure = Figure(figsize=(width, height), layout="constrained", dpi=100)
        axes = figure.subplots(rows, columns, squeeze=False, width_ratios=ratios)
    if kept is not None:
        kept[measures] = figure, axes
    return figure, axes


def name_axes(ax: Axes, x: str, y: str, title: str = "") -> Axes:
    """Set the axis labels, with symbol and unit, and the title."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        # With y given, matplotlib spares itself the search for a free place at every redraw.
        ax.set_title(title, loc="left", fontsize=11, fontweight="bold", y=1.0)
    return ax


def label(ax: Axes, x: float, y: float, text: str, color: str = "black") -> None:
    """Label a point (x, y) directly, with a white halo, in place of a legend."""
    halo = withStroke(linewidth=3, foreground="white")
    ax.annotate(text, (x, y), color=color, fontsize=9, path_effects=[halo])


def bare(ax: Axes) -> Axes:
    """Remove ticks and frame, for images."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


# Sheets of generated images


def mosaic(images: Tensor, columns: int) -> np.ndarray:
    """A grid of images (N, C, H, W) in [-1, 1] as one array in [0, 1], with thin margins."""
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
    """Grids of images (N, C, H, W) side by side, each with its title."""
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
    """Scatter plots of points (N, 2) side by side, each over the true samples in grey."""
    size = 2.6 if len(groups) > 2 else 3.4
    figure, axes = sheet(1, len(groups), size * len(groups), size + 0.4)
    reach = reach or 1.25 * float(truth.abs().max())
    for ax, points, title in zip(axes[0], groups, titles, strict=True):
        ax.scatter(*truth.T, s=3, color=DATA.color, alpha=0.15, linewidths=0)
        ax.scatter(*points.detach().T, s=5, color=STUDENT.color, alpha=0.6, linewidths=0)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        name_axes(ax, "$x_1$", "$x_2$", title)
    return figure


def draw(
    model: Denoiser, recipe: Recipe, n: int, calls: Sequence[int], known: Any = None
) -> Figure:
    """Plot n samples of a model at each number of network calls, from the same noise.

    Args:
        model: the denoiser.
        recipe: its recipe, with data and sampler.
        n: samples.
        calls: numbers of network calls.
        known: training pictures; the nearest to each sample of the last number of calls are shown.
    """
    data: Any = recipe.data
    real, cond = getattr(data, "blank", data.sample)(n)  # own pictures may be elsewhere
    z = torch.randn(n, *real.shape[1:])
    if cond is not None:
        cond = torch.arange(n) % data.classes
    with torch.no_grad():
        groups = [recipe.sampler(model.process, conditioned(model, cond), z, c) for c in calls]
    titles = [f"{c} call" + "s" * (c > 1) for c in calls]
    if real.ndim == 2:
        return point_sheets(groups, titles, data.sample(2000)[0])
    pictures = [decoded(data, group) for group in groups]
    if known is not None:
        _, rows = nearest_images(pictures[-1], known.images, 1)
        pictures.append(known.images[rows[:, 0]].float() / 127.5 - 1)
        titles.append(f"nearest training pictures to {titles[-1]}")
    return image_sheets(pictures, titles, columns=10 if cond is not None else 8)


def png(figure: Figure, dpi: int = 100) -> bytes:
    """The figure as PNG bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
