"""Wasserstein and energy distances between sets of points."""

import torch
from torch import Tensor

from ..gaussian_mixture import require
from ..types import Data

# The energy distance of two clouds: 0 for the same law, and no directions to choose


def energy(x: Tensor, y: Tensor) -> float:
    """2 E‖x - y‖ - E‖x - x'‖ - E‖y - y'‖ over clouds (n, *d) and (m, *d), in units of x.

    Székely & Rizzo 2013. Each sample is left out of its own distances, so that the mean over
    draws of the same law is 0, and single draws may be below.
    """
    x, y = x.flatten(1).double(), y.flatten(1).double()
    within = (torch.cdist(v, v).sum() / (len(v) * (len(v) - 1)) for v in (x, y))
    return float(2 * torch.cdist(x, y).mean() - sum(within))


# How far two clouds of samples are from one another


def wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """W₂ between two clouds of n numbers (…, n), exactly: on the line, sorting is optimal."""
    require(
        a.shape[-1] == b.shape[-1],
        f"clouds of {a.shape[-1]} and {b.shape[-1]} numbers cannot be paired: give equally many",
    )
    return (a.sort().values - b.sort().values).square().mean(-1).sqrt()


def sliced(x: Data, y: Data, directions: int = 128, seed: int = 0) -> float:
    """Sliced W₂: the root mean square of W₂ along `directions` random lines, fixed by the seed.

    In units of x. Both clouds hold n samples, and two of the same law differ too: where modes lie
    apart, by the chance share of each, so compare with the distance of two fresh clouds.
    """
    generator = torch.Generator().manual_seed(seed)
    lines = torch.randn(x[0].numel(), directions, generator=generator, dtype=torch.float64)
    lines = (lines / lines.norm(dim=0)).to(x.device)
    a, b = ((v.flatten(1).double() @ lines).T.contiguous() for v in (x, y))
    return float(wasserstein(a, b).square().mean().sqrt())
