"""Presets for faster pre-training of denoisers: noise level curriculum and momentum decay.

Each is a preset `….edm` with a constant learning rate, scored by Heun samples of 35 calls, with
the two techniques of arXiv:2404.07946. Scores are means over seeds 0, 1, 2, as in lab 14. Learning
rates: of 1, 2, 4 and 8 thousandths on the ring (seeds 10, 11) 2 to 4 did best with neither
technique, of 0.7, 2 and 4 on digits (seed 10, 300 steps) 4; on shapes nothing was searched for.
"""

from dataclasses import replace

from ..methods.edm import EDM
from ..methods.faster_training import (
    Compensation,
    MomentumDecay,
    NoiseCurriculum,
    Quantiles,
    ScheduleProduct,
)
from ..metrics.denoiser import EDM_LEVELS
from ..metrics.evaluators import (
    DigitsDenoiserEvaluator,
    ShapesDenoiserEvaluator,
    ToyDenoiserEvaluator,
)
from ..noise_levels import LogNormal
from ..schedules import Warmup
from ..train.config import Adam
from ..train.recipe import Evaluator, Recipe
from . import digits, preset, shapes, toy


def plain(recipe: Recipe, lr: float, evaluator: Evaluator) -> Recipe:
    """A constant learning rate after a warm-up of a tenth of the run, 100 steps at most."""
    rate = Warmup(min(100, recipe.train.steps // 10))
    train = replace(recipe.train, optimizer=replace(adam(recipe), lr=lr), rate=rate)
    return replace(recipe, train=train, evaluator=evaluator)


def adam(recipe: Recipe) -> Adam:
    """The recipe's optimizer, which is Adam in all of these presets."""
    assert isinstance(recipe.train.optimizer, Adam)
    return recipe.train.optimizer


def eased(recipe: Recipe, levels: LogNormal) -> Recipe:
    """With the curriculum, over the quantiles of the recipe's noise level distribution."""
    assert isinstance(recipe.method, EDM)
    pairs = NoiseCurriculum(Warmup(recipe.train.steps), axis=Quantiles(levels))
    return replace(recipe, method=replace(recipe.method, pairs=pairs))


def decayed(recipe: Recipe) -> Recipe:
    """With momentum that decays to 0, and the learning rate that compensates for it."""
    train = recipe.train
    momentum = MomentumDecay(adam(recipe).beta1, train.steps)
    rate = ScheduleProduct(train.rate, Compensation(momentum))
    return replace(recipe, train=replace(train, momentum=momentum, rate=rate))


def plane(steps: int = 2000, seed: int = 0, lr: float = 4e-3) -> Recipe:
    """The baseline of `ring`: momentum 0.9, the noise levels of the other toy runs."""
    return plain(toy.edm(steps=steps, seed=seed), lr, ToyDenoiserEvaluator(toy.LEVELS))


def scan(steps: int = 400, seed: int = 0, lr: float = 4e-3) -> Recipe:
    """The baseline of `digit`."""
    return plain(digits.edm(steps, seed), lr, DigitsDenoiserEvaluator())


def picture(steps: int = 200, seed: int = 0, lr: float = 2e-3) -> Recipe:
    """The baseline of `shape`."""
    return plain(shapes.edm(steps, seed), lr, ShapesDenoiserEvaluator())


@preset("toy.edm-fast")
def ring(steps: int = 2000, seed: int = 0) -> Recipe:
    """cmlab train toy.edm-fast: excess loss 0.0039, 0.0079 with neither technique. 9 s."""
    return decayed(eased(plane(steps, seed), toy.LEVELS))


@preset("digits.edm-fast")
def digit(steps: int = 400, seed: int = 0) -> Recipe:
    """cmlab train digits.edm-fast: its scores beside those of `scan` are in lab 14."""
    return decayed(eased(scan(steps, seed), EDM_LEVELS))


@preset("shapes.edm-fast")
def shape(steps: int = 200, seed: int = 0) -> Recipe:
    """cmlab train shapes.edm-fast: its scores beside those of `picture` are in lab 14."""
    return decayed(eased(picture(steps, seed), EDM_LEVELS))
