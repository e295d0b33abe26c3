"""What every number carries: its error bar, space, sample count and reference, and the floor.

The floor is what real training images score against the same reference, as many of them as were
generated. The Fréchet distance is biased upwards by the number of samples, precision and recall
depend on it, and all depend on the space: numbers compare only where all of this agrees.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from ..components import require
from .errorbar import PARTS, frechet_error
from .frechet import frechet
from .kernel import kernel_distance
from .manifold import precision_recall, precision_recall_error

NAMES = {
    "fd": "Fréchet distance",
    "kd": "kernel distance",
    "precision": "precision",
    "recall": "recall",
}


@dataclass(frozen=True)
class Reading:
    """One number: `name` is a key of NAMES, `of` says whose it is, `error` is a standard error."""

    name: str
    of: str
    value: float
    error: float
    space: str
    samples: int
    reference: str  # the split that it is held against
    reference_samples: int

    def line(self) -> str:
        """For people: 1 call: Fréchet distance 7.03 ± 0.05 (cmlab-cifar, 10000 …)."""
        return (
            f"{self.of}: {NAMES[self.name]} {self.value:.4g} ± {self.error:.2g} "
            f"({self.space}, {self.samples} against {self.reference_samples} of {self.reference})"
        )

    def minus(self, other: "Reading") -> tuple[float, float]:
        """The difference and its standard error, as of two independent numbers."""
        self.check(other)
        return self.value - other.value, (self.error**2 + other.error**2) ** 0.5

    def over(self, other: "Reading") -> tuple[float, float]:
        """The ratio and its standard error, to first order in the errors."""
        self.check(other)
        ratio = self.value / other.value
        own, others = self.error / other.value, ratio * other.error / other.value
        return ratio, (own**2 + others**2) ** 0.5

    def check(self, other: "Reading") -> None:
        """Raises ValueError, naming what differs, unless the two may be compared."""
        for field in ("name", "space", "samples", "reference", "reference_samples"):
            own, others = getattr(self, field), getattr(other, field)
            require(own == others, f"{self.of} has {field.replace('_', ' ')} {own} and {other.of} "
                    f"has {others}: measure both alike to compare them")  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Readings of one space and one reference; those of the floor apart."""

    readings: tuple[Reading, ...]
    floors: tuple[Reading, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a number, the floor's value and error beside it, fit for JSON."""
        floor = {reading.name: reading for reading in self.floors}
        return [
            asdict(own) | {"floor": floor[own.name].value, "floor_error": floor[own.name].error}
            for own in self.readings
        ]

    def lines(self) -> list[str]:
        """For people: one line a number, the floor's last."""
        return [reading.line() for reading in (*self.readings, *self.floors)]

    def scores(self) -> dict[str, float]:
        """fd1, fd1_error, …, fd_floor: names with the number of calls that `of` begins with."""
        found = {}
        for reading in self.readings:
            key = f"{reading.name}{reading.of.split()[0]}"
            found |= {key: reading.value, f"{key}_error": reading.error}
        for reading in self.floors:
            key = f"{reading.name}_floor"
            found |= {key: reading.value, f"{key}_error": reading.error}
        return found


def measure(x: Tensor, real: Tensor) -> dict[str, tuple[float, float]]:
    """Value and standard error of each of NAMES, for features (n, d) against features (m, d)."""
    d, least = real.shape[1], min(len(x), len(real))
    need = max((d + 1) * PARTS // (PARTS - 1) + 1, 5 * PARTS)
    require(least >= need, f"{least} images are too few for {d} features: give at least {need}")
    precision, recall = precision_recall(x, real)
    of_precision, of_recall = precision_recall_error(x, real)
    return {
        "fd": (frechet(x, real), frechet_error(x, real)),
        "kd": kernel_distance(x, real),
        "precision": (precision, of_precision),
        "recall": (recall, of_recall),
    }


def table(
    generated: Mapping[str, Tensor],
    train: Tensor,
    reference: Tensor,
    space: str,
    split: str = "test",
) -> Table:
    """All readings of each set of features, and of as many of training images for the floor.

    `generated` is by what made them, as in "1 call". Raises ValueError for unequal numbers.
    """
    for of, x in generated.items():
        require(len(x) == len(train), f"{of} has {len(x)} images and the floor {len(train)}: give "
                "equally many, or the floor says nothing about it")  # fmt: skip

    def read(of: str, x: Tensor) -> tuple[Reading, ...]:
        return tuple(
            Reading(name, of, *found, space, len(x), split, len(reference))
            for name, found in measure(x, reference).items()
        )

    readings = [reading for of, x in generated.items() for reading in read(of, x)]
    return Table(tuple(readings), read("train", train))
