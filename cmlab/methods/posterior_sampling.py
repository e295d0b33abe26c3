"""Diffusion posterior sampling for inverse problems y = A(x), and measurement operators A.

Xu et al. 2024 (arXiv:2403.12063), after Chung et al. 2023 (DPS). At each noise level t > r

    D = E[x | x_t]                     the denoiser takes the sampler's step, without a gradient
    h = D(x_t, t)  or  f(x_t, t)       the operator's argument: DPS, or the paper's proposal
    x_r = an ancestral Euler step from x_t  -  ζ t ∇ ‖y - A(h)‖₂       by x_t, and not squared

The operator was made for clean data. D is a posterior mean, and a mean of data need not look like
data, which matters for a non-linear A; f gives a point that could be data. `estimate` chooses, and
nothing else changes. The paper adds noise to h before a classifier is applied, for robustness;
here that is left to A.

An operator is any callable x (b, *d) -> y (b, *m). The linear ones also have an adjoint,
⟨A x, y⟩ = ⟨x, Aᵀ y⟩, and can be written out as a matrix.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import cross_entropy

from ..gaussian_mixture import require
from ..ops import expand
from ..sampling import descending
from ..types import Data, Denoise, PerSample, Time
from .ict import PseudoHuber

# Measurement operators

Operator = Callable[[Tensor], Tensor]  # x -> the measurement


class Linear(ABC):
    """A linear measurement operator y = A x."""

    @abstractmethod
    def __call__(self, x: Data) -> Tensor: ...

    @abstractmethod
    def adjoint(self, y: Tensor) -> Data:
        """Aᵀ y."""

    def matrix(self, shape: tuple[int, ...]) -> Tensor:
        """The matrix A (m, d), over flattened samples of this shape, in float64."""
        d = torch.Size(shape).numel()
        return self(torch.eye(d, dtype=torch.float64).reshape(d, *shape)).reshape(d, -1).T


@dataclass(frozen=True, eq=False)
class Mask(Linear):
    """A mask, for inpainting: y = x where `keep` (*d) is 1, and 0 where it is 0.

    Raises:
        ValueError: for a `keep` with other values.
    """

    keep: Tensor

    def __post_init__(self) -> None:
        require_binary(self.keep, "keep")

    def __call__(self, x: Data) -> Tensor:
        shape, given = tuple(self.keep.shape), tuple(x.shape[1:])
        require(shape == given, f"a mask of shape {shape} does not fit samples of shape {given}: "
                "give one for each number in a sample")  # fmt: skip
        return self.keep.to(x) * x

    def adjoint(self, y: Tensor) -> Data:
        return self(y)


def require_binary(mask: Tensor, name: str) -> None:
    """Raise ValueError unless the mask holds only 0 and 1."""
    fits = bool(((mask == 0) | (mask == 1)).all())
    require(fits, f"`{name}` holds other numbers than 0 and 1; round it, such as by mask > 0.5")


@dataclass(frozen=True)
class Blur(Linear):
    """Gaussian blur of images (b, c, h, w), with zero padding.

    Args:
        std: of the Gaussian, in pixels.
        reach: radius of the kernel, in pixels.
    """

    std: float = 1.0
    reach: int = 3

    def __post_init__(self) -> None:
        fits = self.std > 0 and self.reach >= 1
        require(fits, f"a blur of std {self.std:g} and reach {self.reach} is none: give a std "
                "above 0 and a reach of at least 1")  # fmt: skip

    @cached_property
    def kernel(self) -> Tensor:
        """The kernel (2 reach + 1,) along one axis, which sums to 1."""
        offset = torch.arange(-self.reach, self.reach + 1, dtype=torch.float64)
        return torch.softmax(-(offset**2) / (2 * self.std**2), 0)

    def __call__(self, x: Data) -> Tensor:
        require_images(x)
        flat, k, r = x.reshape(-1, 1, *x.shape[2:]), self.kernel.to(x), self.reach
        down = functional.conv2d(flat, k[None, None, :, None], padding=(r, 0))
        return functional.conv2d(down, k[None, None, None, :], padding=(0, r)).reshape(x.shape)

    def adjoint(self, y: Tensor) -> Data:
        return self(y)  # the kernel is symmetric, and the padding is 0


@dataclass(frozen=True)
class DownSample(Linear):
    """Downsampling of images (b, c, h, w) by means over blocks of `factor` × `factor` pixels."""

    factor: int = 2

    def __post_init__(self) -> None:
        require(self.factor >= 1, f"a factor of {self.factor} is no size; give 1 or more")

    def __call__(self, x: Data) -> Tensor:
        require_images(x)
        p, (h, w) = self.factor, x.shape[2:]
        require(h % p == w % p == 0, f"{h} × {w} pixels make no whole blocks of {p} × {p}: give "
                "a factor that divides both")  # fmt: skip
        return functional.avg_pool2d(x, p)

    def adjoint(self, y: Tensor) -> Data:
        p = self.factor
        return y.repeat_interleave(p, 2).repeat_interleave(p, 3) / p**2


def require_images(x: Data) -> None:
    """Raise ValueError unless these are images."""
    shape = tuple(x.shape)
    require(x.ndim == 4, f"this operator takes images (b, c, h, w), not a tensor of shape {shape}")


@dataclass(frozen=True)
class Absolute:
    """The elementwise absolute value y = |x|: the signs are lost."""

    def __call__(self, x: Data) -> Tensor:
        return x.abs()


@dataclass(frozen=True)
class Square:
    """The elementwise square y = x²."""

    def __call__(self, x: Data) -> Tensor:
        return x.square()


@dataclass(frozen=True)
class Radius:
    """The norm y = ‖x‖ of each sample: (b, 1)."""

    def __call__(self, x: Data) -> Tensor:
        # The root's derivative at 0 is infinite, and a posterior mean can be 0.
        return (x.flatten(1).square().sum(1, keepdim=True) + 1e-12).sqrt()


@dataclass(frozen=True)
class Classifier:
    """A frozen network as the operator: its logits or features (b, k).

    Args:
        read: x (b, *d) -> (b, k).
    """

    read: Callable[[Tensor], Tensor]

    def __call__(self, x: Data) -> Tensor:
        y = self.read(x)
        fits = y.ndim == 2 and len(y) == len(x)
        require(fits, f"the classifier answers {len(x)} samples with shape {tuple(y.shape)}: it "
                "must give one row of numbers for each")  # fmt: skip
        return y


Mismatch = Callable[[Tensor, Tensor], Tensor]  # (A(h), y) -> one number per sample


@dataclass(frozen=True)
class ResidualNorm:
    """The residual norm ‖A(h) - y‖₂ of each sample, with gradient 0 where it is 0."""

    def __call__(self, seen: Tensor, y: Tensor) -> PerSample:
        a, b = tuple(seen.shape), tuple(y.shape)
        require(a == b, f"the operator answers with shape {a} and y has shape {b}: measure y with "
                "the same operator")  # fmt: skip
        return PseudoHuber(1e-8)(seen, y)


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy -ln softmax(logits)[y], for logits (b, k) and classes y (b,)."""

    def __call__(self, seen: Tensor, y: Tensor) -> PerSample:
        fits = seen.ndim == 2 and y.shape == seen.shape[:1] and not y.is_floating_point()
        require(fits, f"logits of shape {tuple(seen.shape)} came with classes of shape "
                f"{tuple(y.shape)}: give one whole number a sample")  # fmt: skip
        return cross_entropy(seen, y, reduction="none")


