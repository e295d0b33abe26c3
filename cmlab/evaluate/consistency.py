"""Is it the consistency function? Against the exact one by noise level, and against itself.

A model is any denoiser of a process, called as denoise(x_t, t). Exact points are drawn in the
noise level, x + σ z, and handed over as the process's own x_t = α_t (x + σ z), in torch's
default dtype.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..data.toy import ToyData
from ..ops import expand, seeded
from ..oracle import Oracle
from ..process import Process
from ..times import KarrasGrid
from ..vocabulary import Data, Denoise, Time


@dataclass(frozen=True, eq=False)
class Truth:
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
) -> Truth:
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
    return Truth(grid, x_t.reshape(shape), ends.reshape(shape))


@torch.no_grad()
def answers(denoise: Denoise, process: Process, x: Data, level: Time) -> Data:
    """What the model makes of points x + σ z at noise level σ, in float64."""
    x, t = x.to(torch.get_default_dtype()), process.time(level.double())
    alpha, _ = process(t)
    return denoise(expand(alpha, x).to(x) * x, t.to(x)).double()


def rmse_by_level(denoise: Denoise, process: Process, exact: Truth) -> Tensor:
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
