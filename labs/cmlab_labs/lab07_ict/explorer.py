"""Explorer of lab 07: grid schedule N(k), proposal, loss weight, and their effective weight."""

from functools import lru_cache

from cmlab.losses import Uniform
from cmlab.methods.ct import SqrtGrowth
from cmlab.methods.ict import Doubling, InverseGap
from cmlab.noise_levels import AdjacentLevels, LogNormal, UniformIndex
from cmlab.presets.toy import GRID, SIGMA_MAX, SIGMA_MIN
from cmlab.schedules import Constant
from cmlab.types import Schedule

from ..common.explorer import Explorer, Picture, choice, slider
from ..common.studies_shared import CT_2023, LADDER_STEPS
from .figures import EffectiveWeight, effective_weight, schedules_at_step

KINDS = ("doubling", "square root", "constant")
PROPOSALS = ("log-normal", "uniform index")
WEIGHTS = {"1/(t − r)": InverseGap(), "1": Uniform()}


def explorer() -> Explorer:
    """Knobs: `kind`, `s0`, `s1` of N(k); `proposal`, `mean`, `std`; `weight`; `step` k."""
    knobs = {
        "kind": choice("N(k)", KINDS),
        "proposal": choice("proposal", PROPOSALS),
        "weight": choice("weight λ", tuple(WEIGHTS)),
        "s0": slider("s₀ (intervals at first)", 10, 2, 40),
        "s1": choice("s₁ (intervals at last)", (40, 160, 640, 1280, 2560), 1280),
        "step": slider("step k", LADDER_STEPS // 2, 0, LADDER_STEPS, LADDER_STEPS // 40),
        "mean": slider("P_mean of ln t", -1.1, -5.0, 2.0, 0.1),
        "std": slider("P_std of ln t", 2.0, 0.4, 3.0, 0.1),
    }
    return Explorer(picture, knobs)


def picture(
    kind: str, proposal: str, weight: str, s0: int, s1: int, step: int, mean: float, std: float
) -> Picture:
    """The schedules at one step, beside the effective weight of CT of 2023 at that step."""
    points = grid_schedule(kind, s0, s1)
    looks = LogNormal(mean, std, SIGMA_MIN, SIGMA_MAX)
    pairs = AdjacentLevels(points, UniformIndex(GRID) if proposal == PROPOSALS[1] else looks, GRID)
    seen = effective_weight(pairs, WEIGHTS[weight], step)
    figure = schedules_at_step(points, LADDER_STEPS, step, seen, {"CT": ct_weight(step)})
    return Picture(figure, reading(seen))


def grid_schedule(kind: str, s0: int, s1: int) -> Schedule:
    """N(k) of this kind over the toy runs' length; the constant is s₁ + 1 points."""
    made = Doubling(s0, s1, LADDER_STEPS), SqrtGrowth(s0, s1, LADDER_STEPS), Constant(s1 + 1)
    return made[KINDS.index(kind)]


@lru_cache(maxsize=64)
def ct_weight(step: int) -> EffectiveWeight:
    """The effective weight of CT of 2023 at a step."""
    return effective_weight(
        AdjacentLevels(CT_2023.points, CT_2023.proposal, GRID), CT_2023.weight, step
    )


def reading(seen: EffectiveWeight) -> str:
    """The reading of the picture, in three lines."""
    often, hard = (seen.quantile(part, 0.5) for part in (seen.mass, seen.share))
    low, high = (seen.quantile(seen.share, q) for q in (0.25, 0.75))
    at = min(int((seen.levels[1:] <= hard).sum()), len(seen.mass) - 1)
    gap, weight = float(seen.levels.diff()[at]), float(seen.weight[at])
    return (
        f"Half of the pairs lie below t = {often:.2g}; half of the effective weight lies below "
        f"t = {hard:.2g}.\n"
        f"The middle half of the effective weight reaches from t = {low:.2g} to {high:.2g}. "
        "The thin line is CT of 2023 at the same step.\n"
        f"The grid has {len(seen.levels)} levels. Near t = {hard:.2g} two neighbours are "
        f"{gap:.2g} apart and have the weight {weight:.3g}."
    )
