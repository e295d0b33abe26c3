"""Explorer of lab 09: ECT's mapping r(t) by stage, q, K and b; which samples have r = 0."""

import math

import torch

from cmlab.data.toy import Bumps
from cmlab.methods.ect import ECTMapping
from cmlab.noise_levels import LogNormal
from cmlab.schedules import Constant

from ..common.explorer import Explorer, Picture, choice, slider
from .figures import curriculum, level_sequence, random_trajectories, walks

TOP, LOW, STAGES, MANY = 80.0, 0.002, 9, 5000
PROPOSALS = {
    "ECT (−1.1, 2.0)": LogNormal(-1.1, 2.0),
    "ECT on ImageNet (−0.8, 1.6)": LogNormal(-0.8, 1.6),
    "digits here (−1.4, 2.0)": LogNormal(-1.4, 2.0),
    "EDM (−1.2, 1.2)": LogNormal(-1.2, 1.2),
}


def explorer() -> Explorer:
    """An explorer of r(t) = t max(0, 1 - n(t)/q^a), n(t) = 1 + K sigmoid(-b t).

    Knobs: `stage` (a, from 0), `q`, `K`, `b` and `proposal` (mean and std of ln t).
    """
    knobs = {
        "stage": slider("stage a", 1, 0, STAGES - 1),
        "q": choice("q", [2, 4, 256]),
        "K": slider("K", 8.0, 0.0, 16.0, 0.5),
        "b": slider("b", 1.0, 0.0, 4.0, 0.25),
        "proposal": choice("distribution of ln t", list(PROPOSALS)),
    }
    return Explorer(picture, knobs)


def picture(stage: int, q: int, K: float, b: float, proposal: str) -> Picture:
    """All stages, and one of them in full and in words."""
    distribution = PROPOSALS[proposal]
    stages = {a: ECTMapping(Constant(float(q) ** -a), distribution, K, b) for a in range(STAGES)}
    return Picture(curriculum(stages, stage), reading(stages[stage], distribution, stage))


def denoising_limit(gap: float, K: float, b: float) -> float:
    """The level up to which r = 0, where n(t) = 1/gap; 0 for none, inf for all."""
    if gap >= 1:
        return math.inf
    share = (1 / gap - 1) / K if K else 1.0  # n(t) = 1/gap where the sigmoid is this
    if share > 0.5:
        return 0.0
    return math.log(1 / share - 1) / b if b else math.inf


def levels_to_data(pairs: ECTMapping) -> int:
    """Steps t → r from t = 80 until r is below 0.002, counted up to MANY."""
    level, count, gap = TOP, 0, pairs.gap(0)
    while level >= LOW and count < MANY:
        n = 1 + pairs.K / (1 + math.exp(min(pairs.b * level, 700)))
        level, count = level * max(0.0, 1 - gap * n), count + 1
    return count


def reading(pairs: ECTMapping, distribution: LogNormal, stage: int) -> str:
    """Three lines of text on the stage."""
    last = denoising_limit(pairs.gap(0), pairs.K, pairs.b)
    share = float(distribution.cdf(torch.tensor(last))) if last else 0.0
    upto = "every t" if last == math.inf else f"t up to {last:.3f}"
    zero = f"r = 0 for {upto}: {100 * share:.1f} % of the samples train a denoiser (hatched)."
    none = "r > 0 for every t, so no sample trains a denoiser."
    middle = torch.tensor(math.exp(distribution.mean), dtype=torch.float64)
    typical, far = (float(pairs.ratio(t, 0)) for t in (middle, torch.tensor(TOP).double()))
    steps = levels_to_data(pairs)
    many = f"{steps} step{'s' * (steps > 1)}" if steps < MANY else f"{MANY} steps or more"
    return (
        f"Stage {stage}: {zero if last else none}\n"
        f"At the median t = {middle:.2f}, r/t = {typical:.4f}; at t = 80, r/t = {far:.4f}.\n"
        f"From t = 80 the sequence t → r → … reaches the data in {many}."
    )


# Random walks from noise to data on the line, by stage

LINE, WALKERS, DEEPEST = Bumps().oracle, 400, 6


def walking() -> Explorer:
    """An explorer of random walks. Knobs: `stage` and the `start` at noise level 10."""
    knobs = {
        "stage": slider("stage a", 1, 0, DEEPEST),
        "start": slider("start (data units)", -8.0, -15.0, 15.0, 0.5),
    }
    return Explorer(walking_picture, knobs, "walking()")


def walking_picture(stage: int, start: float) -> Picture:
    """Walks that at each level go towards a data point drawn from those that may lie below."""
    levels = level_sequence(ECTMapping(Constant(2.0**-stage)), 10.0)
    begin = torch.full((WALKERS,), start, dtype=torch.float64)
    way = random_trajectories(LINE, begin, levels, torch.Generator().manual_seed(4))
    leaps = len(levels) - 1
    title = f"At stage {stage} a walk has {leaps} leap{'s' * (leaps > 1)}"
    exact = float(LINE.consistency(begin[:1, None], torch.full((1,), 10.0).double()))
    return Picture(
        walks(levels, way, LINE, title),
        f"{title} from noise level 10 to the data, starting at {start:g}.\n"
        f"The walks end at {way[-1].mean():z.2f} on average, with a standard deviation of "
        f"{way[-1].std():.2f}.\n"
        f"The exact path ends at {exact:.2f}.",
    )
