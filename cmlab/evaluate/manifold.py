"""Precision and recall of generated samples: Kynkäänniemi et al. 2019.

A set stands for the region that balls about its samples cover, each as large as the distance to
the sample's third nearest neighbour in the set. Precision is the share of generated samples
within the region of the real ones: are they good? Recall is the share of real samples within the
region of the generated ones: is anything missing?

Both depend on the number of samples, since balls shrink where samples are dense: compare at equal
numbers only. A single real outlier has a large ball.
"""

from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from ..components import require
from ..vocabulary import PerSample
from .errorbar import parts, scatter

ROWS = 1000  # rows of the distance matrix that are in memory at a time
NEIGHBOURS = 3


def radii(x: Float[Tensor, "n d"], k: int = NEIGHBOURS) -> PerSample:
    """The distance of each sample to its k-th nearest neighbour. Raises ValueError for n ≤ k."""
    require(len(x) > k, f"{len(x)} samples have no {k}th neighbour: give at least {k + 1}")
    found = []
    for start in range(0, len(x), ROWS):
        away = torch.cdist(x[start : start + ROWS], x)
        away.diagonal(offset=start).fill_(inf)  # a sample is no neighbour of itself
        found.append(away.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(found)


def precision_recall(
    generated: Float[Tensor, "n d"], real: Float[Tensor, "m e"], k: int = NEIGHBOURS
) -> tuple[float, float]:
    """Precision and recall, in float64 and without error bars.

    Raises ValueError for unequal features, and for sets of k samples or fewer.
    """
    require(generated.shape[1] == real.shape[1], f"one set has {generated.shape[1]} features and "
            f"one {real.shape[1]}: both need the same features")  # fmt: skip
    generated, real = generated.double(), real.double()
    ball, own = radii(real, k), radii(generated, k)
    good, reached = [], torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for rows, radius in zip(generated.split(ROWS), own.split(ROWS), strict=True):
        away = torch.cdist(rows, real)
        good.append((away <= ball).any(1))
        reached |= (away <= radius[:, None]).any(0)
    return float(torch.cat(good).double().mean()), float(reached.double().mean())


def precision_recall_error(
    generated: Float[Tensor, "n d"], real: Float[Tensor, "m d"]
) -> tuple[float, float]:
    """Standard errors of both, from the scatter over ten disjoint parts of both sets.

    A part's own numbers have another mean, and its spread is taken to fall as 1/√n. On Gaussian
    features and 1000 samples the errors were 0.9 to 1.6 times the spread of repeated draws,
    those of a coin with the same odds 0.7 to 1.1 times: they forget that the balls are drawn too.
    """
    tenths = zip(parts(len(generated)), parts(len(real), seed=1), strict=True)
    pairs = [
        precision_recall(generated[i.to(generated.device)], real[j.to(real.device)])
        for i, j in tenths
    ]
    good, reached = torch.tensor(pairs).double().T
    return scatter(good), scatter(reached)
