"""Arms of a study against one of them: how much worse, and whether the seeds can tell."""

from collections.abc import Mapping

import numpy as np

from ..studies import Recording, ranged, read
from .stabilisers import title_of


def rmse(arm: str, study: str = "stabilisers") -> np.ndarray:
    """The RMS error to f* of each seed of a recorded arm."""
    return read(study, arm).score("rmse")


def first_and_last(values: np.ndarray) -> str:
    """In words: values (seeds, moments, levels), averaged over levels, at both ends."""
    return f"{ranged(values[:, 0].mean(1), '.2g')} → {ranged(values[:, -1].mean(1), '.2g')}"


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Do the ranges of two sets of seeds have a number in common?"""
    return bool(a.min() <= b.max() and b.min() <= a.max())


def times(found: np.ndarray, base: np.ndarray) -> float:
    """The ratio of the means."""
    return float(found.mean() / base.mean())


def effect(found: np.ndarray, base: np.ndarray) -> str:
    """In words: the ratio of the means, and whether the ranges of the seeds are apart."""
    if overlap(found, base):
        return f"×{times(found, base):.2f}, the ranges overlap"
    return f"×{times(found, base):.3g}, the ranges are apart"


def needed(found: np.ndarray, base: np.ndarray, ruin: float = 3.0) -> str:
    """A verdict on a part of a recipe, from the scores without it and with it."""
    if overlap(found, base):
        return "does not show at this size: no difference beyond the seeds"
    if found.mean() < base.mean():
        return "does not show at this size: it is better without"
    big = times(found, base) > ruin
    return (
        "shows, unmistakably"
        if big
        else "shows in part: it helps, and nothing is ruined without it"
    )


def against(runs: Mapping[str, Recording], beside: str, study: str = "stabilisers") -> str:
    """A table (Markdown): each arm's scores, and its error beside that of `beside`."""
    base = runs[beside].score("rmse")
    lines = [
        "| | RMS error to f* | samples near a mode | RMS error beside the first |",
        "|---" * 4 + "|",
    ]
    for arm, run in runs.items():
        found = run.score("rmse")
        row = (
            title_of(study, arm),
            ranged(found, ".3g"),
            ranged(run.score("hq"), ".0%"),
            "" if arm == beside else effect(found, base),
        )
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)
