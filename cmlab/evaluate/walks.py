"""How well a denoiser denoises, and where its walk from noise ends.

A walk is Heun's method down 18 levels to 0: 35 calls.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..curriculum import Quantiles
from ..data.toy import ToyData
from ..distance import EDMWeight
from ..guide import Exact
from ..model import Model
from ..ops import expand, seeded, sum_squares
from ..process import EDM, Process
from ..sample import ode
from ..times import KarrasGrid, LogNormal
from ..vocabulary import Data, Denoise
from .consistency import answers

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
