"""Metrics for toy data: errors against the exact consistency function and distribution.

A model is any denoiser of a process, called as denoise(x_t, t). Points are drawn as x + σ z at
noise level σ and given to the model as the process's own x_t = α_t (x + σ z), in torch's default
dtype.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..data.toy import ToyData
from ..gaussian_mixture import Components
from ..methods.flow_map import jump, mean_velocity
from ..methods.pcm import Phases
from ..model import Denoiser
from ..noise_levels import KarrasGrid
from ..ops import expand, seeded, sum_squares
from ..oracle import Oracle
from ..process import Process, RectifiedFlow, VarianceExploding
from ..sampling import FewSteps, Sampler
from ..types import Data, Denoise, Time
from .wasserstein import sliced

# Errors of the consistency function, by noise level and along paths


@dataclass(frozen=True, eq=False)
class ExactConsistency:
    """Values of the exact consistency function f* at L noise levels, in float64.

    Args:
        levels: noise levels, ascending (L,).
        x_t: points x + σ z at each of them (L, n, *d).
        ends: f*(x_t), where their paths end at σ_min (L, n, *d).
    """

    levels: Tensor
    x_t: Tensor
    ends: Tensor


@lru_cache(maxsize=32)
def truth(
    data: ToyData,
    sigma_min: float = 0.002,
    sigma_max: float = 10.0,
    seed: int = 0,
    levels: int = 32,
    points: int = 192,
) -> ExactConsistency:
    """The exact consistency function on a Karras grid (ρ = 7). The result is cached.

    Args:
        data: toy data, from which every noise level draws points of its own.
        sigma_min: the lowest noise level.
        sigma_max: the highest.
        seed: of the points.
        levels: how many noise levels.
        points: how many points at each.
    """
    grid, cpu = KarrasGrid(sigma_min, sigma_max).up(levels), torch.device("cpu")
    with seeded(cpu, seed):
        x = data.oracle.sample(levels * points).double()
        level = grid.repeat_interleave(points)
        x_t = x + expand(level, x) * torch.randn_like(x)
    ends = data.oracle.consistency(x_t, level, sigma_min)
    shape = (levels, points, *data.shape)
    return ExactConsistency(grid, x_t.reshape(shape), ends.reshape(shape))


@torch.no_grad()
def answers(denoise: Denoise, process: Process, x: Data, level: Time) -> Data:
    """The model's values at points x + σ z (n, *d) of noise levels σ (n,), in float64."""
    x, t = x.to(torch.get_default_dtype()), process.time(level.double())
    alpha, _ = process(t)
    return denoise(expand(alpha, x).to(x) * x, t.to(x)).double()


def rmse_by_level(denoise: Denoise, process: Process, exact: ExactConsistency) -> Tensor:
    """Root mean square error √(mean ‖f_θ - f*‖²) at each noise level: (L,)."""
    level = exact.levels.repeat_interleave(exact.x_t.shape[1])
    found = answers(denoise, process, exact.x_t.flatten(0, 1), level)
    gap = found.reshape(exact.ends.shape) - exact.ends
    return gap.flatten(2).square().sum(2).mean(1).sqrt()


# Scores of samples

SAMPLES = 8192
FEW_STEPS = FewSteps(sigma_max=10.0, sigma_mid=0.8)


