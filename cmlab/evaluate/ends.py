"""Where a sampler ends, against where the exact path through the same noise does."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..data.digits import Digits
from ..data.toy import ToyData
from ..ops import expand, seeded
from ..oracle import Oracle
from ..phases import Phases
from ..process import EDM, Process
from ..sample import Sampler
from ..vocabulary import Data, Denoise, Time
from .digits import Generate
from .features import load_classifier
from .frechet import frechet
from .wasserstein import sliced

NOISES = 4096


@dataclass(frozen=True, eq=False)
class Ends:
    """Noises z (n, d), the exact ends of the paths from σ_max z, and as many fresh samples."""

    z: Tensor
    exact: Tensor  # float64
    fresh: Tensor


@lru_cache(maxsize=8)
def exact_ends(data: ToyData, sigma_max: float, n: int = NOISES, seed: int = 0) -> Ends:
    """The paths from σ_max to noise level 0. Kept in memory."""
    with seeded(torch.device("cpu"), seed, 3):
        fresh, _ = data.sample(n)
        z = torch.randn_like(fresh)
    level = torch.full((n,), sigma_max, dtype=torch.float64)
    exact = data.oracle.flow(sigma_max * z.double(), level, torch.zeros_like(level))
    return Ends(z, exact, fresh)


@dataclass(frozen=True)
class ExactJumps:
    """The denoiser, under EDM, whose line leads from x_t to the exact path's point at the edge.

    What a phased network should learn: with one phase down to 0 it is f*.
    """

    law: Oracle
    phases: Phases

    def __call__(self, x_t: Data, t: Time) -> Data:
        s = self.phases.floor(EDM(), t)
        share = expand(s / t, x_t)
        return (self.law.flow(x_t, t, s) - share * x_t) / (1 - share)


def nearest_mode(data: ToyData, x: Data) -> Tensor:
    """The number of the nearest mode, (n,)."""
    return torch.cdist(x.flatten(1).double(), data.oracle.components.means).argmin(1)


def against(data: ToyData, x: Data, ends: Ends) -> dict[str, float]:
    """Four numbers of samples x that came from the noises ends.z.

    end   mean distance to the exact ends      rms  its root mean square
    same  share that ends nearest to the same mode
    sw    sliced W₂ to fresh data, which does not ask whose noise a sample came from
    """
    away = (x.double() - ends.exact).flatten(1).norm(dim=1)
    same = nearest_mode(data, x) == nearest_mode(data, ends.exact)
    return {
        "end": float(away.mean()),
        "rms": float(away.square().mean().sqrt()),
        "same": float(same.double().mean()),
        "sw": sliced(x, ends.fresh),
    }


@torch.no_grad()
def score_ends(
    denoise: Denoise, process: Process, data: ToyData, sampler: Sampler, calls: int, seed: int = 0
) -> dict[str, float]:
    """`against` for a sampler in so many calls, on draws that depend on the seed alone."""
    ends = exact_ends(data, sampler.sigma_max, seed=seed)
    with seeded(ends.z.device, seed, 4):
        x = sampler(process, denoise, ends.z, calls)
    return against(data, x, ends)


@torch.no_grad()
def digits_by_calls(
    generate: Generate, calls: Sequence[int], n: int = 2000, seed: int = 0
) -> dict[str, float]:
    """fd1, fd2, …: Fréchet distance to the held-out digits by calls. See `score_digits`.

    accuracy is that of the last; the draws are those of `score_digits`.
    """
    eye, held_out = load_classifier(), Digits(train=False)
    labels, truth = held_out.labels[torch.arange(n) % len(held_out)], eye.features(held_out.images)
    found, x = {}, held_out.images
    for many in calls:
        with seeded(torch.device("cpu"), seed):
            z = torch.randn(n, *held_out.shape)
            x = generate(z, labels, many).clamp(-1, 1)
        found[f"fd{many}"] = frechet(eye.features(x), truth)
    return found | {"accuracy": float((eye(x).argmax(1) == labels).double().mean())}
