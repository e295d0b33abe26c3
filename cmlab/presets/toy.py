"""Presets for toy data in the plane, whose exact consistency function is known.

Scores are means over seeds 0, 1, 2 on the ring, seconds those of one CPU thread of two; the single
runs are in docs/results.jsonl. How the settings were found: docs/settings.md.
"""

from dataclasses import replace
from math import inf

from ..data.toy import Ring, ToyData
from ..losses import TrigWeight
from ..methods.alpha_flow import AlphaFlow, SigmoidDecay
from ..methods.base import Method
from ..methods.cd import CD
from ..methods.ct import CT, SqrtGrowth
from ..methods.ctm import CTM
from ..methods.dmd import DMD
from ..methods.drifting import Drifting
from ..methods.ect import ECT, ECTMapping, Stages
from ..methods.edm import EDM, EDMWeight
from ..methods.flow_map import FlowMapPairs, Jumps, UniformTime
from ..methods.ict import ICT, Doubling, InverseGap, PseudoHuber
from ..methods.imm import IMM, GroupedTimes
from ..methods.meanflow import AdaptiveWeight, MeanFlow
from ..methods.progressive_distillation import HalvingSteps, Snapshots
from ..methods.reflow import Reflow
from ..methods.scm import SCM, Clip
from ..methods.self_distillation import Eulerian, Lagrangian, Progressive, SelfDistillation
from ..methods.shortcut import DyadicSteps, Shortcut
from ..methods.tcm import BoundaryWeight, Truncated, TruncatedPairs
from ..metrics.evaluators import FlowMapEvaluator, ToyEvaluator
from ..model import CMPrecond, EDMPrecond, Precond, TrigPrecond, VelocityPrecond
from ..nets.embedding import Embed, Fourier, Positional, TwoTimes
from ..nets.mlp import MLPShape
from ..noise_levels import (
    AdjacentLevels,
    DenoisingPairs,
    KarrasGrid,
    LogNormal,
    SameTime,
    UniformIndex,
)
from ..process import RectifiedFlow
from ..sampling import FewSteps
from ..schedules import Constant, Warmup
from ..teacher import BatchTeacher, EMATarget, OracleTeacher
from ..train.config import Adam
from ..train.recipe import Recipe
from . import cosine_training, preset

RING = Ring()
SIGMA_MIN, SIGMA_MAX, SIGMA_MID = ToyData.sigma_min, ToyData.sigma_max, 0.8
GRID = KarrasGrid(SIGMA_MIN, SIGMA_MAX)
LEVELS = LogNormal(-1.1, 2.0, SIGMA_MIN, SIGMA_MAX)
ANGLES = SameTime(LogNormal(-1.0, 1.4, SIGMA_MIN, SIGMA_MAX))


def plane(
    data: ToyData,
    precond: Precond,
    method: Method,
    steps: int,
    seed: int,
    embed: Embed = Fourier(32, 0.3),  # noqa: B008 (frozen)
) -> Recipe:
    """What all toy runs share: the network, the optimizer and the evaluator."""
    train = cosine_training(steps, 256, Adam(1e-3, 0.9, 0.99), Constant(0.999), seed, warmup=200)
    sampler = FewSteps(SIGMA_MAX, SIGMA_MID)
    evaluator = ToyEvaluator(SIGMA_MIN)
    net = MLPShape(dim=data.shape[0], width=192, embed=embed)
    return Recipe(data, net, precond, method, train, sampler, evaluator)