@torch.no_grad()
def score_toy(
    denoise: Denoise,
    process: Process,
    data: ToyData,
    sigma_min: float = 0.002,
    sampler: Sampler = FEW_STEPS,
    seed: int = 0,
) -> dict[str, float]:
    """Scores of a consistency model on toy data, on draws that depend on the seed alone.

    rmse      √(mean ‖f_θ - f*‖²) over 32 noise levels, evenly spaced in Karras index from
              sigma_min to the sampler's sigma_max, with 192 exact points each
    rmse_max  the same at sigma_max
    sw1, sw2  sliced W₂ (128 directions) of 8192 samples in one and two steps to fresh data
    hq        share of the one-step samples within 3 std of a mode
    modes     modes that hold over 20 % of their fair share of those samples

    Data that are point masses have no std, and neither of the last two.
    """
    error = rmse_by_level(denoise, process, truth(data, sigma_min, sampler.sigma_max, seed))
    fresh, z = _clouds(data, seed)
    with seeded(z.device, seed, 2):
        one, two = (sampler(process, denoise, z, calls) for calls in (1, 2))
    found = {
        "rmse": float(error.square().mean().sqrt()),
        "rmse_max": float(error[-1]),
        "sw1": sliced(one, fresh),
        "sw2": sliced(two, fresh),
    }
    mixture = data.oracle.components
    if mixture.std_min == 0:
        return found
    hq, modes = coverage(one, mixture)
    return found | {"hq": hq, "modes": modes}


def coverage(x: Data, mixture: Components) -> tuple[float, int]:
    """Mode coverage: the share of samples within 3 std of a mode, and how many modes are covered.

    A mode is covered when it is the nearest, in std, of more than a fifth of the samples that
    its weight would give it. For separate modes in two dimensions the exact share is 0.989.

    Args:
        x: samples (n, *d).
        mixture: the components of the exact mixture.
    """
    distance = torch.cdist(x.flatten(1).double(), mixture.means) / mixture.stds
    nearest, mode = distance.min(1)
    near = nearest <= 3
    count = torch.bincount(mode[near], minlength=len(mixture.weights))
    reached = count > 0.2 * mixture.weights * len(x)
    return float(near.double().mean()), int(reached.sum())


def floor(data: ToyData, seed: int = 0) -> float:
    """Sliced W₂ between two fresh sets of 8192 samples: no sampler can score reliably below it."""
    return sliced(_clouds(data, seed)[0], _clouds(data, seed + 1)[0])


@lru_cache(maxsize=32)
def _clouds(data: ToyData, seed: int) -> tuple[Tensor, Tensor]:
    """8192 samples of the data, and as much noise."""
    with seeded(torch.device("cpu"), seed, 1):
        x, _ = data.sample(SAMPLES)
        return x, torch.randn_like(x)


# Endpoints of samplers against the exact paths' from the same noise

NOISES = 4096


@dataclass(frozen=True, eq=False)
class Ends:
    """Noise and the exact endpoints of the paths from it.

    Args:
        z: standard normal noise (n, *d).
        exact: the endpoints at noise level 0 of the paths from σ_max z (n, *d), float64.
        fresh: as many samples of the data (n, *d).
    """

    z: Tensor
    exact: Tensor  # float64
    fresh: Tensor


@lru_cache(maxsize=8)
def exact_ends(data: ToyData, sigma_max: float, n: int = NOISES, seed: int = 0) -> Ends:
    """Exact endpoints of n paths from noise level σ_max to 0. The result is cached."""
    with seeded(torch.device("cpu"), seed, 3):
        fresh, _ = data.sample(n)
        z = torch.randn_like(fresh)
    level = torch.full((n,), sigma_max, dtype=torch.float64)
    exact = data.oracle.flow(sigma_max * z.double(), level, torch.zeros_like(level))
    return Ends(z, exact, fresh)


@dataclass(frozen=True)
class ExactJumps:
    """The exact phased consistency function, written as a denoiser under the EDM process.

    The line through x_t and its value meets the exact path at the lower edge of x_t's phase. With
    a single phase down to 0 it is f*.

    Args:
        oracle: the exact distribution.
        phases: the edges of the phases.
    """

    oracle: Oracle
    phases: Phases

    def __call__(self, x_t: Data, t: Time) -> Data:
        s = self.phases.floor(VarianceExploding(), t)
        share = expand(s / t, x_t)
        return (self.oracle.flow(x_t, t, s) - share * x_t) / (1 - share)


