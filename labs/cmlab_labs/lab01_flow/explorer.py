"""Explorer of lab 01: trajectories of ODE solvers for a distribution on the line."""

from functools import lru_cache

import torch
from torch import Tensor

from cmlab.data.toy import Bumps
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Mixture1D
from cmlab.process import VarianceExploding
from cmlab.sampling import ddim, heun, ode

from ..common.exercise import RecordedCalls
from ..common.explorer import Explorer, Picture, choice, slider
from ..common.plots_line import SOLVER_STYLE
from .figures import paths_from_noise, solver_path

HIGH, LOW = 10.0, 0.002  # σ_max and σ_min
DATA = Bumps()  # the explorer opens with the data of the lab
Mode = tuple[float, float, float]  # position, share and width
SOLVERS = {"Euler": ddim, "Heun": heun}


def explorer() -> Explorer:
    """Knobs for the distribution, the start and the solver; the reading compares the endpoints."""
    knobs = {
        "start": slider("start x_t / 10", 0.85, -2.5, 2.5, 0.05),
        "steps": slider("steps N", 6, 1, 128),
        "rho": slider("ρ of the grid", 7, 1, 15),
        "lower": slider("lower mode at", DATA.means[0], -4.0, -0.5, 0.1),
        "upper": slider("upper mode at", DATA.means[2], 0.5, 4.0, 0.1),
        "below": slider("share of the lower mode", DATA.weights[0], 0.0, 0.5, 0.05),
        "above": slider("share of the upper mode", DATA.weights[2], 0.0, 0.5, 0.05),
        "width": slider("widths of the modes, times", 1.0, 0.25, 4.0, 0.25),
        "solver": choice("solver", tuple(SOLVERS)),
    }
    return Explorer(draw, knobs)


def draw(
    start: float, steps: int, rho: int, solver: str,
    lower: float, upper: float, below: float, above: float, width: float,
) -> Picture:  # fmt: skip
    """The solver's path and the exact one. The middle mode has the remaining weight."""
    places, shares = (lower, DATA.means[1], upper), (below, 1 - below - above, above)
    widths = (width * std for std in DATA.stds)
    modes = zip(("lower", "middle", "upper"), places, shares, widths, strict=True)
    kept = tuple(mode for mode in modes if mode[2] > 1e-9)
    oracle, paths = mixture(tuple(mode[1:] for mode in kept))
    x = HIGH * torch.tensor([[start]], dtype=torch.float64)
    grid = KarrasGrid(LOW, HIGH, rho).down(steps)
    exact = oracle.path(x, paths[0]).flatten()
    solved, calls = solve(oracle, x, grid, solver)
    reach = 1.3 * max(-lower, upper) + 3 * width * max(DATA.stds)
    spans = ((HIGH, 2.6 * HIGH), (2.0, max(reach, 2.0)))
    figure = solver_path(
        oracle, paths, (paths[0], exact), (grid, solved), SOLVER_STYLE[solver], spans
    )
    end, truth = solved[-1].item(), exact[-1].item()
    gone, right = (min(kept, key=lambda mode: abs(mode[1] - y))[0] for y in (end, truth))
    apart = (
        f"The solver ends nearest to the {gone} mode, the exact path nearest to the {right} one"
    )
    where = apart if gone != right else f"Both end nearest to the {right} mode"
    return Picture(
        figure,
        f"{solver}, {steps} step{'s' * (steps > 1)} from x = {x.item():.2f} at t = {HIGH:g}: "
        f"{calls} network call{'s' * (calls > 1)}.\n"
        f"Endpoint {end:.4f}, exact endpoint {truth:.4f}, error {abs(end - truth):.2g}.\n"
        f"{where}.",
    )


@lru_cache(maxsize=64)
def mixture(modes: tuple[Mode, ...]) -> tuple[Mixture1D, tuple[Tensor, Tensor]]:
    """The mixture of these modes, and its exact ODE paths."""
    means, weights, stds = torch.tensor(modes, dtype=torch.float64).T
    oracle = Mixture1D(weights, means, stds)
    return oracle, paths_from_noise(oracle, HIGH, 24)


def solve(oracle: Mixture1D, x: Tensor, grid: Tensor, solver: str) -> tuple[Tensor, int]:
    """The solver's positions at the grid's levels, and the calls of the denoiser counted."""
    denoise = RecordedCalls(oracle.denoise)
    steps = ode(VarianceExploding(), denoise, x, grid, SOLVERS[solver])
    return torch.cat([x_t.flatten() for x_t in steps]), len(denoise.calls)
