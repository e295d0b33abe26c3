"""Σ_k w_k N(μ_k, s_k² I): a mixture of round Gaussians, and the mixture that noise makes of it.

Adding σ z widens each component to the variance s_k² + σ² and changes nothing else. Here x is
(b, D), noise levels σ are (b, 1), and everything is in float64; `oracle` is the way in.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from . import solve

TOLERANCE = 1e-7  # the error allowed to a step of a flow, in units of √(σ² + c²)


@dataclass(frozen=True, eq=False)
class Components:
    """Weights (K,), means (K, D) and standard deviations (K,), 0 allowed. Raises ValueError."""

    weights: Tensor
    means: Tensor
    stds: Tensor

    def __post_init__(self) -> None:
        k, w, s = len(self.means), self.weights, self.stds
        require(
            k > 0 and self.means.ndim == 2 and bool(self.means.isfinite().all()),
            f"means of shape {tuple(self.means.shape)} make no mixture: give finite (K, D), K > 0",
        )
        require(
            w.shape == s.shape == (k,),
            f"{k} means came with weights of shape {tuple(w.shape)} and stds of shape "
            f"{tuple(s.shape)}: give ({k},) for both",
        )
        require(bool((s >= 0).all()), f"the smallest std is {s.min():g}: give 0 or more")
        total = w.double().sum()
        require(bool((w > 0).all()), f"the smallest weight is {w.min():g}: drop empty components")
        require(abs(total - 1) < 1e-4, f"the weights sum to {total:g}: divide them by their sum")
        for name, value in (("weights", w.double() / total), ("means", self.means), ("stds", s)):
            object.__setattr__(self, name, value.double())

    @cached_property
    def std_min(self) -> float:
        return float(self.stds.min())

    @cached_property
    def variance(self) -> Tensor:
        """Of the data, per coordinate: (D,)."""
        square = self.weights @ (self.means**2 + self.stds[:, None] ** 2)
        return square - (self.weights @ self.means) ** 2

    def sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """(n, D), in torch's default dtype."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        shape, device = (n, self.means.shape[1]), self.means.device
        z = torch.randn(shape, generator=generator, device=device)
        return (self.means[k] + self.stds[k, None] * z).to(z.dtype)

    def log_terms(self, x: Tensor, level: Tensor) -> Tensor:
        """ln w_k + ln N(x; μ_k, (s_k² + σ²) I), laid out (K, b), which is faster for small K."""
        variance = self._spread + level.T**2
        powers = torch.cat([torch.ones_like(level), x, (x**2).sum(1, keepdim=True)], 1)
        terms = torch.addcdiv(self._log_weights, self._quadratic @ powers.T, variance)
        return terms - x.shape[1] / 2 * (2 * math.pi * variance).log()

    def score(self, x: Tensor, level: Tensor) -> Tensor:
        """∇ ln p_σ(x): (b, D)."""
        share, variance = self.log_terms(x, level).softmax(0), self._spread + level.T**2
        if len(variance) == 1:
            return (share.T @ self.means - x) / variance.T
        pull = share / variance
        return pull.T @ self.means - x * pull.sum(0)[:, None]

    def flow(self, x: Tensor, level: Tensor, to: Tensor) -> Tensor:
        """The PF-ODE solved in u = ½ ln(σ² + c²), c = std_min: dx/du = -(σ² + c²) ∇ ln p_σ(x).

        It stays smooth down to σ = 0 when c > 0, and below c little is left to solve.
        """
        c = self.std_min

        def slope(x: Tensor, u: Tensor) -> Tensor:
            total = (2 * u).exp()
            return -total * self.score(x, (total - c**2).clamp_min(0).sqrt())

        start, stop = (torch.log(s**2 + c**2) / 2 for s in (level, to))
        return solve.ode(slope, x, start, stop, TOLERANCE)

    @cached_property
    def _log_weights(self) -> Tensor:
        return self.weights.log()[:, None]

    @cached_property
    def _spread(self) -> Tensor:
        """s_k² as (K, 1), or as one number where all agree, which saves half of the work."""
        stds = self.stds[:1] if bool((self.stds == self.stds[0]).all()) else self.stds
        return stds[:, None] ** 2

    @cached_property
    def _quadratic(self) -> Tensor:
        """Its product with (1, x, ‖x‖²) is -‖x - μ_k‖² / 2."""
        offset = -(self.means**2).sum(1, keepdim=True) / 2
        return torch.cat([offset, self.means, torch.full_like(offset, -0.5)], 1)


def require(true: bool | Tensor, sentence: str) -> None:
    """Raise the sentence as ValueError unless it is true."""
    if not true:
        raise ValueError(sentence)
