"""Studies of lab 14, faster pre-training: curriculum, momentum decay, pairs of networks.

"pretraining-…": the speed of pre-training with a curriculum and with momentum decay. A variant is
a distribution of noise levels and a schedule of momentum and rate.

uniform     EDM's own distribution of levels: even over its quantiles
curriculum  from there towards N(0.3, 0.25²) over the same quantiles
last        N(0.3, 0.25²) from the first step on; on the ring, with a constant rate
constant    momentum β0 and a constant rate
both        momentum to 0, and the rate that compensates
momentum    momentum to 0, and the rate as it was
rate        the compensating rate, and momentum as it was

"pretraining-rates" has the first two schedules on the ring at half and twice the base rate, and
the constant one at a quarter, named schedule-rate in thousandths.

"twins-…": networks that share nothing but the data distribution, on the same noise.

whole   ring: as `pretraining-toy`'s uniform-constant; digits: all training scans, no classes
narrow  ring: the same with half the width, so with a quarter of the weights
half-a  digits: every other scan alone
half-b  digits: the other scans, and other seeds, so that nothing is shared
long-a  digits: as half-a, ten times as long; of these two, seed 0 alone is recorded
long-b  digits: as half-b, ten times as long
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from cmlab.data.digits import Digits, Part
from cmlab.data.toy import ToyData
from cmlab.methods.edm import EDM
from cmlab.methods.faster_training import NoiseCurriculum
from cmlab.metrics.denoiser import CPU, EDM_LEVELS, excess, heun_samples
from cmlab.model import conditioned
from cmlab.nets.mlp import MLPShape
from cmlab.nets.unet import UNetShape
from cmlab.noise_levels import LogNormal
from cmlab.ops import seeded
from cmlab.presets import faster, toy
from cmlab.train.config import Source
from cmlab.train.recipe import Recipe
from cmlab.train.runs import evaluate_model
from cmlab.train.trainer import Trainer

from ..common.observers import Arrays
from ..common.study import Study, path_of, read

# Observers of denoisers: scores during training, and solver ends from shared noise


@dataclass(frozen=True, eq=False)
class StartingPoints:
    """x (n, *d), its labels, and z (n, *d); points x + level · z, and at the top pure noise."""

    x: Tensor
    labels: Tensor | None
    z: Tensor

    def at(self, level: float, top: float) -> Tensor:
        """The points at a level; from `top` on the data are left out, as a sampler does."""
        return level * self.z if level >= top else self.x + level * self.z


@lru_cache(maxsize=8)
def starting_points(source: Source, n: int) -> StartingPoints:
    """n points of the source with noise of a fixed seed: the same in every recording."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)  # in float64 the same seed gives other numbers
    try:
        with seeded(CPU, 7):
            x, labels = source.sample(n)
            return StartingPoints(x, labels, torch.randn_like(x))
    finally:
        torch.set_default_dtype(usual)


def evaluator_scores(trainer: Trainer, recipe: Recipe) -> Arrays:
    """scores (names,): the evaluator's scores of the averaged weights."""
    scores = evaluate_model(trainer.ema.model, recipe).values()
    return {"scores": np.array([np.nan if s is None else s for s in scores])}


@dataclass(frozen=True)
class EvaluatorScores:
    """Observer of the evaluator's scores, with nothing more at the end."""

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return evaluator_scores(trainer, recipe)

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return {}


@dataclass(frozen=True)
class SolverEnds:
    """A denoiser, by its averaged weights.

    scores (names,) the evaluator's scores, at each look
    ends   (levels, n, *d) where ODE paths from shared points of `source` end, the first level
           being the sampler's σ_max; float16
    """

    source: Source
    levels: tuple[float, ...]
    n: int

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return evaluator_scores(trainer, recipe)

    @torch.no_grad()
    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, shared = trainer.ema.model, starting_points(self.source, self.n)
        cond = shared.labels if recipe.data.sample(1)[1] is not None else None
        ends = [
            heun_samples(
                model.process, conditioned(model, cond), shared.at(level, self.levels[0]), level
            )
            for level in self.levels
        ]
        return {"ends": torch.stack(ends).numpy().astype(np.float16)}


@dataclass(frozen=True)
class ToySolverEnds(SolverEnds):
    """`SolverEnds`, and the loss above its minimum by level.

    excess  (32,) of the weights in training, at each look: without averaging, so noisier
    """

    weighting: LogNormal = LogNormal(-1.1, 2.0, ToyData.sigma_min, ToyData.sigma_max)

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        scores = evaluator_scores(trainer, recipe)
        model = trainer.model.eval()
        found = excess(model, recipe.data, self.weighting).numpy().astype(np.float32)  # pyright: ignore
        model.train()
        return scores | {"excess": found}


# The studies "pretraining-…"

Change = Callable[[Recipe], Recipe]
Variants = dict[str, Callable[[int], Recipe]]

RING_LEVELS = (10.0, 3.0, 1.0, 0.5, 0.25)
PICTURE_LEVELS = (80.0, 5.0, 2.0, 1.0, 0.5)


