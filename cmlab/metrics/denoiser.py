"""Metrics of denoisers: the denoising loss on fixed noise, and samples of Heun's method.

On toy data both are compared with the exact denoiser D*(x_t) = E[x | x_t].
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..data.toy import ToyData
from ..methods.edm import EDMWeight
from ..methods.faster_training import Quantiles
from ..model import Model
from ..noise_levels import KarrasGrid, LogNormal
from ..ops import expand, seeded, sum_squares
from ..process import Process, VarianceExploding
from ..sampling import ode
from ..teacher import OracleTeacher
from ..types import Data, Denoise
from .toy import answers

LEVELS = 18  # noise levels of Heun's method: 2 · 18 - 1 = 35 calls
EDM_LEVELS = LogNormal(-1.2, 1.2)  # distribution of noise levels in training, Karras et al. 2022
CPU = torch.device("cpu")


def heun_samples(process: Process, denoise: Denoise, x_t: Data, level: float) -> Data:
    """Samples of Heun's method down 18 noise levels to 0, in 35 calls.

    Args:
        process: the denoiser's process.
        denoise: the denoiser.
        x_t: the points x + level · z (n, *d), not yet scaled by the process.
        level: their noise level σ.
    """
    times = process.time(KarrasGrid(sigma_max=level).down(LEVELS)).to(x_t)
    alpha, _ = process(times[:1].repeat(len(x_t)))
    *_, x = ode(process, denoise, expand(alpha, x_t) * x_t, times)
    return x


def quantile_levels(levels: LogNormal, n: int) -> Tensor:
    """The quantiles (k + ½) / n of a distribution of noise levels: (n,), ascending, float64."""
    return Quantiles(levels).at((torch.arange(n, dtype=torch.float64) + 0.5) / n)


@dataclass(frozen=True, eq=False)
class PosteriorMeans:
    """Noisy points and their exact posterior means, in float64.

    Args:
        level: noise levels σ (n,).
        x_t: points x + σ z (n, *d).
        mean: E[x | x_t] (n, *d).
    """

    level: Tensor
    x_t: Tensor
    mean: Tensor


@lru_cache(maxsize=8)
def posterior_means(
    data: ToyData, proposal: LogNormal, levels: int = 32, points: int = 256
) -> PosteriorMeans:
    """Fixed points at quantiles of a noise level distribution, and their posterior means."""
    level = quantile_levels(proposal, levels).repeat_interleave(points)
    with seeded(CPU, 0):
        x = data.oracle.sample(len(level)).double()
        x_t = x + expand(level, x) * torch.randn_like(x)
    return PosteriorMeans(level, x_t, data.oracle.denoise(x_t, level))


@torch.no_grad()
def excess(model: Model, data: ToyData, proposal: LogNormal, levels: int = 32) -> Tensor:
    """Excess denoising loss λ(σ) ‖D_θ - D*‖² / d by noise level: EDM's loss above its minimum.

    Args:
        model: the denoiser.
        data: toy data, whose D* is exact.
        proposal: distribution of the noise levels.
        levels: how many of its quantiles are taken.

    Returns:
        (levels,). The plain mean is the excess of the loss under `proposal`, as quantiles are
        evenly probable.
    """
    exact = posterior_means(data, proposal, levels)
    x = answers(model, model.process, exact.x_t, exact.level)
    weight = EDMWeight(data.sigma_data)(exact.level, exact.level)
    each = weight * sum_squares(x - exact.mean) / x[0].numel()
    return each.reshape(levels, -1).mean(1)


@torch.no_grad()
def noisy_loss(model: Model, x: Data, cond: Tensor | None, proposal: LogNormal) -> float:
    """EDM's denoising loss per element, each sample at a noise level of its own.

    The noise is torch's: seed it to compare two models. The minimum is not 0, and not known.

    Args:
        model: the denoiser.
        x: clean samples (n, *d).
        cond: their labels (n,), or None.
        proposal: distribution of the noise levels, of which n quantiles are taken.
    """
    level = quantile_levels(proposal, len(x))[torch.randperm(len(x))].to(x)
    t = model.process.time(level)
    denoised = model(model.process.perturb(x, torch.randn_like(x), t), t, cond)
    weight = EDMWeight(float(x.double().std()))(level, level)
    return float((weight * sum_squares(denoised - x) / x[0].numel()).mean())


@lru_cache(maxsize=8)
def exact_heun_samples(
    data: ToyData, level: float, points: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, the exact denoiser's Heun samples from it, and fresh data; (points, *d) each."""
    with seeded(CPU, seed):
        fresh, _ = data.sample(points)
        x_T = level * torch.randn_like(fresh)
    return x_T, heun_samples(VarianceExploding(), OracleTeacher(data).denoise, x_T, level), fresh
