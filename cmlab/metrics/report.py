"""Evaluation report: generated images, and a table of their scores with error bars and floor.

Every score carries its standard error, feature space, sample count and reference set. The floor is
the score of real training images against the same reference, as many of them as were generated.
The Fréchet distance is biased upwards by a small number of samples, precision and recall depend on
it, and all depend on the space: scores may be compared only where all of this agrees.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..gaussian_mixture import require
from ..model import Model, conditioned
from ..noise_levels import KarrasGrid
from ..ops import expand, seeded
from ..sampling import Sampler, ode
from .feature_extractors import pixels
from .frechet import PARTS, frechet, frechet_error, kernel_distance
from .precision_recall import precision_recall, precision_recall_error

# Samples of a model, in batches

# Standard normal noise (b, *d), and the classes (b,) asked for or None -> samples (b, *d).
Draw = Callable[[Tensor, Tensor | None], Tensor]

LEVELS = 18  # noise levels of the diffusion sampler: 35 calls
CALLS = (1, 2, 4)


def few_steps(
    model: Model, sampler: Sampler, z: Tensor, cond: Tensor | None, calls: int
) -> Tensor:
    """Samples (b, *d) of a consistency model from noise z (b, *d) in `calls` network calls."""
    return sampler(model.process, conditioned(model, cond), z, calls)


def diffusion(model: Model, sampler: Sampler, z: Tensor, cond: Tensor | None = None) -> Tensor:
    """Samples of Heun's method down 18 levels to 0, Karras et al. 2022 for CIFAR-10: 35 calls.

    From the few-step sampler's σ_max to 0.002. It suits a denoiser: a consistency model gives the
    endpoint of the path, and not the posterior mean that the ODE's slope is made of.
    """
    process = model.process
    times = process.time(KarrasGrid(sigma_max=sampler.sigma_max).down(LEVELS)).to(z)
    _, sigma = process(times[:1].repeat(len(z)))
    *_, x = ode(process, conditioned(model, cond), expand(sigma, z) * z, times)
    return x


def draws(model: Model, sampler: Sampler, heun: bool = False) -> Mapping[str, Draw]:
    """Samplers by name: in 1, 2 and 4 calls and, if wanted, the diffusion sampler."""
    ways = {
        f"{calls} call{'s' * (calls > 1)}": partial(few_steps, model, sampler, calls=calls)
        for calls in CALLS
    }
    return ways | ({"35 calls": partial(diffusion, model, sampler)} if heun else {})


@torch.no_grad()
def sample_images(
    draw: Draw,
    shape: tuple[int, ...],
    n: int,
    device: torch.device,
    seed: int = 0,
    batch: int = 500,
    classes: int = 0,
) -> Tensor:
    """Generate images in batches.

    The first noise is the CPU's and the same everywhere. That of later calls is the device's, and
    depends on the batch as well.

    Args:
        draw: makes samples from noise and classes.
        shape: of one image.
        n: how many.
        device: where the model is.
        seed: of all draws.
        batch: images at a time.
        classes: of a class-conditional model: image i is asked to be of class i modulo `classes`.

    Returns:
        Images (n, *shape) as bytes, on the CPU.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for start in range(0, n, batch):
        z = torch.randn(min(batch, n - start), *shape, generator=generator).to(device)
        cond = torch.arange(start, start + len(z), device=device) % classes if classes else None
        with seeded(device, seed, start):
            found.append(pixels(draw(z, cond)).cpu())
    return torch.cat(found)


Read = Callable[[Tensor], Any]  # features (n, d) -> the class (n,) that is read
Asked = tuple[Tensor, Tensor]  # features (n, d), and the class (n,) asked for

# Scores, each with its standard error, space, sample count and reference

COMPARED = {
    "fd": "Fréchet distance",
    "kd": "kernel distance",
    "precision": "precision",
    "recall": "recall",
}
NAMES = COMPARED | {"asked": "share of the class asked for"}


