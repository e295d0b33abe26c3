"""Exercise checks of lab 17, the atlas of methods."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..common.exercise import exercise, expect
from .figures import beats, failed_as_infinite, front

Draws = Sequence[float]
LOWER, HIGHER, EQUAL = "lower", "higher", "indistinguishable"
PAIRS: dict[str, tuple[Draws, Draws]] = {  # errors of two networks on the same ten test draws
    "lower on every draw, in ranges that overlap": (
        [0.20, 0.31, 0.24, 0.45, 0.29, 0.33, 0.22, 0.38, 0.27, 0.41],
        [0.21, 0.33, 0.25, 0.47, 0.30, 0.35, 0.24, 0.39, 0.28, 0.43],
    ),
    "lower on nine, with the higher mean": (
        [0.20, 0.31, 0.24, 0.45, 0.29, 0.33, 0.22, 0.38, 0.27, 0.91],
        [0.21, 0.33, 0.25, 0.47, 0.30, 0.35, 0.24, 0.39, 0.28, 0.43],
    ),
    "lower on eight": (
        [0.20, 0.31, 0.24, 0.45, 0.29, 0.33, 0.22, 0.38, 0.29, 0.44],
        [0.21, 0.33, 0.25, 0.47, 0.30, 0.35, 0.24, 0.39, 0.28, 0.43],
    ),
    "nearly the same numbers in another order": (
        [0.20, 0.21, 0.22, 0.23, 0.24, 0.25, 0.26, 0.27, 0.28, 0.29],
        [0.291, 0.281, 0.271, 0.261, 0.251, 0.241, 0.231, 0.221, 0.211, 0.201],
    ),
    "equal on every draw": ([0.2] * 10, [0.2] * 10),
    "equal on two": (
        [0.20, 0.31, 0.24, 0.45, 0.29, 0.33, 0.22, 0.38, 0.28, 0.43],
        [0.21, 0.33, 0.25, 0.47, 0.30, 0.35, 0.24, 0.39, 0.28, 0.43],
    ),
}
Judge = Callable[[Draws, Draws], str]


def paired_verdict(a: Draws, b: Draws, least: int = 9) -> str:
    """Whether a is lower or higher than b on at least nine of ten draws."""
    lower, higher = (sum(x < y for x, y in zip(*pair, strict=True)) for pair in ((a, b), (b, a)))
    return LOWER if lower >= least else HIGHER if higher >= least else EQUAL


def by_ranges(a: Draws, b: Draws) -> str:
    """The rule of the lab, which ignores the pairing."""
    return LOWER if beats(a, b) else HIGHER if beats(b, a) else EQUAL


def by_means(a: Draws, b: Draws) -> str:
    """The lower mean."""
    return LOWER if np.mean(a) < np.mean(b) else HIGHER if np.mean(b) < np.mean(a) else EQUAL


def swapped(a: Draws, b: Draws) -> str:
    """The verdict on b."""
    return paired_verdict(b, a)


PAIR_SLIPS: dict[str, Judge] = {
    "you compare the ranges: most of them is what both networks share, the draw of the test":
        by_ranges,
    "you compare the means: one bad draw decides": by_means,
    "you sort before you compare: then the two numbers of a pair are of different draws":
        lambda a, b: paired_verdict(sorted(a), sorted(b)),
    "these are errors of a against b: lower is better": swapped,
    "nine of ten are enough": partial(paired_verdict, least=10),
    "eight of ten are too few: equal networks are that far apart in one case of nine":
        partial(paired_verdict, least=8),
    "a draw with equal errors speaks for neither":
        lambda a, b: LOWER if sum(x <= y for x, y in zip(a, b, strict=True)) >= 9
        else HIGHER if sum(x >= y for x, y in zip(a, b, strict=True)) >= 9 else EQUAL,
}  # fmt: skip


@exercise
def paired(answer: Callable[..., Any]) -> str:
    """(a, b) -> "lower", "higher" or "indistinguishable", by at least nine of ten draws."""
    both = [*PAIRS.values(), *(pair[::-1] for pair in PAIRS.values())]
    found = [answer(list(a), list(b)) for a, b in both]
    odd = [said for said in found if said not in (LOWER, HIGHER, EQUAL)]
    expect(not odd, f"answer with {LOWER!r}, {HIGHER!r} or {EQUAL!r}; yours was {odd[:1]}")
    right = [paired_verdict(a, b) for a, b in both]
    for slip, judge in PAIR_SLIPS.items():
        expect(found == right or found != [judge(a, b) for a, b in both], slip)
    for name, mine, wanted in zip([*PAIRS, *PAIRS], found, right, strict=True):
        expect(mine == wanted, f"{name}: a is {wanted}; yours says {mine}")
    return f"{len(PAIRS)} pairs, both ways round: shared draws, one bad draw, ties"


def as_names(found: Any) -> list[str]:
    """An answer as a list of names."""
    expect(not isinstance(found, str), f"return a list of names, not the one name {found!r}")
    expect(hasattr(found, "__iter__"), f"return a list of names, not {found!r}")
    return [str(name) for name in found]


# By name: CPU seconds of a pre-training, those of the rest, errors over the seeds.
Priced = Mapping[str, tuple[float, float, Sequence[float]]]
PRICED: dict[str, Priced] = {
    "one cheaper and better": {"a": (0, 30, [0.5, 0.6]), "b": (0, 10, [0.1, 0.2])},
    "one cheaper, one better": {"a": (0, 30, [0.1, 0.2]), "b": (0, 10, [0.5, 0.6])},
    "an expensive one that is indistinguishable": {
        "a": (0, 30, [0.1, 0.3]),
        "b": (0, 10, [0.2, 0.4]),
    },
    "a cheap one with the lower mean": {"a": (0, 30, [0.2, 0.4]), "b": (0, 10, [0.1, 0.3])},
    "equal prices": {"a": (0, 20, [0.1, 0.2]), "b": (0, 20, [0.5, 0.6])},
    "a pre-training": {"a": (30, 10, [0.5, 0.6]), "b": (0, 20, [0.1, 0.2])},
    "pre-training only": {"a": (25, 1, [0.1, 0.2]), "b": (0, 20, [0.5, 0.6])},
    "three": {"a": (5, 30, [0.3, 0.31]), "b": (0, 20, [0.2, 0.21]), "c": (0, 9, [0.5, 0.52])},
}


def front_rule(
    beaten: Callable[[np.ndarray, np.ndarray], bool] = beats,
    allowed: Callable[[float, float], bool] = lambda b, a: b <= a,
    price: Callable[[float, float], float] = lambda before, after: before + after,
) -> Callable[[Priced], list[str]]:
    """The front by these rules of beating, of what may be compared, and of counting."""

    def rule(methods: Priced) -> list[str]:
        cost = {name: price(before, after) for name, (before, after, _) in methods.items()}
        of = {name: failed_as_infinite(errors) for name, (_, _, errors) in methods.items()}
        lost = {a for a in of for b in of
                if a != b and allowed(cost[b], cost[a]) and beaten(of[b], of[a])}  # fmt: skip
        return sorted(of.keys() - lost, key=lambda name: cost[name])

    return rule


FRONT_SLIPS: dict[str, Callable[[Priced], list[str]]] = {
    "the pre-training is not counted: somebody had to pay for it":
        front_rule(price=lambda b, a: a),
    "prices are not looked at: a cheap method may stay although a more expensive one beats it":
        front_rule(allowed=lambda b, a: True),
    "the prices are compared the wrong way round: only what costs as much or less can beat":
        front_rule(allowed=lambda b, a: b >= a),
    "at equal prices the better one beats the other": front_rule(allowed=lambda b, a: b < a),
    "means alone decide: ranges that overlap do not beat":
        front_rule(lambda b, a: bool(b.mean() < a.mean())),
    "a more expensive method that is indistinguishable was not beaten: drop it for its price if "
    "you like, but say so": front_rule(lambda b, a: not beats(a, b)),
    "these are errors: lower is better": front_rule(lambda b, a: beats(a, b)),
}  # fmt: skip


@exercise
def worth_the_price(answer: Callable[..., Any]) -> str:
    """(methods) -> names that nothing at their whole price or less beats, the cheapest first."""
    right = [exact_front(methods) for methods in PRICED.values()]
    found = [as_names(answer(dict(methods))) for methods in PRICED.values()]
    for slip, rule in FRONT_SLIPS.items():
        mine = [sorted(names) for names in found]
        matches = mine == [sorted(rule(methods)) for methods in PRICED.values()]
        expect(not matches or mine == [sorted(names) for names in right], slip)
    for (name, methods), mine, wanted in zip(PRICED.items(), found, right, strict=True):
        expect(mine == wanted or sorted(mine) != sorted(wanted),
               "the right ones, but not in order: the cheapest comes first")  # fmt: skip
        expect(mine == wanted, f"with {name}, {dict(methods)}, worth their price are {wanted}; "
               f"yours are {mine}")  # fmt: skip
    return f"{len(PRICED)} price lists: pre-training counted, ties kept, the cheapest first"


def exact_front(methods: Priced) -> list[str]:
    """The right answer."""
    cost = {name: before + after for name, (before, after, _) in methods.items()}
    return front(
        cost, {name: failed_as_infinite(errors) for name, (_, _, errors) in methods.items()}
    )
