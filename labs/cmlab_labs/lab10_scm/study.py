"""Studies of lab 10, continuous-time consistency models (sCM): stabilisers, and the gap.

"stabilisers": sCM on the ring with one stabiliser off or changed at a time, from data alone (sCT)
and with a teacher (sCD).

sct-…    4000 steps from random weights. `sct` has the time as it is, positional features, the
         normalised tangent, a warm-up of 250 steps, the prior and the learned weight;
         `sct-start` has the start of sCD
scd-…    2000 steps of diffusion, then 2000 with the exact teacher; `scd` clips the tangent
fourier  random features instead of positional ones, of this scale; "log" gives the network
         ln(σ)/4 instead of the angle

"gap": the discrete-time version of sCM at several gaps, and its limit.

sct-…  from data alone and scd-… with the exact teacher, the limit being `sct` and `scd` of the
study "stabilisers". Gaps are radians of TrigFlow's time. "difference" takes central differences
of F along the path instead of its derivative.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from cmlab.methods import SCM
from cmlab.methods.scm import (
    JVP,
    BackwardDifference,
    CentralDifference,
    Clip,
    ConstantWeight,
    InverseTan,
    LearnedWeight,
    TimeDerivative,
    Unbounded,
    UnitNorm,
    UnitPrior,
)
from cmlab.model import Angle, QuarterLog, TimeInput, TrigPrecond
from cmlab.nets.embedding import Embed, Fourier, Positional
from cmlab.nets.mlp import MLPShape
from cmlab.presets import toy
from cmlab.schedules import Constant, Warmup
from cmlab.teacher import SampleTeacher
from cmlab.train.recipe import Recipe
from cmlab.types import Bound, Prior, Schedule

from ..common.observers import TangentObserver
from ..common.study import Study

# The study "stabilisers"

STEPS = 4000
NONE = Constant(1.0)  # a warm-up of no steps


@dataclass(frozen=True)
class SCMVariant:
    """sCT of these ingredients, or sCD where the preset is; seed -> recipe."""

    title: str
    bound: Bound = UnitNorm(0.1)
    warmup: Schedule = Warmup(STEPS // 16)
    learned: bool = True  # the weight w_φ(t)
    prior: Prior = InverseTan()
    embed: Embed = Positional(32)
    time_input: TimeInput = Angle()
    derivative: TimeDerivative = JVP()
    preset: Callable[..., Recipe] = toy.sct

    def __call__(self, seed: int) -> Recipe:
        recipe = self.preset(steps=STEPS, seed=seed)
        method = replace(
            cast(SCM, recipe.method),
            bound=self.bound,
            warmup=self.warmup,
            prior=self.prior,
            derivative=self.derivative,
            loss_weighting=LearnedWeight() if self.learned else ConstantWeight(),
        )
        net = replace(cast(MLPShape, recipe.net), embed=self.embed)
        precond = replace(cast(TrigPrecond, recipe.precond), c_noise=self.time_input)
        start = recipe.start and replace(recipe.start, net=net, precond=precond)
        return replace(recipe, method=method, net=net, precond=precond, start=start)


def sct_after_diffusion(steps: int, seed: int) -> Recipe:
    """sCT with the start of sCD, 2000 of its 4000 steps being diffusion, as in the paper."""
    recipe = toy.scd(steps=steps, seed=seed)
    return replace(recipe, method=replace(cast(SCM, recipe.method), teacher=SampleTeacher()))


SCT, LOUD = SCMVariant("sCT"), Fourier(32, 16.0)
SCD = SCMVariant("sCD, clipped", Clip(), preset=toy.scd)

FROM_DATA = {
    "sct": SCT,
    "sct-start": replace(SCT, title="after diffusion", preset=sct_after_diffusion),
    "sct-no-norm": replace(SCT, title="no normalisation", bound=Unbounded()),
    "sct-clip": replace(SCT, title="clipped", bound=Clip()),
    "sct-no-warmup": replace(SCT, title="no warm-up", warmup=NONE),
    "sct-no-norm-no-warmup": replace(
        SCT, title="no normalisation, no warm-up", bound=Unbounded(), warmup=NONE
    ),
    "sct-even": replace(SCT, title="no learned weight", learned=False),
    "sct-flat": replace(SCT, title="no prior weight", prior=UnitPrior()),
    "sct-bare": SCMVariant(
        "none of the four", Unbounded(), NONE, learned=False, prior=UnitPrior()
    ),
    "sct-fourier-0.3": replace(SCT, title="Fourier scale 0.3", embed=Fourier(32, 0.3)),
    "sct-log": replace(SCT, title="ln(σ)/4", time_input=QuarterLog()),
    "sct-fourier-16": replace(SCT, title="Fourier scale 16", embed=LOUD),
    "sct-fourier-16-log": replace(
        SCT, title="Fourier scale 16, ln(σ)/4", embed=LOUD, time_input=QuarterLog()
    ),
    "sct-fourier-16-bare": replace(
        SCT,
        title="Fourier scale 16, no normalisation, no warm-up",
        embed=LOUD,
        bound=Unbounded(),
        warmup=NONE,
    ),
}
WITH_TEACHER = {
    "scd": SCD,
    "scd-norm": replace(SCD, title="sCD, normalised", bound=UnitNorm(0.1)),
    "scd-no-bound": replace(SCD, title="sCD, unbounded", bound=Unbounded()),
    "scd-norm-even": replace(
        SCD, title="sCD, normalised, no learned weight", bound=UnitNorm(0.1), learned=False
    ),
    "scd-even": replace(SCD, title="sCD, clipped, no learned weight", learned=False),
}

STUDY = Study("stabilisers", {**FROM_DATA, **WITH_TEACHER}, TangentObserver())


# The study "gap"

GAPS = (0.3, 0.1, 0.03, 0.01, 0.001, 0.0001, 0.00001)

ARMS = {
    f"sct-{gap:g}": replace(SCT, title=f"gap {gap:g}", derivative=BackwardDifference(gap))
    for gap in GAPS
}
ARMS |= {
    f"scd-{gap:g}": replace(SCD, title=f"gap {gap:g}", derivative=BackwardDifference(gap))
    for gap in (0.1, 0.001)
}
ARMS["sct-difference"] = replace(SCT, title="differences of F", derivative=CentralDifference())

GAP_STUDY = Study("gap", ARMS, TangentObserver())
