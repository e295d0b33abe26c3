"""Analysis for lab 10 (sCM): finite differences against derivatives, and the size of the tangent.

Times are TrigFlow's angles in radians. A path is x_t = cos(t) x + sin(t) σ_d z, and it has two
points of one sample: (x_t, t) and (x_r, r), r earlier by the gap.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import process_time
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from cmlab.model import Denoiser, TimeInput, TrigPrecond
from cmlab.nets.embedding import Embed, Waves
from cmlab.ops import chord, expand, jvp
from cmlab.process import TrigFlow
from cmlab.types import Data, Denoise, PerSample, Time


class PathPoints(NamedTuple):
    """Points x_t (b, *d) of paths at times t (b,), and how fast they move, dx_t (b, *d)."""

    x_t: Tensor
    t: Tensor
    dx_t: Tensor

    def to(self, dtype: torch.dtype) -> "PathPoints":
        return PathPoints(*(v.to(dtype) for v in self))

    def before(self, gap: float) -> tuple[Tensor, Tensor]:
        """x_r and r = t - gap: one DDIM step, or the same x and z at an earlier time."""
        r = self.t - gap
        cos, sin = expand((self.t - r).cos(), self.x_t), expand((self.t - r).sin(), self.x_t)
        return cos * self.x_t - sin * self.dx_t, r


def sample_path(process: TrigFlow, x: Data, z: Data, t: Time) -> PathPoints:
    """The path that x and the standard noise z make, where it is at t."""
    x_t = process.perturb(x, z, t)
    return PathPoints(x_t, t, process.velocity(x_t, x, t))


class ScalingNetwork(nn.Module):
    """F(u, t) = k(t) u: the form of the exact functions for isotropic Gaussian data."""

    def __init__(self, k: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.k = k

    def forward(self, u: Data, t: Time, cond: Tensor | None = None) -> Data:
        return expand(self.k(t), u) * u


def noisy_std(t: Time, std: float, sigma_data: float) -> Time:
    """The standard deviation of x_t for data N(0, std²)."""
    return (t.cos() ** 2 * std**2 + t.sin() ** 2 * sigma_data**2).sqrt()


def gaussian_consistency(std: float, sigma_data: float) -> Denoiser:
    """f*(x_t, t) = std / √v x_t for data N(0, std²), as a model under TrigFlow; t > 0."""

    def k(t: Time) -> Time:
        return (t.cos() - std / noisy_std(t, std, sigma_data)) / t.sin()

    return Denoiser(ScalingNetwork(k), TrigPrecond(sigma_data))


def gaussian_denoiser(std: float, sigma_data: float) -> Denoiser:
    """D(x_t, t) = cos(t) std² / v x_t for the same data."""

    def k(t: Time) -> Time:
        across = t.cos() * t.sin() * (sigma_data**2 - std**2)
        return across / noisy_std(t, std, sigma_data) ** 2

    return Denoiser(ScalingNetwork(k), TrigPrecond(sigma_data))


def along_exact_path(model: Denoiser, t: Time, std: float, sigma_data: float) -> Tensor:
    """A model's answers on the path of N(0, std²) that ends at std, at the times t (b,)."""
    x_t = noisy_std(t, std, sigma_data)[:, None]  # equal rank at every time
    return model(x_t, t)[:, 0]


def gradient(loss: Tensor, model: nn.Module) -> Tensor:
    """∇_θ of a number, all parameters in one row."""
    rows = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
    return torch.cat([row.flatten() for row in rows])


def prior_weight(model: Denoiser, t: Time, x: Data) -> Tensor:
    """w(t) = 1 / (σ_d tan t), with trailing axes."""
    return expand(1 / model.process.level(t), x)


def discrete_gradient(model: Denoiser, path: PathPoints, gap: float) -> Tensor:
    """∇_θ of the mean of w(t) / gap ‖f_θ(x_t, t) - f_θ⁻(x_r, r)‖², the target held fixed."""
    with torch.no_grad():
        f_r = model(*path.before(gap))
    squared = (model(path.x_t, path.t) - f_r).square() * prior_weight(model, path.t, path.x_t)
    return gradient(squared.sum() / (gap * len(path.t)), model)


