"""Networks that share nothing but the data's law, and answer the same noise.

whole   ring: as `pretraining-toy`'s uniform-constant; digits: all training scans, no classes
narrow  ring: the same with half the width, so with a quarter of the weights
half-a  digits: every other scan alone
half-b  digits: the other scans, and other seeds, so that nothing is shared
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from ..data.digits import Digits
from ..data.parts import Part
from ..nets.mlp import MLPShape
from ..nets.unet import UNetShape
from ..presets import faster, toy
from ..recipe import Recipe
from .base import Study
from .pretraining import PICTURE_LEVELS, RING_LEVELS
from .recording import path_of, read
from .shared_noise import ToyWalks, Walks

OTHER = 100  # what is added to a seed, so that two halves share no weights either


def narrow_ring(seed: int) -> Recipe:
    recipe = faster.plane(seed=seed)
    assert isinstance(recipe.net, MLPShape)
    return replace(recipe, net=replace(recipe.net, width=recipe.net.width // 2))


def scans(data: Part, seed: int) -> Recipe:
    """A denoiser of some scans, without classes."""
    recipe = faster.scan(seed=seed)
    assert isinstance(recipe.net, UNetShape)
    return replace(recipe, data=data, net=replace(recipe.net, classes=0))


TOY = Study("twins-toy", {"narrow": narrow_ring}, ToyWalks(toy.RING, RING_LEVELS, 512), looks=1)

DIGITS = Study(
    "twins-digits",
    {
        "whole": lambda seed: scans(Part(), seed),
        "half-a": lambda seed: scans(Part(Digits(), 0, 2), seed),
        "half-b": lambda seed: scans(Part(Digits(), 1, 2), seed + OTHER),
    },
    Walks(Digits(train=False), PICTURE_LEVELS, 60),
    looks=1,
)


@dataclass(frozen=True)
class Twin:
    """One trained network, by where its answers are recorded."""

    study: str
    arm: str
    seed: int  # its place in the recording

    @property
    def recorded(self) -> bool:
        return path_of(self.study, self.arm).exists()

    def ends(self, level: int) -> Tensor:
        """Where its walks from the shared points of the study's level number `level` end."""
        return ends(self.study, self.arm)[self.seed, level]


@lru_cache(maxsize=16)
def ends(study: str, arm: str) -> Tensor:
    """All recorded ends of an arm, (seeds, levels, n, *d) float32."""
    return torch.from_numpy(read(study, arm)["ends"]).float()
