"""Presets for latents of digits (4 × 4 × 4) and shapes (8 × 8 × 4), decoded to be scored.

The scores are those of lab 12's study, means over seeds 0, 1, 2. c(N) and the weight of the
denoising term are those of the authors' code, see `methods.slct`.
"""

from dataclasses import replace
from typing import cast

from ..data.digits import Digits
from ..data.latents import Decodable, Latents, ShippedCoder
from ..data.shapes import Shapes
from ..methods.base import Method
from ..methods.edm import EDMWeight
from ..methods.ict import ICT, Doubling
from ..methods.slct import SLCT
from ..metrics.evaluators import LatentDigitsEvaluator, LatentShapesEvaluator
from ..model import CMPrecond
from ..nets.embedding import Fourier
from ..nets.norm import BuildNorm, Grouped, NonScaling
from ..nets.unet import UNetShape
from ..noise_levels import AdjacentLevels, KarrasGrid, LogNormal
from ..sampling import FewSteps
from ..schedules import Constant
from ..train.config import Adam
from ..train.recipe import Recipe
from . import cosine_training, preset

DIGITS = Latents(Digits(), ShippedCoder("digits"))
SHAPES = Latents(Shapes(), ShippedCoder("shapes"), n=4096)
STEPS = 1050  # seven stages of 150


def grid(steps: int) -> AdjacentLevels:
    """N(k) doubles from 11 to 641, as in the authors' code."""
    return AdjacentLevels(Doubling(10, 640, steps), LogNormal(-1.4, 2.0), KarrasGrid(0.002, 80.0))


def latent(
    method: Method, steps: int, seed: int, norm: BuildNorm, data: Decodable = DIGITS
) -> Recipe:
    """What all runs on latents of digits share: the network, the optimizer and the evaluator."""
    net = UNetShape(
        channels=4, width=32, mults=(1, 2), embed=Fourier(32, 0.06), classes=10, norm=norm
    )
    train = cosine_training(steps, 64, Adam(7e-4, 0.9, 0.999), Constant(0.99), seed)
    precond, sampler = CMPrecond(data.sigma_data, 0.002), FewSteps(80.0, 0.4)
    return Recipe(data, net, precond, method, train, sampler, LatentDigitsEvaluator())


@preset("digits.ict-latents")
def digits_ict(steps: int = STEPS, seed: int = 0, data: Decodable = DIGITS) -> Recipe:
    """cmlab train digits.ict-latents: iCT as it is; fd1 48, fd2 51. 64 s alone on its core."""
    return latent(ICT(pairs=grid(steps)), steps, seed, Grouped(), data)


@preset("digits.slct")
def digits_slct(steps: int = STEPS, seed: int = 0, data: Decodable = DIGITS) -> Recipe:
    """cmlab train digits.slct: all of sLCT."""
    return latent(improved(steps), steps, seed, NonScaling(), data)


def improved(steps: int) -> SLCT:
    """All parts of sLCT, with c(N) for the grid's N(k)."""
    pairs = grid(steps)
    return SLCT(pairs, clean=EDMWeight(DIGITS.sigma_data))


@preset("shapes.slct")
def shapes_slct(steps: int = STEPS, seed: int = 0) -> Recipe:
    """cmlab train shapes.slct: the same on latents of 4096 shapes. Not measured."""
    recipe = digits_slct(steps, seed, SHAPES)
    net = replace(cast(UNetShape, recipe.net), classes=SHAPES.classes)
    return replace(recipe, net=net, sampler=FewSteps(80.0, 0.8), evaluator=LatentShapesEvaluator())
