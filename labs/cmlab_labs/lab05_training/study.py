"""Study of lab 05: consistency training with squared L2 loss, shared and fresh noise, by N.

shared-20 is `distil`'s sample-euler-20 with ‖·‖² instead of pseudo-Huber, so that the answer
with the least loss is the mean of the targets. fresh-20 draws a second noise for x_r.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import torch

from cmlab.losses import SquaredL2
from cmlab.methods import CD
from cmlab.process import Process
from cmlab.sampling import ddim
from cmlab.teacher import SampleTeacher
from cmlab.train.recipe import Recipe
from cmlab.types import Data, Denoise, Solver, Time

from ..common.observers import LineMapObserver
from ..common.studies_shared import LINE, distillation
from ..common.study import Study

GRIDS = (5, 20, 80, 320, 1280)


def fresh(process: Process, denoise: Denoise, x_t: Data, t: Time, r: Time) -> Data:
    """Not a step along any path: the estimate of x with new noise of level r."""
    x = denoise(x_t, t)
    return process.perturb(x, torch.randn_like(x), r)


def squared(solver: Solver, points: int, seed: int) -> Recipe:
    """CT on a fixed grid with iCT's weight and proposal, and ‖·‖²."""
    recipe = distillation(SampleTeacher(), solver, points, seed)
    method = replace(cast(CD, recipe.method), metric=SquaredL2())
    return replace(recipe, method=method)


VARIANTS: dict[str, Callable[[int], Recipe]] = {
    f"shared-{points}": partial(squared, ddim, points) for points in GRIDS
}
VARIANTS["fresh-20"] = partial(squared, fresh, 20)

STUDY = Study("pairs", VARIANTS, LineMapObserver(LINE))