@dataclass(frozen=True)
class Reading:
    """One score and what it depends on.

    Args:
        name: of the metric, a key of NAMES.
        of: what is scored, such as "1 call" or "train".
        value: the score.
        error: its standard error.
        space: the feature space.
        samples: how many were scored.
        reference: the split that they are compared with; "" for a share, which needs none.
        reference_samples: its size.
    """

    name: str
    of: str
    value: float
    error: float
    space: str
    samples: int
    reference: str
    reference_samples: int

    def line(self) -> str:
        """As text: 1 call: Fréchet distance 7.03 ± 0.05 (cmlab-cifar, 10000 …)."""
        against = (
            f" against {self.reference_samples} of {self.reference}" if self.reference else ""
        )
        return (
            f"{self.of}: {NAMES[self.name]} {self.value:.4g} ± {self.error:.2g} "
            f"({self.space}, {self.samples}{against})"
        )

    def minus(self, other: "Reading") -> tuple[float, float]:
        """The difference of two scores and its standard error, taking them as independent."""
        self.check(other)
        return self.value - other.value, (self.error**2 + other.error**2) ** 0.5

    def over(self, other: "Reading") -> tuple[float, float]:
        """The ratio of two scores and its standard error, to first order in the errors."""
        self.check(other)
        ratio = self.value / other.value
        own, others = self.error / other.value, ratio * other.error / other.value
        return ratio, (own**2 + others**2) ** 0.5

    def check(self, other: "Reading") -> None:
        """Raise ValueError, naming what differs, unless the two may be compared."""
        for field in ("name", "space", "samples", "reference", "reference_samples"):
            own, others = getattr(self, field), getattr(other, field)
            require(own == others, f"{self.of} has {field.replace('_', ' ')} {own} and {other.of} "
                    f"has {others}: measure both alike to compare them")  # fmt: skip


@dataclass(frozen=True)
class Table:
    """All scores in one space against one reference set, and those of the floor."""

    readings: tuple[Reading, ...]
    floors: tuple[Reading, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary for each score, with the floor's value and error, fit for JSON."""
        floor = {reading.name: reading for reading in self.floors}
        return [
            asdict(own) | {"floor": floor[own.name].value, "floor_error": floor[own.name].error}
            for own in self.readings
        ]

    def lines(self) -> list[str]:
        """As text: one line for each score, the floor's last."""
        return [reading.line() for reading in (*self.readings, *self.floors)]

    def scores(self) -> dict[str, float]:
        """Scores by name, fd1, fd1_error, …, fd_floor: the number is that of calls, from `of`."""
        found = {}
        for reading in self.readings:
            key = f"{reading.name}{reading.of.split()[0]}"
            found |= {key: reading.value, f"{key}_error": reading.error}
        for reading in self.floors:
            key = f"{reading.name}_floor"
            found |= {key: reading.value, f"{key}_error": reading.error}
        return found


def measure(x: Tensor, real: Tensor) -> dict[str, tuple[float, float]]:
    """Value and standard error of each metric of COMPARED.

    Args:
        x: features of what is scored (n, d).
        real: features of the reference (m, d).

    Raises:
        ValueError: for too few samples for an error bar.
    """
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
    """The table of scores of each set of features, and of training images for the floor.

    Args:
        generated: features (n, d) by what made them, as in "1 call".
        train: features of as many training images (n, d), for the floor.
        reference: features of the reference set (m, d).
        space: name of the feature space.
        split: name of the reference set.

    Raises:
        ValueError: when a set and the floor differ in size.
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


def with_classes(
    found: Table, read: Read, generated: Mapping[str, Asked], real: Asked, space: str,
    split: str = "test",
) -> Table:  # fmt: skip
    """The table with the share of images whose class a classifier reads as the one asked for.

    The floor is the classifier's accuracy on real images that it did not learn from.

    Args:
        found: the table of the other scores.
        read: the class (n,) of images with features (n, d).
        generated: features (n, d) and the classes (n,) asked for, by what made them.
        real: features and classes of real images.
        space: name of the feature space.
        split: name of the split of the real images.
    """

    def share(of: str, features: Tensor, asked: Tensor) -> Reading:
        n, value = len(features), float((read(features).cpu() == asked.cpu()).double().mean())
        return Reading("asked", of, value, (value * (1 - value) / n) ** 0.5, space, n, "", 0)

    shares = tuple(share(of, *images) for of, images in generated.items())
    return Table(found.readings + shares, (*found.floors, share(split, *real)))
