"""Digits under a measurement: what could stand in for the truth, and what A makes of it."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from .digits import contact
from .posterior import ink
from .style import MEAN, STUDENT, TRUTH, Role, name_axes, sheet

ROLES: dict[str, Role] = {"mean D": MEAN, "network f": STUDENT, "posterior sample": TRUTH}


def as_picture(y: Tensor) -> Tensor:
    """Measurements (n, …) as images (n, 1, 8, 8): enlarged; features are 4 × 8 fields."""
    if y.ndim == 2:
        return (y / y.abs().max().clamp_min(1e-6)).reshape(-1, 1, 4, 8).repeat_interleave(2, 2)
    return y.repeat_interleave(8 // y.shape[-1], 2).repeat_interleave(8 // y.shape[-1], 3)


def stand_ins(
    images: Tensor, measured: Tensor, names: Sequence[str], far: Mapping[str, float], title: str
) -> Figure:
    """Images (n, 1, 8, 8) over their measurements, and the mismatch ‖A(h) - y‖ of each."""
    figure, (axes,) = sheet(1, 2, 9.6, 2.9, ratios=(2.1, 1))
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.17, top=0.83, wspace=0.32)
    rows = torch.stack([images, as_picture(measured)])
    contact(axes[0], rows, names, ("h", "A(h)"), title)
    for place, (name, value) in enumerate(far.items()):
        role = ROLES[name]
        axes[1].barh(place, value, 0.6, color=role.color, alpha=0.85)
        axes[1].text(value, place, f" {value:.2f}", va="center", fontsize=9, color=ink(role))
    axes[1].set(yticks=range(len(far)), xlim=(0, 1.25 * max(*far.values(), 1e-3)))
    axes[1].set_yticklabels(list(far), fontsize=9)
    axes[1].invert_yaxis()
    least = min(far, key=lambda name: far[name])
    name_axes(axes[1], r"mismatch $\|y - A(h)\|$", "", f"Least: {least}")
    return figure


def retouched(given: Tensor, made: Tensor, names: Sequence[str], title: str) -> Figure:
    """What was given beside what was made of it: given (2, 1, 8, 8), made (rows, n, 1, 8, 8)."""
    figure, (axes,) = sheet(
        1, 2, 9.0, 0.7 + 1.0 * max(len(made), 2), ratios=(1, made.shape[1] / 1.0)
    )
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.06, right=0.99, bottom=0.02, top=0.84, wspace=0.12)
    contact(axes[0], given[:, None], [""], ("truth", "given"))
    contact(axes[1], made, [""] * made.shape[1], names, title)
    return figure


def task_sheet(rows: Mapping[str, Tensor], columns: Sequence[str], title: str) -> Figure:
    """Images (n, 1, 8, 8) by row, each column with its name."""
    images = torch.stack(list(rows.values()))
    figure, ((ax,),) = sheet(1, 1, 1.0 * images.shape[1] + 1.4, 0.95 * len(rows) + 0.6)
    contact(ax, images, columns, list(rows), title)
    return figure
