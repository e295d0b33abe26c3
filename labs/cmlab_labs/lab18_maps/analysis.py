"""Analysis for lab 18: flow maps on the line, right and wrong, and what each condition misses.

Times are those of rectified flow, x_t = (1 - t) x + t z, with 0 the data and 1 the noise. A map is
called as X(x_t, t, s) with x_t (b, 1) and t >= s (b,), all float64.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cmlab.metrics.toy import exact_jump, exact_velocity
from cmlab.oracle import Gaussian, Mixture1D, Oracle

from ..common.plots_line import quantile_points
from .study import LINE, trained_map

FlowMap = Callable[[Tensor, Tensor, Tensor], Tensor]

LAST = 1 - 1e-6  # in place of t = 1, where the noise level is infinite
STEP = 1e-4  # of the differences that stand for derivatives
CONDITIONS = ("boundary", "start", "end", "split", "distribution")
ZERO = 2e-3  # a residual below this is 0 but for the solver's and the difference's error


@dataclass(frozen=True)
class Flow:
    """The exact flow map of a distribution."""

    oracle: Oracle

    def __call__(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return exact_jump(self.oracle, x_t, t.clamp(max=LAST), s.clamp(max=LAST))

    def velocity(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The exact velocity E[z - x | x_t]."""
        return exact_velocity(self.oracle, x_t, t.clamp(1e-6, LAST))


def maps(oracle: Mixture1D) -> dict[str, FlowMap]:
    """The exact map of a distribution on the line, and four that are wrong on purpose."""
    exact = Flow(oracle)
    mean = (oracle.weights[:, None] * oracle.means.reshape(-1, 1)).sum(0)

    def still(x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return x_t.clone()

    def straight(x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return x_t - (t - s)[:, None] * exact.velocity(x_t, t)

    def mirror(x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        noise = torch.full_like(t, LAST)
        return exact(-exact(x_t, t, noise), noise, s)

    return {
        "exact": exact,
        "stand still": still,
        "one straight step": straight,
        "mirror image": mirror,
        "made for other data": Flow(Gaussian(mean, oracle.sigma_data)),
    }


def all_maps() -> dict[str, FlowMap]:
    """The maps of the lab's two modes, and the recorded network that LSD trained on them."""
    return {**maps(LINE.oracle), "trained network": trained_map()}


def points(oracle: Mixture1D, t: float, n: int) -> Tensor:
    """Quantiles (n, 1) of x_t, evenly spaced."""
    t = min(t, LAST)
    return (1 - t) * quantile_points(oracle, t / (1 - t), n)


@dataclass(frozen=True)
class JumpResiduals:
    """What is left of each condition at jumps from (x_t, t) to s: by name, each (b, 1).

    boundary      X(x_t, t -> t) - x_t
    start         d/dt of X as (x_t, t) moves along its exact path
    end           ∂_s X - v(X, s)
    split         X(X(x_t, t -> m), m -> s) - X(x_t, t -> s), m half-way
    """

    oracle: Oracle

    def __call__(self, X: FlowMap, x_t: Tensor, t: Tensor, s: Tensor) -> dict[str, Tensor]:
        exact, b = Flow(self.oracle), len(x_t)
        up, down = (t + STEP).clamp(max=LAST), t - STEP
        moved = exact(torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([up, down]))
        m, end = (t + s) / 2, s.clamp(min=STEP)  # there is no velocity before the data
        starts = torch.cat([moved, *[x_t] * 6])
        times = torch.cat([up, down, *[t] * 6])
        ends = torch.cat([s, s, t, m, s, end, end + STEP, end - STEP])
        a, c, same, half, there, landing, high, low = X(starts, times, ends).split(b)
        return {
            "boundary": same - x_t,
            "start": (a - c) / (up - down)[:, None],
            "end": (high - low) / (2 * STEP) - exact.velocity(landing, end),
            "split": X(half, m, s) - there,
        }


def distribution_gap(oracle: Mixture1D, X: FlowMap, t: float, s: float, n: int = 200) -> float:
    """W₁ between X(x_t, t -> s) and x_s, by n quantiles of each."""
    x_t, times = points(oracle, t, n), torch.full((n,), t).double()
    there = X(x_t, times, torch.full((n,), s).double())
    return float((there.sort(0).values - points(oracle, s, n)).abs().mean())


def jumps(oracle: Mixture1D, n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """n random jumps: x_t of data and noise, and two uniform times t > s, not nearly the same."""
    g = torch.Generator().manual_seed(seed)
    s, t = torch.rand(2, n, generator=g).double().sort(0).values * 0.88 + 0.01
    t = t + 0.1
    x = oracle.sample(n, g).double()
    return (1 - t)[:, None] * x + t[:, None] * torch.randn(n, 1, generator=g), t, s


def missed(
    oracle: Mixture1D, candidates: Mapping[str, FlowMap], n: int = 300, seed: int = 0
) -> dict[str, dict[str, float]]:
    """The size of each residual for each map: root mean square over n jumps; W₁ over 20 pairs."""
    x_t, t, s = jumps(oracle, n, seed)
    rows = {}
    for name, X in candidates.items():
        found = JumpResiduals(oracle)(X, x_t, t, s)
        row = {key: float(value.square().mean().sqrt()) for key, value in found.items()}
        pairs = zip(t[:20].tolist(), s[:20].tolist(), strict=True)
        gaps = [distribution_gap(oracle, X, a, b) for a, b in pairs]
        rows[name] = row | {"distribution": sum(gaps) / len(gaps)}
    return rows


def data_estimate(X: FlowMap, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """g of a jump, X = (s/t) x_t + (1 - s/t) g: the denoiser as s -> t, f at s = 0; s < t."""
    share = (s / t)[:, None]
    return (X(x_t, t, s) - share * x_t) / (1 - share)