def nearest_mode(data: ToyData, x: Data) -> Tensor:
    """The index of the nearest mode of each sample, (n,)."""
    return torch.cdist(x.flatten(1).double(), data.oracle.components.means).argmin(1)


def against(data: ToyData, x: Data, ends: Ends) -> dict[str, float]:
    """Scores of samples x (n, *d) that a sampler made from the noise `ends.z`.

    end   mean distance to the exact endpoints
    rms   root mean square of that distance
    same  share whose nearest mode is the exact endpoint's
    sw    sliced W₂ to fresh data, which does not depend on the pairing of noise and samples
    """
    distance = (x.double() - ends.exact).flatten(1).norm(dim=1)
    same = nearest_mode(data, x) == nearest_mode(data, ends.exact)
    return {
        "end": float(distance.mean()),
        "rms": float(distance.square().mean().sqrt()),
        "same": float(same.double().mean()),
        "sw": sliced(x, ends.fresh),
    }


@torch.no_grad()
def score_ends(
    denoise: Denoise, process: Process, data: ToyData, sampler: Sampler, calls: int, seed: int = 0
) -> dict[str, float]:
    """Scores, as in `against`, of a sampler with this number of network calls.

    All draws depend on the seed alone.
    """
    ends = exact_ends(data, sampler.sigma_max, seed=seed)
    with seeded(ends.z.device, seed, 4):
        x = sampler(process, denoise, ends.z, calls)
    return against(data, x, ends)


# Flow maps against the exact one


@torch.no_grad()
def score_flow_map(
    model: Denoiser, data: ToyData, sampler: Sampler, points: int = 2048, seed: int = 0
) -> dict[str, float]:
    """Scores of a flow map under rectified flow, on draws that depend on the seed alone.

    rmse1          √(mean ‖X_θ - X‖²) of one jump from noise to data, X the exact flow map
    rmse_jump      the same for jumps between two times, the sorted pair of two uniform ones
    rmse_velocity  √(mean ‖v_θ - v‖²) of the velocity at their starts
    sw1, sw2, sw4  sliced W₂ of 8192 samples in 1, 2 and 4 calls to fresh data
    """
    fresh, z = _clouds(data, seed)
    with seeded(z.device, seed, 5):
        x, noise = data.sample(points)[0], torch.randn(points, *data.shape)
        s, t = torch.rand(2, points).sort(dim=0).values.clamp(0, last := 1 - 1e-4)
        clouds = {n: sampler(model.process, model, z, n) for n in (1, 2, 4)}
    x_t = model.process.perturb(x, noise, t)
    whole = torch.full_like(t, last), torch.zeros_like(t)
    found = {
        "rmse1": jump(model, noise, *whole) - exact_jump(data.oracle, noise, *whole),
        "rmse_jump": jump(model, x_t, t, s) - exact_jump(data.oracle, x_t, t, s),
        "rmse_velocity": mean_velocity(model, x_t, t, t) - exact_velocity(data.oracle, x_t, t),
    }
    rms = {name: float(sum_squares(error).mean().sqrt()) for name, error in found.items()}
    return rms | {f"sw{n}": sliced(cloud, fresh) for n, cloud in clouds.items()}


def exact_jump(oracle: Oracle, x_t: Data, t: Time, s: Time) -> Data:
    """The exact flow map X(x_t, t -> s) under rectified flow, for t < 1, in float64."""
    x_t, t, s = x_t.double(), t.double(), s.double()
    process = RectifiedFlow()
    x_s = oracle.flow(x_t / expand(1 - t, x_t), process.level(t), process.level(s))
    return expand(1 - s, x_t) * x_s


def exact_velocity(oracle: Oracle, x_t: Data, t: Time) -> Data:
    """The exact velocity v(x_t, t) = E[z - x | x_t] under rectified flow, t < 1, in float64."""
    x_t, t = x_t.double(), t.double()
    x = oracle.denoise(x_t / expand(1 - t, x_t), RectifiedFlow().level(t))
    return (x_t - x) / expand(t, x_t)
