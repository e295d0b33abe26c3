"""sCM on the ring: one stabiliser off or changed at a time, from data alone and with a teacher.

sct-…    4000 steps from random weights. `sct` has the time as it is, positional features, the
         normalised tangent, a warm-up of 250 steps, the prior and the learned weight
scd-…    2000 steps of diffusion, then 2000 with the exact teacher; `scd` clips the tangent
fourier  random features in place of positional ones, of this scale; "log" tells the network
         ln(σ)/4 in place of the angle
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from ..balance import Adaptive, Even
from ..methods import SCM
from ..model import Angle, QuarterLog, TimeInput, TrigPrecond
from ..nets.embedding import Embed, Fourier, Positional
from ..nets.mlp import MLPShape
from ..presets import toy
from ..recipe import Recipe
from ..schedule import Constant, Warmup
from ..tangent import Clip, Flat, InverseTan, Slope, Tangent, Unbounded, UnitNorm
from ..vocabulary import Bound, Prior, Schedule
from .base import Study
from .watch import Tangents

STEPS = 4000
NONE = Constant(1.0)  # a warm-up of no steps


@dataclass(frozen=True)
class Arm:
    """sCT of these ingredients, or sCD where the preset is; seed -> recipe."""

    title: str
    bound: Bound = UnitNorm(0.1)
    warmup: Schedule = Warmup(STEPS // 16)
    learned: bool = True  # the weight w_φ(t)
    prior: Prior = InverseTan()
    embed: Embed = Positional(32)
    told: TimeInput = Angle()
    slope: Slope = Tangent()
    preset: Callable[..., Recipe] = toy.sct

    def __call__(self, seed: int) -> Recipe:
        recipe = self.preset(steps=STEPS, seed=seed)
        method = replace(
            cast(SCM, recipe.method),
            bound=self.bound,
            warmup=self.warmup,
            prior=self.prior,
            slope=self.slope,
            balance=Adaptive() if self.learned else Even(),
        )
        net = replace(cast(MLPShape, recipe.net), embed=self.embed)
        precond = replace(cast(TrigPrecond, recipe.precond), c_noise=self.told)
        start = recipe.start and replace(recipe.start, net=net, precond=precond)
        return replace(recipe, method=method, net=net, precond=precond, start=start)


SCT, LOUD = Arm("sCT"), Fourier(32, 16.0)
SCD = Arm("sCD, clipped", Clip(), preset=toy.scd)

FROM_DATA = {
    "sct": SCT,
    "sct-no-norm": replace(SCT, title="no normalisation", bound=Unbounded()),
    "sct-clip": replace(SCT, title="clipped", bound=Clip()),
    "sct-no-warmup": replace(SCT, title="no warm-up", warmup=NONE),
    "sct-no-norm-no-warmup": replace(
        SCT, title="neither of the two", bound=Unbounded(), warmup=NONE
    ),
    "sct-even": replace(SCT, title="no learned weight", learned=False),
    "sct-flat": replace(SCT, title="no prior weight", prior=Flat()),
    "sct-bare": Arm("none of all", Unbounded(), NONE, learned=False, prior=Flat()),
    "sct-fourier-0.3": replace(SCT, title="Fourier scale 0.3", embed=Fourier(32, 0.3)),
    "sct-log": replace(SCT, title="ln(σ)/4", told=QuarterLog()),
    "sct-fourier-16": replace(SCT, title="Fourier scale 16", embed=LOUD),
    "sct-fourier-16-log": replace(
        SCT, title="Fourier scale 16, ln(σ)/4", embed=LOUD, told=QuarterLog()
    ),
    "sct-fourier-16-bare": replace(
        SCT, title="Fourier scale 16, no norm", embed=LOUD, bound=Unbounded(), warmup=NONE
    ),
}
WITH_TEACHER = {
    "scd": SCD,
    "scd-norm": replace(SCD, title="sCD, normalised", bound=UnitNorm(0.1)),
    "scd-no-bound": replace(SCD, title="sCD, as it is", bound=Unbounded()),
    "scd-norm-even": replace(
        SCD, title="sCD, normalised, no learned weight", bound=UnitNorm(0.1), learned=False
    ),
    "scd-even": replace(SCD, title="sCD, clipped, no learned weight", learned=False),
}

STUDY = Study("stabilisers", {**FROM_DATA, **WITH_TEACHER}, Tangents())
