"""Analysis of lab 01: the errors of an ODE solver on the probability flow, local and global."""

import torch
from torch import Tensor

from cmlab.ops import expand
from cmlab.oracle import Oracle
from cmlab.process import Process, VarianceExploding
from cmlab.sampling import ddim, heun, ode
from cmlab.types import Data, Denoise, PerSample, Solver, Time


def end_error(oracle: Oracle, x_t: Data, levels: Tensor, solver: Solver = heun) -> PerSample:
    """Global error of a solver: distance of its endpoint to the exact one, in data units.

    Args:
        oracle: the data distribution; its denoiser is exact, so the error is the solver's alone.
        x_t: the starts, shape (b, *d).
        levels: noise levels (m,), falling from that of x_t.
        solver: one step of the solver.

    Returns:
        The distances, shape (b,).
    """
    *_, end = ode(VarianceExploding(), oracle.denoise, x_t, levels, solver)
    first, last = (level.to(x_t).expand(len(x_t)) for level in (levels[0], levels[-1]))
    return (end - oracle.flow(x_t, first, last)).flatten(1).norm(dim=1)


def step_errors(oracle: Oracle, x_t: Data, levels: Tensor, solver: Solver = heun) -> Tensor:
    """Local error (RMS) of each single step down the levels (m,), on the exact path: (m - 1,)."""
    path = oracle.path(x_t, levels)
    errors = [
        end_error(oracle, x, step, solver).square().mean().sqrt()
        for x, step in zip(path[:-1], levels.unfold(0, 2, 1), strict=True)
    ]
    return torch.stack(errors)


def share_errors(oracle: Oracle, x_t: Data, levels: Tensor, share: float = 0.1) -> Tensor:
    """Local errors of Euler steps from each level t to (1 - share) t, on exact paths: (m, b)."""
    steps = torch.stack([levels, (1 - share) * levels], 1)
    ways = zip(oracle.path(x_t, levels), steps, strict=True)
    return torch.stack([end_error(oracle, x, step, ddim) for x, step in ways])


def heun_on_path(oracle: Oracle) -> Solver:
    """Heun's step with its second slope measured where the exact path is, not where Euler ends."""

    def step(process: Process, denoise: Denoise, x_t: Data, t: Time, r: Time) -> Data:
        there = oracle.flow(x_t, t, r)
        slopes = process.noise(x_t, denoise(x_t, t), t), process.noise(there, denoise(there, r), r)
        return x_t + expand(r - t, x_t) * (slopes[0] + slopes[1]) / 2

    return step
