"""Precision and recall of samples, and nearest neighbours among training data.

Precision and recall of generated samples: Kynkäänniemi et al. 2019.

A set stands for the region that balls about its samples cover, each as large as the distance to
the sample's third nearest neighbour in the set. Precision is the share of generated samples
within the region of the real ones: are they good? Recall is the share of real samples within the
region of the generated ones: is anything missing?

Both depend on the number of samples, since balls shrink where samples are dense: compare at equal
numbers only. A single real outlier has a large ball.

What a generated picture may have been copied from: its nearest training images.

Pixels see copies and little else. Features see the same thing in another place or light; their
distances have the unit of their space.
"""

from math import inf

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ..gaussian_mixture import require
from ..types import PerSample
from .feature_extractors import pixels
from .frechet import check_finite, parts, scatter

# Precision and recall of generated samples: Kynkäänniemi et al. 2019

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

    Raises ValueError for unequal features or some that are not finite, and for sets of k samples
    or fewer.
    """
    check_finite(generated, real)
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


# What a generated picture may have been copied from: its nearest training images

NEIGHBOUR_ROWS = 4096  # images that are in memory as floats at a time


def nearest_images(
    x: Float[Tensor, "b c h w"], images: UInt8[Tensor, "n c h w"], k: int = 8
) -> tuple[Float[Tensor, "b k"], Int64[Tensor, "b k"]]:
    """Distances ‖x - x_i‖ to the k nearest images, ascending, and their indices.

    x has values in [-1, 1] and is rounded to bytes first, so that a copy is at 0; distances are
    in its unit. An image and its mirror image count as one, at the smaller distance. Raises
    ValueError when there are fewer than k images.
    """
    x = pixels(x).to(images.device).float()
    distances, indices = search(torch.stack([x, x.flip(-1)]).flatten(2), images.flatten(1), k)
    return distances / 127.5, indices


def nearest_features(
    x: Float[Tensor, "b d"], known: Float[Tensor, "n d"], k: int = 8
) -> tuple[Float[Tensor, "b k"], Int64[Tensor, "b k"]]:
    """The same among features: distances in their unit, ascending, and indices."""
    return search(x[None].to(known.device).float(), known, k)


def search(x: Tensor, known: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Of v versions of b queries (v, b, d), the nearer one's k neighbours among `known` (n, d)."""
    n = len(known)
    require(0 < k <= n, f"{n} training images have no {k} nearest: give k from 1 to {n}")
    rough = squares(x.flatten(0, 1), known).unflatten(0, x.shape[:2]).amin(0)
    near = rough.topk(min(2 * k, n), largest=False).indices
    apart = x[:, :, None] - known[near].float()  # what the subtraction of squares has lost
    distances, order = apart.square().sum(3).amin(0).sqrt().topk(k, largest=False)
    return distances, near.gather(1, order)


def squares(x: Tensor, known: Tensor) -> Tensor:
    """‖x_i - y_j‖² - ‖x_i‖² in float32, in blocks of y and through one block of memory: (b, n)."""
    found, block = x.new_empty(len(known), len(x)), x.new_empty(NEIGHBOUR_ROWS, x.shape[1])
    for part, out in zip(known.split(NEIGHBOUR_ROWS), found.split(NEIGHBOUR_ROWS), strict=True):
        y = block[: len(part)].copy_(part)
        torch.addmm(y.norm(dim=1, keepdim=True).square(), y, x.T, alpha=-2, out=out)
    return found.T
