"""What the picture of one path shows: a point with both answers, and all that stays the same."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..oracle import Mixture1D
from .consistency import between_modes, fan

SIGMA_MIN = 0.002
REACH = 4.6  # the largest |x| shown


@dataclass(frozen=True)
class Point:
    """A point (x, t) with the two answers that a network could be asked for."""

    x: float
    t: float
    f: float
    mean: float


def exact(values: list) -> Tensor:
    """A tensor in float64: at 0.7 of float32 a path has moved on by 3e-8."""
    return torch.tensor(values, dtype=torch.float64)


def point(law: Mixture1D, x: float, t: float) -> Point:
    """The point at noise level t, with the exact f and D."""
    here, level = exact([[x]]), exact([t])
    return Point(x, t, float(law.consistency(here, level)), float(law.denoise(here, level)))


@dataclass(frozen=True)
class Scene:
    """What stays the same while a point moves: levels (m,), paths (m, n), the data, their gap."""

    law: Mixture1D
    levels: Tensor
    ways: Tensor
    rows: Tensor
    density: Tensor
    empty: tuple[float, float]


def scene(law: Mixture1D, high: float, paths: int = 15) -> Scene:
    """The scene of a law up to noise level `high`."""
    levels, ways = fan(law, high, paths, levels=40)
    rows = torch.linspace(-REACH, REACH, 400).double()[:, None]
    density = law.log_density(rows, torch.full_like(rows[:, 0], SIGMA_MIN)).exp()
    gap = rows[between_modes(law, rows)]
    empty = (float(gap.min()), float(gap.max())) if len(gap) else (0.0, 0.0)
    return Scene(law, levels, ways, rows[:, 0], density / density.max(), empty)
