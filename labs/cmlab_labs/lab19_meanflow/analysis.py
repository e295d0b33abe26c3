"""Analysis for lab 19: the exact mean velocity, what each tangent makes of it, and noise.

Times are those of rectified flow, x_t = (1 - t) x + t z, with t > r. Everything about u follows
from three exact things, without a difference: X(x_t, t -> r), the velocity v, and the slope ∂_z X.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import erf, log, sqrt

import torch
from torch import Tensor

from cmlab.data.toy import Bumps, Ring
from cmlab.metrics.toy import exact_jump, exact_velocity
from cmlab.ops import seeded
from cmlab.oracle import Mixture1D, Oracle

LAST = 1 - 1e-6  # in place of t = 1, where the noise level is infinite
MODES = Bumps((0.4, 0.6), (-1.2, 1.0), (0.2, 0.2))
TANGENTS = {
    "r is held": "right",
    "t − r is held": "held",
    "x_t is held": "still",
    "right, but with the wrong sign": "sign",
}


def log_density(oracle: Oracle, x_t: Tensor, t: Tensor) -> Tensor:
    """ln of the density of x_t (b,) on the line."""
    return oracle.log_density(x_t / (1 - t)[:, None], t / (1 - t)) - torch.log(1 - t)


@dataclass(frozen=True, eq=False)
class ExactJump:
    """An exact jump on the line: everything (b, 1), times (b,).

    Args:
        oracle: the data.
        x_t: where it starts.
        t: when it starts.
        r: when it ends; r < t.
    """

    oracle: Mixture1D
    x_t: Tensor
    t: Tensor
    r: Tensor

    @property
    def X(self) -> Tensor:
        return exact_jump(self.oracle, self.x_t, self.t, self.r)

    @property
    def v(self) -> Tensor:
        """The velocity at the start."""
        return exact_velocity(self.oracle, self.x_t, self.t)

    @property
    def v_end(self) -> Tensor:
        """The velocity at the end."""
        return exact_velocity(self.oracle, self.X, self.r.clamp(min=1e-6))

    @property
    def u(self) -> Tensor:
        """The mean velocity."""
        return (self.x_t - self.X) / (self.t - self.r)[:, None]

    @property
    def slope(self) -> Tensor:
        """∂_z X: ranks are kept, so it is the ratio of the densities at start and end."""
        start = log_density(self.oracle, self.x_t, self.t)
        return (start - log_density(self.oracle, self.X, self.r)).exp()[:, None]

    def target(self, tangent: str) -> Tensor:
        """v - (t - r) du for the exact u, du along a tangent of `TANGENTS`."""
        if tangent == "right":
            return self.u
        if tangent == "held":
            return self.v_end
        if tangent == "still":
            return self.u + self.v * (1 - self.slope)
        return 2 * self.v - self.u


def path_points(oracle: Mixture1D, rank: float, t: Sequence[float] | Tensor) -> Tensor:
    """Where the path with this share of all paths below it is at times t (b,): (b, 1)."""
    t = torch.as_tensor(t, dtype=torch.float64).clamp(max=LAST)
    z = torch.special.ndtri(torch.full((len(t), 1), rank, dtype=torch.float64))
    return exact_jump(oracle, z, torch.full_like(t, LAST), t)


def posterior_velocities(oracle: Mixture1D, x_t: float, t: float, n: int = 4000) -> Tensor:
    """Data velocities z - x of n pairs that could have made this x_t, (n,). Always the same."""
    g, c = torch.Generator().manual_seed(0), oracle.components
    a, var = 1 - t, (1 - t) ** 2 * c.stds**2 + t**2
    far = (x_t - a * oracle.means.flatten()).square() / (2 * var)
    which = torch.multinomial(
        (c.weights.log() - var.log() / 2 - far).softmax(0), n, True, generator=g
    )
    mean = oracle.means.flatten() + a * c.stds**2 / var * (x_t - a * oracle.means.flatten())
    std = c.stds * t / var.sqrt()
    x = mean[which] + std[which] * torch.randn(n, generator=g, dtype=torch.float64)
    return (x_t - a * x) / t - x


# Noise of the targets


def noise_ratio(data: Ring, t: float, r: float, n: int, seed: int) -> Tensor:
    """‖∂_z X ξ‖² / ‖ξ‖² of n pairs: MeanFlow's noise over improved MeanFlow's."""
    ours, theirs = squared_noises(data, t, r, n, seed)
    return ours / theirs


def squared_noises(data: Ring, t: float, r: float, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """‖∂_z X ξ‖² and ‖ξ‖² of n pairs, ξ = z - x - v: of MeanFlow and of improved MeanFlow.

    The slope of the exact flow along ξ, by central differences.
    """
    with seeded(torch.device("cpu"), seed, 19):
        x, z = data.oracle.sample(n).double(), torch.randn(n, 2).double()
    times, ends = torch.full((n,), t).double(), torch.full((n,), r).double()
    x_t = (1 - t) * x + t * z
    xi = z - x - exact_velocity(data.oracle, x_t, times)
    step = 0.01 * xi / xi.norm(dim=1, keepdim=True)
    ahead, behind = (exact_jump(data.oracle, x_t + d, times, ends) for d in (step, -step))
    size = xi.square().sum(1)
    return size * ((ahead - behind).norm(dim=1) / 0.02) ** 2, size


# The adaptive weight


def landscape(targets: Tensor, shifts: Tensor, p: float, c: float = 1e-3) -> Tensor:
    """What the weight 1/(ℓ + c)^p makes of a squared error, at answers off the mean.

    Its gradient is that of E (ℓ + c)^(1-p) / (1-p), of E ln(ℓ + c) for p = 1. Scaled so that it
    would be shift² if all errors were alike, and 0 at the mean.

    Args:
        targets: draws (n, D).
        shifts: how far the first coordinate of the answer is from the mean (m,).
        p: the power.
        c: the constant in the weight.
    """
    centred = targets - targets.mean(0)
    rest = centred[:, 1:].square().sum(1)
    squared = (centred[:, :1] - shifts).square() + rest[:, None] + c
    level = squared.log() if p == 1 else squared ** (1 - p) / (1 - p)
    at_mean = centred.square().sum(1) + c
    base = at_mean.log() if p == 1 else at_mean ** (1 - p) / (1 - p)
    return (level.mean(0) - base.mean()) * at_mean.mean() ** p


def rings(n: int, planes: int, seed: int) -> Tensor:
    """n points, each of `planes` rings side by side: (n, 2 · planes)."""
    with seeded(torch.device("cpu"), seed):
        return Ring().oracle.sample(n * planes).double().reshape(n, 2 * planes)


# Distributions of the times


def below(t: float, mean: float, std: float) -> float:
    """P(time < t) for a logit-normal time."""
    return (1 + erf((log(t / (1 - t)) - mean) / (std * sqrt(2)))) / 2


def corner(mean: float, std: float, edge: float = 0.05) -> float:
    """P(t > 1 - edge and r < edge) of two sorted logit-normal times, off the diagonal."""
    return 2 * (1 - below(1 - edge, mean, std)) * below(edge, mean, std)


# The Gaussian, along a path: x_t = m_t + place · √V_t


def gaussian_velocities(t: Tensor, r: Tensor, place: Tensor, data: Bumps) -> dict[str, Tensor]:
    """u, v at the start and v at the end of the Gaussian's jumps; arguments of one shape."""
    mean, std = data.means[0], data.stds[0]

    def spread(t: Tensor) -> Tensor:
        return ((1 - t) ** 2 * std**2 + t**2).sqrt()

    def velocity(t: Tensor) -> Tensor:
        return -mean + place * (t - (1 - t) * std**2) / spread(t)

    apart = (t - r).clamp(min=1e-9)
    u = torch.where(t - r > 1e-6, -mean + place * (spread(t) - spread(r)) / apart, velocity(t))
    return {
        "mean": u,
        "start": velocity(t),
        "end": velocity(r),
        "average": averaged(velocity, t, t - r),
    }


def averaged(velocity: Callable[[Tensor], Tensor], t: Tensor, h: Tensor, n: int = 400) -> Tensor:
    """∫ e^(-k) v(t - h k) dk: an average over the past that fades within h."""
    k = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    far = -torch.log1p(-k)  # quantiles of the exponential distribution
    return torch.stack([velocity(t - h * one) for one in far]).mean(0)
