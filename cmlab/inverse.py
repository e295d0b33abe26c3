"""Diffusion posterior sampling: an ordinary sampler, pulled towards a measurement y = A(x).

Xu et al. 2024 (arXiv 2403.12063), after Chung et al. 2023 (DPS). At each noise level t > r

    D = E[x | x_t]                     the denoiser moves the sampler on, without a gradient
    h = D(x_t, t)  or  f(x_t, t)       what the operator is shown: DPS, or the paper's proposal
    x_r = an ancestral Euler step from x_t  -  ζ t ∇ ‖y - A(h)‖₂       by x_t, and not squared

The operator was made for clean data. D is a mean, and for a non-linear A(.) a mean of data is
none; f answers with a point that could be data. `estimate` chooses, and nothing else changes.
The paper adds noise to h before a classifier sees it, as a guard; here that is left to A.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .components import require
from .distance import PseudoHuber
from .operators import Operator
from .ops import expand
from .sample import descending
from .vocabulary import Data, Denoise, PerSample, Time

Mismatch = Callable[[Tensor, Tensor], Tensor]  # (A(h), y) -> one number per sample


@dataclass(frozen=True)
class Norm:
    """‖A(h) - y‖₂ over a whole sample, with gradient 0 where they agree."""

    def __call__(self, seen: Tensor, y: Tensor) -> PerSample:
        a, b = tuple(seen.shape), tuple(y.shape)
        require(a == b, f"the operator answers with shape {a} and y has shape {b}: measure y with "
                "the same operator")  # fmt: skip
        return PseudoHuber(1e-8)(seen, y)


@dataclass(frozen=True)
class CrossEntropy:
    """-ln softmax(logits)[y], for a classifier's logits (b, k) and classes y (b,)."""

    def __call__(self, seen: Tensor, y: Tensor) -> PerSample:
        fits = seen.ndim == 2 and y.shape == seen.shape[:1] and not y.is_floating_point()
        require(fits, f"logits of shape {tuple(seen.shape)} came with classes of shape "
                f"{tuple(y.shape)}: give one whole number a sample")  # fmt: skip
        return cross_entropy(seen, y, reduction="none")


@dataclass(frozen=True, eq=False)
class Measurement:
    """y, what made it, and how a mismatch is counted."""

    operator: Operator
    y: Tensor
    metric: Mismatch = Norm()

    def mismatch(self, x: Data) -> PerSample:
        """How far A(x) is from y. Raises ValueError where their shapes do not fit."""
        return self.metric(self.operator(x), self.y)


def pull(
    estimate: Denoise, measured: Measurement, x_t: Data, t: Time
) -> tuple[Data, Data, PerSample]:
    """h = estimate(x_t, t), the gradient of its mismatch by x_t, and the mismatch."""
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_()
        h = estimate(x_t, t)
        far = measured.mismatch(h)
        (gradient,) = torch.autograd.grad(far.sum(), x_t)
    return h.detach(), gradient, far.detach()


def ancestral(x_t: Data, x: Data, t: Time, r: Time, z: Data) -> Data:
    """Euler's step to a level below r, then fresh noise z up to r. x is the estimate of data.

    Under x_t = x + t z: down to r²/t, up by r √(1 - r²/t²), so that the variances add up to r².
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
    """x at levels[1], levels[2], …, from x_t at levels[0]; with ζ = 0 the plain sampler.

    Levels are EDM's times, descending, 0 at the end. `zeta` is one number or one a sample. With
    estimate = denoise (DPS) one call a step serves both ends; otherwise it is two calls.
    Raises ValueError for ζ < 0 and for shapes that do not fit.
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
