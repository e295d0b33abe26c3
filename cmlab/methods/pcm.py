"""Phased consistency models (Wang et al. 2024, arXiv:2405.18407).

    edges s_0 < … < s_M; sample x, z, n; s = the edge below t_{n+1}, the edge of its phase
    x̂_n = the teacher φ's solver step from x_{n+1} to t_n;  F(x_t, t, s) = the jump along f's line
    L(θ) = λ d( F_θ(x_{n+1}, t_{n+1}, s), F_θ⁻(x̂_n, t_n, s) ) + w L_adv

Code t, r, x_r are the paper's t_{n+1}, t_n, x̂_n. The jump is a DDIM step (eq. 3): at t_n = s it
is the identity, whatever the network. Both branches jump to the edge of the *start*, so that
none leaves its phase, and the network is not told s: each t has one edge. One phase down to 0 is
CD. In the paper x̂_n lies k solver steps below and is named by k; here r is what `pairs` says, but
at least s. The paper's algorithm averages θ⁻, its experiments and code do not: θ⁻ = θ here.

L_adv: both jumps are noised again, to a level drawn inside the phase, and a critic D tells the
student's (fake) from the target's (real), not from data: it has nothing to say when both agree.
The student's part is relu(1 - D(fake)), as in the authors' code; `LinearGenerator` is -D(fake).
λ does not weigh it. In the authors' code the critic grows on the frozen teacher and takes turns
with the student; here it is a network of its own. That both get the same fresh noise is our
choice.

Paper against the authors' code, and the code against this: their λ is 1, and so it is here by
default. Their d is a mean over the D numbers of a sample of √(δ² + c²) - c with c = 1e-3, and so
pulls with at most 1/√D; the default here is one norm of the sample, which pulls with at most 1.
Beside it their w = 0.1 is as much as w √D here: 0.14 in the plane, 12.8 on their 4 × 64 × 64
latents. The default is the number 0.1 itself.

Phases: noise levels at which a few-step model stops on its way to the data.

    edges s_0 < s_1 < … < s_M, the phases between them; from t the model jumps to the edge below it
    jump  x̂ = D(x_t, t);  x_s on the line through x_t and x̂   (a DDIM step)

With exact jumps M of them end where the ODE does. `multistep` jumps to the data and adds fresh
noise in between, so that it ends elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..losses import Uniform
from ..model import Model
from ..noise_levels import KarrasGrid, Neighbours, UniformIndex
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
    Pairs,
    PerSample,
    Solver,
    Teacher,
    Time,
    Weight,
)
from .base import Method
from .critic import Critic, HingeGenerator
from .ict import PseudoHuber

# Phases: noise levels at which a few-step model stops on its way to the data


@ingredient
@dataclass(frozen=True)
class Phases:
    """The edges s_0 < … < s_M in noise levels: M phases, samples leave at s_0. ValueError.

    An edge belongs to the phase that it is the top of: from there the jump is to the next one.
    """

    edges: tuple[float, ...] = (0.0, 80.0)

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in pairwise(self.edges))
        if len(self.edges) < 2 or not rising or not self.edges[0] >= 0:
            raise ValueError(
                f"edges must be two or more rising noise levels from 0 up, not {self.edges}; "
                f"cut(grid, points, count) makes them"
            )

    def __len__(self) -> int:
        return len(self.edges) - 1

    def number(self, process: Process, t: Time) -> Tensor:
        """Which phase t lies in, counted from the data: 0 … M - 1. (b,)"""
        inner = self.times(process)[1:-1].to(t)
        return torch.bucketize(t, inner * (1 + 1e-6))  # an edge in float32 may lie above itself

    def floor(self, process: Process, t: Time) -> Time:
        """The edge below t, as a time: where a jump from t ends. (b,)"""
        return self.times(process).to(t)[self.number(process, t)]

    def ceiling(self, process: Process, t: Time) -> Time:
        """The edge at or above t, as a time. (b,)"""
        return self.times(process).to(t)[self.number(process, t) + 1]

    def inside(self, process: Process, t: Time) -> Time:
        """A time drawn inside the phase of each t, uniform in the seventh root of the level."""
        ends = (process.level(edge) for edge in (self.floor(process, t), self.ceiling(process, t)))
        low, high = (level ** (1 / 7) for level in ends)
        return process.time((low + torch.rand_like(t) * (high - low)) ** 7)

    def times(self, process: Process) -> Tensor:
        """The edges in the process's clock, ascending, float64. (M + 1,)"""
        return process.time(torch.tensor(self.edges, dtype=torch.float64))


