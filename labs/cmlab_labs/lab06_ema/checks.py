"""Exercise checks of lab 06: the point mass on a grid that is refined, and how slow it is."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import log, log10
from typing import Any

from ..common.exercise import close, exercise, expect
from .analysis import PointMass

REFINED = ((11, 21), (21, 41), (81, 161))
GRIDS = (41, 161, 641)
same = partial(close, rtol=1e-6, atol=1e-6)
Pulls = tuple[float, float]  # A, B

# Common mistakes in the set-back at a refinement

BACK: dict[str, Callable[[Pulls, Pulls], float]] = {
    "this is before over after: asked is the distance after the refinement over that before": (
        lambda coarse, fine: share(*coarse) / share(*fine)
    ),
    "this starts with the student beside its target: on the coarse grid it has run ahead": (
        lambda coarse, fine: share(*fine)
    ),
    "this is where the student stood before: it moves on to the balance of the fine grid": (
        lambda coarse, fine: share(*coarse)
    ),
    "B/(A + B) is how far θ is ahead of θ⁻: asked is what is left to ξ": (
        lambda coarse, fine: (1 - share(*fine)) / (1 - share(*coarse))
    ),
    "A/B is (θ − ξ)/(θ⁻ − θ), and θ moves: take θ − ξ as a share of θ⁻ − ξ": (
        lambda coarse, fine: fine[0] / fine[1] * coarse[1] / coarse[0]
    ),
    "B/A is the lag: asked is how far θ is from ξ, not how far θ⁻ is from θ": (
        lambda coarse, fine: fine[1] / fine[0] * coarse[0] / coarse[1]
    ),
    "A alone does not say where the two pulls balance: B has its part in it": (
        lambda coarse, fine: fine[0] / coarse[0]
    ),
}


def share(to_target: float, to_truth: float) -> float:
    """(θ - ξ)/(θ⁻ - ξ) at the balance of these pulls."""
    return to_target / (to_target + to_truth)


def name_slip(
    said: Sequence[float],
    slips: Mapping[str, Callable[..., float]],
    cases: Sequence[Sequence[Any]],
) -> None:
    """Raise Slip with the name of the mistake that gives these answers, if one does."""
    for slip, wrong in slips.items():
        agree = all(same(x, wrong(*case)) for x, case in zip(said, cases, strict=True))
        expect(not agree, slip)


@exercise
def set_back(answer: Callable[..., Any]) -> str:
    """(A, B) of a coarse and of a fine grid -> (θ - ξ after)/(θ - ξ before) with θ⁻ in place."""
    cases = [(PointMass(n).pulls, PointMass(m).pulls) for n, m in REFINED]
    said = [float(answer(*case)) for case in cases]
    name_slip(said, BACK, cases)
    for found, (n, m) in zip(said, REFINED, strict=True):
        right = PointMass(m).balance / PointMass(n).balance
        expect(same(found, right), f"from N = {n} to {m} you say {found:.3f}, and the point mass "
               f"goes from {PointMass(n).balance:.3f} to {PointMass(m).balance:.3f}")  # fmt: skip
    return "exact: " + ", ".join(
        f"×{x:.2f} from N = {n} to {m}" for x, (n, m) in zip(said, REFINED, strict=True)
    )


# Common mistakes in the number of steps

TWENTY = log(20)
WRONG: dict[str, Callable[[float, float, float], float]] = {
    "this target moves all the way to θ at once: it closes only the share 1 − μ": (
        lambda a, b, mu: TWENTY * (a + b) / b
    ),
    "μ and 1 − μ are exchanged: μ near 1 must mean that the target hardly moves": (
        lambda a, b, mu: TWENTY * (a + b) / (mu * b)
    ),
    "this target moves towards ξ itself: it follows θ, which is only a little nearer": (
        lambda a, b, mu: TWENTY / (1 - mu)
    ),
    "A and B are exchanged: B pulls towards ξ, and the finer the grid, the larger A/B": (
        lambda a, b, mu: TWENTY * (a + b) / ((1 - mu) * a)
    ),
    "B/A is the lag as a share of θ − ξ: here it is wanted as a share of θ⁻ − ξ": (
        lambda a, b, mu: TWENTY * a / ((1 - mu) * b)
    ),
    "the first step's length is not kept: each step is the same share of what is left": (
        lambda a, b, mu: 0.95 * (a + b) / ((1 - mu) * b)
    ),
    "after so many steps 1/e of the way is left: a twentieth needs ln 20 times as many": (
        lambda a, b, mu: (a + b) / ((1 - mu) * b)
    ),
    "this is when 5 % of the way is done: ask when 5 % of it is left": (
        lambda a, b, mu: log(1 / 0.95) * (a + b) / ((1 - mu) * b)
    ),
    "this logarithm has another base: the exponential needs the natural one": (
        lambda a, b, mu: log10(20) * (a + b) / ((1 - mu) * b)
    ),
}  # fmt: skip


@exercise
def steps_to_go(answer: Callable[..., Any]) -> str:
    """(A, B, μ) -> steps until 5 % of the way is left, against the counted ones on three grids."""
    cases = [(n, *PointMass(n).pulls, mu) for n in GRIDS for mu in (0.99, 0.999)]
    said = [float(answer(a, b, mu)) for _, a, b, mu in cases]
    name_slip(said, WRONG, [case[1:] for case in cases])
    shares = []
    for found, (n, _, _, mu) in zip(said, cases, strict=True):
        counted = PointMass(n).steps_to_reach(mu)
        shares.append(found / counted)
        expect(abs(shares[-1] - 1) < 0.05, f"at N = {n} and μ = {mu:g} you say {found:.0f} steps, "
               f"and it takes {counted}")  # fmt: skip
    worst = 100 * max(abs(share - 1) for share in shares)
    return f"within {worst:.0f} % of the count, for two μ on the grids {GRIDS}"
