"""Reflow (Liu, Gong & Liu 2022, arXiv:2209.03003): flow matching on the ends of a teacher's paths.

    sample z;  x̂ = the end of the teacher's path from z;  x_t = (1 - t) x̂ + t z
    L(θ) = ‖u_θ(x_t, t, s) - (z - x̂)‖²

A baseline. Pairs that an ODE joins have straighter paths than independent ones, and a second such
flow needs fewer steps; it is not the flow map, and one step of it is exact only once its paths are
straight. There u is its own mean for every s, so the network is asked with any s; the paper's has
one time. In the paper the pairs are made once and kept; here they are made as training goes on.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..model import Denoiser
from ..ops import sum_squares
from ..sampling import heun, ode
from ..types import Calls, Data, Pairs, PerSample, Positive, Solver, Teacher
from .base import Method
from .flow_map import FlowMapPairs, mean_velocity, rectified


@ingredient
@dataclass(eq=False)
class Reflow(Method):
    """Reflow: a flow is trained anew on pairs of noise and the sample a teacher makes of it.

    Args:
        teacher: the denoiser whose paths join the pairs.
        pairs: draws the times t >= s of each sample.
        steps: of the solver, even in rectified-flow time.
        solver: one step of the PF-ODE.
        sigma_max: the noise level at which the paths start.
    """

    teacher: Teacher
    pairs: Pairs = FlowMapPairs(diagonal=0.5)
    steps: Calls = 16
    solver: Solver = heun
    sigma_max: Positive = 1e4

    def loss(self, model: Denoiser, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = rectified(model)
        t, s = self.pairs(process, x, step)
        z = torch.randn_like(x)
        last = self.sigma_max / (1 + self.sigma_max)
        times = torch.linspace(last, 0, self.steps + 1, dtype=torch.float64)
        with torch.no_grad():
            path = ode(process, self.teacher(x, cond), last * z, times, self.solver)
            *_, end = path
        x_t = process.perturb(end, z, t)
        return sum_squares(mean_velocity(model, x_t, t, s, cond) - (z - end))