def unchanged(recipe: Recipe) -> Recipe:
    return recipe


def momentum_alone(recipe: Recipe) -> Recipe:
    """Decay without compensation."""
    train = replace(faster.decayed(recipe).train, rate=recipe.train.rate)
    return replace(recipe, train=train)


def rate_alone(recipe: Recipe) -> Recipe:
    """The compensating rate, with nothing to compensate."""
    return replace(recipe, train=replace(faster.decayed(recipe).train, momentum=None))


PACES: dict[str, Change] = {
    "constant": unchanged,
    "both": faster.decayed,
    "momentum": momentum_alone,
    "rate": rate_alone,
}


def variants(base: Callable[[int], Recipe], target: LogNormal, paces: tuple[str, ...]) -> Variants:
    """Every distribution of levels with every schedule."""
    distributions: dict[str, Change] = {
        "uniform": unchanged,
        "curriculum": lambda r: faster.eased(r, target),
    }

    def variant(with_levels: Change, with_pace: Change, seed: int) -> Recipe:
        return with_pace(with_levels(base(seed)))

    return {
        f"{name}-{pace}": partial(variant, with_levels, PACES[pace])
        for name, with_levels in distributions.items()
        for pace in paces
    }


def last_levels(recipe: Recipe) -> Recipe:
    """The curriculum's last density throughout, with no curriculum."""
    method = faster.eased(recipe, toy.LEVELS).method
    assert isinstance(method, EDM) and isinstance(method.pairs, NoiseCurriculum)
    pairs = replace(method.pairs, first=method.pairs.last)
    return replace(recipe, method=replace(method, pairs=pairs))


def at_rate(pace: Change, lr: float, seed: int) -> Recipe:
    return pace(faster.plane(seed=seed, lr=lr))


TOY = Study(
    "pretraining-toy",
    variants(lambda seed: faster.plane(seed=seed), toy.LEVELS, tuple(PACES))
    | {"last-constant": lambda seed: last_levels(faster.plane(seed=seed))},
    ToySolverEnds(toy.RING, RING_LEVELS, 512),
    observations=8,
)

RATES = Study(
    "pretraining-rates",
    {
        f"{name}-{thousandths}": partial(at_rate, PACES[name], thousandths / 1000)
        for name, rates in (("constant", (1, 2, 8)), ("both", (2, 8)))
        for thousandths in rates
    },
    ToySolverEnds(toy.RING, (10.0,), 512),
    observations=1,
)

DIGITS = Study(
    "pretraining-digits",
    variants(lambda seed: faster.scan(seed=seed), EDM_LEVELS, ("constant", "both")),
    SolverEnds(Digits(train=False), PICTURE_LEVELS, 60),
    observations=4,
)

SHAPES = Study(
    "pretraining-shapes",
    {
        "uniform-constant": lambda seed: faster.picture(seed=seed),
        "curriculum-both": lambda seed: faster.shape(seed=seed),
    },
    EvaluatorScores(),
    observations=1,
)


# The studies "twins-…"

OTHER = 100  # what is added to a seed, so that two halves share no weights either


def narrow_ring(seed: int) -> Recipe:
    recipe = faster.plane(seed=seed)
    assert isinstance(recipe.net, MLPShape)
    return replace(recipe, net=replace(recipe.net, width=recipe.net.width // 2))


def scans(data: Part, seed: int, steps: int = 400) -> Recipe:
    """A denoiser of some scans, without classes."""
    recipe = faster.scan(steps, seed)
    assert isinstance(recipe.net, UNetShape)
    return replace(recipe, data=data, net=replace(recipe.net, classes=0))


TWINS_TOY = Study(
    "twins-toy", {"narrow": narrow_ring}, ToySolverEnds(toy.RING, RING_LEVELS, 512), observations=1
)

TWINS_DIGITS = Study(
    "twins-digits",
    {
        "whole": lambda seed: scans(Part(), seed),
        "half-a": lambda seed: scans(Part(Digits(), 0, 2), seed),
        "half-b": lambda seed: scans(Part(Digits(), 1, 2), seed + OTHER),
        "long-a": lambda seed: scans(Part(Digits(), 0, 2), seed, 4000),
        "long-b": lambda seed: scans(Part(Digits(), 1, 2), seed + OTHER, 4000),
    },
    SolverEnds(Digits(train=False), PICTURE_LEVELS, 60),
    observations=1,
)


@dataclass(frozen=True)
class RecordedNetwork:
    """One trained network, by where its answers are recorded."""

    study: str
    variant: str
    seed: int  # its place in the recording

    @property
    def recorded(self) -> bool:
        return path_of(self.study, self.variant).exists()

    def ends(self, level: int) -> Tensor:
        """End points of its ODE paths from the shared points at level number `level`."""
        return recorded_ends(self.study, self.variant)[self.seed, level]


@lru_cache(maxsize=16)
def recorded_ends(study: str, variant: str) -> Tensor:
    """All recorded ends of a variant, (seeds, levels, n, *d) float32."""
    return torch.from_numpy(read(study, variant)["ends"]).float()
