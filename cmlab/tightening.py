"""How far counts as far: c(N), which shrinks as the grid of N(k) levels gets finer. sLCT.

The differences that a loss sees shrink with the steps of the grid, so a fixed c would turn a
redescending loss into squared L2 before training ends (lab 08 measures that).
"""

from dataclasses import dataclass
from math import exp, log

from .ingredients import ingredient
from .schedule import Doubling
from .vocabulary import Schedule


@ingredient
@dataclass(frozen=True)
class Tightening:
    """c(N) = exp(slope · ln N + intercept), N the number of intervals of the grid at this step.

    Numbers and `first` are those of the authors' code: in the first stage c is `first`, whatever
    N is, and the formula rules from the second stage on; first = None uses it from the start.
    N is here points(step) - 1. The unit is that of one coordinate, see methods/slct.py.
    """

    points: Schedule = Doubling(10, 640)
    slope: float = -1.15
    intercept: float = -0.85
    first: float | None = 0.03456

    def __call__(self, step: int) -> float:
        points = self.points(step)
        if self.first is not None and points == self.points(0):
            return self.first
        return exp(self.slope * log(points - 1) + self.intercept)