@dataclass(frozen=True, eq=False)
class Measurement:
    """A measurement y, its operator, and the metric of the mismatch between A(h) and y."""

    operator: Operator
    y: Tensor
    metric: Mismatch = ResidualNorm()

    def mismatch(self, x: Data) -> PerSample:
        """The mismatch of A(x) and y (b,). Raises ValueError where their shapes do not fit."""
        return self.metric(self.operator(x), self.y)


def pull(
    estimate: Denoise, measured: Measurement, x_t: Data, t: Time
) -> tuple[Data, Data, PerSample]:
    """The gradient of the mismatch by x_t.

    Args:
        estimate: (x_t, t) -> h, a denoiser or consistency function.
        measured: the measurement.
        x_t: noisy data.
        t: noise levels.

    Returns:
        h = estimate(x_t, t), the gradient of its mismatch by x_t, and the mismatch (b,).
    """
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_()
        h = estimate(x_t, t)
        far = measured.mismatch(h)
        (gradient,) = torch.autograd.grad(far.sum(), x_t)
    return h.detach(), gradient, far.detach()


def ancestral(x_t: Data, x: Data, t: Time, r: Time, z: Data) -> Data:
    """An ancestral step: an Euler step to a level below r, then fresh noise z up to r.

    x is the estimate of the data. Under x_t = x + t z: down to r²/t, up by r √(1 - r²/t²), so that
    the variances add up to r².
    """
    down, up = (r / t) ** 2, r * (1 - (r / t) ** 2).sqrt()
    return x + expand(down, x) * (x_t - x) + expand(up, x) * z


def restore(
    denoise: Denoise,
    estimate: Denoise,
    measured: Measurement,
    x_t: Data,
    levels: Tensor,
    zeta: float | Tensor,
) -> Iterator[Data]:
    """Sample from the posterior given a measurement; with ζ = 0 it is the plain ancestral sampler.

    With estimate = denoise (DPS) each step takes one network call, otherwise two.

    Args:
        denoise: the denoiser D.
        estimate: (x_t, t) -> h; `denoise` itself is DPS, a consistency function the paper's.
        measured: the measurement.
        x_t: noisy data at levels[0].
        levels: noise levels, EDM's times, descending, 0 at the end.
        zeta: ζ, one number, or one per sample (b,).

    Yields:
        x at levels[1], levels[2], ….

    Raises:
        ValueError: for ζ < 0 and for shapes that do not fit.
    """
    strength = torch.as_tensor(zeta, dtype=x_t.dtype, device=x_t.device).expand(len(x_t))
    least = float(strength.min())
    require(least >= 0, f"ζ = {least:g} pushes away from the measurement: give 0 or more")
    for level, below in pairwise(descending(levels.to(x_t))):
        t, r = level.repeat(len(x_t)), below.repeat(len(x_t))
        h, gradient, _ = pull(estimate, measured, x_t, t)
        with torch.no_grad():
            x = h if estimate is denoise else denoise(x_t, t)
            x_t = ancestral(x_t, x, t, r, torch.randn_like(x_t))
            x_t = x_t - expand(strength * t, x_t) * gradient
        yield x_t
