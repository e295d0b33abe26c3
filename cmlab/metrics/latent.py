"""Judges of runs on latents: decode what was generated, then score the pictures."""

from dataclasses import dataclass
from functools import partial
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from ..data.digits import Digits
from ..ingredients import ingredient
from ..model import Denoiser
from ..ops import seeded
from ..sampling import Sampler
from ..types import Data, Time
from .digits import score_digits
from .feature_extractors import load_classifier
from .frechet import frechet
from .patches import patch_distance

CPU = torch.device("cpu")


def answer(model: Denoiser, labels: Tensor | None, x_t: Data, t: Time) -> Data:
    """The model's, told the labels."""
    return model(x_t, t, labels)


def drawn(
    model: Denoiser, data: Any, sampler: Sampler, labels: Tensor | None, n: int, calls: int,
    seed: int,
) -> Tensor:  # fmt: skip
    """n decoded pictures in [-1, 1], 250 at a time, from noise fixed by the seed."""
    with seeded(CPU, seed, 1):
        z = torch.randn(n, *data.shape)
        found = []
        for rows in torch.arange(n).split(250):
            told = None if labels is None else labels[rows]
            denoise = partial(answer, model, told)
            found.append(sampler(model.process, denoise, z[rows], calls))
    return data.decode(torch.cat(found)).clamp(-1, 1)


@ingredient
@dataclass(frozen=True)
class DecodedHeldOut:
    """Fréchet distance of decoded digits to held-out ones, as `AgainstHeldOut` of digits.

    fd_coded: of the training digits after a trip through the autoencoder, which no generator of
    its latents can be expected to beat. Data is `Latents` of digits, or `Impulses` on them.
    """

    n: int = 2000
    seed: int = 0

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        def generate(z: Tensor, labels: Tensor, calls: int) -> Tensor:
            return drawn(model, data, sampler, labels, len(labels), calls, self.seed)

        return score_digits(generate, self.n, self.seed) | {"fd_coded": coded(data)}


def coded(data: Any) -> float:
    """The Fréchet distance of encoded and decoded training digits to the held-out ones."""
    eye, clean = load_classifier(), data.clean
    made = clean.decode(clean.latents).clamp(-1, 1)
    return frechet(eye.features(made), eye.features(Digits(train=False).images))


@ingredient
@dataclass(frozen=True)
class DecodedFresh:
    """Patch distance of `n` decoded pictures to as many fresh ones, mean of the levels.

    pd1, pd2: in one and two calls; pd_coded: of encoded and decoded pictures; pd_floor: of other
    fresh ones. Draws come from `seed`, and not from that of the encoded pictures.
    """

    n: int = 500
    seed: int = 1

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        with seeded(CPU, self.seed):
            fresh, labels = data.clean.data.sample(self.n)
            other, _ = data.clean.data.sample(self.n)
        told = labels if getattr(data, "classes", 0) else None
        found = {
            f"pd{calls}": drawn(model, data, sampler, told, self.n, calls, self.seed)
            for calls in (1, 2)
        }
        found |= {"pd_coded": data.decode(data.clean.encode(other)).clamp(-1, 1)}
        found |= {"pd_floor": other}
        return {name: mean(patch_distance(x, fresh)) for name, x in found.items()}
