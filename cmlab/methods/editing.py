"""Zero-shot image editing with a consistency model, and the orthogonal bases it edits in.

Zero-shot editing: a part of the image is given, a consistency model makes the rest.

Song et al. 2023 (arXiv 2303.01469), Algorithm 4 and Appendix D. In some basis A, invertible, Ω
is 1 where A x is missing and 0 where it is given:

    y ← A⁻¹[(A y) (1 - Ω)]          x_t ~ N(y, t²) at the highest level
    x ← f(x_t, t)                   one call
    x ← A⁻¹[(A y) (1 - Ω) + (A x) Ω]   what is given is put back
    x_t ← x + noise of the next level, and again

Pixels given is inpainting, grey given is colouring, means of fields given is super-resolution.
Paper against the authors' code: the noise has scale t here, as in `multistep`, and √(t² - σ_min²)
there, which is 2.50e-6 less at t = 0.8. openai's editors clamp every call to [-1, 1], as its
samplers do by default; here none is clamped.

Bases in which the given part of an image is a block of coordinates: pixels, luminance, means.

Each is an invertible linear A, here orthogonal, so that white noise stays white in it. Song et
al. 2023 (arXiv 2303.01469), Appendix D.
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
from .posterior_sampling import whole

# Bases in which the given part of an image is a block of coordinates: pixels, luminance, means

GREY = (0.2989, 0.5870, 0.1140)  # what red, green and blue count in luminance


def orthogonal(first: Tensor, others: Sequence[int]) -> Tensor:
    """An orthogonal matrix (n, n) in float64 whose first column is along `first` (n,).

    The other columns are axes, in this order, made orthogonal to all before them.
    """
    axes = torch.eye(len(first), dtype=torch.float64)[:, list(others)]
    q, r = torch.linalg.qr(torch.cat([first.double()[:, None], axes], 1))
    return q * r.diagonal().sign()


class Basis(ABC):
    """A, and the way back."""

    @abstractmethod
    def __call__(self, x: Data) -> Tensor:
        """A x."""

    @abstractmethod
    def back(self, a: Tensor) -> Data:
        """A⁻¹ a."""


@dataclass(frozen=True)
class Pixels(Basis):
    """A = 1."""

    def __call__(self, x: Data) -> Tensor:
        return x

    def back(self, a: Tensor) -> Data:
        return a


@dataclass(frozen=True)
class Luminance(Basis):
    """Images (b, 3, h, w) -> (b, h, w, 3): luminance first, then two directions of colour."""

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
class Patches(Basis):
    """Images -> (b, c, h/p, w/p, p²): of each p × p field first its mean times p, then detail."""

    side: int = 2

    @property
    def Q(self) -> Tensor:
        return orthogonal(torch.ones(self.side**2), range(self.side**2 - 1))

    def __call__(self, x: Data) -> Tensor:
        p, fits = self.side, x.ndim == 4
        fits = fits and x.shape[2] % p == x.shape[3] % p == 0
        require(fits, f"{tuple(x.shape)} are no images (b, c, h, w) of whole {p} × {p} fields: "
                "give a side that divides both")  # fmt: skip
        fields = x.unfold(2, p, p).unfold(3, p, p)
        return fields.flatten(-2) @ self.Q.to(x)

    def back(self, a: Tensor) -> Data:
        p, (b, c, h, w, _) = self.side, a.shape
        fields = (a @ self.Q.T.to(a)).reshape(b, c, h, w, p, p)
        return fields.transpose(3, 4).reshape(b, c, h * p, w * p)


@dataclass(frozen=True, eq=False)
class Edit:
    """A basis, and Ω in it: 1 where something is missing. Ω may leave out leading axes."""

    basis: Basis
    missing: Tensor

    def __post_init__(self) -> None:
        whole(self.missing, "missing")

    def project(self, x: Data, y: Data) -> Data:
        """x where something is missing, and y elsewhere, both in the basis."""
        a, given = self.basis(x), self.basis(y)
        omega, shape = tuple(self.missing.shape), tuple(given.shape[1:])
        fits = len(omega) <= len(shape) and all(
            n in (1, m) for n, m in zip(reversed(omega), reversed(shape), strict=False)
        )
        require(fits, f"Ω of shape {omega} does not fit a sample of shape {shape} in this basis")
        return self.basis.back(torch.where(self.missing.to(given.device) > 0, a, given))


def inpainting(missing: Tensor) -> Edit:
    """Pixels are missing where this (*d) is 1."""
    return Edit(Pixels(), missing)


def colouring() -> Edit:
    """Luminance is given, colour is missing."""
    return Edit(Luminance(), torch.tensor([0.0, 1.0, 1.0]))


def super_resolution(side: int) -> Edit:
    """The mean of each field of `side` × `side` pixels is given."""
    return Edit(Patches(side), (torch.arange(side**2) > 0).double())


def edit(process: Process, f: Denoise, task: Edit, y: Data, times: Tensor) -> Iterator[Data]:
    """The edited images after each call, with what is given of y in them. Algorithm 4."""
    first, *rest = descending(times.to(y))
    t = first.repeat(len(y))
    x = f(process.perturb(task.project(torch.zeros_like(y), y), torch.randn_like(y), t), t)
    yield (x := task.project(x, y))
    for tau in rest:
        t = tau.repeat(len(y))
        x = task.project(f(process.perturb(x, torch.randn_like(y), t), t), y)
        yield x


def stroke(process: Process, f: Denoise, painted: Data, times: Tensor) -> Iterator[Data]:
    """From a rough painting: noise of the first level hides its faults, then `multistep`."""
    t = descending(times.to(painted))[:1].repeat(len(painted))
    yield from multistep(process, f, process.perturb(painted, torch.randn_like(painted), t), times)


def denoised(f: Denoise, x_t: Data, t: Time) -> Data:
    """Images without their noise, at any levels: one call."""
    return f(x_t, t)


def interpolated(
    process: Process, f: Denoise, z1: Tensor, z2: Tensor, shares: Sequence[float], t: Time
) -> Data:
    """One call for each share of the way between two noises (*d), on the great circle."""
    z = torch.stack([slerp(z1, z2, share) for share in shares])
    return f(process.perturb(torch.zeros_like(z), z, t), t)


def slerp(z1: Tensor, z2: Tensor, share: float) -> Tensor:
    """(sin((1-s) Ω) z1 + sin(s Ω) z2) / sin Ω, with Ω the angle between z1 and z2 (any shape).

    The whole tensor is one vector. It turns at an even pace, and keeps the norm where both have
    the same. Parallel ones are mixed straight. Raises ValueError for opposite ones: there every
    great circle leads from one to the other.
    """
    cosine = torch.cosine_similarity(z1.flatten().double(), z2.flatten().double(), dim=0)
    angle = cosine.clamp(-1, 1).acos()
    if angle > torch.pi - 1e-4:
        raise ValueError("two opposite noises have no one way between them; take another seed")
    if angle < 1e-4:
        return (1 - share) * z1 + share * z2
    near, far = ((1 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin()
    return near.to(z1) * z1 + far.to(z2) * z2
