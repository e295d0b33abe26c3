"""Phased consistency models (Wang et al. 2024, arXiv:2405.18407).

    edges s_0 < … < s_M; sample x, z, n; s = the edge below t_{n+1}, the edge of its phase
    x̂_n = the teacher φ's solver step from x_{n+1} to t_n;  F(x_t, t, s) = the jump along f's line
    L(θ) = λ d( F_θ(x_{n+1}, t_{n+1}, s), F_θ⁻(x̂_n, t_n, s) ) + w L_adv

Code t, r, x_r are the paper's t_{n+1}, t_n, x̂_n. The jump is a DDIM step (eq. 3): at t_n = s it
is the identity, whatever the network. Both branches jump to the edge below t_{n+1}, so that
neither leaves its phase, and s is no input of the network: each t has one edge. One phase down to
0 is CD. In the paper x̂_n lies k solver steps below and is named by k; here r is that of `pairs`,
but at least s. The paper's algorithm averages θ⁻, its experiments and code do not: θ⁻ = θ here.

L_adv: both jumps are noised again, to a level drawn inside the phase, and a critic D distinguishes
the student's (fake) from the target's (real), not from data: it has no gradient when both agree.
The student's part is relu(1 - D(fake)), as in the authors' code; `LinearGenerator` is -D(fake).
λ does not weight it. In the authors' code the critic is built on the frozen teacher and alternates
with the student; here it is a network of its own. That both get the same fresh noise is our
choice.

Paper against the authors' code: their λ is 1, the default here. Their d is a mean over the D
numbers of a sample of √(δ² + c²) - c with c = 1e-3, whose gradient has a norm of at most 1/√D; the
default here is one norm of the whole sample, with a gradient of at most 1. Beside it their w = 0.1
corresponds to w √D: 0.14 in the plane, 12.8 on their latents of 4 · 64 · 64 numbers. The default
is 0.1 itself.

Sampling jumps from edge to edge. With exact jumps, M of them end where the ODE does. `multistep`
jumps to the data and adds fresh noise in between, so that it ends elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from typing import Annotated

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..losses import Uniform
from ..model import Model
from ..noise_levels import AdjacentLevels, KarrasGrid, UniformIndex
from ..ops import expand, rewind_rng
from ..process import Process
from ..sampling import ddim, descending
from ..schedules import Constant
from ..teacher import StopGrad, Target
from ..types import (
    Data,
    Denoise,
    GeneratorLoss,
    Metric,
    NonNegative,
    Pairs,
    PerSample,
    Range,
    Share,
    Solver,
    Teacher,
    Time,
    Weight,
)
from .base import Method
from .critic import Critic, HingeGenerator
from .ict import PseudoHuber

# Phases, and the sampler that stops at their edges


@ingredient
@dataclass(frozen=True)
class Phases:
    """Phases of the noise levels, between the edges s_0 < … < s_M; sampling ends at s_0.

    An edge belongs to the phase below it: from there the jump is to the next edge down.

    Raises:
        ValueError: for fewer than two edges, or edges that do not rise from 0 or more.
    """

    edges: tuple[NonNegative, ...] = (0.0, 80.0)

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in pairwise(self.edges))
        if len(self.edges) < 2 or not rising:
            raise ValueError(
                f"edges must be two or more rising noise levels from 0 up, not {self.edges}; "
                f"cut(grid, points, count) makes them"
            )

    def __len__(self) -> int:
        return len(self.edges) - 1

    def number(self, process: Process, t: Time) -> Tensor:
        """The phase (b,) that t lies in, counted from the data: 0 … M - 1."""
        inner = self.times(process)[1:-1].to(t)
        return torch.bucketize(t, inner * (1 + 1e-6))  # an edge in float32 may lie above itself

    def floor(self, process: Process, t: Time) -> Time:
        """The edge below t, as a time (b,): where a jump from t ends."""
        return self.times(process).to(t)[self.number(process, t)]

    def ceiling(self, process: Process, t: Time) -> Time:
        """The edge at or above t, as a time (b,)."""
        return self.times(process).to(t)[self.number(process, t) + 1]

    def inside(self, process: Process, t: Time) -> Time:
        """A random time (b,) in the phase of each t, uniform in the noise level's seventh root."""
        ends = (process.level(edge) for edge in (self.floor(process, t), self.ceiling(process, t)))
        low, high = (level ** (1 / 7) for level in ends)
        return process.time((low + torch.rand_like(t) * (high - low)) ** 7)

    def times(self, process: Process) -> Tensor:
        """The edges as times of the process (M + 1,), ascending, in float64."""
        return process.time(torch.tensor(self.edges, dtype=torch.float64))


