"""Explorer of lab 04: one update of consistency distillation in five sub-steps."""

from functools import cache

import torch
from torch import Tensor

from cmlab.data.toy import Bumps
from cmlab.noise_levels import KarrasGrid
from cmlab.ops import expand
from cmlab.process import VarianceExploding
from cmlab.sampling import ddim, heun

from ..common.explorer import Explorer, Picture, choice, log_slider, slider
from ..common.plots_line import quantile_points
from ..common.study import read
from .figures import STAGES, Paths, Update, slow_motion

# The reading of each sub-step

ANSWERS = {
    "exact": "the exact posterior mean",
    "learned": "a trained denoiser's guess",
    "one sample": "the very x to which the noise was added",
}


def noisy_point(u: Update, teacher: str) -> tuple[str, str]:
    return (
        f"x = {u.x:.2f} is drawn from the data and z = {u.z:.2f} from the noise: "
        f"x_t = x + t z = {u.x_t:.2f} at t = {u.t:.3g}.",
        f"Its exact path ends at {u.end:.3f}. The network is never shown this number.",
    )


def teachers_step(u: Update, teacher: str) -> tuple[str, str]:
    return (
        f"Asked for D, the teacher gives {ANSWERS[teacher]}, and the solver steps to "
        f"x_r = {u.x_r:.3f} at r = {u.r:.3g}; the exact path (circle) is at {u.on_path:.3f}.",
        f"The path through x_r ends at {u.end_r:.3f} instead of {u.end:.3f}: "
        f"this step alone adds an error of {abs(u.end_r - u.end):.2g}.",
    )


def online_answer(u: Update, teacher: str) -> tuple[str, str]:
    return (
        f"The student answers {u.f_t:.3f} at x_t, {abs(u.f_t - u.end):.2g} from the exact end.",
        "This is the answer that is trained: the gradient flows through it.",
    )


def held_target(u: Update, teacher: str) -> tuple[str, str]:
    return (
        f"The same network answers {u.f_r:.3f} at x_r, "
        f"{abs(u.f_r - u.end_r):.2g} from the end of the path through x_r.",
        "θ⁻ = θ, but no gradient flows here: for this update the target is a fixed number.",
    )


def gradient_pull(u: Update, teacher: str) -> tuple[str, str]:
    gap, before, after = u.f_t - u.f_r, abs(u.f_t - u.end), abs(u.f_r - u.end)
    where = "nearer to" if after < before else "away from"
    return (
        f"Loss (f_θ − f_θ⁻)² = {gap**2:.2g}; its gradient in the online answer is {2 * gap:+.2g}, "
        f"so the update moves it {'down' if gap > 0 else 'up'}, towards the target.",
        f"At the target it would be {after:.2g} from the exact end, and now it is {before:.2g}: "
        f"this draw moves it {where} the truth.",
    )


SENTENCES = (noisy_point, teachers_step, online_answer, held_target, gradient_pull)


# The explorer, driven by the arrow keys

ORACLE = Bumps().oracle
GRID = KarrasGrid(0.002, 10.0)
SOLVERS = {"Euler": ddim, "Heun": heun}
TEACHERS = ("exact", "learned", "one sample")
KNOWN = 0.7  # noise level up to which the explorer's student has learned more than half
DRAWS = 40


def explorer() -> Explorer:
    """Knobs: `stage` (the sub-step), `points` (N), `solver`, `teacher`, `level` and `draw`."""
    knobs = {
        "stage": slider("sub-step", 5, 1, 5),
        "points": choice("levels N", (5, 10, 20, 40, 80)),
        "level": log_slider("noise level t", 2.6, 0.05, 10.0, 30),
        "draw": slider("draw of x and z", 1, 1, DRAWS),
        "solver": choice("solver", tuple(SOLVERS)),
        "teacher": choice("teacher", TEACHERS),
    }
    return Explorer(picture, knobs)


def picture(
    stage: int, points: int, level: float, draw: int, solver: str, teacher: str
) -> Picture:
    """One update at the grid's level nearest to this one, up to sub-step `stage`."""
    made = update(points, level, draw, solver, teacher)
    levels = background_paths().levels
    here = torch.tensor([[made.x_t]]).double().expand(len(levels), 1)
    path = ORACLE.flow(here, torch.full_like(levels, made.t), levels)[:, 0]
    return Picture(
        slow_motion(background_paths(), path, made, stage), reading(made, stage, teacher)
    )


