"""Explorer of lab 14: two networks on shared noise, and a permutation test of their agreement."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cmlab.gaussian_mixture import require
from cmlab.metrics.feature_extractors import DigitClassifier, load_classifier
from cmlab.presets import toy

from ..common.explorer import Explorer, Picture, choice, slider
from .analysis import Agreement, agreement, label_agreement
from .figures import image_pairs, pairs_and_test
from .study import PICTURE_LEVELS, RING_LEVELS, RecordedNetwork

STARTS = ("pure noise", "a lot", "half", "some", "little")  # how much noise is in the start


def ring_network(variant: str, seed: int) -> RecordedNetwork:
    return RecordedNetwork("pretraining-toy", variant, seed)


def digit_network(variant: str, seed: int) -> RecordedNetwork:
    return RecordedNetwork("twins-digits", variant, seed)


PAIRS: dict[str, tuple[RecordedNetwork, RecordedNetwork]] = {
    "ring: two seeds": (ring_network("uniform-constant", 0), ring_network("uniform-constant", 1)),
    "ring: half the width": (
        ring_network("uniform-constant", 0),
        RecordedNetwork("twins-toy", "narrow", 1),
    ),
    "ring: other training": (
        ring_network("uniform-constant", 0),
        ring_network("curriculum-both", 1),
    ),
    "digits: two seeds": (digit_network("whole", 0), digit_network("whole", 1)),
    "digits: two halves of the scans": (digit_network("half-a", 0), digit_network("half-b", 0)),
    "digits: two halves, trained longer": (digit_network("long-a", 0), digit_network("long-b", 0)),
}


def available() -> list[str]:
    """The pairs whose both networks are recorded."""
    return [name for name, pair in PAIRS.items() if all(twin.recorded for twin in pair)]


def modes(x: Tensor) -> Tensor:
    """The ring's mode that is nearest to each point (n, 2)."""
    return torch.cdist(x.double(), toy.RING.oracle.components.means).argmin(1)


@lru_cache(maxsize=1)
def classifier() -> DigitClassifier:
    return load_classifier()


def classes(x: Tensor) -> Tensor:
    """The shipped classifier's class of each image."""
    with torch.no_grad():
        return classifier()(x.clamp(-1, 1)).argmax(1)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Comparison of two networks: their answers from one start, and the permutation test."""

    a: Tensor
    b: Tensor
    test: Agreement
    share: float  # in the same mode, or of the same class
    chance: float  # the same for shuffled pairs


@lru_cache(maxsize=64)
def compared(pair: str, start: int) -> Comparison:
    """The answers of a pair from the start of this number."""
    a, b = (twin.ends(start) for twin in PAIRS[pair])
    kind: Callable[[Tensor], Tensor] = modes if a.ndim == 2 else classes
    share, chance = label_agreement(kind(a), kind(b))
    return Comparison(a, b, agreement(a, b, 999), share, chance)


def explorer() -> Explorer:
    """Knobs: `pair`, `start` (how much noise they share) and `draw` (which noises are shown)."""
    pairs = available()
    require(bool(pairs), "no pair is recorded yet: run cmlab record pretraining-toy all")
    knobs = {
        "pair": choice("two networks", pairs),
        "start": choice("noise in the start", STARTS),
        "draw": slider("noise: seed", 0, 0, 9),
    }
    return Explorer(picture, knobs)


def picture(pair: str, start: str, draw: int) -> Picture:
    """Figure of some pairs, and the test on all of them."""
    number = STARTS.index(start)
    found = compared(pair, number)
    on_ring = found.a.ndim == 2
    level = (RING_LEVELS if on_ring else PICTURE_LEVELS)[number]
    shown = torch.randperm(len(found.a), generator=torch.Generator().manual_seed(draw))
    shown = shown[: 48 if on_ring else 16]
    a, b = found.a[shown], found.b[shown]
    if on_ring:
        titles = (
            "One noise, two networks",
            "Shuffled pairs lie far apart",
            f"p = {found.test.p:.3f}",
        )
        figure = pairs_and_test(a, b, toy.RING.oracle.components.means, found.test, titles)
    else:
        titles = ("One noise, two networks", f"p = {found.test.p:.3f}")
        figure = image_pairs(a.clamp(-1, 1), b.clamp(-1, 1), found.test, titles)
    return Picture(figure, reading(found, level, number, "mode" if on_ring else "class"))


def reading(found: Comparison, level: float, start: int, kind: str) -> str:
    """Three lines of text on the test."""
    test = found.test
    alone = "pure noise, with no data in it" if start == 0 else "noise added to a data point"
    return (
        f"The paths start at noise level {level:g}, from {alone}.\n"
        f"Mean distance of a true pair {test.distance:.3f}, of shuffled pairs "
        f"{float(test.shuffled.mean()):.3f}, at least {float(test.shuffled.min()):.3f} in "
        f"{len(test.shuffled)} shuffles: p = {test.p:.3f}.\n"
        f"The samples share the {kind} in {found.share:.0%} of {len(found.a)} pairs, and in "
        f"{found.chance:.0%} of shuffled pairs."
    )
