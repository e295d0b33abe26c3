"""Exercise checks of lab 17, the atlas of methods."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..common.exercise import exercise, expect
from .figures import beats, failed_as_infinite, front, unbeaten

NAN = float("nan")
Table = Mapping[str, Sequence[float]]
Rule = Callable[[Table], list[str]]

TABLES: dict[str, Table] = {
    "ranges apart": {"a": [0.10, 0.12, 0.11], "b": [0.30, 0.31, 0.29]},
    "two that overlap": {"a": [0.13, 0.2, 0.15], "b": [0.3, 0.4, 0.35], "c": [0.14, 0.1, 0.12]},
    "a wide range": {"a": [0.20, 0.21, 0.22], "b": [0.01, 0.30, 0.02], "c": [0.12, 0.14, 0.13]},
    "one good seed": {"a": [0.1, 0.5, 0.6], "b": [0.2, 0.3, 0.3]},
    "ranges that touch": {"a": [0.1, 0.2], "b": [0.2, 0.3]},
    "a failed run": {"a": [0.1, NAN, 0.11], "b": [0.2, 0.3, 0.25]},
    "nothing but failed runs": {"a": [NAN, NAN], "b": [0.2, 0.3]},
    "one method": {"a": [0.4, 0.2]},
    "no method": {},
}  # fmt: skip


def rule_of(
    beaten: Callable[[np.ndarray, np.ndarray], bool], read: Callable = failed_as_infinite
) -> Rule:
    """Keep what no other beats, by this rule of beating and this reading of errors."""

    def rule(table: Table) -> list[str]:
        scores = {name: read(errors) for name, errors in table.items()}
        return [a for a in scores if not any(beaten(scores[b], scores[a]) for b in scores)]

    return rule


def beaten_by_lowest_mean(table: Table) -> list[str]:
    """Those that the lowest mean does not beat."""
    best = min(table, key=lambda name: failed_as_infinite(table[name]).mean(), default=None)
    return [name for name in table if best and not beats(table[best], table[name])]


def without_failed(errors: Sequence[float]) -> np.ndarray:
    """The errors of runs that came to something."""
    return np.array([e for e in errors if e == e] or [np.inf])


SLIPS: dict[str, Rule] = {
    "these are errors: lower is better": rule_of(lambda a, b: a.min() > b.max()),
    "you return those that are beaten: return the others": lambda table: [
        name for name in table if name not in unbeaten(table_of(table))
    ],
    "you compare the means alone: how far the seeds lie apart does not count":
        rule_of(lambda a, b: a.mean() < b.mean()),
    "you compare with the lowest mean alone: its range may be wide, and another method with a "
    "narrow one beats what it does not": beaten_by_lowest_mean,
    "ranges that touch are not apart: the worst seed must be below the best, not equal to it":
        rule_of(lambda a, b: a.max() <= b.min() and a is not b),
    "you leave failed runs out: a method that fails on one seed of three looks safe":
        rule_of(lambda a, b: a.max() < b.min(), without_failed),
    "max and min go astray when one of the errors is nan: count a failed run as an infinite error":
        rule_of(lambda a, b: max(a) < min(b), list),
    "nan is neither below nor above anything, so a method that always fails is never beaten: "
    "count a failed run as an infinite error": rule_of(lambda a, b: a.max() < b.min(), np.array),
    "you compare the best seeds alone: one lucky run decides":
        rule_of(lambda a, b: a.min() < b.min()),
    "you compare the worst seeds alone: one unlucky run decides":
        rule_of(lambda a, b: a.max() < b.max()),
}  # fmt: skip


def table_of(table: Table) -> dict[str, np.ndarray]:
    """Errors as arrays."""
    return {name: np.asarray(errors, dtype=float) for name, errors in table.items()}


def as_names(found: Any) -> list[str]:
    """An answer as a list of names."""
    expect(not isinstance(found, str), f"return a list of names, not the one name {found!r}")
    expect(hasattr(found, "__iter__"), f"return a list of names, not {found!r}")
    return [str(name) for name in found]


@exercise
def not_beaten(answer: Callable[..., Any]) -> str:
    """(scores) -> the names that no other beats: ranges over the seeds lie apart."""
    right = [sorted(unbeaten(table_of(table))) for table in TABLES.values()]
    found = [sorted(as_names(answer({k: list(v) for k, v in t.items()}))) for t in TABLES.values()]
    for slip, rule in SLIPS.items():
        expect(found == right or found != [sorted(rule(t)) for t in TABLES.values()], slip)
    for (name, table), mine, wanted in zip(TABLES.items(), found, right, strict=True):
        expect(mine == wanted, f"with {name}, {dict(table)}, not beaten are {wanted}; "
               f"yours are {mine}")  # fmt: skip
    return f"{len(TABLES)} tables: overlapping and touching ranges, wide ones, failed runs"


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
        front_rule(lambda b, a: b.mean() < a.mean()),
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
