"""How far two clouds of samples are from one another."""

import torch
from torch import Tensor

from ..components import require
from ..vocabulary import Data


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
