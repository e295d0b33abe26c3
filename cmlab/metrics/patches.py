"""Patch distance: sliced Wasserstein distance between patches of images at several scales.

Karras et al. 2018 (progressive growing), Sec. 5: an image is decomposed into a Laplacian pyramid,
and small patches of each level are compared; fine levels measure sharpness and coarse ones layout.
No feature extractor is needed.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ..gaussian_mixture import require
from ..types import Data
from .wasserstein import sliced

SIDE, EACH = 7, 16  # pixels a side of a patch, patches of each image and level


def pyramid(x: Data, levels: int) -> list[Tensor]:
    """Laplacian pyramid of images (b, c, n, n): the detail of each level, finest first."""
    found = []
    for _ in range(levels - 1):
        small = functional.avg_pool2d(x, 2)
        found.append(x - functional.interpolate(small, scale_factor=2, mode="bilinear"))
        x = small
    return [*found, x]


def patches(x: Data, seed: int) -> Tensor:
    """EACH patches of every image, at places fixed by the seed: (b · EACH, c · SIDE²)."""
    generator = torch.Generator().manual_seed(seed)
    room = x.shape[-1] - SIDE + 1
    every = functional.unfold(x, SIDE).transpose(1, 2)  # (b, room², c · SIDE²)
    place = torch.randint(room**2, (len(x), EACH), generator=generator)
    return every.gather(1, place[..., None].expand(-1, -1, every.shape[-1])).flatten(0, 1)


def patch_distance(x: Tensor, y: Tensor, seed: int = 0) -> list[float]:
    """Patch distance of two sets of images, by level of the pyramid, finest first.

    Two sets of the same distribution differ as well: compare with `n` fresh real images.

    Args:
        x: images (n, c, h, h).
        y: as many others.
        seed: of the patches and of the directions.

    Returns:
        Sliced W₂ in units of the pixel values, for levels of 32, 16 and 8 pixels a side from
        images of 32.

    Raises:
        ValueError: for sets of different shape, and for images below 8 pixels.
    """
    require(x.shape == y.shape, f"{tuple(x.shape)} and {tuple(y.shape)}: give equally many "
            "pictures of one size")  # fmt: skip
    require(x.shape[-1] >= 8, f"pictures of {x.shape[-1]} pixels hold no patch; give 8 or more")
    levels = 1 + (x.shape[-1] // 8).bit_length() - 1
    pairs = zip(pyramid(x, levels), pyramid(y, levels), strict=True)
    return [sliced(patches(a, seed), patches(b, seed), seed=seed) for a, b in pairs]
