"""Wasserstein (W₂, sliced W₂) and energy distances between two sets of samples."""

import torch
from torch import Tensor

from ..gaussian_mixture import require
from ..types import Data


def energy(x: Tensor, y: Tensor) -> float:
    """Energy distance 2 E‖x - y‖ - E‖x - x'‖ - E‖y - y'‖ (Székely & Rizzo 2013), in units of x.

    A sample's distance to itself is left out, so that the mean over draws of the same distribution
    is 0, and single values may be below.

    Args:
        x: samples (n, *d).
        y: samples (m, *d).
    """
    x, y = x.flatten(1).double(), y.flatten(1).double()
    within = (torch.cdist(v, v).sum() / (len(v) * (len(v) - 1)) for v in (x, y))
    return float(2 * torch.cdist(x, y).mean() - sum(within))


def wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """Exact W₂ between two sets of n numbers (…, n): on the line, sorting is optimal.

    Raises:
        ValueError: for sets of different size.
    """
    require(
        a.shape[-1] == b.shape[-1],
        f"clouds of {a.shape[-1]} and {b.shape[-1]} numbers cannot be paired: give equally many",
    )
    return (a.sort().values - b.sort().values).square().mean(-1).sqrt()


def sliced(x: Data, y: Data, directions: int = 128, seed: int = 0) -> float:
    """Sliced W₂: the root mean square of W₂ along random directions, in units of x.

    Two sets of the same distribution differ too, by the random share of each mode where modes are
    separate: compare with the distance of two fresh sets.

    Args:
        x: samples (n, *d).
        y: as many others (n, *d).
        directions: how many.
        seed: of the directions.
    """
    generator = torch.Generator().manual_seed(seed)
    lines = torch.randn(x[0].numel(), directions, generator=generator, dtype=torch.float64)
    lines = (lines / lines.norm(dim=0)).to(x.device)
    a, b = ((v.flatten(1).double() @ lines).T.contiguous() for v in (x, y))
    return float(wasserstein(a, b).square().mean().sqrt())
