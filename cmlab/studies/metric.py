"""What ECT's norm does to its goal: ECT on the line from random weights, with ‖·‖² and with ‖·‖.

The same pairs, weight, steps and rate; only the metric differs.
"""

from collections.abc import Callable
from functools import partial

from ..distance import PseudoHuber, SquaredL2
from ..methods import ECT
from ..model import EDMPrecond
from ..presets import toy
from ..recipe import Recipe
from ..schedule import Stages
from ..times import Shrink
from ..vocabulary import Metric
from .base import Study
from .distil import LINE
from .watch import MapOnLine

STEPS = 3000


def line(metric: Metric, seed: int) -> Recipe:
    """Eight stages, from r = t/2 far out to r = 255/256 t."""
    method = ECT(pairs=Shrink(Stages(2.0, STEPS // 8), toy.LEVELS), metric=metric)
    return toy.plane(LINE, EDMPrecond(LINE.sigma_data), method, STEPS, seed)


ARMS: dict[str, Callable[[int], Recipe]] = {
    "squared": partial(line, SquaredL2()),
    "norm": partial(line, PseudoHuber(1e-8)),
}

STUDY = Study("tuning-line", ARMS, MapOnLine(LINE), looks=8)
