"""Evaluation of denoisers: loss on fixed noise, and samples of many solver steps.

How well a denoiser denoises, and where its walk from noise ends.

A walk is Heun's method down 18 levels to 0: 35 calls.
"""

from dataclasses import dataclass
from functools import lru_cache
from statistics import mean

import torch
from torch import Tensor

from ..data.digits import Digits
from ..data.toy import ToyData
from ..ingredients import ingredient
from ..methods.edm import EDMWeight
from ..methods.faster_training import Quantiles
from ..model import Denoiser, Model
from ..noise_levels import KarrasGrid, LogNormal
from ..ops import expand, seeded, sum_squares
from ..process import EDM, Process
from ..sampling import Sampler, ode
from ..teacher import Exact
from ..train.config import Source
from ..types import Data, Denoise
from .feature_extractors import load_classifier
from .frechet import frechet
from .patches import patch_distance
from .toy import answers
from .wasserstein import energy, sliced

# How well a denoiser denoises, and where its walk from noise ends

LEVELS = 18
CPU = torch.device("cpu")


def walk(process: Process, denoise: Denoise, x_t: Data, level: float) -> Data:
    """Where the walk from points x + level · z ends, in 2 · 18 - 1 calls."""
    times = process.time(KarrasGrid(sigma_max=level).down(LEVELS)).to(x_t)
    alpha, _ = process(times[:1].repeat(len(x_t)))
    *_, x = ode(process, denoise, expand(alpha, x_t) * x_t, times)
    return x


def conditioned(model: Model, cond: Tensor | None) -> Denoise:
    """The model with its labels (n,) filled in."""
    return lambda x_t, t: model(x_t, t, cond)


def middles(law: LogNormal, n: int) -> Tensor:
    """n noise levels (n,), ascending: the middles of n equal shares of the law; float64."""
    return Quantiles(law).at((torch.arange(n, dtype=torch.float64) + 0.5) / n)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Levels (n,), points x + level · z (n, *d), and E[x | x_t] there (n, *d); float64."""

    level: Tensor
    x_t: Tensor
    mean: Tensor


@lru_cache(maxsize=8)
def posterior(data: ToyData, law: LogNormal, levels: int = 32, points: int = 256) -> Posterior:
    """Fixed points at the middles of a law of levels, and their exact posterior means."""
    level = middles(law, levels).repeat_interleave(points)
    with seeded(CPU, 0):
        x = data.oracle.sample(len(level)).double()
        x_t = x + expand(level, x) * torch.randn_like(x)
    return Posterior(level, x_t, data.oracle.denoise(x_t, level))


@torch.no_grad()
def excess(model: Model, data: ToyData, law: LogNormal, levels: int = 32) -> Tensor:
    """λ(σ) ‖D_θ - D*‖² / d by level, (levels,): what EDM's loss has above its minimum.

    The levels are the middles of equal shares of the law, so the plain mean over them is the
    excess of the loss under that law.
    """
    exact = posterior(data, law, levels)
    found = answers(model, model.process, exact.x_t, exact.level)
    weight = EDMWeight(data.sigma_data)(exact.level, exact.level)
    each = weight * sum_squares(found - exact.mean) / found[0].numel()
    return each.reshape(levels, -1).mean(1)


@torch.no_grad()
def noisy_loss(model: Model, x: Data, cond: Tensor | None, law: LogNormal) -> float:
    """EDM's loss, per number, of x (n, *d): each at a level of its own, of n equal shares.

    The noise is torch's: seed it to compare two models. The minimum is not 0, and not known.
    """
    level = middles(law, len(x))[torch.randperm(len(x))].to(x)
    t = model.process.time(level)
    found = model(model.process.perturb(x, torch.randn_like(x), t), t, cond)
    weight = EDMWeight(float(x.double().std()))(level, level)
    return float((weight * sum_squares(found - x) / x[0].numel()).mean())


@lru_cache(maxsize=8)
def exact_walks(
    data: ToyData, level: float, points: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, where the exact denoiser's walks from it end, and fresh data; (points, *d) each."""
    with seeded(CPU, seed):
        fresh, _ = data.sample(points)
        x_T = level * torch.randn_like(fresh)
    return x_T, walk(EDM(), Exact(data).denoise, x_T, level), fresh


# Judges of denoisers: the loss on fixed noise, and samples of 35 calls

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
