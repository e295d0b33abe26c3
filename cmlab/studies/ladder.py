"""From CT to iCT on the ring, one change a rung; then iCT with one thing left out or changed."""

from dataclasses import dataclass, replace

from ..data.toy import Ring, ToyData
from ..distance import InverseGap, PseudoHuber, SquaredL2, Uniform
from ..guide import MovingAverage, StopGrad
from ..methods import CT
from ..model import CMPrecond
from ..nets.embedding import Fourier
from ..nets.mlp import MLPShape
from ..presets import toy
from ..recipe import Recipe
from ..schedule import Constant, Doubling, GridDecay, SqrtGrowth
from ..times import Neighbours, Proposal, UniformIndex
from ..vocabulary import Metric, Schedule, Weight
from .base import Study

STEPS = 4000
SQRT, DOUBLING = SqrtGrowth(2, 150, STEPS), Doubling(10, 1280, STEPS)


@dataclass(frozen=True)
class Arm:
    """Consistency training of these ingredients, the defaults being iCT's; seed -> recipe.

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
        target = MovingAverage(self.decay) if self.decay else StopGrad()
        pairs = Neighbours(self.points, self.proposal, toy.GRID)
        method = CT(pairs=pairs, metric=self.metric, weight=self.weight, target=target)
        precond = CMPrecond(self.data.sigma_data, toy.SIGMA_MIN)
        recipe = toy.plane(self.data, precond, method, STEPS, seed)
        net = MLPShape(dim=self.data.shape[0], width=192, embed=Fourier(32, self.scale))
        return replace(recipe, net=net)


INDEX = UniformIndex(toy.GRID)

CT_2023 = Arm("CT 2023", SquaredL2(), Uniform(), INDEX, SQRT, GridDecay(SQRT, 2, 0.9))
NO_EMA = replace(CT_2023, title="no EMA teacher", decay=None)
HUBER = replace(NO_EMA, title="+ pseudo-Huber", metric=PseudoHuber())
WEIGHT = replace(HUBER, title="+ weight 1/(t - r)", weight=InverseGap())
LOGNORMAL = replace(WEIGHT, title="+ log-normal levels", proposal=toy.LEVELS)
ICT = replace(LOGNORMAL, title="+ doubling N: iCT", points=DOUBLING)

RUNGS = {
    "ct": CT_2023,
    "no-ema": NO_EMA,
    "huber": HUBER,
    "weight": WEIGHT,
    "lognormal": LOGNORMAL,
    "ict": ICT,
}
CHANGED = {  # iCT with one thing changed; N growing as in CT is the rung "lognormal"
    "ict-l2": Arm("squared L2", metric=SquaredL2()),
    "ict-index": Arm("uniform index", proposal=INDEX),
    "ict-flat": Arm("weight 1", weight=Uniform()),
    "ict-ema-0.99": Arm("EMA teacher, μ = 0.99", decay=Constant(0.99)),
    "ict-ema-0.999": Arm("EMA teacher, μ = 0.999", decay=Constant(0.999)),
    "ict-n-11": Arm("N = 11", points=Constant(11)),
    "ict-n-161": Arm("N = 161", points=Constant(161)),
    "ict-n-1281": Arm("N = 1281", points=Constant(1281)),
    "ict-fourier-0.02": Arm("Fourier scale 0.02", scale=0.02),
    "ict-fourier-16": Arm("Fourier scale 16", scale=16.0),
}

STUDY = Study("ladder", RUNGS | CHANGED)
