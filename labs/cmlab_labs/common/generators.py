"""Trained generators that the labs ship, the exact digit denoiser, and nearest training images."""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cmlab.data.cifar10 import CIFAR10, CLASSES
from cmlab.data.digits import Digits, Unlabelled
from cmlab.metrics.digits import distance_to_nearest
from cmlab.metrics.feature_extractors import pixels
from cmlab.metrics.precision_recall import nearest_images
from cmlab.model import Denoiser
from cmlab.nets.pretrained import CHECKPOINTS
from cmlab.oracle import Empirical
from cmlab.train import runs
from cmlab.train.checkpoint import BadFile
from cmlab.train.recipe import Recipe
from cmlab.types import Denoise

# What `cmlab train digits.ect` leaves as model.safetensors.
GENERATOR = CHECKPOINTS / "digits-ect.safetensors"


@cache
def digit_oracle(digit: int) -> Empirical:
    """The exact distribution of the training scans of one digit."""
    return Empirical(Digits().images[Digits().labels == digit])


def exact_denoiser(asked: Tensor) -> Denoise:
    """The exact class-conditional denoiser of the training scans, for the digits `asked` (b,)."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        x = torch.empty_like(x_t)
        for digit in asked.unique().tolist():
            mine = asked == digit
            x[mine] = digit_oracle(digit).denoise(x_t[mine], t[mine])
        return x

    return denoise


def nearest_scan(x: Tensor) -> Tensor:
    """The nearest training scan, of any digit, to each image (b, 1, 8, 8)."""
    scans = Digits().images
    return scans[torch.cdist(x.flatten(1), scans.flatten(1)).argmin(1)]


@cache
def held_out_distance(share: float = 0.5) -> float:
    """Distance of held-out scans to their nearest training scans: the median, or a quantile."""
    found = distance_to_nearest(Digits(train=False).images, Digits().images)
    return float(found.quantile(share))


def noise(seed: int, n: int = 1) -> Tensor:
    """Standard normal noise for n digits, from a seed."""
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


# The shipped generator of photographs, and images to compare its own with

CIFAR_GENERATOR = CHECKPOINTS / "cifar10-photographs.safetensors"
FRESH = 2048  # pictures of an endless source that stand in for a training set


@dataclass(frozen=True, eq=False)
class ReferenceImages:
    """Real images to compare generated ones with, and the distance of unseen real ones to them."""

    images: Tensor  # (n, 3, h, w) uint8
    name: str
    held_out: Tensor  # (m, 3, h, w), real pictures that are not among them

    @cached_property
    def typical(self) -> float:
        """Median distance of the held-out images to their nearest reference image."""
        x = self.held_out.float() / 127.5 - 1
        return float(nearest_images(x, self.images, 1)[0].median())


@dataclass(frozen=True, eq=False)
class Generator:
    """A trained generator of colour images, with its recipe and its training record."""

    model: Denoiser
    recipe: Recipe
    record: dict[str, Any]

    @property
    def data(self) -> Any:
        """What it was trained on, without the wrapper that drops labels."""
        data = self.recipe.data
        return data.data if isinstance(data, Unlabelled) else data

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that may be asked for; none if the generator is unconditional."""
        count = int(getattr(self.data, "classes", 0))
        if isinstance(self.data, CIFAR10):
            return CLASSES[:count]
        return tuple(str(label) for label in range(count))

    @cached_property
    def pool(self) -> ReferenceImages | None:
        """Reference images: CIFAR-10's training set (None if missing), or fresh synthetic ones."""
        data = self.data
        if not isinstance(data, CIFAR10):
            g = torch.Generator().manual_seed(16)
            drawn = pixels(data.sample(FRESH + 100, g)[0])
            return ReferenceImages(drawn[:FRESH], f"{FRESH} fresh pictures", drawn[FRESH:])
        try:
            held_out = replace(data, train=False).images[:100]
            return ReferenceImages(data.images, f"{len(data)} to train on", held_out)
        except BadFile:
            return None

    def asked(self, wish: int, n: int) -> Tensor | None:
        """The class label of n images; None if the generator is unconditional."""
        return torch.full((n,), wish) if self.classes else None


def shipped(path: Path = CIFAR_GENERATOR) -> Generator:
    """Load the generator of photographs. Raises BadFile if it is not there."""
    if not path.exists():
        raise BadFile(
            f"{path.name} is not in {path.parent}; data/README.md has the commands that make it"
        )
    model, recipe, record = runs.load(path)
    return Generator(model.requires_grad_(False), recipe, record)
