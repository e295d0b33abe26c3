"""Animation of lab 13: posterior samples, posterior mean and endpoint of a noisy point."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cmlab.data.toy import TwoRings
from cmlab.metrics.plots import DATA, NOISE, TRUTH

from ..common.animation import (
    INK,
    Moving,
    Panel,
    Shot,
    animation,
    cloud,
    dots,
    line,
    moving,
    text_labels,
)
from ..common.plots_posterior import POINT_STYLE, ink, posterior

ORACLE, DRAWN = TwoRings().oracle, 260
HERE = (0.66, 0.72)
LEVEL = "noise level σ (data units)"
MEAN, END = "posterior mean", "endpoint"
NAMED = (
    ("plain line: mean of the samples", INK),
    ("triangle, dashes: posterior mean D", ink(POINT_STYLE[MEAN])),
    ("square: endpoint f", ink(POINT_STYLE[END])),
)
PLANE = "x<sub>{}</sub> (data units)"


def mode_distance(x: Tensor) -> float:
    """Mean distance of points (n, 2) to the nearest mode of the data."""
    return float(torch.cdist(x, ORACLE.components.means).min(1).values.mean())


@animation
def posterior_by_level(frames: int = 31) -> Moving:
    """Posterior samples of one x_t, their mean, its endpoint, and distances to the data."""
    levels = torch.logspace(-1.3, 0.7, frames).double()
    found = [posterior_at(level) for level in levels]
    shots = [frame(levels[: k + 1], found[: k + 1]) for k in range(frames)]
    still = [
        cloud(ORACLE.components.means, DATA, size=15, opacity=0.2),
        dots(HERE[:1], HERE[1:], NOISE, size=12, symbols=["cross"]),
        text_labels([HERE[0] + 0.06], [HERE[1] + 0.12], ["x<sub>t</sub>"]),
    ]
    still += [text_labels([0.055], [0.56 - 0.035 * k], [text], color, 1)
              for k, (text, color) in enumerate(NAMED)]  # fmt: skip
    panels = [
        Panel(PLANE.format(1), PLANE.format(2), (-1.4, 1.4), (-1.4, 1.4), square=True),
        Panel(LEVEL, "distance to a mode (data units)", (0.045, 5.6), (0, 0.6), "x",
              x_ticks=(0.1, 0.3, 1, 3)),
    ]  # fmt: skip
    finding = "The mean of all possible x leaves the data; the endpoint stays near them"
    return moving("under", finding, LEVEL, panels, still, shots, 24)


def posterior_at(level: Tensor) -> dict[str, Tensor]:
    """Posterior samples (n, 2) of the one noisy point at this level, D and f (1, 2)."""
    x_t, t = torch.tensor([HERE]).double(), level[None]
    drawn = posterior(ORACLE, x_t, t).sample(DRAWN, torch.Generator().manual_seed(0))[0]
    return {MEAN: ORACLE.denoise(x_t, t), END: ORACLE.consistency(x_t, t), "samples": drawn}


def frame(levels: Tensor, found: Sequence[Mapping[str, Tensor]]) -> Shot:
    """The last of these levels in the plane, and all of them in the curves."""
    rows = {name: [mode_distance(one[name]) for one in found] for name in found[-1]}
    level, (mean, end, middle) = f"{float(levels[-1]):.2g}", (row[-1] for row in rows.values())
    reading = (
        f"At σ = {level} the posterior mean D lies {mean:.2f} from the nearest mode, the path's "
        f"end f {end:.2f}, and a posterior sample {middle:.2f} on average."
    )
    traces = [cloud(found[-1]["samples"], TRUTH, size=4, opacity=0.5)]
    traces += [cloud(found[-1][name], POINT_STYLE[name], 0, 15) for name in (MEAN, END)]
    traces += [line(levels, row, POINT_STYLE.get(name, TRUTH), 1) for name, row in rows.items()]
    titles = f"Posterior of x at σ = {level}", f"Distance to a mode: D {mean:.2f}, f {end:.2f}"
    return Shot(level, reading, titles, traces)
