"""Animation of lab 14: answers of two networks to shared noise, by its level."""

from dataclasses import replace

import torch
from torch import Tensor

from cmlab.metrics.plots import DATA, STUDENT, TEACHER, WRONG
from cmlab.presets import toy

from ..common.animation import (
    Moving,
    Panel,
    Shot,
    animation,
    cloud,
    moving,
    polylines,
    text_labels,
)
from .analysis import agreement, label_agreement
from .study import RING_LEVELS, RecordedNetwork

SHOWN, SOLID = 90, replace(WRONG, line="-")
LEVEL = "noise level of the start (data units)"
MODES = toy.RING.oracle.components.means
PLANE = "x<sub>{}</sub> (data units)"


@animation
def shared_noise() -> Moving:
    """Answers of two seeds joined by lines: noise shared and shuffled, by the level it is at."""
    a, b = (RecordedNetwork("pretraining-toy", "uniform-constant", seed) for seed in (0, 1))
    shots = [frame(level, a.ends(k), b.ends(k)) for k, level in enumerate(RING_LEVELS)]
    still = [cloud(MODES, DATA, k, 34, 0.15) for k in (0, 1)]
    still += [text_labels([-1.58], [1.52], ["squares: one network"], STUDENT.color),
              text_labels([-1.58], [1.36], ["triangles: the other"], TEACHER.color)]  # fmt: skip
    plane = Panel(PLANE.format(1), PLANE.format(2), (-1.7, 1.7), (-1.7, 1.7), square=True)
    finding = "Two networks that share only their data turn the same noise into the same sample"
    return moving("twins", finding, LEVEL, [plane, plane], still, shots, card=(1, 0))


def frame(level: float, x: Tensor, y: Tensor) -> Shot:
    """One frame: some pairs of answers (n, 2), as they are and shuffled; numbers are of all."""
    test = agreement(x, y, 199)
    kinds = [torch.cdist(v.double(), MODES).argmin(1) for v in (x, y)]
    share, chance = label_agreement(*kinds)
    traces = []
    for panel, other in ((0, y[:SHOWN]), (1, y[:SHOWN].roll(1, 0))):
        ends = cloud(x[:SHOWN], STUDENT, panel, 6), cloud(other, TEACHER, panel, 6)
        traces += [polylines(torch.stack([x[:SHOWN], other], 1), SOLID, panel), *ends]
    reading = (
        f"Start at noise level {level:g}: the two networks' answers lie {test.distance:.3f} "
        f"apart, shuffled ones {float(test.shuffled.mean()):.3f}; {share:.0%} of the pairs share "
        "a mode."
    )
    titles = f"Noise shared: {share:.0%} in one mode", f"Noise shuffled: {chance:.0%}"
    return Shot(f"{level:g}", reading, titles, traces)
