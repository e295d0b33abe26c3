"""Presets for CIFAR-10, unconditional, 32 × 32, with the settings of the papers' tables.

EDM's numbers are those of its authors' code and sCM's the paper's; iCT's and ECT's are as
reported. What differs from theirs in all: no geometric augmentation before the tuning, horizontal
flips alone; and one network family, DDPM++, where iCT took NCSN++.

The average of the weights ramps as in EDM's code for EDM's denoiser; ECT's code has no ramp, and
neither iCT nor sCM is known to have one. All other presets have the default, `EarlyAverage`.

No GPU was at hand: minutes and scores are "not run here"; `cmlab train NAME --plan` estimates the
cost on yours. Published scores are Inception FIDs of 50 000 samples in one and two calls. A run
here is scored in another feature space (see its evaluator): the two cannot be compared.
"""

from dataclasses import replace

from ..data.cifar10 import CIFAR10
from ..losses import TrigWeight
from ..methods.base import Method
from ..methods.ect import ECT
from ..methods.edm import EDM, EDMWeight
from ..methods.ict import ICT, Doubling
from ..methods.scm import SCM
from ..metrics.evaluators import CIFAR10Evaluator
from ..model import CMPrecond, EDMPrecond, Precond, TrigPrecond
from ..nets.ddpmpp import PAPER, DDPMppShape
from ..nets.embedding import Fourier
from ..nets.norm import DoubleNorm
from ..noise_levels import AdjacentLevels, DenoisingPairs, KarrasGrid, LogNormal
from ..sampling import FewSteps
from ..schedules import Constant, HalfLifeRamp, Warmup
from ..teacher import InitialModelTeacher, SampleTeacher
from ..train.config import Adam, RAdam, TrainConfig
from ..train.recipe import Recipe
from ..types import Teacher
from . import preset

DATA = CIFAR10()
SIGMA = DATA.sigma_data
MID = FewSteps(80.0, 0.821)  # iCT's and ECT's second call, as reported
MID_TRIG = FewSteps(80.0, 0.9823798)  # sCM's, t = 1.1
DENOISING = DenoisingPairs(LogNormal(-1.2, 1.2))


def half_life(batch: int, images: float) -> Constant:
    """The EMA decay whose half-life is this many images."""
    return Constant(0.5 ** (batch / images))


def recipe(net: DDPMppShape, method: Method, train: TrainConfig, precond: Precond) -> Recipe:
    """The recipe with the data, sampler and evaluator that all of them share."""
    sampler = MID_TRIG if isinstance(precond, TrigPrecond) else MID
    return Recipe(DATA, net, precond, method, train, sampler, CIFAR10Evaluator())


def paper(batch: int, steps: int, lr: float, ema: Constant, seed: int) -> TrainConfig:
    """RAdam at a constant learning rate, in float32, and an EMA without a ramp."""
    return TrainConfig(
        steps=steps,
        batch=batch,
        optimizer=RAdam(lr),
        ema=ema,
        ema_ramp=Constant(1.0),
        seed=seed,
        accelerator="auto",
    )


@preset("cifar10.edm-paper")
def edm(seed: int = 0) -> Recipe:
    """cmlab train cifar10.edm-paper: Karras et al. 2022, 200 million images.

    Published 1.97 with 35 calls (with geometric augmentation). Here: not run.
    """
    net, batch = replace(PAPER, dropout=0.13), 512
    train = replace(
        paper(batch, 390_625, 1e-3, half_life(batch, 0.5e6), seed),
        optimizer=Adam(1e-3),
        rate=Warmup(10_000_000 // batch),
        ema_ramp=HalfLifeRamp(0.05),
    )
    return recipe(net, EDM(DENOISING, weight=EDMWeight(SIGMA)), train, EDMPrecond(SIGMA))


@preset("cifar10.ect-paper")
def ect(seed: int = 0) -> Recipe:
    """cmlab train cifar10.ect-paper: Geng et al. 2025, 25.6 million images after EDM's 200.

    Published 3.86 and 2.15. Here: not run.
    """
    train = paper(128, 200_000, 1e-4, Constant(0.9999), seed)
    tuned = recipe(replace(PAPER, dropout=0.2), ECT(), train, EDMPrecond(SIGMA))
    return replace(tuned, start=edm(seed))


@preset("cifar10.ict-paper")
def ict(seed: int = 0) -> Recipe:
    """cmlab train cifar10.ict-paper: Song & Dhariwal 2024, 410 million images, no denoiser.

    Published 2.83 and 2.46, with NCSN++. Here: not run.
    """
    steps = 400_000
    pairs = AdjacentLevels(Doubling(10, 1280, steps), LogNormal(-1.1, 2.0), KarrasGrid())
    net = replace(PAPER, dropout=0.3, embed=Fourier(64, 0.02))
    train = paper(1024, steps, 1e-4, Constant(0.99993), seed)
    return recipe(net, ICT(pairs=pairs), train, CMPrecond(SIGMA))


@preset("cifar10.sct-paper")
def sct(seed: int = 0) -> Recipe:
    """cmlab train cifar10.sct-paper: Lu & Song 2025 from data. Published 2.85, 2.06. Not run."""
    return continuous(SampleTeacher(), 0.2, seed)


@preset("cifar10.scd-paper")
def scd(seed: int = 0) -> Recipe:
    """cmlab train cifar10.scd-paper: the same from its denoiser. Published 3.66, 2.52. Not run."""
    return continuous(InitialModelTeacher(), 0.0, seed)


def continuous(teacher: Teacher, dropout: float, seed: int) -> Recipe:
    """sCM's table: both stages 400 000 steps of 512, P_mean -1.0, P_std 1.4, H = 10 000.

    The paper does not state the second stage's length for its main table; 400 000 is the length
    of its comparison with ECT.
    """
    batch, steps = 512, 400_000
    train = paper(batch, steps, 1e-4, half_life(batch, 0.5e6), seed)
    train = replace(train, optimizer=RAdam(1e-4, 0.9, 0.99))
    net = replace(PAPER, modulation=DoubleNorm())
    denoising = EDM(DENOISING, weight=TrigWeight(SIGMA))
    before = replace(train, optimizer=Adam(1e-3), rate=Warmup(10_000_000 // batch))
    start = recipe(replace(net, dropout=0.13), denoising, before, TrigPrecond(SIGMA))
    student = replace(net, dropout=dropout)
    return replace(recipe(student, SCM(teacher), train, TrigPrecond(SIGMA)), start=start)
