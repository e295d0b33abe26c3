"""Precision and recall of generated samples, and nearest neighbours among training images.

Precision and recall are those of Kynkäänniemi et al. 2019. The support of a set is estimated by
balls about its samples, with the distance to the third nearest neighbour in the set as radius.
Precision is the share of generated samples within the support of the real ones (quality), recall
the share of real samples within the support of the generated ones (coverage).

Both depend on the number of samples, since balls shrink where samples are dense: compare at equal
numbers only. A single real outlier has a large ball.

Nearest neighbours show what a generated image may have been copied from. In pixels they find exact
copies and little else: two versions of one photograph of CIFAR-10 lie at 6.98, an aeroplane and a
ship at 5.50, but by the features of `CifarSpace` at 4.4 and 19.5. Yet samples far away in pixels
may come as near as 4.4. Find candidates by features, then compare pixels and look at both images.
No two training images of one class are nearer in pixels than 6.97, 16 grey levels RMS, and just
above that lie pairs of the same photograph; the mirror image of another comes as near as 1.7.
"""

from math import inf

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ..gaussian_mixture import require
from ..types import PerSample
from .feature_extractors import pixels
from .frechet import check_finite, parts, scatter

ROWS = 1000  # rows of the distance matrix that are in memory at a time
NEIGHBOURS = 3


def radii(x: Float[Tensor, "n d"], k: int = NEIGHBOURS) -> PerSample:
    """Distance of each sample to its k-th nearest neighbour, (n,). Raises ValueError for n ≤ k."""
    require(len(x) > k, f"{len(x)} samples have no {k}th neighbour: give at least {k + 1}")
    found = []
    for start in range(0, len(x), ROWS):
        distance = torch.cdist(x[start : start + ROWS], x)
        distance.diagonal(offset=start).fill_(inf)  # a sample is no neighbour of itself
        found.append(distance.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(found)


def precision_recall(
    generated: Float[Tensor, "n d"], real: Float[Tensor, "m e"], k: int = NEIGHBOURS
) -> tuple[float, float]:
    """Precision and recall, in float64 and without error bars.

    Args:
        generated: features of generated samples.
        real: features of real ones, d = e.
        k: the neighbour whose distance is a ball's radius.

    Raises:
        ValueError: for unequal features or some that are not finite, and for sets of k samples
            or fewer.
    """
    check_finite(generated, real)
    require(generated.shape[1] == real.shape[1], f"one set has {generated.shape[1]} features and "
            f"one {real.shape[1]}: both need the same features")  # fmt: skip
    generated, real = generated.double(), real.double()
    ball, own = radii(real, k), radii(generated, k)
    good, reached = [], torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for rows, radius in zip(generated.split(ROWS), own.split(ROWS), strict=True):
        distance = torch.cdist(rows, real)
        good.append((distance <= ball).any(1))
        reached |= (distance <= radius[:, None]).any(0)
    return float(torch.cat(good).double().mean()), float(reached.double().mean())


def precision_recall_error(
    generated: Float[Tensor, "n d"], real: Float[Tensor, "m d"]
) -> tuple[float, float]:
    """Standard errors of precision and recall, from ten disjoint parts of both sets.

    A part's own values have another mean, and their spread is taken to fall as 1/√n. On Gaussian
    features and 1000 samples the errors were 0.9 to 1.6 times the spread of repeated draws,
    binomial errors 0.7 to 1.1 times: they ignore that the balls are random too.
    """
    tenths = zip(parts(len(generated)), parts(len(real), seed=1), strict=True)
    pairs = [
        precision_recall(generated[i.to(generated.device)], real[j.to(real.device)])
        for i, j in tenths
    ]
    good, reached = torch.tensor(pairs).double().T
    return scatter(good), scatter(reached)


NEIGHBOUR_ROWS = 4096  # images that are in memory as floats at a time


def nearest_images(
    x: Float[Tensor, "b c h w"], images: UInt8[Tensor, "n c h w"], k: int = 8
) -> tuple[Float[Tensor, "b k"], Int64[Tensor, "b k"]]:
    """Nearest neighbours in pixels: distances ‖x - x_i‖, ascending, and indices of the images.

    An image and its mirror image count as one, at the smaller distance.

    Args:
        x: images in [-1, 1], rounded to bytes first, so that an exact copy is at 0.
        images: the training images.
        k: how many neighbours.

    Returns:
        Distances, in the unit of x, and indices.

    Raises:
        ValueError: when there are fewer than k images.
    """
    x = pixels(x).to(images.device).float()
    distances, indices = search(torch.stack([x, x.flip(-1)]).flatten(2), images.flatten(1), k)
    return distances / 127.5, indices


def search(x: Tensor, known: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of `known` (n, d) to b queries, each in v versions (v, b, d)."""
    n = len(known)
    require(0 < k <= n, f"{n} training images have no {k} nearest: give k from 1 to {n}")
    rough = squares(x.flatten(0, 1), known).unflatten(0, x.shape[:2]).amin(0)
    near = rough.topk(min(2 * k, n), largest=False).indices
    gap = x[:, :, None] - known[near].float()  # again: the difference of squares lost digits
    distances, order = gap.square().sum(3).amin(0).sqrt().topk(k, largest=False)
    return distances, near.gather(1, order)


def squares(x: Tensor, known: Tensor) -> Tensor:
    """‖x_i - y_j‖² - ‖x_i‖² in float32, block by block of y in one buffer: (b, n)."""
    found, block = x.new_empty(len(known), len(x)), x.new_empty(NEIGHBOUR_ROWS, x.shape[1])
    for part, out in zip(known.split(NEIGHBOUR_ROWS), found.split(NEIGHBOUR_ROWS), strict=True):
        y = block[: len(part)].copy_(part)
        torch.addmm(y.norm(dim=1, keepdim=True).square(), y, x.T, alpha=-2, out=out)
    return found.T
