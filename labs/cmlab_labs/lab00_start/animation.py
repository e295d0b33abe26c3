"""Animation of lab 00: a digit's exact path from noise, its mean, and a network's answer."""

from functools import cache
from typing import cast

import numpy as np
import torch
from torch import Tensor

from cmlab.data.digits import Digits
from cmlab.metrics.plots import MEAN, STUDENT, TRUTH
from cmlab.model import Denoiser
from cmlab.process import VarianceExploding
from cmlab.sampling import ode
from cmlab.train import runs

from ..common.animation import (
    INK,
    Moving,
    Panel,
    Shot,
    animation,
    dots,
    ink,
    line,
    moving,
    picture,
    text_labels,
)
from ..common.generators import GENERATOR, exact_denoiser, held_out_distance, nearest_scan, noise
from ..common.plots_samples import contrast_scaled
from .explorer import GRID

DIGIT, SEED = 3, 0
NAMES = ("path: x<sub>t</sub>", "mean: D", "network: f")
LEVEL = "noise level t (data units)"


@cache
@torch.no_grad()
def rows_along_path() -> Tensor:
    """x_t, the exact mean and the network's answer at each level of a path, (3, m, 1, 8, 8)."""
    asked, levels = torch.tensor([DIGIT]), GRID[:-1].float()
    steps = ode(VarianceExploding(), exact_denoiser(asked), GRID[0].float() * noise(SEED), GRID)
    path = torch.cat(list(steps))[: len(levels)]
    model, many = cast(Denoiser, runs.load(GENERATOR)[0]), asked.expand(len(path))
    scaled = contrast_scaled(path, levels, Digits().sigma_data)
    return torch.stack([scaled, exact_denoiser(many)(path, levels), model(path, levels, many)])


def grey(x: Tensor) -> np.ndarray:
    """An image (1, h, w) in [-1, 1] as pixels, ink dark."""
    return ((1 - x[0].clamp(-1, 1)) * 127.5).round().to(torch.uint8).numpy()


@animation
def digit_path() -> Moving:
    """One path from noise to a digit: what D and the network answer at each of its levels."""
    levels, rows = GRID[:-1].tolist(), rows_along_path()
    away = [(row - nearest_scan(row)).flatten(1).norm(dim=1).tolist() for row in rows]
    shots = [frame(k, levels, rows[:, k], away) for k in range(len(levels))]
    unseen = held_out_distance()
    still = [
        text_labels([0.5, 1.6, 2.7], [-0.12] * 3, NAMES, INK, side="middle center"),
        line([0.001, 110], [unseen] * 2, TRUTH, 1, 1.2),
        text_labels([0.0022], [unseen + 0.13], ["real digits never seen"], INK, 1),
        text_labels([3], [1.35], ["mean D"], ink(MEAN), 1),
        text_labels([6], [2.5], ["network f"], ink(STUDENT), 1),
    ]
    panels = [
        Panel("", "", (-0.05, 3.25), (-0.25, 1.05), square=True, bare=True),
        Panel(LEVEL, "distance to a scan (pixel values)", (0.0016, 110), (-0.1, 2.9),
              "x", x_ticks=(0.01, 0.1, 1, 10, 80)),
    ]  # fmt: skip
    finding = "One call makes a new digit of pure noise; the exact path ends in a copy of a scan"
    return moving("digit", finding, LEVEL, panels, still, shots, 6, (0, 9))


def frame(k: int, levels: list[float], shown: Tensor, away: list[list[float]]) -> Shot:
    """The three images at one level, and how far both answers are from the training scans."""
    t, (mean, answer) = f"{levels[k]:.2g}", (row[k] for row in away[1:])
    reading = (
        f"At noise level t = {t} the mean D is {mean:.1f} from the nearest training scan and the "
        f"network's answer f {answer:.1f}; real digits that it never saw are at "
        f"{held_out_distance():.1f} (median)."
    )
    traces = []
    for row, role in zip(away[1:], (MEAN, STUDENT), strict=True):
        traces += [line(levels[: k + 1], row[: k + 1], role, 1)]
        traces += [dots([levels[k]], [row[k]], role, 1, 11)]
    pictures = [picture(grey(x), (1.1 * n, 0, 1, 1)) for n, x in enumerate(shown)]
    titles = f"One path at noise level t = {t}", f"To a scan: D {mean:.1f}, f {answer:.1f}"
    return Shot(t, reading, titles, traces, pictures)
