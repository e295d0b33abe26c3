"""Studies that several labs replay: distillation on the line, CT to iCT, and phased models."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import nn

from cmlab.data.toy import Bumps, Ring, ToyData
from cmlab.losses import SquaredL2, Uniform
from cmlab.methods import CD, CT, PCM
from cmlab.methods.base import Method
from cmlab.methods.critic import Critic
from cmlab.methods.ct import GridDecay, SqrtGrowth
from cmlab.methods.flow_map import FlowMapPairs
from cmlab.methods.ict import Doubling, InverseGap, PseudoHuber
from cmlab.methods.pcm import PhasedSteps
from cmlab.metrics.toy import score_ends
from cmlab.model import CMPrecond
from cmlab.nets.critic import PointCriticShape
from cmlab.nets.embedding import Fourier
from cmlab.nets.mlp import MLPShape
from cmlab.noise_levels import AdjacentLevels, Proposal, UniformIndex
from cmlab.presets import phased, toy
from cmlab.sampling import ddim, heun
from cmlab.schedules import Constant
from cmlab.teacher import EMATarget, NetworkTeacher, OracleTeacher, SampleTeacher, StopGrad
from cmlab.train.config import Adam
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer
from cmlab.types import Metric, Schedule, Solver, Teacher, Weight

from .observers import Arrays, LineMapObserver
from .study import Study

# Distillation on the line: three teachers, two solvers, grids of N points. Variants are called
# exact-heun-20 and so on. "learned" is a denoiser trained first on the same seed, with as many
# samples; "sample" is CT, the one-sample teacher.

DISTIL_STEPS = 3000
LINE = cast(ToyData, Bumps())
GRIDS = (5, 10, 20, 40, 80)
SOLVERS: dict[str, Solver] = {"euler": ddim, "heun": heun}


def distillation(teacher: Teacher, solver: Solver, points: int, seed: int) -> Recipe:
    """CD on a fixed grid, with iCT's metric, weight and proposal."""
    pairs = AdjacentLevels(Constant(points), toy.LEVELS, toy.GRID)
    method = CD(teacher, solver, pairs, PseudoHuber(), InverseGap())
    return toy.plane(LINE, CMPrecond(LINE.sigma_data, toy.SIGMA_MIN), method, DISTIL_STEPS, seed)


def learned_teacher(points: int, seed: int) -> Recipe:
    """CD with Heun's steps by a denoiser that is trained first."""
    denoiser = toy.edm(LINE, DISTIL_STEPS, seed).trainer().fit().ema.model
    return distillation(NetworkTeacher(denoiser), heun, points, seed)


DISTIL_VARIANTS: dict[str, Callable[[int], Recipe]] = {
    f"exact-{name}-{points}": partial(distillation, OracleTeacher(LINE), solver, points)
    for name, solver in SOLVERS.items()
    for points in GRIDS
}
DISTIL_VARIANTS |= {
    f"learned-heun-{points}": partial(learned_teacher, points) for points in (5, 20, 80)
}
DISTIL_VARIANTS |= {
    f"sample-euler-{n}": partial(distillation, SampleTeacher(), ddim, n) for n in GRIDS
}

DISTIL = Study("distil", DISTIL_VARIANTS, LineMapObserver(LINE))


# From CT to iCT on the ring, one change at a time; then iCT with one ingredient changed

LADDER_STEPS = 4000
SQRT, DOUBLING = SqrtGrowth(2, 150, LADDER_STEPS), Doubling(10, 1280, LADDER_STEPS)


@dataclass(frozen=True)
class CTVariant:
    """Consistency training on the ring with these ingredients, by default iCT's; seed -> recipe.

    `decay` is the target's μ(k); None is θ⁻ = θ. `scale` is that of the Fourier features.
    """

    title: str
    metric: Metric = PseudoHuber()
    weight: Weight = InverseGap()
    proposal: Proposal = toy.LEVELS
    points: Schedule = DOUBLING
    decay: Schedule | None = None
    scale: float = 0.3
    data: ToyData = Ring()

    def __call__(self, seed: int) -> Recipe:
        target = EMATarget(self.decay) if self.decay else StopGrad()
        pairs = AdjacentLevels(self.points, self.proposal, toy.GRID)
        method = CT(pairs=pairs, metric=self.metric, weight=self.weight, target=target)
        precond = CMPrecond(self.data.sigma_data, toy.SIGMA_MIN)
        recipe = toy.plane(self.data, precond, method, LADDER_STEPS, seed)
        net = MLPShape(dim=self.data.shape[0], width=192, embed=Fourier(32, self.scale))
        return replace(recipe, net=net)


UNIFORM_INDEX = UniformIndex(toy.GRID)

CT_2023 = CTVariant("CT 2023", SquaredL2(), Uniform(), UNIFORM_INDEX, SQRT, GridDecay(2, 0.9))
NO_EMA = replace(CT_2023, title="+ target without average", decay=None)
HUBER = replace(NO_EMA, title="+ pseudo-Huber", metric=PseudoHuber())
WEIGHT = replace(HUBER, title="+ weight 1/(t − r)", weight=InverseGap())
LOGNORMAL = replace(WEIGHT, title="+ log-normal levels", proposal=toy.LEVELS)
ICT = replace(LOGNORMAL, title="+ doubling N: iCT", points=DOUBLING)

