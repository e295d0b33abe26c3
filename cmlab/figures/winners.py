"""Who beats whom in a table of errors over seeds, and what a call or a second buys.

A beats B only if the worst seed of A is below the best of B: their ranges lie apart.
A run that came to nothing (nan) counts as an infinite error.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, permutations

import numpy as np

from ..atlas import ENTRIES, Row, score
from ..atlas.league import NAMES

Scores = Mapping[str, np.ndarray]  # by name, one error for each seed; lower is better
SEEDS = 3


def judged(errors: Iterable[float]) -> np.ndarray:
    """Errors with a failed run's as infinite."""
    found = np.asarray(list(errors), dtype=float)
    return np.where(np.isnan(found), np.inf, found)


def beats(a: Iterable[float], b: Iterable[float]) -> bool:
    """Every seed of a is below every seed of b."""
    return bool(judged(a).max() < judged(b).min())


def unbeaten(scores: Scores) -> list[str]:
    """Those that no other beats, the lowest mean first: one of them is the best, unknown which."""
    found = [a for a in scores if not any(beats(scores[b], scores[a]) for b in scores)]
    return sorted(found, key=lambda name: judged(scores[name]).mean())


def front(costs: Mapping[str, float], scores: Scores) -> list[str]:
    """Those that nothing at their own cost or less beats, the cheapest first."""
    found = [
        a for a in scores
        if not any(costs[b] <= costs[a] and beats(scores[b], scores[a]) for b in scores)
    ]  # fmt: skip
    return sorted(found, key=lambda name: costs[name])


def here(rows: Sequence[Row], arms: Iterable[str] = ENTRIES) -> list[str]:
    """The arms that the table has, in its order."""
    return [arm for arm in arms if any(row["arm"] == arm for row in rows)]


def asked(rows: Sequence[Row], arm: str, name: str = "law") -> list[tuple[str, int]]:
    """Every (way, calls) in which an arm has this number."""
    mine = (row for row in rows if row["arm"] == arm)
    found = (a for row in mine for a in row.get("answers", ()) if name in a)
    return list(dict.fromkeys((a["way"], a["calls"]) for a in found))


def generators(rows: Sequence[Row], teacher: bool) -> list[str]:
    """The trained arms that make samples from noise, told by a teacher or not."""
    drawn = [arm for arm in here(rows) if ENTRIES[arm].parts and asked(rows, arm)]
    return [arm for arm in drawn if bool(ENTRIES[arm].teacher) == teacher]


def by_calls(rows: Sequence[Row], arm: str, solver: str = "",
             name: str = "law") -> dict[int, np.ndarray]:  # fmt: skip
    """Errors (seeds,) by network calls: by this solver, or by a student's own way."""
    mine = [(w, n) for w, n in asked(rows, arm, name) if (w == solver or not solver)]
    return {n: score(rows, arm, name, w, n) for w, n in mine if solver or w not in NAMES}


def contestants(rows: Sequence[Row], arms: Iterable[str], most: int,
                name: str = "law") -> dict[str, np.ndarray]:  # fmt: skip
    """One number a seed of every arm and way in at most so many calls, by "title, n calls"."""
    found = {}
    for arm in arms:
        for way, n in asked(rows, arm, name):
            if 0 < n <= most:
                title = ENTRIES[arm].title + " by Heun's method" * (way == "heun")
                found[f"{title}, {n} call{'s' * (n > 1)}"] = score(rows, arm, name, way, n)
    return found


def worth(curve: Mapping[int, np.ndarray], errors: np.ndarray) -> tuple[int, int | None]:
    """Against errors by calls: the most calls that are beaten, all fewer ones with them, and the
    fewest that beat (None: none that was tried). In between nothing can be told.
    """
    beaten = [n for n in curve if all(beats(errors, curve[m]) for m in curve if m <= n)]
    better = [n for n in curve if beats(curve[n], errors)]
    return max(beaten, default=0), min(better, default=None)


def crossing(curve: Mapping[int, np.ndarray], errors: np.ndarray) -> float:
    """Where the mean error along a curve first falls to the mean of these, by lines in log-log.

    nan if it never does.
    """
    calls = sorted(curve)
    here = float(judged(errors).mean())
    means = [float(judged(curve[n]).mean()) for n in calls]
    for (a, b), (high, low) in zip(pairwise(calls), pairwise(means), strict=True):
        if low <= here <= high:
            share = np.log(high / here) / np.log(high / low)
            return float(a * (b / a) ** share)
    return float("nan")


def in_words(found: tuple[int, int | None]) -> str:
    """`worth` in words."""
    most, fewest = found
    if fewest is None:
        return f"more than {most} calls, and none tried was better"
    return f"more than {most}, fewer than {fewest} calls" if most else f"fewer than {fewest} calls"


def gathered(names: Iterable[str]) -> str:
    """Contestants in words, their numbers of calls together."""
    found: dict[str, list[int]] = {}
    for name in names:
        title, calls = name.rsplit(", ", 1)
        found.setdefault(title, []).append(int(calls.split()[0]))
    return "; ".join(
        f"{title} in {' or '.join(map(str, sorted(n)))} call{'s' * (n != [1])}"
        for title, n in found.items()
    )


def together(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The rank correlation of two rows of a few numbers, and the share of all orders of the
    second in which it is as high.
    """
    first, second = np.argsort(np.argsort(a)), np.argsort(np.argsort(b))
    orders = np.array(list(permutations(second)))
    middle = (len(a) - 1) / 2
    all_of_them = (orders - middle) @ (first - middle) / ((first - middle) ** 2).sum()
    mine = float((second - middle) @ (first - middle) / ((first - middle) ** 2).sum())
    return mine, float((all_of_them >= mine - 1e-9).mean())


def told(a: np.ndarray, b: np.ndarray) -> str:
    """How the errors a compare with the errors b."""
    if min(len(a), len(b)) < SEEDS:
        return "too few seeds yet"
    return "lower" if beats(a, b) else "higher" if beats(b, a) else "not told apart"


def verdict(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """On the claim that in each pair the first errors are lower."""
    words = [told(a, b) for a, b in pairs]
    if "too few seeds yet" in words:
        return "too few seeds yet"
    if set(words) == {"lower"}:
        return "shows"
    rest = ", ".join(dict.fromkeys(word for word in words if word != "lower"))
    held = words.count("lower")
    return (f"shows in part: {held} of {len(words)}, else {rest}" if held
            else f"does not show at this size: {rest}")  # fmt: skip
