"""Presets for synthetic images of shapes, 32 × 32, with class labels.

No search was done: proposal, weight and learning rate are the digits', the network has one level
more.
"""

from dataclasses import replace
from typing import cast

from ..data.shapes import Shapes
from ..losses import TrigWeight
from ..methods.base import Method
from ..methods.ect import ECT, ECTMapping, Stages
from ..methods.edm import EDM, EDMWeight
from ..methods.scm import SCM, Clip
from ..metrics.evaluators import ShapesEvaluator
from ..model import EDMPrecond, TrigPrecond
from ..nets.embedding import Fourier, Positional
from ..nets.norm import DoubleNorm
from ..nets.unet import UNetShape
from ..noise_levels import DenoisingPairs, LogNormal, SameTime
from ..sampling import FewSteps
from ..schedules import Constant, Warmup
from ..train.config import Adam
from ..train.recipe import Recipe
from . import cosine_training, preset

DATA = Shapes()


def picture(method: Method, steps: int, seed: int) -> Recipe:
    """What all runs on shapes share: the network, the optimizer and the evaluator."""
    net = UNetShape(
        channels=3, width=16, mults=(1, 2, 3), embed=Fourier(32, 0.06), classes=DATA.classes
    )
    train = cosine_training(steps, 32, Adam(1e-3, 0.9, 0.999), Constant(0.99), seed)
    sampler = FewSteps(80.0, 0.8)
    return Recipe(
        DATA, net, EDMPrecond(DATA.sigma_data), method, train, sampler, ShapesEvaluator()
    )


@preset("shapes.edm")
def edm(steps: int = 3000, seed: int = 0) -> Recipe:
    """cmlab train shapes.edm: a denoiser of the same length as `ect`. Not measured here."""
    method = EDM(pairs=DenoisingPairs(LogNormal(-1.2, 1.2)), weight=EDMWeight(DATA.sigma_data))
    return picture(method, steps, seed)


@preset("shapes.ect")
def ect(steps: int = 3000, seed: int = 0) -> Recipe:
    """cmlab train shapes.ect: two fifths of the steps are EDM. Not measured at this length."""
    before = 2 * steps // 5
    pairs = ECTMapping(Stages(2.0, max((steps - before) // 8, 1)), LogNormal(-1.4, 2.0))
    return replace(picture(ECT(pairs=pairs), steps - before, seed), start=edm(before, seed))


@preset("shapes.sct")
def sct(steps: int = 3000, seed: int = 0) -> Recipe:
    """cmlab train shapes.sct: two fifths of the steps are TrigFlow diffusion. Not measured."""
    before = 2 * steps // 5
    levels, warmup = SameTime(LogNormal(-1.0, 1.4)), Warmup((steps - before) // 8)
    method = SCM(pairs=levels, warmup=warmup, bound=Clip())
    denoising = EDM(pairs=DenoisingPairs(LogNormal(-1.2, 1.2)), weight=TrigWeight(DATA.sigma_data))
    start = trigflow(denoising, before, seed)
    return replace(trigflow(method, steps - before, seed), start=start)


def trigflow(method: Method, steps: int, seed: int) -> Recipe:
    """`picture` under TrigFlow with sCM's network: positional features of t, double norm."""
    recipe = picture(method, steps, seed)
    net = replace(cast(UNetShape, recipe.net), embed=Positional(32), modulation=DoubleNorm())
    return replace(recipe, net=net, precond=TrigPrecond(DATA.sigma_data))
