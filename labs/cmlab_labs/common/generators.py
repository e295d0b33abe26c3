"""Explorers of digits: a generator of images and its nearest training images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cmlab.data.cifar10 import CIFAR10
from cmlab.data.digits import Digits
from cmlab.metrics.digits import distance_to_nearest
from cmlab.metrics.feature_extractors import pixels
from cmlab.metrics.precision_recall import nearest_images
from cmlab.model import Denoiser
from cmlab.oracle import Empirical
from cmlab.train import runs
from cmlab.train.checkpoint import BadFile
from cmlab.train.recipe import Recipe
from cmlab.train.runs import ROOT
from cmlab.types import Denoise

# One-step digits: a seed, a digit to ask for, and one, two or four network calls

# What `cmlab train digits.ect` leaves as model.safetensors.
GENERATOR = ROOT / "data" / "checkpoints" / "digits-ect.safetensors"


@cache
def digit_oracle(digit: int) -> Empirical:
    """The training scans of one digit, as an exact law."""
    return Empirical(Digits().images[Digits().labels == digit])


def exact_denoiser(asked: Tensor) -> Denoise:
    """The perfect denoiser of a finite set, told which digit (b,) each image shows."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        x = torch.empty_like(x_t)
        for digit in asked.unique().tolist():
            mine = asked == digit
            x[mine] = digit_oracle(digit).denoise(x_t[mine], t[mine])
        return x

    return denoise


def nearest_scan(x: Tensor) -> Tensor:
    """For each image (b, 1, 8, 8) the training scan that is nearest to it, of all digits."""
    scans = Digits().images
    return scans[torch.cdist(x.flatten(1), scans.flatten(1)).argmin(1)]


@cache
def held_out_distance() -> float:
    """How far a held-out scan is from its nearest training scan: the median."""
    return float(distance_to_nearest(Digits(train=False).images, Digits().images).median())


def noise(seed: int, n: int = 1) -> Tensor:
    """Standard normal noise for n digits, a function of the seed."""
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


# What the one-step lab opens: the shipped generator, and pictures to hold its own against

CHECKPOINTS = runs.ROOT / "data" / "checkpoints"
CIFAR_GENERATOR, SHAPES_GENERATOR = (
    CHECKPOINTS / "cifar10-ect.safetensors",
    CHECKPOINTS / "shapes-ect.safetensors",
)
FRESH = 2048  # pictures of an endless source that stand in for a training set


@dataclass(frozen=True, eq=False)
class ReferenceImages:
    """Pictures that a made one is held against, and how near unseen real ones come to them."""

    images: Tensor  # (n, 3, h, w) uint8
    name: str
    held_out: Tensor  # (m, 3, h, w), real pictures that are not among them

    @cached_property
    def typical(self) -> float:
        """Median distance of unseen real pictures to their nearest here."""
        x = self.held_out.float() / 127.5 - 1
        return float(nearest_images(x, self.images, 1)[0].median())


@dataclass(frozen=True, eq=False)
class Generator:
    """A trained generator of colour pictures, with its recipe and its record."""

    model: Denoiser
    recipe: Recipe
    record: dict[str, Any]

    @property
    def classes(self) -> int:
        """How many it can be asked for; 0 if it takes no wishes."""
        return int(getattr(self.recipe.net, "classes", 0))

    @cached_property
    def pool(self) -> ReferenceImages | None:
        """CIFAR-10's training pictures, None where they are not at hand; fresh ones of a rule."""
        data: Any = self.recipe.data
        if not isinstance(data, CIFAR10):
            g = torch.Generator().manual_seed(16)
            drawn = pixels(data.sample(FRESH + 100, g)[0])
            return ReferenceImages(drawn[:FRESH], f"{FRESH} fresh ones", drawn[FRESH:])
        try:
            held_out = replace(data, train=False).images[:100]
            return ReferenceImages(data.images, f"{len(data)} to train on", held_out)
        except BadFile:
            return None

    def asked(self, wish: int, n: int) -> Tensor | None:
        """The class for n pictures, None where there is none to ask for."""
        return torch.full((n,), wish) if self.classes else None


def shipped(paths: Sequence[Path] = (CIFAR_GENERATOR, SHAPES_GENERATOR)) -> Generator:
    """The first of these that is there. Raises BadFile when none is."""
    for path in paths:
        if path.exists():
            model, recipe, record = runs.load(path)
            return Generator(model.requires_grad_(False), recipe, record)
    raise BadFile(
        f"{paths[-1].name} is not in {paths[-1].parent}; remake it with `cmlab train shapes.ect "
        f"--out DIR` and copy DIR/model.safetensors there"
    )