@preset("toy.edm")
def edm(data: ToyData = RING, steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.edm: a denoiser; its rmse to f* is 0.52, one call being too few. 14 s."""
    precond = EDMPrecond(data.sigma_data)
    method = EDM(pairs=DenoisingPairs(LEVELS), weight=EDMWeight(data.sigma_data))
    return plane(data, precond, method, steps, seed)


@preset("toy.cd")
def cd(data: ToyData = RING, steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.cd: distils the exact denoiser; rmse 0.038. 21 s.

    iCT's metric, weight and proposal, on grids of 11 to 161 points.
    """
    pairs = AdjacentLevels(Doubling(10, 160, steps), LEVELS, GRID)
    method = CD(OracleTeacher(data), pairs=pairs, metric=PseudoHuber(), weight=InverseGap())
    return plane(data, CMPrecond(data.sigma_data, SIGMA_MIN), method, steps, seed)


@preset("toy.ct")
def ct(data: ToyData = RING, steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.ct: the settings of 2023; rmse 0.39, not converged. 19 s."""
    pairs = AdjacentLevels(SqrtGrowth(2, 150, steps), UniformIndex(GRID), GRID)
    return plane(data, CMPrecond(data.sigma_data, SIGMA_MIN), CT(pairs=pairs), steps, seed)


@preset("toy.ict")
def ict(data: ToyData = RING, steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.ict: rmse 0.048. 19 s."""
    method = ICT(pairs=AdjacentLevels(Doubling(10, 1280, steps), LEVELS, GRID))
    return plane(data, CMPrecond(data.sigma_data, SIGMA_MIN), method, steps, seed)


@preset("toy.ect")
def ect(data: ToyData = RING, steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.ect: a quarter of the steps is EDM; rmse 0.062. 16 s."""
    before = steps // 4
    pairs = ECTMapping(Stages(2.0, max((steps - before) // 8, 1)), LEVELS)
    recipe = plane(data, EDMPrecond(data.sigma_data), ECT(pairs=pairs), steps - before, seed)
    return replace(recipe, start=edm(data, before, seed))


def angle(data: ToyData, method: Method, steps: int, seed: int) -> Recipe:
    """What runs under TrigFlow share: the time input is t itself, in sCM's positional features."""
    return plane(data, TrigPrecond(data.sigma_data), method, steps, seed, Positional(32))


@preset("toy.sct")
def sct(data: ToyData = RING, steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.sct: continuous time, no teacher; rmse 0.053. 45 s."""
    return angle(data, SCM(pairs=ANGLES, warmup=Warmup(steps // 16)), steps, seed)


@preset("toy.scd")
def scd(data: ToyData = RING, steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.scd: half is diffusion, then the exact teacher; rmse 0.044. 32 s.

    The tangent is clipped, not normalised: with a noiseless teacher it shrinks to 0.
    """
    before = steps // 2
    teacher = OracleTeacher(data, TrigPrecond(data.sigma_data).process)
    method = SCM(teacher, ANGLES, warmup=Warmup(steps // 16), bound=Clip())
    start = angle(data, denoising(data), before, seed)
    return replace(angle(data, method, steps - before, seed), start=start)


def denoising(data: ToyData) -> EDM:
    """TrigFlow's diffusion loss."""
    return EDM(pairs=DenoisingPairs(LEVELS), weight=TrigWeight(data.sigma_data))


# Flow maps, under rectified flow: scored by `FlowMapEvaluator`, against the exact jumps. rmse is
# rmse1, of one jump from noise to data; seconds are those of CPU time on a busy machine

PAIRS = FlowMapPairs(UniformTime(stratified=True), diagonal=0.5)


def flow_map(method: Method, steps: int, seed: int, data: ToyData = RING) -> Recipe:
    """What the toy flow maps share: the network told two times, the optimizer, the evaluator."""
    net = MLPShape(dim=data.shape[0], width=192, embed=TwoTimes())
    train = cosine_training(steps, 256, Adam(2e-3, 0.9, 0.99), Constant(0.999), seed, warmup=200)
    return Recipe(data, net, VelocityPrecond(), method, train, Jumps(), FlowMapEvaluator())


@preset("toy.meanflow")
def meanflow(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.meanflow: rmse 0.085 (0.078 to 0.092), sw1 0.034. 46 s."""
    method = MeanFlow(PAIRS, AdaptiveWeight(p=0.0), teacher=BatchTeacher())
    return flow_map(method, steps, seed)


@preset("toy.lsd")
def lsd(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.lsd: rmse 0.068 (0.063 to 0.071), sw1 0.031. 53 s."""
    return flow_map(SelfDistillation(PAIRS, teacher=BatchTeacher()), steps, seed)


@preset("toy.esd")
def esd(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.esd: 0.084 (0.079 to 0.088) to the exact end (lab 17). 51 s."""
    return flow_map(SelfDistillation(PAIRS, Eulerian(), BatchTeacher()), steps, seed)


@preset("toy.psd")
def psd(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.psd: 0.091 (0.086 to 0.096) to the exact end (lab 17). 17 s."""
    return flow_map(SelfDistillation(PAIRS, Progressive(), BatchTeacher()), steps, seed)


@preset("toy.imm")
def imm(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.imm: rmse 0.085 (0.074 to 0.090), sw1 0.042. 24 s."""
    method = IMM(GroupedTimes(stratified=True), ratio=0.99, teacher=BatchTeacher())
    return flow_map(method, steps, seed)


@preset("toy.shortcut")
def shortcut(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.shortcut: 0.116 (0.112 to 0.119) to the exact end (lab 17). 15 s."""
    # A target lags once for each halving: with the authors' 0.999, 7 × 1000 steps behind.
    method = Shortcut(DyadicSteps(longer=0.25), EMATarget(Constant(0.9)), clip=inf)
    return flow_map(method, steps, seed)


@preset("toy.ctm")
def ctm(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.ctm: 0.097 (0.094 to 0.103) to the exact end (lab 17). 100 s."""
    method = CTM(levels=DenoisingPairs(UniformTime()), weight=EDMWeight(RING.sigma_data))
    return flow_map(method, steps, seed)


@preset("toy.alpha-flow")
def alpha_flow(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.alpha-flow: 0.140 (0.133 to 0.151) to the exact end (lab 17). 21 s."""
    method = AlphaFlow(SigmoidDecay(steps // 2), PAIRS, AdaptiveWeight(p=0.0))
    return flow_map(method, steps, seed)


@preset("toy.drifting")
def drifting(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.drifting: one jump; rmse 0.270 (0.210 to 0.314), sw1 0.037. 29 s."""
    return flow_map(Drifting(), steps, seed)


def exact_teacher(data: ToyData = RING) -> OracleTeacher:
    """The exact denoiser under rectified flow."""
    return OracleTeacher(data, RectifiedFlow())


@preset("toy.lmd")
def lmd(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.lmd: the exact velocity; rmse 0.050 (0.043 to 0.057), sw1 0.020. 53 s."""
    exact = exact_teacher()
    return flow_map(SelfDistillation(PAIRS, Lagrangian(exact), exact), steps, seed)


@preset("toy.reflow")
def reflow(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.reflow: 0.116 (0.114 to 0.118) to the exact end (lab 17). 28 s."""
    return flow_map(Reflow(exact_teacher(), PAIRS), steps, seed)


@preset("toy.progressive")
def progressive(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.progressive: 0.355 (0.340 to 0.370) to the exact end (lab 17). 18 s."""
    every = max(steps // 8, 1)
    method = Shortcut(HalvingSteps(every), EMATarget(Snapshots(every)), clip=inf)
    return flow_map(method, steps, seed)


@preset("toy.dmd")
def dmd(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.dmd: 0.300 (0.264 to 0.336) to the exact end (lab 17). 19 s."""
    before = steps // 4
    start = flow_map(SelfDistillation(replace(PAIRS, diagonal=1.0)), before, seed)
    method = DMD(exact_teacher(), levels=DenoisingPairs(UniformTime()))
    return replace(flow_map(method, steps - before, seed), start=start)


@preset("toy.tcm")
def tcm(data: ToyData = RING, steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.tcm: 0.195 (0.179 to 0.222) to the exact end (lab 17). 15 s."""
    first = ect(data, steps // 2, seed)
    after = steps - steps // 2
    proposal = LogNormal(-1.1, 2.0, 1.0, SIGMA_MAX)
    pairs = TruncatedPairs(ECTMapping(Stages(2.0, max(after // 8, 1)), proposal))
    method = ECT(pairs=pairs, weight=BoundaryWeight(), target=Truncated())
    recipe = plane(data, EDMPrecond(data.sigma_data), method, after, seed)
    return replace(recipe, start=first, sampler=FewSteps(SIGMA_MAX, 1.0))
