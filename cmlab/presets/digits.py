"""Presets for handwritten digits, 8 × 8, with class labels.

Scores are means over seeds 0, 1, 2, seconds those of two CPU cores; the single runs are in
docs/results.jsonl. How the settings were found: docs/settings.md.
"""

from dataclasses import replace

from ..data.digits import Digits
from ..losses import TrigWeight
from ..methods.base import Method
from ..methods.ect import ECT, ECTMapping, Stages
from ..methods.edm import EDM, EDMWeight
from ..methods.flow_map import FlowMapPairs, Jumps
from ..methods.ict import ICT, Doubling
from ..methods.meanflow import MeanFlow
from ..methods.scm import SCM, Clip
from ..methods.self_distillation import SelfDistillation
from ..metrics.evaluators import DigitsEvaluator
from ..model import CMPrecond, EDMPrecond, TrigPrecond, VelocityPrecond
from ..nets.embedding import Fourier, TwoTimes
from ..nets.unet import UNetShape
from ..noise_levels import AdjacentLevels, DenoisingPairs, KarrasGrid, LogNormal, SameTime
from ..sampling import FewSteps
from ..schedules import Constant, Warmup
from ..teacher import InitialModelTeacher, SampleTeacher
from ..train.config import Adam
from ..train.recipe import Recipe
from ..types import Teacher
from . import cosine_training, preset

DATA = Digits()
NET = UNetShape(width=32, mults=(1, 2), dropout=0.05, embed=Fourier(32, 0.06), classes=10)


def image(method: Method, steps: int, seed: int) -> Recipe:
    """What all digit runs share: the network, the optimizer and the evaluator."""
    train = cosine_training(steps, 64, Adam(7e-4, 0.9, 0.999), Constant(0.99), seed)
    sampler = FewSteps(80.0, 0.4)
    return Recipe(
        DATA, NET, EDMPrecond(DATA.sigma_data), method, train, sampler, DigitsEvaluator()
    )


@preset("digits.edm")
def edm(steps: int = 3600, seed: int = 0) -> Recipe:
    """cmlab train digits.edm: a denoiser of the same length as `ect`. Not measured here."""
    method = EDM(pairs=DenoisingPairs(LogNormal(-1.2, 1.2)), weight=EDMWeight(DATA.sigma_data))
    return image(method, steps, seed)


@preset("digits.ect")
def ect(steps: int = 3600, seed: int = 0) -> Recipe:
    """cmlab train digits.ect: two fifths of the steps are EDM; fd1 17.5, fd2 12.8. 160 s."""
    before = 2 * steps // 5
    pairs = ECTMapping(Stages(2.0, max((steps - before) // 8, 1)), LogNormal(-1.4, 2.0))
    return replace(image(ECT(pairs=pairs), steps - before, seed), start=edm(before, seed))


@preset("digits.ict")
def ict(steps: int = 3600, seed: int = 0) -> Recipe:
    """cmlab train digits.ict: no denoiser before it. Not measured at this length."""
    pairs = AdjacentLevels(
        Doubling(10, 1280, steps), LogNormal(-1.4, 2.0), KarrasGrid(0.002, 80.0)
    )
    recipe = image(ICT(pairs=pairs), steps, seed)
    return replace(recipe, precond=CMPrecond(DATA.sigma_data, 0.002))


@preset("digits.sct")
def sct(steps: int = 3600, seed: int = 0) -> Recipe:
    """cmlab train digits.sct: two fifths are TrigFlow diffusion; fd1 20.2, fd2 15.0."""
    return tuned(SampleTeacher(), steps, seed)


@preset("digits.scd")
def scd(steps: int = 3600, seed: int = 0) -> Recipe:
    """cmlab train digits.scd: the same, and the denoiser teaches; fd1 21.8, fd2 15.7."""
    return tuned(InitialModelTeacher(), steps, seed)


def tuned(teacher: Teacher, steps: int, seed: int) -> Recipe:
    """sCM with a clipped tangent, after its own denoiser."""
    before, levels = 2 * steps // 5, SameTime(LogNormal(-1.0, 1.4))
    method = SCM(teacher, levels, warmup=Warmup((steps - before) // 8), bound=Clip())
    denoising = EDM(pairs=DenoisingPairs(LogNormal(-1.2, 1.2)), weight=TrigWeight(DATA.sigma_data))
    start = trigflow(denoising, before, seed)
    return replace(trigflow(method, steps - before, seed), start=start)


def trigflow(method: Method, steps: int, seed: int) -> Recipe:
    """`image` under TrigFlow: the network's time input is the angle t."""
    return replace(image(method, steps, seed), precond=TrigPrecond(DATA.sigma_data))


PAIRS = FlowMapPairs(LogNormal(-1.4, 2.0), diagonal=0.5)


@preset("digits.meanflow")
def meanflow(steps: int = 3600, seed: int = 0) -> Recipe:
    """cmlab train digits.meanflow: flow matching, then MeanFlow; fd1 21.2, fd2 12.6. 210 s."""
    return flow_map(MeanFlow(PAIRS), steps, seed)


@preset("digits.lsd")
def lsd(steps: int = 3600, seed: int = 0) -> Recipe:
    """cmlab train digits.lsd: the same, then self-distillation; fd1 17.9, fd2 13.2. 300 s."""
    return flow_map(SelfDistillation(PAIRS), steps, seed)


def flow_map(method: Method, steps: int, seed: int) -> Recipe:
    """A flow map of `ect`'s network, told two times, after flow matching."""
    before, matching = 2 * steps // 5, SelfDistillation(replace(PAIRS, diagonal=1.0))
    first, then = (
        replace(
            image(stage, n, seed),
            net=replace(NET, embed=TwoTimes()), precond=VelocityPrecond(), sampler=Jumps(),
        )
        for stage, n in ((matching, before), (method, steps - before))
    )  # fmt: skip
    train = replace(then.train, optimizer=Adam(2e-3, 0.9, 0.999))
    return replace(then, start=first, train=train)