@cache
def background_paths() -> Paths:
    """Exact paths up to σ_max, and the density of the data."""
    levels = KarrasGrid(GRID.sigma_min, GRID.sigma_max, 3).up(90)
    positions = (
        ORACLE.path(quantile_points(ORACLE, GRID.sigma_max, 24), levels.flip(0)).squeeze(2).flip(0)
    )
    rows = torch.linspace(-2, 2, 300).double()
    density = ORACLE.log_density(rows[:, None], torch.full_like(rows, GRID.sigma_min)).exp()
    return Paths(levels, positions, rows, density / density.max())


def update(points: int, level: float, draw: int, solver: str, teacher: str) -> Update:
    """The numbers of one update on a grid of N levels."""
    levels = GRID.up(points)
    above = int((levels[1:].log() - torch.tensor(level).log()).abs().argmin()) + 1
    t, r = levels[above : above + 1], levels[above - 1 : above]
    g = torch.Generator().manual_seed(draw)
    x, z = ORACLE.sample(1, g).double(), torch.randn(1, 1, generator=g).double()
    x_t = VarianceExploding().perturb(x, z, t)
    denoise = {"exact": ORACLE.denoise, "learned": learned, "one sample": lambda x_t, t: x}[
        teacher
    ]
    x_r, guess = (
        step(VarianceExploding(), denoise, x_t, t, r) for step in (SOLVERS[solver], ddim)
    )
    on_path, end, end_r = (
        ORACLE.flow(x_t, t, r),
        ORACLE.consistency(x_t, t),
        ORACLE.consistency(x_r, r),
    )
    f_t, f_r = half_trained(x_t, t), half_trained(x_r, r)
    parts = (x, z, t, r, x_t, x_r, guess, on_path, f_t, f_r, end, end_r)
    return Update(*(float(part) for part in parts))


def half_trained(x_t: Tensor, t: Tensor) -> Tensor:
    """A half-trained student: the exact f at low noise, still the mean D at high noise."""
    known = expand(1 / (1 + (t / KNOWN) ** 2), x_t)
    return known * ORACLE.consistency(x_t, t) + (1 - known) * ORACLE.denoise(x_t, t)


def learned(x_t: Tensor, t: Tensor) -> Tensor:
    """A recorded denoiser: the exact one plus its recorded error, interpolated."""
    error, low, high, reach = recorded_error()
    rows, columns = (n - 1 for n in error.shape)
    at = (t ** (1 / GRID.rho) - low) / (high - low) * rows
    place = x_t[:, 0] / (t**2 + ORACLE.sigma_data**2).sqrt()
    found = bilinear(error, at, (place / reach + 1) / 2 * columns)
    return ORACLE.denoise(x_t, t) + found[:, None]


@cache
def recorded_error() -> tuple[Tensor, float, float, float]:
    """D_φ - D (levels, places) of seed 0, the ends of its levels' ρ-th roots, and its reach."""
    seen = read("teacher", "denoiser")
    level, place = (torch.from_numpy(seen[name][0]) for name in ("levels", "place"))
    x = place * (level[:, None] ** 2 + ORACLE.sigma_data**2).sqrt()
    exact = ORACLE.denoise(x.reshape(-1, 1), level.repeat_interleave(len(place))).reshape(x.shape)
    low, high = (level[[0, -1]] ** (1 / GRID.rho)).tolist()
    return torch.from_numpy(seen["map"][0]) - exact, low, high, float(place[-1])


def bilinear(values: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Bilinear interpolation of values (m, n) at fractional indices, constant beyond borders."""
    row, column = (v.clamp(0, n - 1.001) for v, n in zip((row, column), values.shape, strict=True))
    i, j = row.long(), column.long()
    u, v = row - i, column - j
    upper, lower = (values[k, j] * (1 - v) + values[k, j + 1] * v for k in (i, i + 1))
    return upper * (1 - u) + lower * u


def reading(u: Update, stage: int, teacher: str) -> str:
    """The reading of the picture, in three lines."""
    first = f"Sub-step {stage} of 5: {STAGES[stage - 1]}."
    return "\n".join((first, *SENTENCES[stage - 1](u, teacher)))
