"""Sampling: solvers of the probability-flow ODE (DDIM, Heun) and multistep consistency sampling.

Solvers and samplers take any denoiser and any process. Samplers are generators:

    *path, x = ode(process, denoise, x_T, times)

Paper against the authors' code: CM's Algorithm 1 and openai's code add noise of √(τ² - σ_min²)
before a further call, ECT's code, followed here, of τ: more by 2.44e-6 at τ = 0.821 and 2.50e-6 at
0.8. openai's samplers clamp every call to [-1, 1] by default; here none is clamped.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import torch
from torch import Tensor

from .ingredients import ingredient
from .noise_levels import KarrasGrid
from .ops import expand
from .process import Process
from .types import Data, Denoise, Positive, Range, Solver, Time


@ingredient
def ddim(process: Process, denoise: Denoise, x_t: Data, t: Time, r: Time) -> Data:
    """One DDIM step from t to r, with one call of the denoiser; under EDM the Euler step.

    It keeps the estimate of x and the noise that goes with it, and changes the time alone.
    """
    return process.transport(x_t, denoise(x_t, t), t, r)


@ingredient
def heun(process: Process, denoise: Denoise, x_t: Data, t: Time, r: Time) -> Data:
    """One step of Heun's second-order solver from t to r > 0. Karras et al. 2022, Algorithm 1.

    For x_t / α_t as a function of σ_t / α_t the ODE's derivative is the noise z, so the noises at
    both ends are averaged. Two calls of the denoiser.
    """
    x = denoise(x_t, t)
    z_t = process.noise(x_t, x, t)
    x_r = process.transport(x_t, x, t, r)
    z_r = process.noise(x_r, denoise(x_r, r), r)
    (alpha_t, _), (alpha_r, sigma_r) = process(t), process(r)
    slide = expand(sigma_r - alpha_r * process.level(t), x_t)
    return expand(alpha_r / alpha_t, x_t) * x_t + slide * (z_t + z_r) / 2


def descending(times: Tensor) -> Tensor:
    """The sampling times (m,), if they descend strictly; else raise ValueError."""
    if times.ndim != 1 or len(times) < 1 or not bool((times.diff() < 0).all()):
        raise ValueError(
            f"sampling times must be one strictly descending row, noisiest first, "
            f"not {[round(v, 4) for v in times.flatten().tolist()]}; try times.flip(0)"
        )
    return times


def ode(
    process: Process, denoise: Denoise, x_t: Data, times: Tensor, solver: Solver = heun
) -> Iterator[Data]:
    """Solve the probability-flow ODE backwards in time. Karras et al. 2022, Algorithm 1.

    A step that ends at noise level 0 is a `ddim` step, since Heun's derivative there is 0/0. With
    Heun, N steps down to 0 take 2 N - 1 calls of the denoiser.

    Args:
        process: the process of `denoise`.
        denoise: a denoiser, (x_t, t) -> an estimate of x.
        x_t: noisy data at times[0].
        times: the sampling times (m,), strictly descending.
        solver: one step from t to r.

    Yields:
        x at times[0], times[1], ….

    Raises:
        ValueError: if the times do not descend.
    """
    times = descending(times.to(x_t))
    yield x_t
    for t, r in zip(times[:-1], times[1:], strict=True):
        step = solver if r > 0 else ddim
        x_t = step(process, denoise, x_t, t.repeat(len(x_t)), r.repeat(len(x_t)))
        yield x_t


def multistep(
    process: Process,
    denoise: Denoise,
    x_t: Data,
    times: Tensor,
    noise: Callable[[Tensor], Tensor] = torch.randn_like,
) -> Iterator[Data]:
    """Multistep consistency sampling: jump to the data, add fresh noise, jump again.

    Song et al. 2023, Algorithm 1. The noise added at level τ has scale τ, as in ECT's code;
    Algorithm 1 has √(τ² - σ_min²). No clamping, no noise after the last call.

    Args:
        process: the process of `denoise`.
        denoise: a consistency function, (x_t, t) -> an estimate of x.
        x_t: noisy data at times[0].
        times: the times (m,) of the calls, strictly descending.
        noise: draws fresh noise of the shape of its argument.

    Yields:
        The estimate of x after each call.

    Raises:
        ValueError: if the times do not descend.
    """
    first, *rest = descending(times.to(x_t))
    x = denoise(x_t, first.repeat(len(x_t)))
    yield x
    for tau in rest:
        t = tau.repeat(len(x))
        x = denoise(process.perturb(x, noise(x), t), t)
        yield x


@runtime_checkable
class Sampler(Protocol):
    """A few-step sampler: standard normal noise z -> samples, in a number of network calls.

    It starts at the noise level σ_max.
    """

    @property
    def sigma_max(self) -> float: ...

    def __call__(self, process: Process, denoise: Denoise, z: Data, calls: int) -> Data: ...


@ingredient
@dataclass(frozen=True)
class FewSteps:
    """The multistep consistency sampler on a Karras grid of noise levels from σ_max to σ_mid.

    n calls take n levels between the two: one call is at σ_max, two are at σ_max and σ_mid.
    """

    sigma_max: Positive = 80.0
    sigma_mid: Positive = 0.821
    rho: Annotated[float, Range("[0.1, 100]")] = 7.0

    def __post_init__(self) -> None:
        if not self.sigma_mid < self.sigma_max:
            raise ValueError(
                f"sigma_mid must be below sigma_max, not {self.sigma_mid:g} and {self.sigma_max:g}"
            )

    def levels(self, calls: int) -> Tensor:
        """`calls` noise levels, descending, float64. Raises ValueError for fewer than one."""
        if calls < 1:
            raise ValueError(f"a sampler needs at least one call, not {calls}")
        grid = KarrasGrid(self.sigma_mid, self.sigma_max, self.rho)
        return grid.up(calls).flip(0) if calls > 1 else torch.tensor([grid.sigma_max]).double()

    def __call__(self, process: Process, denoise: Denoise, z: Data, calls: int) -> Data:
        """Samples (b, *d) from standard normal noise z, after `calls` network calls."""
        times = process.time(self.levels(calls)).to(z)
        _, sigma = process(times[:1].repeat(len(z)))
        *_, x = multistep(process, denoise, expand(sigma, z) * z, times)
        return x