def cut(grid: KarrasGrid, points: int, count: int) -> Phases:
    """Split a solver's grid of `points` steps down to 0 into `count` phases, as even as can be.

    Edge m is the grid's level number ⌊m · points / count⌋, number 0 being noise level 0.

    Raises:
        ValueError: for fewer than one phase, or more phases than steps.
    """
    if not 1 <= count <= points:
        raise ValueError(f"{points} solver steps cannot be cut into {count} phases; take fewer")
    levels = grid.down(points).flip(0).tolist()
    return Phases(tuple(levels[m * points // count] for m in range(count + 1)))


def noisier(process: Process, x_s: Data, z: Data, s: Time, t: Time) -> Data:
    """Diffuse x_s from time s to t ≥ s: it keeps its noise, and z adds the variance that lacks."""
    (alpha_s, sigma_s), (alpha_t, sigma_t) = process(s), process(t)
    shrink = alpha_t / alpha_s
    more = (sigma_t**2 - (shrink * sigma_s) ** 2).clamp_min(0).sqrt()
    return expand(shrink, x_s) * x_s + expand(more, x_s) * z


def jumps(
    process: Process, denoise: Denoise, x_t: Data, times: Tensor, keep: float = 1.0
) -> Iterator[Data]:
    """Sample by DDIM jumps from time to time, with one network call each.

    Args:
        process: the process of `denoise`.
        denoise: a denoiser or consistency function.
        x_t: noisy data at times[0].
        times: the times (m,), strictly descending.
        keep: the share of the noise's variance that is kept, the rest being drawn anew: 1 is
            deterministic DDIM, 0 is `multistep`. No noise is added at noise level 0.

    Yields:
        x at times[0], times[1], ….
    """
    times = descending(times.to(x_t))
    yield x_t
    for t, s in pairwise(times):
        t, s = t.repeat(len(x_t)), s.repeat(len(x_t))
        x = denoise(x_t, t)
        z = process.noise(x_t, x, t)
        if keep < 1 and bool(process.level(s)[0] > 0):
            z = sqrt(keep) * z + sqrt(1 - keep) * torch.randn_like(z)
        x_t = process.perturb(x, z, s)
        yield x_t


@ingredient
@dataclass(frozen=True)
class PhasedSteps:
    """PCM's sampler: from σ_max to 0 in jumps, one for each phase of the solver's grid.

    n calls cut the grid into n phases; a network of M phases is trained for M calls. With a
    denoiser it is DDIM on n even steps.

    Args:
        grid: the noise levels.
        points: the number of solver steps that are split into phases.
        keep: the share of the noise's variance that is kept, see `jumps`.
    """

    grid: KarrasGrid = KarrasGrid()
    points: Annotated[int, Range("[1, 1e4]")] = 64
    keep: Share = 1.0

    @property
    def sigma_max(self) -> float:
        return self.grid.sigma_max

    def levels(self, calls: int) -> Sequence[float]:
        """The noise levels at which the model is called, and 0, descending."""
        return cut(self.grid, self.points, calls).edges[::-1]

    def __call__(self, process: Process, denoise: Denoise, z: Data, calls: int) -> Data:
        """Samples (b, *d) from standard normal noise z, after `calls` network calls."""
        times = process.time(torch.tensor(self.levels(calls)).double()).to(z)
        _, sigma = process(times[:1].repeat(len(z)))
        *_, x = jumps(process, denoise, expand(sigma, z) * z, times, self.keep)
        return x


@ingredient
@dataclass(eq=False)
class PCM(Method):
    """Consistency distillation within phases, with an optional critic.

    Args:
        teacher: the denoiser φ.
        phases: the edges s_m.
        solver: one step of the PF-ODE from t to r.
        pairs: draws the times t > r of each sample.
        metric: the distance d.
        weight: the weight λ.
        target: f_θ⁻.
        critic: D; None leaves the adversarial term out.
        share: w, the weight of the adversarial term.
        generator: the student's adversarial loss, a function of D(fake).
    """

    teacher: Teacher
    phases: Phases = cut(KarrasGrid(), 50, 4)
    solver: Solver = ddim
    pairs: Pairs = AdjacentLevels(Constant(50), UniformIndex(KarrasGrid()))
    metric: Metric = PseudoHuber()
    weight: Weight = Uniform()
    target: Target = field(default_factory=StopGrad)
    critic: Critic | None = None
    share: NonNegative = 0.1
    generator: GeneratorLoss = HingeGenerator()

    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        t, r = self.pairs(process, x, step)
        s = self.phases.floor(process, t)
        r = torch.maximum(r, s)
        x_t = process.perturb(x, torch.randn_like(x), t)
        x_r = self.solver(process, self.teacher(x, cond), x_t, t, r)

        with rewind_rng(x.device):  # both passes drop the same units
            f_t = process.transport(x_t, model(x_t, t, cond), t, s)
        f_r = process.transport(x_r, self.target(model, cond)(x_r, r), r, s)
        distance, weight = self.metric(f_t, f_r), self.weight(t, r)
        if self.critic is None:
            return weight * distance
        fake, real, level = self.noised(process, f_t, f_r, t)
        on_fake, critic = self.critic(real, fake, level, cond)
        return weight * distance + self.share * self.generator(on_fake) + critic

    def noised(
        self, process: Process, f_t: Data, f_r: Data, t: Time
    ) -> tuple[Data, Data, PerSample]:
        """Both jumps, noised to one random level of the phase with one noise; and that level."""
        s, u = self.phases.floor(process, t), self.phases.inside(process, t)
        z = torch.randn_like(f_t)
        alpha, sigma = process(u)
        size = expand((alpha**2 + sigma**2).rsqrt(), z)  # the critic sees about unit variance
        fake, real = (size * noisier(process, f, z, s, u) for f in (f_t, f_r))
        return fake, real, sigma / alpha
