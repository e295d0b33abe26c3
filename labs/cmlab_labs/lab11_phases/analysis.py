"""Analysis for lab 11: samples off the modes, a second call, and the search for its level."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from cmlab.metrics.toy import coverage
from cmlab.metrics.wasserstein import sliced
from cmlab.ops import seeded
from cmlab.presets import toy
from cmlab.process import VarianceExploding
from cmlab.sampling import Sampler
from cmlab.types import Data, Denoise

DRAWS = 8192


def off_modes(x: Data) -> float:
    """The fraction of samples x (n, 2) that are over three std from every mode of the ring."""
    return 1 - coverage(x, toy.RING.oracle.components)[0]


@cache
def fixed_draws() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Data, as much fresh data, and the noise of a first and of a second call, each (n, 2)."""
    with seeded(torch.device("cpu"), 7):
        x, fresh = (toy.RING.sample(DRAWS)[0] for _ in range(2))
        return x, fresh, torch.randn_like(x), torch.randn_like(x)


@torch.no_grad()
def off_by_calls(f: Denoise, sampler: Sampler, calls: int) -> float:
    """The fraction off the modes of a sampler's answers in this number of calls."""
    with seeded(torch.device("cpu"), 8):
        return off_modes(sampler(VarianceExploding(), f, fixed_draws()[2], calls))


class SecondCall:
    """Two calls of f from fixed noise: the first at σ_max, the second at a level to choose.

    Args:
        f: the consistency function.
        seed: None for the fixed noise of the second call; a number for another draw of all.
    """

    def __init__(self, f: Denoise, seed: int | None = None) -> None:
        self.f = f
        self.x, self.fresh, z, self.z = fixed_draws()
        if seed is not None:
            with seeded(torch.device("cpu"), seed):
                z, self.z = torch.randn_like(z), torch.randn_like(z)
        self.first = self.answer(toy.SIGMA_MAX * z, toy.SIGMA_MAX)

    @torch.no_grad()
    def answer(self, x_t: Data, level: float) -> Data:
        return self.f(x_t, torch.full((len(x_t),), level))

    @property
    def once(self) -> tuple[float, float]:
        """After the first call: sliced W₂ to data, and the fraction off the modes."""
        return sliced(self.first, self.fresh), off_modes(self.first)

    def scores(self, level: float) -> tuple[float, float]:
        """After a second call at this level: sliced W₂ to data, and the fraction off the modes."""
        x = self.answer(self.first + level * self.z, level)
        return sliced(x, self.fresh), off_modes(x)

    def from_data(self, level: float) -> float:
        """The fraction off the modes of one call, on data with noise of this level."""
        return off_modes(self.answer(self.x + level * self.z, level))


def ternary(score: Callable[[float], float], low: float, high: float, rounds: int) -> float:
    """The minimiser of a unimodal score between low and high, by ternary search.

    Each round asks at both thirds, and drops the outer third beside the larger score: 2 calls,
    and two thirds of the interval are left. Song et al. 2023, Sec. 3, name it for Algorithm 1.
    """
    for _ in range(rounds):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if score(left) < score(right):
            high = right
        else:
            low = left
    return (low + high) / 2
