"""Judges of denoisers: the loss on fixed noise, and samples of 35 calls."""

from dataclasses import dataclass
from statistics import mean

import torch

from .config import Source
from .data.digits import Digits
from .data.toy import ToyData
from .evaluate.energy import energy
from .evaluate.features import load_classifier
from .evaluate.frechet import frechet
from .evaluate.patches import patch_distance
from .evaluate.walks import CPU, conditioned, exact_walks, excess, noisy_loss, walk
from .evaluate.wasserstein import sliced
from .ingredients import ingredient
from .model import Denoiser
from .ops import seeded, sum_squares
from .sample import Sampler
from .times import LogNormal

EDM_LAW = LogNormal(-1.2, 1.2)


@ingredient
@dataclass(frozen=True)
class AgainstExactWalk:
    """A toy denoiser beside the exact one, on draws fixed by `seed`.

    excess  EDM's loss above its minimum, under `law`
    away    RMS distance of the walks' ends to the exact denoiser's from the same noise
    ed, sw  energy distance and sliced W₂ of the ends to fresh data
    """

    law: LogNormal = EDM_LAW
    points: int = 2048
    seed: int = 0

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: ToyData, sampler: Sampler) -> dict[str, float]:
        x_T, ends, fresh = exact_walks(data, sampler.sigma_max, self.points, self.seed)
        found = walk(model.process, model, x_T, sampler.sigma_max)
        return {
            "excess": float(excess(model, data, self.law).mean()),
            "away": float(sum_squares(found - ends).mean().sqrt()),
            "ed": energy(found, fresh),
            "sw": sliced(found, fresh),
        }


@ingredient
@dataclass(frozen=True)
class HeldOutWalk:
    """A denoiser of digits: `loss` on held-out scans, and `fd35`, Fréchet distance to them.

    As many samples as there are held-out scans, of their classes where the network takes one.
    """

    law: LogNormal = EDM_LAW
    seed: int = 0

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Source, sampler: Sampler) -> dict[str, float]:
        eye, held = load_classifier(), Digits(train=False)
        with seeded(CPU, self.seed):
            cond = held.labels if data.sample(1)[1] is not None else None
            x_T = sampler.sigma_max * torch.randn_like(held.images)
            loss = noisy_loss(model, held.images, cond, self.law)
        denoise = conditioned(model, cond)
        made = walk(model.process, denoise, x_T, sampler.sigma_max).clamp(-1, 1)
        truth = eye.features(held.images)
        return {
            "fd35": frechet(eye.features(made), truth),
            "loss": loss,
            "fd_floor": frechet(eye.features(Digits().images), truth),
        }


@ingredient
@dataclass(frozen=True)
class FreshWalk:
    """A denoiser of endless pictures: `loss` on fresh ones, and `pd35`, patch distance to them."""

    law: LogNormal = EDM_LAW
    n: int = 60
    seed: int = 0

    @torch.no_grad()
    def __call__(self, model: Denoiser, data: Source, sampler: Sampler) -> dict[str, float]:
        with seeded(CPU, self.seed):
            fresh, cond = data.sample(self.n)
            other, _ = data.sample(self.n)
            x_T = sampler.sigma_max * torch.randn_like(fresh)
            loss = noisy_loss(model, fresh, cond, self.law)
        denoise = conditioned(model, cond)
        made = walk(model.process, denoise, x_T, sampler.sigma_max).clamp(-1, 1)
        return {
            "pd35": mean(patch_distance(made, fresh)),
            "loss": loss,
            "pd_floor": mean(patch_distance(other, fresh)),
        }