CT_TO_ICT = {
    "ct": CT_2023,
    "no-ema": NO_EMA,
    "huber": HUBER,
    "weight": WEIGHT,
    "lognormal": LOGNORMAL,
    "ict": ICT,
}
ICT_ABLATIONS = {  # iCT with one ingredient changed; N growing as in CT is "lognormal" above
    "ict-l2": CTVariant("squared L2", metric=SquaredL2()),
    "ict-index": CTVariant("uniform levels", proposal=UNIFORM_INDEX),
    "ict-flat": CTVariant("weight 1", weight=Uniform()),
    "ict-ema-ct": CTVariant("slow average as in CT", decay=GridDecay(2, 0.9)),
    "ict-ema-0.99": CTVariant("slow average, μ = 0.99", decay=Constant(0.99)),
    "ict-ema-0.999": CTVariant("slow average, μ = 0.999", decay=Constant(0.999)),
    "ict-n-11": CTVariant("N = 11", points=Constant(11)),
    "ict-n-161": CTVariant("N = 161", points=Constant(161)),
    "ict-n-1281": CTVariant("N = 1281", points=Constant(1281)),
    "ict-fourier-0.02": CTVariant("Fourier scale 0.02", scale=0.02),
    "ict-fourier-16": CTVariant("Fourier scale 16", scale=16.0),
}

LADDER_CONTROLS = {  # the corners that distance and weight need, and CT with the features it had
    "l2-weight": replace(NO_EMA, title="squared L2, weight 1/(t − r)", weight=InverseGap()),
    "ict-l2-flat": CTVariant("squared L2, weight 1", metric=SquaredL2(), weight=Uniform()),
    "ct-fourier-16": replace(CT_2023, title="CT 2023, Fourier scale 16", scale=16.0),
}

LADDER = Study("ladder", CT_TO_ICT | ICT_ABLATIONS | LADDER_CONTROLS)


# Phased consistency models on the ring, with the exact teacher: m1 m2 m4 m8 have so many phases
# and 4000 steps each (m1 is a consistency model), "bad" is m1 with a tenth of the steps, and
# m4-critic is m4 with the adversarial term.

PHASES_STEPS = 4000
CALL_COUNTS = (1, 2, 4, 8)
SCORES = ("end", "rms", "same", "sw")
KEEP_FRACTIONS = (0.0, 1.0)  # stochastic, as `multistep`; deterministic, as the phased sampler


@dataclass(frozen=True)
class EndpointObserver:
    """Scores of a phased model's samples, on the noises of `score_ends`.

    end      (4,) SCORES in as many calls as there are phases, of the weights as they train
    ends     (2, 4, 4) SCORES at the end by KEEPS and by 1, 2, 4, 8 calls, averaged weights
    weights  (weights,) of the averaged network, float16; 0 for phases on seeds other than 0
    """

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        method, model = cast(PCM, recipe.method), trainer.model.eval()
        data, sampler = cast(ToyData, recipe.data), recipe.sampler
        found = score_ends(model, model.process, data, sampler, len(method.phases))
        model.train()
        return {"end": np.array([found[name] for name in SCORES], np.float32)}

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, data = trainer.ema.model, cast(ToyData, recipe.data)
        sampler = cast(PhasedSteps, recipe.sampler)
        ways = [replace(sampler, keep=keep) for keep in KEEP_FRACTIONS]
        rows = [
            [score_ends(model, model.process, data, way, n) for n in CALL_COUNTS] for way in ways
        ]
        ends = [[[found[name] for name in SCORES] for found in row] for row in rows]
        one_phase = len(cast(PCM, recipe.method).phases) == 1  # lab 11 calls it on every seed
        kept = flat_weights(model) * (one_phase or recipe.train.seed == 0)
        return {"ends": np.array(ends, np.float32), "weights": kept}


def flat_weights(model: nn.Module) -> np.ndarray:
    """All parameters of a network as one float16 vector."""
    return nn.utils.parameters_to_vector(model.parameters()).detach().half().numpy()


def restored_network(variant: str, row: np.ndarray, seed: int = 0) -> nn.Module:
    """A network of a phased variant, from its weights in the recording of this seed."""
    model = PHASES.variants[variant](seed).build().requires_grad_(False).eval()
    nn.utils.vector_to_parameters(torch.from_numpy(row).float(), model.parameters())
    return model


def phased_ring(phases: int, seed: int, steps: int = PHASES_STEPS, critic: bool = False) -> Recipe:
    """The preset on the ring with so many phases."""
    recipe = phased.ring(steps=steps, seed=seed, phases=phases)
    if not critic:
        return recipe
    learned = Critic(PointCriticShape(2, 64), seed=seed)
    return replace(recipe, method=replace(cast(PCM, recipe.method), critic=learned))


PHASES = Study(
    "phases",
    {
        "m1": lambda seed: phased_ring(1, seed),
        "m2": lambda seed: phased_ring(2, seed),
        "m4": lambda seed: phased_ring(4, seed),
        "m8": lambda seed: phased_ring(8, seed),
        "bad": lambda seed: phased_ring(1, seed, PHASES_STEPS // 10),
        "m4-critic": lambda seed: phased_ring(4, seed, critic=True),
    },
    EndpointObserver(),
    observations=10,
)


# Flow maps by their methods' own settings, which is what labs 18 and 19 compare: times drawn
# independently, targets from one sample, one rate. The presets of cmlab go beyond that.

FLOW_STEPS, FLOW_RATE = 2000, 1e-3
HALF = FlowMapPairs(diagonal=0.5)


def plain_flow_map(method: Method, seed: int, data: ToyData = toy.RING) -> Recipe:
    """A flow map's recipe with nothing tuned: 2000 steps, half of the presets', at rate 1e-3."""
    recipe = toy.flow_map(method, FLOW_STEPS, seed, data)
    optimizer = Adam(FLOW_RATE, 0.9, 0.99)
    return replace(recipe, train=replace(recipe.train, optimizer=optimizer))
