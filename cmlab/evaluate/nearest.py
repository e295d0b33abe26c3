"""What a generated picture may have been copied from: its nearest training images.

Pixels see copies and little else. Features see the same thing in another place or light; their
distances have the unit of their space.
"""

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ..components import require
from .spaces import pixels

ROWS = 4096  # images that are in memory as floats at a time


def nearest(
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
    found, block = x.new_empty(len(known), len(x)), x.new_empty(ROWS, x.shape[1])
    for part, out in zip(known.split(ROWS), found.split(ROWS), strict=True):
        y = block[: len(part)].copy_(part)
        torch.addmm(y.norm(dim=1, keepdim=True).square(), y, x.T, alpha=-2, out=out)
    return found.T
