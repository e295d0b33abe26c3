"""Presets for CIFAR-10 with classes, 32 × 32: a night on a few CPU cores, pre-training included.

A small network on patches of 2 × 2 pixels, bfloat16 where the CPU has it, batches of 128. Its 2.4
million weights are 4.9 MB in bfloat16, so that a web page can carry them. What was tried before
the settings were fixed, and on which seeds, is in docs/settings.md.
"""

from dataclasses import replace
from typing import cast

from ..data.cifar10 import CIFAR10
from ..data.digits import Labelled, Unlabelled
from ..methods.base import Method
from ..methods.cd import CD
from ..methods.ect import ECT, ECTMapping, Stages
from ..methods.edm import EDM, EDMWeight
from ..metrics.evaluators import CIFAR10Evaluator
from ..model import EDMPrecond
from ..nets.embedding import Fourier
from ..nets.patches import PatchesShape
from ..nets.unet import UNetShape
from ..noise_levels import DenoisingPairs, LogNormal
from ..sampling import FewSteps, ddim
from ..schedules import PowerDecay
from ..teacher import Guided, InitialModelTeacher
from ..train.config import Adam
from ..train.recipe import Recipe
from . import cosine_training, preset

DATA = Unlabelled(cast(Labelled, CIFAR10(labelled=True)), share=0.1)
SIGMA = CIFAR10().sigma_data
NET = PatchesShape(
    UNetShape(
        channels=12,  # of 2 × 2 pixels
        width=64,
        mults=(1, 2, 2),
        attention=(1,),
        embed=Fourier(32, 0.06),
        classes=DATA.classes,
        embedding=128,
    ),
    size=2,
)
NIGHT = 136_000  # steps of 128 images, EDM's included: 21 core-hours on a Zen 5, 36 on a Zen 4


def recipe(method: Method, steps: int, lr: float, seed: int) -> Recipe:
    """What denoiser and consistency model share: data, network, optimizer and evaluator."""
    train = cosine_training(steps, 128, Adam(lr, 0.9, 0.99), PowerDecay(), seed, warmup=500)
    train = replace(train, precision="bf16-mixed", accelerator="cpu")
    evaluator = CIFAR10Evaluator(heun=isinstance(method, EDM))  # f is no denoiser
    sampler = FewSteps(80.0, 0.821)
    return Recipe(DATA, NET, EDMPrecond(SIGMA), method, train, sampler, evaluator)


@preset("cifar10.edm-laptop")
def edm(steps: int = NIGHT, seed: int = 0) -> Recipe:
    """cmlab train cifar10.edm-laptop: a denoiser as long as the whole of `ect`."""
    method = EDM(DenoisingPairs(LogNormal(-1.2, 1.2)), weight=EDMWeight(SIGMA))
    return recipe(method, steps, 2e-3, seed)


@preset("cifar10.ect-laptop")
def ect(steps: int = NIGHT, seed: int = 0) -> Recipe:
    """cmlab train cifar10.ect-laptop: eight seventeenths are EDM, the rest ECT."""
    before = 8 * steps // 17
    return tuning(ECT(pairs=mapping(steps - before)), steps - before, seed, edm(before, seed))


@preset("cifar10.cd-laptop")
def cd(steps: int = NIGHT, seed: int = 0) -> Recipe:
    """cmlab train cifar10.cd-laptop: as long; distils the denoiser with guidance, w = 1.

    Its times, metric and weight are those of `ect`.
    """
    before = 8 * steps // 17
    teacher = Guided(InitialModelTeacher(), 1.0, null=DATA.classes - 1)
    like = ECT(pairs=mapping(steps - before))
    method = CD(teacher, ddim, like.pairs, like.metric, like.weight)
    return tuning(method, steps - before, seed, edm(before, seed))


def mapping(steps: int) -> ECTMapping:
    """ECT's pairs of times, in six stages."""
    return ECTMapping(Stages(2.0, max(steps // 6, 1), last=6), LogNormal(-1.1, 2.0))


def tuning(method: Method, steps: int, seed: int, start: Recipe) -> Recipe:
    """A consistency model, from a denoiser."""
    return replace(recipe(method, steps, 5e-4, seed), start=start)