def cut(grid: KarrasGrid, points: int, count: int) -> Phases:
    """`count` phases of as many solver steps each as can be; the solver's grid ends at 0.

    Edge m is the grid's level number ⌊m · points / count⌋, 0 being the data. Raises ValueError.
    """
    if not 1 <= count <= points:
        raise ValueError(f"{points} solver steps cannot be cut into {count} phases; take fewer")
    levels = grid.down(points).flip(0).tolist()
    return Phases(tuple(levels[m * points // count] for m in range(count + 1)))


def noisier(process: Process, x_s: Data, z: Data, s: Time, t: Time) -> Data:
    """x_t with the noise of x_s and as much of z as leads from s up to t ≥ s."""
    (alpha_s, sigma_s), (alpha_t, sigma_t) = process(s), process(t)
    shrink = alpha_t / alpha_s
    more = (sigma_t**2 - (shrink * sigma_s) ** 2).clamp_min(0).sqrt()
    return expand(shrink, x_s) * x_s + expand(more, x_s) * z


def jumps(
    process: Process, denoise: Denoise, x_t: Data, times: Tensor, keep: float = 1.0
) -> Iterator[Data]:
    """x at times[0], times[1], …, one call each: along the line to the model's estimate of x.

    `keep` is the share of the noise's variance that stays what it was, the rest being drawn anew:
    at 1 the jumps are DDIM's, at 0 they are `multistep`'s. None is added at noise level 0.
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
    """From σ_max to 0 in jumps, one for each phase of the solver's grid; n calls cut it into n.

    A network of M phases was made for M calls. For a denoiser it is DDIM on n even steps.
    """

    grid: KarrasGrid = KarrasGrid()
    points: int = 64
    keep: float = 1.0  # see `jumps`

    @property
    def sigma_max(self) -> float:
        return self.grid.sigma_max

    def levels(self, calls: int) -> Sequence[float]:
        """The noise levels at which the model is called, and 0, descending."""
        return cut(self.grid, self.points, calls).edges[::-1]

    def __call__(self, process: Process, denoise: Denoise, z: Data, calls: int) -> Data:
        """Samples from standard normal noise z, after this many calls."""
        times = process.time(torch.tensor(self.levels(calls)).double()).to(z)
        _, sigma = process(times[:1].repeat(len(z)))
        *_, x = jumps(process, denoise, expand(sigma, z) * z, times, self.keep)
        return x


@ingredient
@dataclass(eq=False)
class PCM(Method):
    """Follow a teacher's path to the next edge."""

    teacher: Teacher
    phases: Phases = cut(KarrasGrid(), 50, 4)
    solver: Solver = ddim
    pairs: Pairs = Neighbours(Constant(50), UniformIndex(KarrasGrid()))
    metric: Metric = PseudoHuber()
    weight: Weight = Uniform()
    target: Target = field(default_factory=StopGrad)
    critic: Critic | None = None
    share: float = 0.1  # w, the weight of the adversarial term
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
        apart, weight = self.metric(f_t, f_r), self.weight(t, r)
        if self.critic is None:
            return weight * apart
        fake, real, level = self.noised(process, f_t, f_r, t)
        score, critic_loss = self.critic(real, fake, level, cond)
        return weight * apart + self.share * self.generator(score) + critic_loss

    def noised(
        self, process: Process, f_t: Data, f_r: Data, t: Time
    ) -> tuple[Data, Data, PerSample]:
        """Both jumps at one level inside the phase with one noise, and that level."""
        s, u, z = (
            self.phases.floor(process, t),
            self.phases.inside(process, t),
            torch.randn_like(f_t),
        )
        alpha, sigma = process(u)
        size = expand((alpha**2 + sigma**2).rsqrt(), z)  # the critic sees about unit variance
        fake, real = (size * noisier(process, f, z, s, u) for f in (f_t, f_r))
        return fake, real, sigma / alpha
