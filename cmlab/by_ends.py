"""Judges of a sampler that is meant for one number of calls, as a phased one is for its phases."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .evaluate.ends import digits_by_calls, score_ends
from .ingredients import ingredient
from .model import Denoiser
from .sample import Sampler


@ingredient
@dataclass(frozen=True)
class ByEnds:
    """Toy data: where the samples end, after `calls` calls, against the exact paths' ends."""

    calls: int = 4
    seed: int = 0

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        return score_ends(model, model.process, data, sampler, self.calls, self.seed)


@ingredient
@dataclass(frozen=True)
class DigitsByCalls:
    """Fréchet distance of generated digits to held-out ones, for each number of calls."""

    calls: tuple[int, ...] = (1, 2, 4)
    n: int = 2000
    seed: int = 0

    def __call__(self, model: Denoiser, data: Any, sampler: Sampler) -> dict[str, float]:
        def generate(z: Tensor, labels: Tensor, calls: int) -> Tensor:
            with torch.no_grad():
                return sampler(model.process, lambda x_t, t: model(x_t, t, labels), z, calls)

        return digits_by_calls(generate, self.calls, self.n, self.seed)
