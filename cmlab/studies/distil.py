"""Distillation on the line: three teachers, two solvers, grids of N points.

Arms are called exact-heun-20 and so on. "learned" is a denoiser trained first on the same seed,
with as many samples; "sample" is CT, the one-sample teacher.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

from ..data.line import Bumps
from ..data.toy import ToyData
from ..distance import InverseGap, PseudoHuber
from ..guide import Exact, OneSample, Pretrained
from ..methods import CD
from ..model import CMPrecond
from ..presets import toy
from ..recipe import Recipe
from ..sample import ddim, heun
from ..schedule import Constant
from ..times import Neighbours
from ..vocabulary import Solver, Teacher
from .base import Study
from .watch import MapOnLine

STEPS = 3000
LINE = cast(ToyData, Bumps())
GRIDS = (5, 10, 20, 40, 80)
SOLVERS: dict[str, Solver] = {"euler": ddim, "heun": heun}


def cd(teacher: Teacher, solver: Solver, points: int, seed: int) -> Recipe:
    """CD on a fixed grid, with iCT's metric, weight and proposal."""
    pairs = Neighbours(Constant(points), toy.LEVELS, toy.GRID)
    method = CD(teacher, solver, pairs, PseudoHuber(), InverseGap())
    return toy.plane(LINE, CMPrecond(LINE.sigma_data, toy.SIGMA_MIN), method, STEPS, seed)


def learned(points: int, seed: int) -> Recipe:
    """Heun's steps by a denoiser that is trained here and now."""
    denoiser = toy.edm(LINE, STEPS, seed).trainer().fit().ema.model
    return cd(Pretrained(denoiser), heun, points, seed)


ARMS: dict[str, Callable[[int], Recipe]] = {
    f"exact-{name}-{points}": partial(cd, Exact(LINE), solver, points)
    for name, solver in SOLVERS.items()
    for points in GRIDS
}
ARMS |= {f"learned-heun-{points}": partial(learned, points) for points in (5, 20, 80)}
ARMS |= {f"sample-euler-{n}": partial(cd, OneSample(), ddim, n) for n in GRIDS}

STUDY = Study("distil", ARMS, MapOnLine(LINE))
