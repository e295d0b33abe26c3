"""Figures of lab 11 (PCM): digits from the same noises by sampler and number of calls."""

import numpy as np
import torch
from matplotlib.figure import Figure

from cmlab.metrics.plots import bare, mosaic, sheet

ROWS = {
    "student, 1 call": (0, 0), "student, 2 jumps": (0, 1), "student, 4 jumps": (0, 2),
    "student, 4 calls,\nfresh noise": (1, 2), "teacher,\n4 DDIM steps": (2, 2),
}  # fmt: skip


def digit_rows(pictures: np.ndarray, title: str, shown: int = 10) -> Figure:
    """A row for each way and number of calls, from pictures (3, 3, n, 1, h, w) in uint8."""
    figure, axes = sheet(len(ROWS), 1, 7.6, 0.6 * len(ROWS) + 0.35)
    for ax, (name, (way, calls)) in zip(axes[:, 0], ROWS.items(), strict=True):
        images = torch.from_numpy(pictures[way, calls, :shown]) / 127.5 - 1
        bare(ax).imshow(1 - mosaic(images, shown)[..., 0], cmap="gray", vmin=0, vmax=1)
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    axes[0, 0].set_title(title, loc="left", fontsize=11, fontweight="bold")
    return figure
