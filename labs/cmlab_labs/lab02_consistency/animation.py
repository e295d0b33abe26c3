"""Animation of lab 02: the exact f and D over x, by noise level."""

import torch
from torch import Tensor

from cmlab.metrics.plots import DATA, MEAN, TRUTH
from cmlab.oracle import Mixture1D

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
    polylines,
    text_labels,
)
from ..common.plots_line import between_modes, exact_paths

ORACLE = Mixture1D(*(torch.tensor(v).double() for v in ([0.4, 0.6], [-1.2, 1.0], [0.2, 0.2])))
HIGH, REACH = 3.0, 4.5
T, X_T = "noise level t (data units)", "noisy point x<sub>t</sub> (data units)"


@animation
def maps(frames: int = 41) -> Moving:
    """f and D over x at one noise level, with the exact paths that pass through it."""
    levels, rows = exact_paths(ORACLE, HIGH, 13)
    t = torch.cat([torch.tensor([0.002]), torch.linspace(0.075, HIGH, frames - 1)]).double()
    at = ORACLE.path(rows[-1][:, None], t.flip(0)).squeeze(2).flip(0)
    shots = [level_frame(level, here) for level, here in zip(t, at, strict=True)]
    still = [
        polylines((torch.stack([levels, row], 1) for row in rows.T), DATA, 0, 0.8),
        text_labels([-4.3], [2.05], ["f, circles: a step"], INK, 1),
        text_labels([-4.3], [1.75], ["D, triangles: a slope"], ink(MEAN), 1),
    ]
    panels = [
        Panel(T, X_T, (-0.06, HIGH + 0.06), (-REACH, REACH)),
        Panel(X_T, "f and D (data units)", (-REACH, REACH), (-2.3, 2.3)),
    ]
    finding = "The more noise, the flatter D, while f remains a step from mode to mode"
    return moving("maps", finding, T, panels, still, shots, 26)


def answers(x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """The exact f and D at points (n,) of one level."""
    t = level.expand(len(x))
    return ORACLE.consistency(x[:, None], t)[:, 0], ORACLE.denoise(x[:, None], t)[:, 0]


def level_frame(level: Tensor, here: Tensor) -> Shot:
    """A frame at one noise level: the paths, and f and D over x."""
    x, now = torch.linspace(-REACH, REACH, 181).double(), f"{float(level):.3g}"
    (f, mean), (ends, middle) = answers(x, level), answers(here, level)
    gap = int(between_modes(ORACLE, middle[:, None]).sum())
    low, high = (f"{float(v):.2f}".replace("-", "−") for v in (middle.min(), middle.max()))
    reading = (
        f"At t = {now} the 13 paths still have their 13 ends f. Their posterior means D reach "
        f"from {low} to {high}; {gap} of them lie where there are next to no data."
    )
    traces = [
        line([level, level], [-REACH, REACH], DATA, width=1.2),
        dots(level.expand(len(here)), here, TRUTH),
        *(line(x, f, TRUTH, 1), line(x, mean, MEAN, 1)),
        *(dots(here, ends, TRUTH, 1), dots(here, middle, MEAN, 1, 8)),
    ]
    titles = f"13 exact paths at t = {now}", f"{gap} of their 13 D lie between the modes"
    return Shot(now, reading, titles, traces)
