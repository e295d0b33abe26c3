"""Exercise checks of lab 16, CIFAR-10."""

from collections.abc import Callable
from math import exp, isfinite
from typing import Any

from ..common.exercise import close, exercise, expect

CASES = ((512, 500_000.0), (128, 500_000.0), (64, 64.0), (1024, 5e6), (32, 10_000.0))


@exercise
def decay(answer: Callable[..., Any]) -> str:
    """(batch, half_life) -> μ: after half_life images, whatever the batch, half is forgotten."""
    found = [float(answer(batch, images)) for batch, images in CASES]
    for number, (slip, _) in enumerate(decay_slips(64, 64.0)):
        wrong = [decay_slips(*case)[number][1] for case in CASES]
        expect(not all(close(a, b, atol=1e-7) for a, b in zip(found, wrong, strict=True)), slip)
    for (batch, images), beta in zip(CASES, found, strict=True):
        where = f"for batches of {batch} and a half-life of {images:g} images"
        expect(isfinite(beta) and 0 < beta < 1, f"μ = {beta:g} {where}: it must lie in (0, 1)")
        left = beta ** (images / batch)
        halved = abs(left - 0.5) < 1e-6
        expect(halved, f"{left:.3g} of the old is left after a half-life {where}, not 0.5")
    twice, once = float(answer(1024, 5e5)), float(answer(512, 5e5))
    expect(close(twice, once**2, atol=1e-7),
           "one step of 1024 images must forget as much as two steps of 512")  # fmt: skip
    return f"half is left after every half-life, for 5 batches; EDM's μ for CIFAR-10 is {once:.5f}"


def decay_slips(batch: int, images: float) -> list[tuple[str, float]]:
    """Mistakes: the message, and the μ that each gives."""
    return [
        ("the exponent is upside down: one step is batch / half_life of a half-life",
         0.5 ** (images / batch)),
        ("this forgets down to 1/e and not to one half: the base is 0.5, not e",
         exp(-batch / images)),
        ("half_life counts images, not steps: one step brings `batch` images at once",
         0.5 ** (1 / images)),
        ("this is what a step forgets: μ is what it keeps", 1 - 0.5 ** (batch / images)),
        ("1 − batch/half_life is the first term of a series of exp, with 1/e in place of one half",
         1 - batch / images),
        ("μ must lie below 1: the sign of the exponent is wrong", 2 ** (batch / images)),
    ]  # fmt: skip


SIZES = (  # n1, d1, n2, d2
    (2500, 14.7, 5000, 12.1), (4000, 0.9, 500, 1.6), (100, 2.0, 1000, 2.0), (1000, 3.0, 8000, 1.1),
)  # fmt: skip


@exercise
def at_infinity(answer: Callable[..., Any]) -> str:
    """(n1, d1, n2, d2) -> the distance without samples' bias, if it is d + b/n."""
    found = [float(answer(*case)) for case in SIZES]
    for slip, wrong in LIMITS.items():
        alike = [close(a, wrong(*case), atol=1e-7) for a, case in zip(found, SIZES, strict=True)]
        expect(not all(alike), slip)
    for (n1, d1, n2, d2), limit in zip(SIZES, found, strict=True):
        where = f"of {d1:g} at n = {n1} and {d2:g} at n = {n2}"
        expect(isfinite(limit), f"{limit:g} is no distance; yours is the limit {where}")
        same = close((d1 - limit) * n1, (d2 - limit) * n2, atol=1e-6)
        expect(same, f"the distances {where} lie {d1 - limit:.4g} and {d2 - limit:.4g} above "
               "yours: times n, both must be the same b")  # fmt: skip
    return f"both biases are b/n, for 4 pairs in either order; the paper's A tends to {found[0]:g}"


def slope(n1: float, d1: float, n2: float, d2: float) -> float:
    """b of d + b/n."""
    return (d1 - d2) / (1 / n1 - 1 / n2)


LIMITS: dict[str, Callable[[float, float, float, float], float]] = {
    "this is the distance at the larger n: a bias of b/n is left in it":
        lambda n1, d1, n2, d2: d1 if n1 > n2 else d2,
    "this is the mean of the two distances: both are too large": lambda n1, d1, n2, d2:
        (d1 + d2) / 2,
    "this is the mean, weighted with n: the limit lies below both distances":
        lambda n1, d1, n2, d2: (n1 * d1 + n2 * d2) / (n1 + n2),
    "the bias falls as 1/n here, not as 1/√n": lambda n1, d1, n2, d2:
        (n2**0.5 * d2 - n1**0.5 * d1) / (n2**0.5 - n1**0.5),
    "this is b, not the distance without b/n": slope,
    "b/n is added in yours: subtract it": lambda n1, d1, n2, d2:
        d1 + slope(n1, d1, n2, d2) / n1,
    "this is a straight line in n, followed back to n = 0: the distance is one in 1/n":
        lambda n1, d1, n2, d2: d1 - n1 * (d2 - d1) / (n2 - n1),
}  # fmt: skip
