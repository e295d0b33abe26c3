"""Animation of lab 12 (sLCT): noisy points of a ring whose noise is drawn or transported."""

import torch
from torch import Tensor

from cmlab.data.toy import Ring
from cmlab.metrics.plots import DATA
from cmlab.ops import seeded

from ..common.animation import Moving, Panel, Shot, animation, cloud, moving, polylines
from .analysis import COUPLINGS, target_variance

BATCH, NEAR, FRAMES = 128, 4, 21
# Eight colours that colour-blind readers tell apart, and eight symbols: one of each for a mode.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#4d4d4d", "#8a5c00")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star")
LEVEL = "noise level t (data units)"
PLANE = "x<sub>{}</sub> / √(1 + t²) (no unit)"


@animation
def transport() -> Moving:
    """Noisy points x + t z by noise level: z as drawn, and paired with x by optimal transport."""
    with seeded(torch.device("cpu"), 9, 0):
        x, z = Ring().sample(BATCH)[0], torch.randn(BATCH, 2)
    kinds = torch.cdist(x.double(), Ring().oracle.components.means).argmin(1).tolist()
    looks = [SYMBOLS[k] for k in kinds], [COLORS[k] for k in kinds]
    paired = [coupling(x, z) for coupling in COUPLINGS.values()]
    shots = [frame(float(t), x, paired, looks) for t in torch.logspace(-1.3, 0.7, FRAMES)]
    plane = Panel(PLANE.format(1), PLANE.format(2), (-2.7, 2.7), (-2.7, 2.7), square=True)
    finding = "With noise paired by transport, a noisy point still tells which data it came from"
    return moving("transport", finding, LEVEL, [plane, plane], [], shots, 14, (1, 13))


def frame(t: float, x: Tensor, paired: list[Tensor], looks: tuple[list[str], list[str]]) -> Shot:
    """One noise level: where the points are, each joined to its data, and what they leave open."""
    shrink, traces, open_ = (1 + t**2) ** -0.5, [], []
    for panel, z in enumerate(paired):
        x_t = x + t * z
        open_.append(target_variance(x, x_t, NEAR))
        traces += [
            cloud(shrink * Ring().oracle.components.means, DATA, panel, 22, 0.2),
            polylines(shrink * torch.stack([x, x_t], 1), DATA, panel, 0.7, 0.35),
            cloud(shrink * x_t, DATA, panel, 7, 1, looks),
        ]
    reading = (
        f"At t = {t:.2g} the data of the {NEAR} nearest noisy points have a variance of "
        f"{open_[0]:.2f} with noise as drawn and {open_[1]:.2f} with transport."
    )
    titles = f"As drawn, t = {t:.2g}: variance {open_[0]:.2f}", f"Transport: {open_[1]:.2f}"
    return Shot(f"{t:.2g}", reading, titles, traces)
