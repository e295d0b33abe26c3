"""Consistency trajectory models (CTM; Kim et al. 2023, arXiv:2310.02279), without critic.

    G(x_t, t, s) = (s/t) x_t + (1 - s/t) g_θ(x_t, t, s) under EDM: `flow_map.jump`
    sample x, z, t of a grid of N levels, u n steps below, s at or below u;  θ⁻ averaged weights
    x_u = n steps of Heun's method from x_t, with a teacher or with g_θ⁻(x, t, t)
    L_CTM = d( G_θ⁻(G_θ(x_t, t, s), s, 0), G_θ⁻(G_sg(θ)(x_u, u, s), s, 0) )
    L_DSM = λ(σ) ‖g_θ(x_σ, σ, σ) - x‖²

The semigroup condition with a first leg that is the teacher's, compared at the data. g is the data
estimate that a step of any process needs, so the loss is written for all of them: under rectified
flow g = x_t - t u with MeanFlow's u, exactly, since (1 - s) σ_s = s. At s = t it is the denoiser,
at s = 0 the consistency function.

Paper against the authors' code, which is followed: the inner jump of the target is the current
network's, without gradient, and only the outer one that of averaged weights; in the paper both
have averaged weights. n is drawn once for a batch, with a probability in proportion to n. Jumps to
the data end at 0; theirs at σ_min = 0.002, which is `end`. Their DSM term is scaled so that the
last layer's gradients of both are equal; here by `share`. The distance is LPIPS there. The critic,
from which the published numbers come, is left out. Without a teacher the code's `self_learn` takes
one jump or a chain of jumps of the averaged network as solver; here it is Heun's method on its
denoiser.
"""

from dataclasses import dataclass, field
from typing import Annotated, cast

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..losses import SquaredL2
from ..model import Denoiser
from ..noise_levels import DenoisingPairs, KarrasGrid
from ..ops import rewind_rng
from ..process import Process
from ..sampling import heun
from ..schedules import Constant
from ..teacher import EMATarget
from ..types import (
    Data,
    Denoise,
    Metric,
    NonNegative,
    Pairs,
    PerSample,
    Range,
    Solver,
    Teacher,
    Time,
    Weight,
)
from .base import Method
from .edm import EDMWeight
from .flow_map import jump


@ingredient
@dataclass(frozen=True)
class SolverLegs:
    """CTM's times: t on a Karras grid, u a number of steps below, s on the grid at u or below.

    Args:
        grid: the noise levels.
        points: N.
    """

    grid: KarrasGrid = KarrasGrid()
    points: Annotated[int, Range("[3, 1e5]")] = 18

    def leg(self, process: Process, x: Data) -> tuple[Tensor, Time]:
        """The times of the solver's steps from t to u, (n + 1, b), and s (b,)."""
        weights = torch.arange(1.0, self.points - 1)
        n = 1 + int(torch.multinomial(weights, 1))  # steps, drawn once for the batch
        one, other = torch.rand(2, len(x), device=x.device)
        last = (n + (one * (self.points - n)).long()).clamp_max(self.points - 1)  # index of t
        s = (other * (last - n + 1)).long().clamp(max=last - n)
        down = last - torch.arange(n + 1, device=x.device)[:, None]
        times = process.time(self.grid.up(self.points)).to(x)
        return times[down], times[s]

    def __call__(self, process: Process, x: Data, step: int) -> tuple[Time, Time]:
        path, s = self.leg(process, x)
        return path[0], s


@ingredient
@dataclass(eq=False)
class CTM(Method):
    """Consistency trajectory model: a long jump is a solver's leg and the rest, and denoising.

    Args:
        teacher: the denoiser that the solver follows; None takes the averaged network's own.
        pairs: draws t, u and s.
        solver: one step of the PF-ODE.
        metric: the distance d of data.
        target: the averaged weights θ⁻.
        levels: draws the noise levels of the denoising term.
        weight: λ of the denoising term.
        share: the factor of the denoising term.
        end: the noise level at which jumps to the data end.
    """

    teacher: Teacher | None = None
    pairs: SolverLegs = SolverLegs()
    solver: Solver = heun
    metric: Metric = SquaredL2()
    target: EMATarget = field(default_factory=lambda: EMATarget(Constant(0.999)))
    levels: Pairs = DenoisingPairs()
    weight: Weight = EDMWeight()
    share: NonNegative = 1.0
    end: NonNegative = 0.0

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        path, s = self.pairs.leg(process, x)
        x_t = process.perturb(x, torch.randn_like(x), path[0])
        with rewind_rng(x.device):
            near = jump(model, x_t, path[0], s, cond)
        with torch.no_grad():
            x_u = self.solved(process, self.denoiser(model, x, cond), x_t, path)
            aim = self.to_data(jump(model, x_u, path[-1], s, cond), s, cond)
        apart = self.metric(self.to_data(near, s, cond), aim)
        return apart + self.share * self.denoising(model, x, step, cond)

    def solved(self, process: Process, denoise: Denoise, x_t: Data, path: Tensor) -> Data:
        """x_u, by the solver's steps along the times (n + 1, b)."""
        for t, u in zip(path[:-1], path[1:], strict=True):
            x_t = self.solver(process, denoise, x_t, t, u)
        return x_t

    def denoiser(self, model: Denoiser, x: Data, cond: Tensor | None) -> Denoise:
        """The solver's denoiser: the teacher, or the diagonal of the averaged network."""
        if self.teacher is not None:
            return self.teacher(x, cond)
        g = self.target(model, cond)
        return lambda x_t, t: g(x_t, t, s=t)  # type: ignore[call-arg]

    def to_data(self, x_s: Data, s: Time, cond: Tensor | None) -> Data:
        """The averaged network's jump from s to 0, which a gradient passes through."""
        averaged = cast(Denoiser, self.target.attached())
        end = averaged.process.time(torch.full_like(s, self.end))
        return jump(averaged, x_s, s, end, cond)

    def denoising(self, model: Denoiser, x: Data, step: int, cond: Tensor | None) -> PerSample:
        """The denoising term, L_DSM."""
        process = model.process
        t, r = self.levels(process, x, step)
        x_t = process.perturb(x, torch.randn_like(x), t)
        return self.weight(process.level(t), r) * self.metric(model(x_t, t, cond, t), x)
