"""The kernel distance between two sets of features: KID, Bińkowski et al. 2018.

    MMD² = E k(a, a') + E k(b, b') - 2 E k(a, b),   k(a, b) = (⟨a, b⟩/d + 1)³

a and a' are two samples of one law and never the same sample, so the estimate has no bias: for
equal laws it is as often below 0 as above, whatever the number of samples. The kernel has no
scale of its own. A number speaks of features in their own unit and of no others.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import require
from .errorbar import parts, scatter

ROWS = 1024  # rows of the kernel matrix that are in memory at a time


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """(⟨a_i, b_j⟩/d + 1)³: (n, m)."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def total(a: Tensor, b: Tensor) -> Tensor:
    """The sum of the kernel over all pairs, a block of rows at a time."""
    return torch.stack([kernel(rows, b).sum() for rows in a.split(ROWS)]).sum()


def within(a: Tensor) -> Tensor:
    """The mean of the kernel over pairs of two different samples of one set."""
    same = (a.square().mean(1) + 1) ** 3
    return (total(a, a) - same.sum()) / (len(a) * (len(a) - 1))


def mmd2(a: Float[Tensor, "n d"], b: Float[Tensor, "m e"]) -> float:
    """The unbiased MMD² of two sets of d = e features, in float64; no error bar.

    Raises ValueError for unequal features and for sets of fewer than two samples.
    """
    require(a.shape[1] == b.shape[1], f"one set has {a.shape[1]} features and one {b.shape[1]}: "
            "both need the same features")  # fmt: skip
    require(min(len(a), len(b)) > 1, "a set of one sample holds no pair: give two or more")
    a, b = a.double(), b.double()
    return float(within(a) + within(b) - 2 * total(a, b) / (len(a) * len(b)))


def kernel_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m e"]) -> tuple[float, float]:
    """MMD²: the mean over ten pairs of subsets, and its standard error.

    The subsets are disjoint, 1000 each from 10 000 samples: a hundred overlapping ones, as is
    common, have a standard error that more subsets make as small as one likes.
    """
    subsets = zip(parts(len(a)), parts(len(b), seed=1), strict=True)
    found = torch.tensor([mmd2(a[i.to(a.device)], b[j.to(b.device)]) for i, j in subsets]).double()
    return float(found.mean()), scatter(found)
