"""Presets for music: log-mel spectrograms of plucked strings, 40 × 64, four classes of loops."""

from dataclasses import replace

from cmlab.data.digits import Unlabelled
from cmlab.methods import EDM, Method, MusicCM
from cmlab.methods.critic import Critic
from cmlab.methods.edm import EDMWeight
from cmlab.methods.ict import InverseGap
from cmlab.model import EDMPrecond
from cmlab.nets.embedding import Fourier
from cmlab.nets.pretrained import PretrainedNet
from cmlab.noise_levels import AdjacentLevels, DenoisingPairs, KarrasGrid, LogNormal
from cmlab.presets import preset
from cmlab.sampling import FewSteps
from cmlab.schedules import Constant, WarmupCosine
from cmlab.teacher import Guided, InitialModelTeacher, StopGrad
from cmlab.train.config import Adam, TrainConfig
from cmlab.train.recipe import Recipe

from .analysis import MusicEvaluator
from .data import Tunes
from .networks import MusicCriticShape, StripUNetShape

DATA = Unlabelled(Tunes(), share=0.1)
SPREAD = 1.0  # of the data, standardised; measuring it would render the corpus at every import
GRID = KarrasGrid(0.02, 40.0)  # of noise levels
TEACHER, STUDENT = "music-teacher", "music-student"  # as shipped
SAMPLER = FewSteps(GRID.sigma_max, 0.8)
NET = StripUNetShape(width=96, levels=3, embed=Fourier(32, 0.06), classes=DATA.classes)


def clip(method: Method, steps: int, batch: int, lr: float, seed: int) -> Recipe:
    """Base recipe of all runs on music: data, network, sampler and evaluator."""
    train = TrainConfig(
        steps=steps,
        batch=batch,
        optimizer=Adam(lr, 0.9, 0.999),
        rate=WarmupCosine(steps, warmup=min(100, steps // 10)),
        ema=Constant(0.995),
        seed=seed,
    )
    return Recipe(DATA, NET, EDMPrecond(SPREAD), method, train, SAMPLER, MusicEvaluator())


@preset("music.edm")
def edm(steps: int = 2500, seed: int = 0) -> Recipe:
    """cmlab train music.edm: the teacher, a denoiser that knows the loop, or no loop."""
    method = EDM(pairs=DenoisingPairs(LogNormal(-0.8, 1.4)), weight=EDMWeight(SPREAD))
    return clip(method, steps, 32, 1e-3, seed)


@preset("music.cd")
def cd(steps: int = 2400, seed: int = 0, critic: bool = True) -> Recipe:
    """cmlab train music.cd: MusicCM's student of the shipped teacher, with or without a critic.

    Not the paper's: iCT's weight, a log-normal proposal, and θ⁻ = θ, which got there sooner.
    """
    heads = Critic(MusicCriticShape(32, DATA.classes), gamma=0.1) if critic else None
    proposal = LogNormal(-0.4, 1.6, GRID.sigma_min, GRID.sigma_max)
    method = MusicCM(
        Guided(InitialModelTeacher(), 2.0, DATA.null),
        pairs=AdjacentLevels(Constant(30), proposal, GRID),
        weight=InverseGap(),
        target=StopGrad(),
        critic=heads,
    )
    recipe = clip(method, steps, 16, 1e-3, seed)
    return replace(recipe, data=DATA.data, net=PretrainedNet(NET, TEACHER))
