"""Presets for CIFAR-10, unconditional, 32 × 32: short runs on one GPU, pre-training included.

The lean network, bf16, fused Adam with a cosine schedule, 6.1 million images: meant for 20 minutes
on a GPU such as an H200. The settings are carried over from the digits and the shapes; no run has
tuned them. No GPU was at hand: minutes and scores are "not run here"; `cmlab train NAME --plan`
estimates the cost on yours. The papers' own budgets are in `cifar10_paper`.
"""

from dataclasses import replace

from ..losses import TrigWeight
from ..methods.ect import ECT, ECTMapping, Stages
from ..methods.edm import EDM, EDMWeight
from ..methods.ict import ICT, Doubling
from ..methods.scm import SCM, Clip
from ..model import CMPrecond, EDMPrecond, TrigPrecond
from ..nets.ddpmpp import LEAN
from ..nets.embedding import Fourier
from ..noise_levels import AdjacentLevels, KarrasGrid, LogNormal
from ..schedules import Constant, Warmup
from ..teacher import InitialModelTeacher, SampleTeacher
from ..train.config import Adam, TrainConfig
from ..train.recipe import Recipe
from ..types import Teacher
from . import cosine_training, preset
from .cifar10_paper import DENOISING, SIGMA, recipe

SPRINT = 12_000  # steps of 512 images, the denoiser's included


def sprint(steps: int, lr: float, seed: int) -> TrainConfig:
    """Batches of 512, fused Adam with a cosine schedule, bf16."""
    train = cosine_training(steps, 512, Adam(lr, 0.9, 0.99), Constant(0.999), seed, warmup=500)
    return replace(train, precision="bf16-mixed", accelerator="auto")


@preset("cifar10.edm-sprint")
def edm(steps: int = SPRINT, seed: int = 0) -> Recipe:
    """cmlab train cifar10.edm-sprint: a denoiser with the others' whole budget. Here: not run."""
    method = EDM(DENOISING, weight=EDMWeight(SIGMA))
    net = replace(LEAN, dropout=0.1)
    return recipe(net, method, sprint(steps, 1e-3, seed), EDMPrecond(SIGMA))


@preset("cifar10.ect-sprint")
def ect(steps: int = SPRINT, seed: int = 0) -> Recipe:
    """cmlab train cifar10.ect-sprint: seven twelfths are EDM, the rest ECT. Here: not run."""
    before = 7 * steps // 12
    pairs = ECTMapping(Stages(2.0, max((steps - before) // 8, 1)), LogNormal(-1.1, 2.0))
    train = sprint(steps - before, 3e-4, seed)
    tuned = recipe(replace(LEAN, dropout=0.1), ECT(pairs=pairs), train, EDMPrecond(SIGMA))
    return replace(tuned, start=edm(before, seed))


@preset("cifar10.ict-sprint")
def ict(steps: int = SPRINT, seed: int = 0) -> Recipe:
    """cmlab train cifar10.ict-sprint: consistency training all the way. Here: not run."""
    pairs = AdjacentLevels(Doubling(10, 1280, steps), LogNormal(-1.1, 2.0), KarrasGrid())
    net = replace(LEAN, dropout=0.1, embed=Fourier(64, 0.02))
    return recipe(net, ICT(pairs=pairs), sprint(steps, 5e-4, seed), CMPrecond(SIGMA))


@preset("cifar10.sct-sprint")
def sct(steps: int = SPRINT, seed: int = 0) -> Recipe:
    """cmlab train cifar10.sct-sprint: seven twelfths are diffusion, the rest sCT. Not run."""
    return scm(SampleTeacher(), steps, seed)


@preset("cifar10.scd-sprint")
def scd(steps: int = SPRINT, seed: int = 0) -> Recipe:
    """cmlab train cifar10.scd-sprint: the same, and the denoiser teaches. Here: not run."""
    return scm(InitialModelTeacher(), steps, seed)


def scm(teacher: Teacher, steps: int, seed: int) -> Recipe:
    """sCM with a clipped tangent, as for the digits, after its own denoiser."""
    before = 7 * steps // 12
    net = replace(LEAN, dropout=0.1)
    method = SCM(teacher, warmup=Warmup(max((steps - before) // 8, 1)), bound=Clip())
    denoising = EDM(DENOISING, weight=TrigWeight(SIGMA))
    start = recipe(net, denoising, sprint(before, 1e-3, seed), TrigPrecond(SIGMA))
    tuned = recipe(net, method, sprint(steps - before, 3e-4, seed), TrigPrecond(SIGMA))
    return replace(tuned, start=start)
