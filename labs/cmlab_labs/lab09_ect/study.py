"""Studies of lab 09, easy consistency tuning (ECT): its metric, and its pre-training.

"tuning-line": ECT on the line from random weights with the metrics ‖·‖² and ‖·‖; pairs, weight,
steps and rate are the same.

"tuning-toy" and "tuning-digits": ECT after pre-training against ECT without.

tuned          part of the steps is EDM (toy: a quarter, digits: two fifths), the rest is ECT
scratch        ECT with random weights at the start, as many steps as both together
scratch-short  ring, digits: the same, as many steps as the tuning alone
tuned-long     ring: as `tuned`, from a denoiser with four times the samples of the tuning
denoiser       ring, digits: EDM alone, as many steps as both together
fixed          ring: as `tuned`, but r stays at t/2
ict            digits: iCT, as many steps as both together
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from cmlab.losses import SquaredL2
from cmlab.methods import ECT
from cmlab.methods.ect import ECTMapping, Stages
from cmlab.methods.ict import PseudoHuber
from cmlab.model import EDMPrecond
from cmlab.noise_levels import LogNormal
from cmlab.presets import digits, toy
from cmlab.schedules import Constant
from cmlab.train.recipe import Recipe
from cmlab.types import Metric

from ..common.observers import ImageObserver, LineMapObserver
from ..common.studies_shared import LINE
from ..common.study import Study

# The metric: ECT on the line from random weights, with ‖·‖² and with ‖·‖

STEPS = 3000


def line(metric: Metric, seed: int) -> Recipe:
    """Eight stages, from r = t/2 far out to r = 255/256 t."""
    method = ECT(pairs=ECTMapping(Stages(2.0, STEPS // 8), toy.LEVELS), metric=metric)
    return toy.plane(LINE, EDMPrecond(LINE.sigma_data), method, STEPS, seed)


ARMS: dict[str, Callable[[int], Recipe]] = {
    "squared": partial(line, SquaredL2()),
    "norm": partial(line, PseudoHuber(1e-8)),
}

STUDY = Study("tuning-line", ARMS, LineMapObserver(LINE), observations=8)


# Pre-training: ECT from a denoiser against ECT from random weights

TOY_STEPS, DIGIT_STEPS = 4000, 2000
LEVELS = LogNormal(-1.4, 2.0)


def ect(levels: LogNormal, steps: int) -> ECT:
    """Eight stages, one after the other, over this many steps."""
    return ECT(pairs=ECTMapping(Stages(2.0, steps // 8), levels))


def scratch_plane(steps: int, seed: int) -> Recipe:
    precond = EDMPrecond(toy.RING.sigma_data)
    return toy.plane(toy.RING, precond, ect(toy.LEVELS, steps), steps, seed)


def tuned_long(seed: int) -> Recipe:
    """The tuning of `toy.ect` from a denoiser that was trained for four times as long."""
    recipe = toy.ect(steps=TOY_STEPS, seed=seed)
    return replace(recipe, start=toy.edm(steps=4 * recipe.train.steps, seed=seed))


def fixed(seed: int) -> Recipe:
    """ECT that never closes the gap."""
    method = ECT(pairs=ECTMapping(Constant(0.5), toy.LEVELS, K=0.0))
    return replace(toy.ect(steps=TOY_STEPS, seed=seed), method=method)


TOY = Study(
    "tuning-toy",
    {
        "tuned": lambda seed: toy.ect(steps=TOY_STEPS, seed=seed),
        "scratch": lambda seed: scratch_plane(TOY_STEPS, seed),
        "scratch-short": lambda seed: scratch_plane(3 * TOY_STEPS // 4, seed),
        "denoiser": lambda seed: toy.edm(steps=TOY_STEPS, seed=seed),
        "fixed": fixed,
        "tuned-long": tuned_long,
    },
)

DIGITS = Study(
    "tuning-digits",
    {
        "tuned": lambda seed: digits.ect(DIGIT_STEPS, seed),
        "scratch": lambda seed: digits.image(ect(LEVELS, DIGIT_STEPS), DIGIT_STEPS, seed),
        "scratch-short": lambda seed: digits.image(
            ect(LEVELS, 3 * DIGIT_STEPS // 5), 3 * DIGIT_STEPS // 5, seed
        ),
        "denoiser": lambda seed: digits.edm(DIGIT_STEPS, seed),
        "ict": lambda seed: digits.ict(DIGIT_STEPS, seed),
    },
    ImageObserver(),
    observations=5,
)
