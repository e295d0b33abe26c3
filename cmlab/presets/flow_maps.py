"""Presets for flow maps: MeanFlow and self-distillation on the ring, under rectified flow.

Scores are means over seeds 0, 1, 2, seconds those of one CPU thread; how the settings were found:
docs/settings.md.
"""

from ..data.toy import ToyData
from ..flow_map import Jumps
from ..methods.base import Method
from ..methods.imm import IMM
from ..methods.meanflow import AdaptiveWeight, MeanFlow
from ..methods.self_distillation import Eulerian, Progressive, SelfDistillation
from ..metrics.evaluators import FlowMapEvaluator
from ..model import Precond, VelocityPrecond
from ..nets.embedding import TwoTimes
from ..nets.mlp import MLPShape
from ..schedules import Constant
from ..train.config import Adam
from ..train.recipe import Recipe
from . import cosine_training, preset
from .toy import RING


def plane(
    method: Method, steps: int, seed: int, data: ToyData = RING, precond: Precond | None = None
) -> Recipe:
    """What the toy runs share: the network told two times, the optimizer and the evaluator."""
    net = MLPShape(dim=data.shape[0], width=192, embed=TwoTimes())
    train = cosine_training(steps, 256, Adam(1e-3, 0.9, 0.99), Constant(0.999), seed, warmup=200)
    precond = precond or VelocityPrecond()
    return Recipe(data, net, precond, method, train, Jumps(), FlowMapEvaluator())


@preset("toy.meanflow")
def meanflow(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.meanflow: not measured."""
    return plane(MeanFlow(weight=AdaptiveWeight(p=0.0)), steps, seed)


@preset("toy.lsd")
def lsd(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.lsd: not measured."""
    return plane(SelfDistillation(), steps, seed)


@preset("toy.esd")
def esd(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.esd: not measured."""
    return plane(SelfDistillation(condition=Eulerian()), steps, seed)


@preset("toy.psd")
def psd(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.psd: not measured."""
    return plane(SelfDistillation(condition=Progressive()), steps, seed)


@preset("toy.imm")
def imm(steps: int = 4000, seed: int = 0) -> Recipe:
    """cmlab train toy.imm: not measured."""
    return plane(IMM(), steps, seed)
