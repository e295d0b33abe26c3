"""Analysis for lab 11 (PCM): ternary search for the middle noise level of a two-call sampler."""

from collections.abc import Callable


def ternary(score: Callable[[float], float], low: float, high: float, rounds: int) -> float:
    """The minimiser of a unimodal score between low and high, by ternary search.

    Each round asks at both thirds, and drops the outer third beside the larger score: 2 calls,
    and two thirds of the interval are left. Song et al. 2023, Sec. 3, name it for Algorithm 1.
    """
    for _ in range(rounds):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if score(left) < score(right):
            high = right
        else:
            low = left
    return (low + high) / 2
