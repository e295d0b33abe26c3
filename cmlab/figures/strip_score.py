"""How near the few pictures of a strip are to real ones: a rough look at quality on the way."""

from dataclasses import dataclass
from statistics import mean

import numpy as np
import torch
from torch import Tensor

from ..evaluate.patches import patch_distance
from .run_diary import Diary


@dataclass(frozen=True)
class Scored:
    """Patch distances of each sheet's pictures, and of as many real ones: (sheets,) and bounds."""

    values: np.ndarray
    floor: tuple[float, float]  # lowest and highest of real pictures against others
    pictures: int  # in each set


def pictures(strip: np.ndarray) -> Tensor:
    """The pictures of a strip, uint8 (h + 1, n (w + 1), 3), as (n, 3, h, w) in [-1, 1]."""
    side = len(strip)
    count = strip.shape[1] // side
    x = torch.from_numpy(strip.copy()).reshape(side, count, side, 3)[:-1, :, :-1]
    return x.permute(1, 3, 0, 2).float() / 127.5 - 1


def scored(run: Diary, real: Tensor, calls: int = 1) -> Scored:
    """Mean distance of each sheet to the sets of `real` (sets, n, 3, h, w), and theirs to others.

    The first half of the sets is the reference, the second half stands in for what was made.
    """
    reference, others = real[: len(real) // 2], real[len(real) // 2 :]

    def away(x: Tensor) -> float:
        return mean(mean(patch_distance(x, y)) for y in reference)

    values = [away(pictures(run.strip(k, calls))) for k in range(len(run.sheets))]
    floor = [away(x) for x in others]
    return Scored(np.array(values), (min(floor), max(floor)), real.shape[1])
