"""Gaussian mixtures under noise: log-density, score and flow; with an ODE and a root solver.

Adding σ z to Σ_k w_k N(μ_k, s_k² I) widens each component to the variance s_k² + σ² and changes
nothing else. Here x is (b, D), noise levels σ are (b, 1), and everything is in float64; `oracle`
is the public interface.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

# Solvers. Both work on a batch, and each sample goes on until it meets the tolerance itself

# Dormand & Prince 1980, order 5(4): nodes, rows of the Butcher tableau (the last row is the step
# itself), and the difference to the result of order 4.
NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
ROWS = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
MIX = [torch.tensor(row, dtype=torch.float64) for row in (*ROWS, ERROR)]

VectorField = Callable[[Tensor, Tensor], Tensor]  # x (b, D), u (b, 1) -> dx/du
Curve = Callable[[Tensor], tuple[Tensor, Tensor]]  # y -> value and derivative


def ode(slope: VectorField, x: Tensor, start: Tensor, stop: Tensor, tolerance: float) -> Tensor:
    """Solve the ODE dx/du = slope(x, u) by Dormand and Prince's method, step sizes per sample.

    Args:
        slope: the derivative, (x (b, D), u (b, 1)) -> (b, D).
        x: the initial values (b, D).
        start: u of each sample at the start (b, 1).
        stop: u of each sample at the end (b, 1), above or below `start`.
        tolerance: a step is accepted if its error, root mean square over D, is at most
            tolerance · eᵘ: a relative error where u is the logarithm of a length.

    Returns:
        x at `stop` (b, D).

    Raises:
        ArithmeticError: where 2000 steps do not suffice.
    """
    end, live = x.clone(), torch.arange(len(x), device=x.device)
    u, h, k = start, (stop - start).clamp(-0.5, 0.5), slope(x, start)
    for _ in range(2000):
        x_new, k_new, error = step(slope, x, u, h, k)
        error = error / (tolerance * (u + h).exp())
        good = error <= 1
        x, k, u = (torch.where(good, *new) for new in ((x_new, x), (k_new, k), (u + h, u)))
        h, rest = h * (0.9 * error.clamp_min(1e-10) ** -0.2).clamp(0.2, 5.0), stop - u
        h = torch.where(h.abs() > rest.abs(), rest, h)
        end[live], busy = x, rest.squeeze(1).abs() > 1e-12
        if not busy.any():
            return end
        if not busy.all():  # slopes are the cost, so finished samples are dropped
            live, x, k, u, h, stop = (v[busy] for v in (live, x, k, u, h, stop))
    raise ArithmeticError("a path does not end; start nearer to the data or loosen the tolerance")


def step(
    slope: VectorField, x: Tensor, u: Tensor, h: Tensor, k: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One Dormand-Prince step from u to u + h; k is the slope at u.

    Returns:
        The new x, the slope there, and the estimated error (b, 1).
    """
    slopes = x.new_empty(len(MIX), x.numel())
    slopes[0] = k.flatten()
    y = x
    for i, node in enumerate(NODES):
        y = x + h * (MIX[i].to(x.device) @ slopes[: i + 1]).view_as(x)
        slopes[i + 1] = slope(y, u + node * h).flatten()
    gap = h * (MIX[-1].to(x.device) @ slopes).view_as(x)
    return y, slopes[-1].view_as(x), gap.norm(dim=1, keepdim=True) / math.sqrt(x.shape[1])


def root(curve: Curve, low: Tensor, high: Tensor) -> Tensor:
    """The root of an increasing function between low and high, to 1e-12 (1 + |y|).

    Newton's method, with bisection where a step would leave the bracket.

    Args:
        curve: y -> its value and derivative, elementwise.
        low: below the root.
        high: above the root.
    """
    y = (low + high) / 2
    for _ in range(200):
        height, slope = curve(y)
        low, high = torch.where(height <= 0, y, low), torch.where(height >= 0, y, high)
        newton, last = y - height / slope, y
        inside = (newton >= low) & (newton <= high)
        y = torch.where(inside, newton, (low + high) / 2)
        if bool(((y - last).abs() <= 1e-12 * (1 + y.abs())).all()):
            break
    return y


TOLERANCE = 1e-7  # the error allowed to a step of a flow, in units of √(σ² + c²)


@dataclass(frozen=True, eq=False)
class Components:
    """A Gaussian mixture: weights (K,), means (K, D) and standard deviations (K,), 0 allowed.

    Raises:
        ValueError: for parameters that make no mixture.
    """

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
        """The smallest standard deviation of a component."""
        return float(self.stds.min())

    @cached_property
    def variance(self) -> Tensor:
        """The variance of the mixture, per coordinate: (D,)."""
        square = self.weights @ (self.means**2 + self.stds[:, None] ** 2)
        return square - (self.weights @ self.means) ** 2

    def sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """n samples (n, D), in torch's default dtype."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        shape, device = (n, self.means.shape[1]), self.means.device
        z = torch.randn(shape, generator=generator, device=device)
        return (self.means[k] + self.stds[k, None] * z).to(z.dtype)

    def log_terms(self, x: Tensor, level: Tensor) -> Tensor:
        """ln w_k + ln N(x; μ_k, (s_k² + σ²) I): (K, b), a layout that is faster for small K."""
        variance = self._spread + level.T**2
        powers = torch.cat([torch.ones_like(level), x, (x**2).sum(1, keepdim=True)], 1)
        terms = torch.addcdiv(self._log_weights, self._quadratic @ powers.T, variance)
        return terms - x.shape[1] / 2 * (2 * math.pi * variance).log()

    def score(self, x: Tensor, level: Tensor) -> Tensor:
        """The score ∇ ln p_σ(x): (b, D)."""
        share, variance = self.log_terms(x, level).softmax(0), self._spread + level.T**2
        if len(variance) == 1:
            return (share.T @ self.means - x) / variance.T
        pull = share / variance
        return pull.T @ self.means - x * pull.sum(0)[:, None]

    def flow(self, x: Tensor, level: Tensor, to: Tensor) -> Tensor:
        """Solve the PF-ODE in u = ½ ln(σ² + c²), c = std_min: dx/du = -(σ² + c²) ∇ ln p_σ(x).

        In u it is smooth down to σ = 0 when c > 0, and σ from c to 0 is a short way.
        """
        c = self.std_min

        def slope(x: Tensor, u: Tensor) -> Tensor:
            total = (2 * u).exp()
            return -total * self.score(x, (total - c**2).clamp_min(0).sqrt())

        start, stop = (torch.log(s**2 + c**2) / 2 for s in (level, to))
        return ode(slope, x, start, stop, TOLERANCE)

    @cached_property
    def _log_weights(self) -> Tensor:
        return self.weights.log()[:, None]

    @cached_property
    def _spread(self) -> Tensor:
        """s_k² as (K, 1), or as (1, 1) where all are equal, which saves half of the work."""
        stds = self.stds[:1] if bool((self.stds == self.stds[0]).all()) else self.stds
        return stds[:, None] ** 2

    @cached_property
    def _quadratic(self) -> Tensor:
        """A matrix (K, D + 2) whose product with (1, x, ‖x‖²) is -‖x - μ_k‖² / 2."""
        offset = -(self.means**2).sum(1, keepdim=True) / 2
        return torch.cat([offset, self.means, torch.full_like(offset, -0.5)], 1)


def require(true: bool | Tensor, sentence: str) -> None:
    """Raise ValueError with this sentence unless the condition holds."""
    if not true:
        raise ValueError(sentence)
