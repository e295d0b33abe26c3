"""Zero-shot image editing with a consistency model, and the orthogonal bases it edits in.

Song et al. 2023 (arXiv:2303.01469), Algorithm 4 and Appendix D. A part of the image is given, a
consistency model generates the rest. In some invertible basis A, Ω is 1 where A x is missing and 0
where it is given:

    y ← A⁻¹[(A y) (1 - Ω)]          x_t ~ N(y, t²) at the highest level
    x ← f(x_t, t)                   one call
    x ← A⁻¹[(A y) (1 - Ω) + (A x) Ω]   what is given is put back
    x_t ← x + noise of the next level, and again

Given pixels are inpainting, given luminance is colouring, given means of blocks are
super-resolution. The bases here are orthogonal, so that white noise stays white in them.
Paper against the authors' code: the noise has scale t here, as in `multistep`, and √(t² - σ_min²)
there, which is 2.50e-6 less at t = 0.8. openai's editors clamp every call to [-1, 1], as its
samplers do by default; here none is clamped.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..gaussian_mixture import require
from ..process import Process
from ..sampling import descending, multistep
from ..types import Data, Denoise, Time
from .posterior_sampling import require_binary

# Orthogonal bases: pixels, luminance and colour, means of blocks and detail

GREY = (0.2989, 0.5870, 0.1140)  # the weights of red, green and blue in luminance


def orthogonal(first: Tensor, others: Sequence[int]) -> Tensor:
    """An orthogonal matrix (n, n), in float64, whose first column is along `first` (n,).

    The other columns are the axes of these numbers, in this order, orthogonalised (QR).
    """
    axes = torch.eye(len(first), dtype=torch.float64)[:, list(others)]
    q, r = torch.linalg.qr(torch.cat([first.double()[:, None], axes], 1))
    return q * r.diagonal().sign()


class Basis(ABC):
    """An invertible linear basis A, and its inverse."""

    @abstractmethod
    def __call__(self, x: Data) -> Tensor:
        """A x."""

    @abstractmethod
    def back(self, a: Tensor) -> Data:
        """A⁻¹ a."""


@dataclass(frozen=True)
class PixelBasis(Basis):
    """The pixel basis A = 1, for inpainting."""

    def __call__(self, x: Data) -> Tensor:
        return x

    def back(self, a: Tensor) -> Data:
        return a


@dataclass(frozen=True)
class LuminanceBasis(Basis):
    """The luminance basis, for colouring: images (b, 3, h, w) -> (b, h, w, 3).

    Luminance comes first, then two directions of colour.
    """

    @property
    def Q(self) -> Tensor:
        return orthogonal(torch.tensor(GREY), (1, 0))

    def __call__(self, x: Data) -> Tensor:
        require(x.ndim == 4 and x.shape[1] == 3, f"colouring takes images (b, 3, h, w), not a "
                f"tensor of shape {tuple(x.shape)}")  # fmt: skip
        return x.movedim(1, -1) @ self.Q.to(x)

    def back(self, a: Tensor) -> Data:
        return (a @ self.Q.T.to(a)).movedim(-1, 1)


@dataclass(frozen=True)
class BlockBasis(Basis):
    """The block basis, for super-resolution: images (b, c, h, w) -> (b, c, h/p, w/p, p²).

    Of each block of p × p pixels its mean times p comes first, then detail.

    Args:
        side: p, in pixels.
    """

    side: int = 2

    @property
    def Q(self) -> Tensor:
        return orthogonal(torch.ones(self.side**2), range(self.side**2 - 1))

    def __call__(self, x: Data) -> Tensor:
        p, fits = self.side, x.ndim == 4
        fits = fits and x.shape[2] % p == x.shape[3] % p == 0
        require(fits, f"{tuple(x.shape)} are no images (b, c, h, w) of whole {p} × {p} blocks: "
                "give a side that divides both")  # fmt: skip
        blocks = x.unfold(2, p, p).unfold(3, p, p)
        return blocks.flatten(-2) @ self.Q.to(x)

    def back(self, a: Tensor) -> Data:
        p, (b, c, h, w, _) = self.side, a.shape
        blocks = (a @ self.Q.T.to(a)).reshape(b, c, h, w, p, p)
        return blocks.transpose(3, 4).reshape(b, c, h * p, w * p)


@dataclass(frozen=True, eq=False)
class Edit:
    """An editing task: a basis, and the mask Ω in it.

    Args:
        basis: A.
        missing: Ω, 1 where A x is missing and 0 where it is given; it may leave out leading axes.

    Raises:
        ValueError: for a mask with other values than 0 and 1.
    """

    basis: Basis
    missing: Tensor

    def __post_init__(self) -> None:
        require_binary(self.missing, "missing")

    def project(self, x: Data, y: Data) -> Data:
        """A⁻¹[(A y) (1 - Ω) + (A x) Ω]: x where it is missing, and y where it is given."""
        a, given = self.basis(x), self.basis(y)
        omega, shape = tuple(self.missing.shape), tuple(given.shape[1:])
        fits = len(omega) <= len(shape) and all(
            n in (1, m) for n, m in zip(reversed(omega), reversed(shape), strict=False)
        )
        require(fits, f"Ω of shape {omega} does not fit a sample of shape {shape} in this basis")
        return self.basis.back(torch.where(self.missing.to(given.device) > 0, a, given))


def inpainting(missing: Tensor) -> Edit:
    """The task of inpainting: pixels are missing where `missing` (*d) is 1."""
    return Edit(PixelBasis(), missing)


def colouring() -> Edit:
    """The task of colouring: luminance is given, colour is missing."""
    return Edit(LuminanceBasis(), torch.tensor([0.0, 1.0, 1.0]))


def super_resolution(side: int) -> Edit:
    """The task of super-resolution: the mean of each block of `side` × `side` pixels is given."""
    return Edit(BlockBasis(side), (torch.arange(side**2) > 0).double())


def edit(process: Process, f: Denoise, task: Edit, y: Data, times: Tensor) -> Iterator[Data]:
    """Zero-shot editing. Song et al. 2023, Algorithm 4.

    Args:
        process: the process of `f`.
        f: a consistency function, (x_t, t) -> x.
        task: what is given and what is missing.
        y: images whose given part is kept; their missing part does not count.
        times: the times (m,) of the calls, strictly descending.

    Yields:
        The edited images after each call.
    """
    first, *rest = descending(times.to(y))
    t = first.repeat(len(y))
    x = f(process.perturb(task.project(torch.zeros_like(y), y), torch.randn_like(y), t), t)
    yield (x := task.project(x, y))
    for tau in rest:
        t = tau.repeat(len(y))
        x = task.project(f(process.perturb(x, torch.randn_like(y), t), t), y)
        yield x


def stroke(process: Process, f: Denoise, painted: Data, times: Tensor) -> Iterator[Data]:
    """Stroke-guided generation: noise of the first level on a rough painting, then `multistep`."""
    t = descending(times.to(painted))[:1].repeat(len(painted))
    yield from multistep(process, f, process.perturb(painted, torch.randn_like(painted), t), times)


def denoised(f: Denoise, x_t: Data, t: Time) -> Data:
    """Denoise images at any noise levels, by one call."""
    return f(x_t, t)


def interpolated(
    process: Process, f: Denoise, z1: Tensor, z2: Tensor, shares: Sequence[float], t: Time
) -> Data:
    """Interpolate between two noises (*d) on the great circle, with one call for each share."""
    z = torch.stack([slerp(z1, z2, share) for share in shares])
    return f(process.perturb(torch.zeros_like(z), z, t), t)


def slerp(z1: Tensor, z2: Tensor, share: float) -> Tensor:
    """Spherical interpolation (sin((1-s) Ω) z1 + sin(s Ω) z2) / sin Ω, Ω the angle between them.

    The whole tensor, of any shape, is one vector. The norm is kept where both have the same.
    Parallel ones are interpolated linearly.

    Raises:
        ValueError: for opposite ones, which every great circle through one of them joins.
    """
    cosine = torch.cosine_similarity(z1.flatten().double(), z2.flatten().double(), dim=0)
    angle = cosine.clamp(-1, 1).acos()
    if angle > torch.pi - 1e-4:
        raise ValueError("two opposite noises have no one way between them; take another seed")
    if angle < 1e-4:
        return (1 - share) * z1 + share * z2
    near, far = ((1 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin()
    return near.to(z1) * z1 + far.to(z2) * z2
