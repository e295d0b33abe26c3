"""A generator of colour pictures at work: its calls, its neighbours, the way between noises."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .digits import beside
from .style import styled

GAP = 3  # dots between two pictures
WIDE, HIGH = 8.8, 6.4  # inches


@dataclass(frozen=True)
class Scene:
    """What is drawn: pictures (n, 3, h, w) in [-1, 1], each group with its names."""

    calls: tuple[Tensor, Tensor]  # what goes into each network call, and what comes out
    made: Tensor  # (3, h, w)
    near: Tensor  # (k, 3, h, w), k ≤ 3: its nearest neighbours
    distances: Sequence[float]
    round_way: Tensor  # one for each of `shares`, mixed on the great circle
    straight: Tensor  # the same, mixed straight
    shares: Sequence[float]


def page(pictures: Tensor) -> np.ndarray:
    """Pictures (rows, columns, 3, h, w) in [-1, 1] side by side, those of NaN left white."""
    rows, columns, _, height, width = pictures.shape
    out = torch.ones(rows, columns, height + GAP, width + GAP, 3)
    shown = ((pictures.clamp(-1, 1) + 1) / 2).nan_to_num(1.0)
    out[:, :, 1 : height + 1, 1 : width + 1] = shown.permute(0, 1, 3, 4, 2).float()
    return out.permute(0, 2, 1, 3, 4).reshape(rows * (height + GAP), -1, 3).numpy()


def board(
    ax: Axes, pictures: Tensor, columns: Sequence[str], rows: Sequence[str] = (), title: str = ""
) -> Axes:
    """A sheet of pictures with names above its columns and beside its rows."""
    image = page(pictures)
    down, across = pictures.shape[:2]
    high, wide = image.shape[0] / down, image.shape[1] / across
    ax.imshow(image, interpolation="none")
    ax.set_axis_off()
    for k, name in enumerate(columns):
        beside(ax, ((k + 0.5) * wide - 2, 0), name, (0, 2), ("center", "bottom"))
    for k, name in enumerate(rows):
        beside(ax, (0, (k + 0.5) * high), name, (-4, 0), ("right", "center"))
    # With y given, matplotlib spares itself the search for a free place at every redraw.
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", y=1.0, pad=18)
    return ax


def filled_up(pictures: Tensor, count: int) -> Tensor:
    """`count` pictures: these, and then empty places."""
    empty = torch.full((count - len(pictures), *pictures.shape[1:]), torch.nan)
    return torch.cat([pictures, empty])


def desk(scene: Scene) -> Figure:
    """The calls, the neighbours, and the ways from one noise to another."""
    figure, (left, right, below) = three_boards(len(scene.shares))
    calls = torch.stack([filled_up(pictures, 4) for pictures in scene.calls])
    count = len(scene.calls[0])
    names = [f"call {i + 1}" for i in range(count)]
    title = f"{count} network call{'s' * (count > 1)}"
    board(left, calls, names, ("in: xₜ", "out: f"), title)
    four = filled_up(torch.cat([scene.made[None], scene.near]), 4).unflatten(0, (2, 2))
    board(right, four, (), (), "Made, and its nearest" if scene.distances else "Made")
    named(right, ["made", *(f"{d:.1f} away" for d in scene.distances)], four.shape[-1] + GAP)
    ways = torch.stack([scene.round_way, scene.straight])
    names = [f"{share:.0%}" for share in scene.shares]
    board(below, ways, names, ("great circle", "straight"),
          "From the first noise to the second, one call each")  # fmt: skip
    return figure


def named(ax: Axes, names: Sequence[str], side: int) -> None:
    """Names above the first row and below the second of a board of 2 × 2."""
    for k, name in enumerate(names):
        across, down = ((k % 2) + 0.5) * side - 2, (2 * side - 1) * (k // 2)
        align = "top" if k // 2 else "bottom"
        beside(ax, (across, down), name, (0, -2 if k // 2 else 2), ("center", align))


def three_boards(columns: int) -> tuple[Figure, list[Axes]]:
    """Boards of 4 × 2, 2 × 2 and `columns` × 2 pictures, those above in one scale."""
    with styled():
        figure = Figure(figsize=(WIDE, HIGH), dpi=100)
    left, unit = 0.105, 0.134  # shares of the width
    tall = unit * WIDE / HIGH
    low = min(0.885 / columns, 0.148)
    boxes = (
        (left, 0.92 - 2 * tall, 4 * unit, 2 * tall),
        (left + 4.35 * unit, 0.92 - 2 * tall, 2 * unit, 2 * tall),
        (left, 0.02, columns * low, 2 * low * WIDE / HIGH),
    )
    return figure, [figure.add_axes(box, anchor="NW") for box in boxes]
