"""Zero-shot editing: a part of the image is given, a consistency model makes the rest.

Song et al. 2023 (arXiv 2303.01469), Algorithm 4 and Appendix D. In some basis A, invertible, Ω
is 1 where A x is missing and 0 where it is given:

    y ← A⁻¹[(A y) (1 - Ω)]          x_t ~ N(y, t²) at the highest level
    x ← f(x_t, t)                   one call
    x ← A⁻¹[(A y) (1 - Ω) + (A x) Ω]   what is given is put back
    x_t ← x + noise of the next level, and again

Pixels given is inpainting, grey given is colouring, means of fields given is super-resolution.
The noise has scale t, as in `multistep`; the paper's √(t² - ε²) differs by 2.4e-6 at t = 0.8.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .bases import Basis, Luminance, Patches, Pixels
from .components import require
from .operators import whole
from .process import Process
from .sample import descending, multistep
from .vocabulary import Data, Denoise, Time


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