def continuous_gradient(model: Denoiser, path: PathPoints) -> Tensor:
    """∇_θ of the mean of w(t) ⟨f_θ, df_θ⁻/dt⟩, in forward mode through f itself.

    Half of what `discrete_gradient` tends to.
    """
    f, df = jvp(model, (path.x_t, path.t), (path.dx_t, torch.ones_like(path.t)))
    return gradient((prior_weight(model, path.t, path.x_t) * f * df).sum() / len(path.t), model)


def relative_error(found: Tensor, exact: Tensor) -> float:
    """‖found - exact‖ / ‖exact‖, in float64."""
    return float((found.double() - exact.double()).norm() / exact.double().norm())


def difference_errors(
    F: Denoise, path: PathPoints, exact: Tensor, steps: Sequence[float]
) -> list[float]:
    """Relative errors of central differences of F along the path, of these steps in radians."""
    velocity = path.dx_t, torch.ones_like(path.t)
    found = (chord(F, (path.x_t, path.t), velocity, h)[1] for h in steps)
    return [relative_error(slope, exact) for slope in found]


@torch.no_grad()
def time_derivative(F: Denoise, path: PathPoints) -> Tensor:
    """dF/dt along the path, in forward mode."""
    return jvp(F, (path.x_t, path.t), (path.dx_t, torch.ones_like(path.t)))[1]


def tangent_terms(model: Denoiser, path: PathPoints) -> tuple[Data, Data]:
    """g's two parts, -cos² (σ_d F - dx_t/dt) and -cos sin (x_t + σ_d dF/dt). Without a graph."""
    sigma_data = cast(TrigFlow, model.process).sigma_data
    cos, sin = expand(path.t.cos(), path.x_t), expand(path.t.sin(), path.x_t)
    with torch.no_grad():
        F = model.raw(path.x_t, path.t)
    return (
        -(cos**2) * (sigma_data * F - path.dx_t),
        -cos * sin * (path.x_t + sigma_data * time_derivative(model.raw, path)),
    )


def direction(model: Denoiser, exact: Denoise, path: PathPoints) -> PerSample:
    """The cosine (b,) between g and F* - F, the way from the network to f*'s network `exact`."""
    u = path.x_t / cast(TrigFlow, model.process).sigma_data
    with torch.no_grad():
        aim = exact(u, path.t) - model.raw(path.x_t, path.t)
    first, second = tangent_terms(model, path)
    return torch.cosine_similarity(first + second, aim)


def feature_speed(embed: Embed, time_input: TimeInput, process: TrigFlow, t: Time) -> PerSample:
    """|d features / dt| of a network with the time input c_noise(t). Frequencies are random."""
    waves = Waves(embed).to(t.dtype)
    features = torch.func.jvp(lambda t: waves(time_input(process, t)), (t,), (torch.ones_like(t),))
    return features[1].norm(dim=1)


def median_cpu_seconds(
    calls: Mapping[str, Callable[[], object]], rounds: int = 15
) -> dict[str, float]:
    """Median CPU seconds of each call; the calls take turns, so other load affects all alike."""
    seconds_of: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 2):
        for name, call in calls.items():
            start = process_time()
            call()
            seconds_of[name].append(process_time() - start)
    return {name: median(seconds[2:]) for name, seconds in seconds_of.items()}


def pass_costs(F: Denoise, path: PathPoints, batch: int) -> dict[str, float]:
    """Seconds of a forward pass, of the two that a difference takes, and of forward mode."""
    x_t, t, dx_t = (torch.cat([v] * -(-batch // len(v)))[:batch] for v in path)
    velocity = dx_t, torch.ones_like(t)
    with torch.no_grad():
        return median_cpu_seconds({
            "one forward pass": lambda: F(x_t, t),
            "two passes, for a difference,": lambda: [F(x_t, t) for _ in range(2)],
            "forward mode": lambda: torch.func.jvp(F, (x_t, t), velocity),
        })  # fmt: skip
