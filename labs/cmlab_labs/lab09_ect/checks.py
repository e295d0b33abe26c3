"""Exercise checks of lab 09, easy consistency tuning (ECT): the samples with r = 0, the walk."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cmlab.noise_levels import LogNormal
from cmlab.ops import seeded

from ..common.exercise import close, exercise, expect

same = partial(close, rtol=1e-6, atol=1e-9)

# Which samples have r = 0 in a stage: (stage, q, K, b, mean, std)

PAPER = (8.0, 1.0, -1.1, 2.0)
INSIDE = (
    (1, 2.0, *PAPER),
    (2, 2.0, *PAPER),
    (1, 4.0, 7.0, 0.5, -0.8, 1.6),
    (2, 1.5, 3.0, 2.0, -1.2, 1.2),
)
ALL = (0, 2.0, *PAPER), (0, 256.0, *PAPER)
NONE = (3, 2.0, *PAPER), (8, 2.0, *PAPER), (1, 256.0, *PAPER)


def normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def exact_share(stage: int, q: float, K: float, b: float, mean: float, std: float) -> float:
    """The share of samples whose r is 0."""
    s = (q**stage - 1) / K
    if not 0 < s < 0.5:
        return float(s <= 0)
    last = torch.tensor(math.log((1 - s) / s) / b)
    return float(LogNormal(mean, std).cdf(last))


def share_slips(
    stage: int, q: float, K: float, b: float, mean: float, std: float
) -> dict[str, float]:
    """Mistakes inside the range: the message, and the share that each gives."""
    s = (q**stage - 1) / K
    t = math.log((1 - s) / s) / b
    return {
        "this is the share with r > 0: the samples that train a denoiser lie below the boundary": (
            1 - normal((math.log(t) - mean) / std)
        ),
        "it is ln t that is normal, not t": normal((t - mean) / std),
        "std is missing: divide by it": normal(math.log(t) - mean),
        "the mean is missing: subtract it": normal(math.log(t) / std),
        "t is b times too large: the sigmoid is that of −b t": (
            normal((math.log(t * b * b) - mean) / std) if b != 1 else math.nan
        ),
        "this is the boundary t: return the share of the samples below it": t,
        "n has a 1 of its own: n(t) = q^a where the sigmoid is (q^a − 1)/K": (
            normal((math.log(math.log(K / q**stage - 1) / b) - mean) / std)
            if K > 2 * q**stage
            else 0.0
        ),
    }


@exercise
def denoising_share(answer: Callable[..., Any]) -> str:
    """(stage, q, K, b, mean, std) -> the share of samples with r = 0, from 0 to 1."""
    found = [float(answer(*case)) for case in INSIDE]
    for slip in share_slips(*INSIDE[0]):
        wrong = [share_slips(*case)[slip] for case in INSIDE]
        asked = [i for i, value in enumerate(wrong) if not math.isnan(value)]
        expect(not all(same(found[i], wrong[i]) for i in asked), slip)
    limits = {
        1.0: (ALL, "n(t) ≥ q^0 = 1 at every t: the share is 1"),
        0.0: (NONE, "n(t) never reaches q^a: the share is 0"),
    }
    for right, (cases, words) in limits.items():
        for case in cases:
            said = float(answer(*case))
            expect(same(said, right), f"at stage {case[0]} with q = {case[1]:g} {words}, "
                   f"and yours is {said:.4g}")  # fmt: skip
    for case, said in zip(INSIDE, found, strict=True):
        right = exact_share(*case)
        expect(same(said, right), f"at stage {case[0]} with q = {case[1]:g}, K = {case[2]:g}, "
               f"b = {case[3]:g} the share is {right:.4f}, and yours is {said:.4f}")  # fmt: skip
    return f"all at stage 0, {found[0]:.3f} and {found[1]:.3f} at stages 1 and 2, then none"


# Random walks over data points, all equally likely; their ends have exact shares

DATA = torch.tensor([-1.2, 0.2, 0.9, 1.4], dtype=torch.float64)
DOWN, START, WALKS = (2.0, 0.8, 0.3, 0.0), 0.6, 20_000
Chances = Callable[[Tensor, float, float], Tensor]  # of each data point, given x (m,), t and r


def bayes(x: Tensor, t: float, r: float = 0.0) -> Tensor:
    return (-((x[:, None] - DATA) ** 2) / (2 * t * t)).softmax(1)


def end_shares(chances: Chances, down: Sequence[float] = DOWN) -> Tensor:
    """The exact share of the walks that end at each data point, over all ways down."""
    x, mass = torch.tensor([START], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    for t, r in zip(down, down[1:], strict=False):
        mass = (mass[:, None] * chances(x, t, r)).flatten()
        x = (r / t * x[:, None] + (1 - r / t) * DATA).flatten()
    return mass.reshape(-1, len(DATA)).sum(0)


WALK_SLIPS: dict[str, Chances] = {
    "every data point is drawn equally often: where the walk is now says which ones are likely":
        lambda x, t, r: torch.full((len(x), len(DATA)), 1 / len(DATA)).double(),
    "the chances are those of the level r: at x_t the noise has standard deviation t":
        lambda x, t, r: bayes(x, max(r, 1e-6)),
    "the 2 in the exponent is missing: it is (x_t − x)²/(2 t²)":
        lambda x, t, r: bayes(x, t / 2**0.5),
    "the exponent has t instead of t²": lambda x, t, r: bayes(x, t**0.5),
    "the square in the exponent is missing":
        lambda x, t, r: (-(x[:, None] - DATA).abs() / (2 * t * t)).softmax(1),
    "the sign of the exponent is wrong: near data points are more likely than far ones":
        lambda x, t, r: ((x[:, None] - DATA) ** 2 / (2 * t * t)).softmax(1),
}  # fmt: skip
ONE_LEAP = "the ends are those of one leap from the top: draw a new data point at every level"


@exercise
def walk(answer: Callable[..., Any]) -> str:
    """(x, levels, data) -> ends of random walks, against their exact shares."""
    with seeded(torch.device("cpu"), 0):
        begin = torch.full((WALKS,), START, dtype=torch.float64)
        ends = torch.as_tensor(answer(begin.clone(), list(DOWN), DATA.clone())).double()
    expect(ends.shape == begin.shape, f"one end for each walk: shape ({WALKS},)")
    expect(float(ends.std()) > 1e-6, "all walks end at the same point: go towards one data point "
           "that is drawn, not towards the mean or the nearest of them")  # fmt: skip
    near = (ends[:, None] - DATA).abs()
    expect(float(near.amin(1).max()) < 1e-6, "the last leap goes to level 0, so every walk should "
           "end at a data point")  # fmt: skip
    found = torch.bincount(near.argmin(1), minlength=len(DATA)).double() / WALKS
    right = end_shares(bayes)
    if not close(found, right, atol=0.015):
        for slip, chances in WALK_SLIPS.items():
            expect(not close(found, end_shares(chances), atol=0.015), slip)
        expect(not close(found, end_shares(bayes, (DOWN[0], 0.0)), atol=0.015), ONE_LEAP)
        i = int((found - right).abs().argmax())
        expect(False, f"{100 * found[i]:.1f} % of your walks end at {DATA[i]:g}, and "
               f"{100 * right[i]:.1f} % should")  # fmt: skip
    return f"{WALKS} walks end at the data points as often as they should, to 1.5 %"
