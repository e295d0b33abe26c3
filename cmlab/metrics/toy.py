"""Metrics for toy data: errors against the exact consistency function and the exact distribution.

Is it the consistency function? Against the exact one by noise level, and against itself.

A model is any denoiser of a process, called as denoise(x_t, t). Exact points are drawn in the
noise level, x + σ z, and handed over as the process's own x_t = α_t (x + σ z), in torch's
default dtype.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..data.toy import ToyData
from ..gaussian_mixture import Components
from ..noise_levels import KarrasGrid
from ..ops import expand, seeded
from ..oracle import Oracle
from ..process import Process
from ..sampling import FewSteps, Sampler
from ..types import Data, Denoise, Time
from .wasserstein import sliced

# Is it the consistency function? Against the exact one by noise level, and against itself


@dataclass(frozen=True, eq=False)
class ExactConsistency:
    """Points at L noise levels, ascending, and where their exact paths end; float64."""

    levels: Tensor  # (L,)
    x_t: Tensor  # (L, n, *d)
    ends: Tensor  # (L, n, *d), at σ_min


@lru_cache(maxsize=32)
def truth(
    data: ToyData,
    sigma_min: float = 0.002,
    sigma_max: float = 10.0,
    seed: int = 0,
    levels: int = 32,
    points: int = 192,
) -> ExactConsistency:
    """Exact answers on a Karras grid (ρ = 7), each level with its own points from the exact law.

    Kept in memory: the second request is free.
    """
    grid, cpu = KarrasGrid(sigma_min, sigma_max).up(levels), torch.device("cpu")
    with seeded(cpu, seed):
        x = data.oracle.sample(levels * points).double()
        level = grid.repeat_interleave(points)
        x_t = x + expand(level, x) * torch.randn_like(x)
    ends = data.oracle.consistency(x_t, level, sigma_min)
    shape = (levels, points, *data.shape)
    return ExactConsistency(grid, x_t.reshape(shape), ends.reshape(shape))


@torch.no_grad()
def answers(denoise: Denoise, process: Process, x: Data, level: Time) -> Data:
    """What the model makes of points x + σ z at noise level σ, in float64."""
    x, t = x.to(torch.get_default_dtype()), process.time(level.double())
    alpha, _ = process(t)
    return denoise(expand(alpha, x).to(x) * x, t.to(x)).double()


def rmse_by_level(denoise: Denoise, process: Process, exact: ExactConsistency) -> Tensor:
    """√(mean ‖f_θ - f*‖²) at each noise level of the truth: (L,)."""
    level = exact.levels.repeat_interleave(exact.x_t.shape[1])
    found = answers(denoise, process, exact.x_t.flatten(0, 1), level)
    gap = found.reshape(exact.ends.shape) - exact.ends
    return gap.flatten(2).square().sum(2).mean(1).sqrt()


def along_path(
    denoise: Denoise, process: Process, oracle: Oracle, x_t: Data, levels: Tensor
) -> Tensor:
    """The model's answers at levels (m,) of the exact paths through x_t: (m, b, *d).

    x_t lies at levels[0]. A consistency function gives m times the same.
    """
    path = oracle.path(x_t.double(), levels.double())
    found = answers(denoise, process, path.flatten(0, 1), levels.repeat_interleave(len(x_t)))
    return found.reshape(path.shape)


def spread(along: Tensor) -> Tensor:
    """‖f(x_t) - f(x_r)‖, t each of m levels along a path and r the last one: (m, b)."""
    return (along - along[-1]).flatten(2).norm(dim=2)


SAMPLES = 8192
FEW_STEPS = FewSteps(sigma_max=10.0, sigma_mid=0.8)


@torch.no_grad()
def score_toy(
    denoise: Denoise,
    process: Process,
    data: ToyData,
    sigma_min: float = 0.002,
    sampler: Sampler = FEW_STEPS,
    seed: int = 0,
) -> dict[str, float]:
    """Six numbers, on draws that depend on the seed alone.

    rmse      √(mean ‖f_θ - f*‖²) over 32 noise levels, evenly spaced in Karras index from
              sigma_min to the sampler's sigma_max, with 192 exact points each
    rmse_max  the same at sigma_max
    sw1, sw2  sliced W₂ (128 directions) of 8192 samples in one and two steps to fresh data
    hq        share of the one-step samples within 3 std of a mode
    modes     modes that hold over 20 % of their fair share of those samples
    """
    error = rmse_by_level(denoise, process, truth(data, sigma_min, sampler.sigma_max, seed))
    fresh, z = _clouds(data, seed)
    with seeded(z.device, seed, 2):
        one, two = (sampler(process, denoise, z, calls) for calls in (1, 2))
    hq, modes = coverage(one, data.oracle.components)
    return {
        "rmse": float(error.square().mean().sqrt()),
        "rmse_max": float(error[-1]),
        "sw1": sliced(one, fresh),
        "sw2": sliced(two, fresh),
        "hq": hq,
        "modes": modes,
    }


def coverage(x: Data, law: Components) -> tuple[float, int]:
    """The share of samples within 3 std of a mode, and how many modes they reach.

    A mode is reached when it is the nearest, in std, of more than a fifth of the samples that
    its weight would give it. In two dimensions the exact share of separate modes is 0.989.
    """
    away = torch.cdist(x.flatten(1).double(), law.means) / law.stds
    nearest, mode = away.min(1)
    near = nearest <= 3
    held = torch.bincount(mode[near], minlength=len(law.weights))
    reached = held > 0.2 * law.weights * len(x)
    return float(near.double().mean()), int(reached.sum())


def floor(data: ToyData, seed: int = 0) -> float:
    """The sliced W₂ between two fresh clouds of 8192: no sampler can be told to be better."""
    return sliced(_clouds(data, seed)[0], _clouds(data, seed + 1)[0])


@lru_cache(maxsize=32)
def _clouds(data: ToyData, seed: int) -> tuple[Tensor, Tensor]:
    """Data and noise, 8192 each."""
    with seeded(torch.device("cpu"), seed, 1):
        x, _ = data.sample(SAMPLES)
        return x, torch.randn_like(x)
