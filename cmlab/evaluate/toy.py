"""The score of a toy run: distance to the exact consistency function, and its samples."""

from functools import lru_cache

import torch
from torch import Tensor

from ..components import Components
from ..data.toy import ToyData
from ..ops import seeded
from ..process import Process
from ..sample import FewSteps, Sampler
from ..vocabulary import Data, Denoise
from .consistency import rmse_by_level, truth
from .wasserstein import sliced

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
