"""Shapes: synthetic colour images, 32 × 32, whose generating factors are known.

They stand in for photographs. Each has one shape on a plain ground: the factors are which shape,
its colour and the ground's, its place, size and rotation, and its texture. Edges are drawn from
signed distances, so they are sharp and exact at any size.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import torch
from torch import Generator, Tensor

from ..ingredients import ingredient
from ..types import Data, Range

SHAPES = ("disc", "square", "triangle", "ring", "cross")  # the classes, in order of their label
TEXTURES = ("plain", "stripes", "checks")
# Okabe and Ito's colours, in [0, 1]: eight that colour-blind readers tell apart.
COLOURS = torch.tensor(
    [
        [0.00, 0.00, 0.00], [0.90, 0.62, 0.00], [0.34, 0.71, 0.91], [0.00, 0.62, 0.45],
        [0.94, 0.89, 0.26], [0.00, 0.45, 0.70], [0.84, 0.37, 0.00], [0.80, 0.47, 0.65],
    ]
)  # fmt: skip
GROUND = torch.tensor([[1.0, 1.0, 1.0], [0.85, 0.85, 0.85], [0.96, 0.92, 0.84]])

LIGHTER = 0.55  # of the way to white: the light parts of a texture


@dataclass(frozen=True)
class Factors:
    """The factors of n images. Lengths are shares of the image's side."""

    shape: Tensor  # (n,) index into SHAPES
    colour: Tensor  # (n,) index into COLOURS
    ground: Tensor  # (n,) index into GROUND
    texture: Tensor  # (n,) index into TEXTURES
    place: Tensor  # (n, 2) the shape's centre, x to the right and y down, in [0, 1]
    radius: Tensor  # (n,) of the disc; the other shapes fit the same circle
    turn: Tensor  # (n,) in radians


@ingredient
@dataclass(frozen=True)
class Shapes:
    """An endless data set of shapes; the label is the kind of shape.

    Args:
        size: pixels a side. Raises ValueError below 8.
    """

    size: Annotated[int, Range("[8, 512]")] = 32

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: channels, height, width."""
        return (3, self.size, self.size)

    @property
    def classes(self) -> int:
        return len(SHAPES)

    @cached_property
    def sigma_data(self) -> float:
        """Standard deviation of the pixels, from 2000 images of a fixed seed."""
        x, _ = self.sample(2000, torch.Generator().manual_seed(0))
        return float(x.double().std())

    def factors(self, n: int, generator: Generator | None = None) -> Factors:
        """Independent factors of n images, each uniform over its range."""
        kinds = (len(SHAPES), len(COLOURS), len(GROUND), len(TEXTURES))
        drawn = (torch.randint(k, (n,), generator=generator) for k in kinds)
        shape, colour, ground, texture = drawn
        u = torch.rand(n, 4, generator=generator)
        radius = 0.2 + 0.14 * u[:, 2]
        place = radius[:, None] + u[:, :2] * (1 - 2 * radius[:, None])  # wholly in the image
        turn = 2 * math.pi * u[:, 3]
        return Factors(shape, colour, ground, texture, place, radius, turn)

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Data, Tensor]:
        """n images (n, 3, size, size) in [-1, 1], and their labels (n,)."""
        factors = self.factors(n, generator)
        return self.draw(factors), factors.shape

    def draw(self, factors: Factors) -> Data:
        """The images (n, 3, size, size) of these factors."""
        u, v = self.local(factors)
        pixels = (factors.radius * self.size)[:, None, None]  # in one unit of u and v
        each = torch.arange(len(u))
        signed = torch.stack([distance(u, v) for distance in DISTANCES], 1)[each, factors.shape]
        cover = coverage(-signed * pixels)[:, None]
        rows, columns = coverage(stripes(u) * pixels), coverage(stripes(v) * pixels)
        checks = rows + columns - 2 * rows * columns
        light = torch.stack([torch.zeros_like(rows), rows, checks], 1)[each, factors.texture]
        ink = COLOURS[factors.colour][:, :, None, None]
        ink = ink + LIGHTER * light[:, None] * (1 - ink)
        ground = GROUND[factors.ground][:, :, None, None]
        return 2 * (ground + cover * (ink - ground)) - 1

    def local(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """Pixel coordinates in the shape's frame, in units of its radius: (n, size, size) each."""
        line = (torch.arange(self.size) + 0.5) / self.size
        x = line[None, None, :] - factors.place[:, 0, None, None]
        y = line[None, :, None] - factors.place[:, 1, None, None]
        c, s = factors.turn.cos()[:, None, None], factors.turn.sin()[:, None, None]
        radius = factors.radius[:, None, None]
        return (c * x + s * y) / radius, (c * y - s * x) / radius


def coverage(depth: Tensor) -> Tensor:
    """The share of a pixel that lies inside, from the depth of its centre in pixels."""
    return (depth + 0.5).clamp(0, 1)


def stripes(u: Tensor) -> Tensor:
    """The depth inside the nearest stripe of a pattern of period 1, each stripe half of it."""
    return 0.25 - ((u - 0.25) % 1 - 0.5).abs()


def box(u: Tensor, v: Tensor, half_u: float, half_v: float) -> Tensor:
    """The signed distance to a box, negative inside."""
    du, dv = u.abs() - half_u, v.abs() - half_v
    return torch.hypot(du.clamp_min(0), dv.clamp_min(0)) + torch.maximum(du, dv).clamp_max(0)


def triangle(u: Tensor, v: Tensor) -> Tensor:
    """The signed distance to an equilateral triangle; exact away from the corners."""
    sides = [math.pi / 2 + 2 * math.pi * k / 3 for k in range(3)]
    return torch.stack([u * math.cos(a) + v * math.sin(a) for a in sides]).amax(0) - 0.5


# In units of the radius: each shape touches the unit circle or lies within it.
DISTANCES = (
    lambda u, v: torch.hypot(u, v) - 1,
    lambda u, v: box(u, v, math.sqrt(0.5), math.sqrt(0.5)),
    triangle,
    lambda u, v: (torch.hypot(u, v) - 0.75).abs() - 0.25,
    lambda u, v: torch.minimum(box(u, v, 0.94, 0.33), box(u, v, 0.33, 0.94)),
)
