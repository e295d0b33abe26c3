"""Explorer of lab 05: training pairs, one noisy point x_t with its neighbours; live training."""

import functools

import torch

from cmlab.oracle import Mixture1D
from cmlab.presets import toy
from cmlab.sampling import ddim
from cmlab.train.trainer import Trainer

from ..common.explorer import Explorer, LiveTraining, Picture, choice, slider
from ..common.plots_line import SIGMA_MIN, PathPlane, double, path_plane, quantile_points
from .analysis import fresh as new_noise
from .analysis import mean_of
from .analysis import shared as same_noise
from .figures import (
    ORACLE,
    Pairs,
    TrainingProgress,
    fixed_point_on_grid,
    pair_plane,
    pairs,
    training_figure,
)
from .study import fresh as other_noise
from .study import squared

HIGH = 3.0  # the largest noise level shown
SHARED, FRESH = "shared", "fresh"


def explorer(oracle: Mixture1D) -> Explorer:
    """Training pairs with one x_t, for a distribution on the line.

    Knobs: `noise` (shared or fresh), `t`, `ratio` (r/t; 0 stands for r = ε) and `place` (how many
    of 100 noisy points lie below x_t).
    """
    knobs = {
        "noise": choice("noise of x_r:", (SHARED, FRESH)),
        "t": slider("noise level t", 1.5, 0.1, HIGH, 0.1),
        "ratio": slider("ratio r/t", 0.5, 0.0, 0.98, 0.02),
        "place": slider("rank of x_t (%)", 41, 1, 99, 2),
    }
    return Explorer(
        functools.partial(picture, path_plane(oracle, HIGH)), knobs, "explorer(oracle)"
    )


def picture(scene: PathPlane, noise: str, t: float, ratio: float, place: int) -> Picture:
    """The pairs whose noisier point x_t has this rank."""
    x_t = place_of(scene.oracle, place, t)
    seen = pairs(scene, x_t, t, max(ratio * t, SIGMA_MIN), noise == SHARED)
    return Picture(pair_plane(scene, seen), reading(seen))


@functools.lru_cache(maxsize=4)
def starts(oracle: Mixture1D) -> list[float]:
    """Quantiles 1 %, 3 %, … at the highest level: ODE paths keep their quantile."""
    return quantile_points(oracle, HIGH, 50)[:, 0].tolist()


@functools.lru_cache(maxsize=16)  # of a drag of r, x_t stays
def place_of(oracle: Mixture1D, place: int, t: float) -> float:
    """The quantile `place` (in %) of the noisy points at level t."""
    start = double([[starts(oracle)[place // 2]]])
    return float(oracle.flow(start, *double([[HIGH], [t]])))


def reading(seen: Pairs) -> str:
    """The reading of the picture, in three lines."""
    bias = seen.mean - seen.exact
    pair = (
        f"x_t = {seen.x_t:.2f} at t = {seen.t:.2f}, neighbours at r = {seen.r:.3f}. "
        f"Exact f* = {seen.exact:.3f}; mean of the data behind x_t: D = {seen.average:.3f}."
    )
    error = (
        f"Mean target {seen.mean:.3f}, scatter {seen.scatter:.3f}; "
        f"bias (mean − exact) {bias:+.4f}."
    )
    if not seen.shared:
        fresh = "x_r has noise of its own, so x_t says little about the path through x_r."
        return f"{pair}\n{error}\n{fresh}"
    if seen.r <= 2 * SIGMA_MIN:
        return f"{pair}\n{error}\nAt the smallest r the target is x itself: this is denoising."
    many = (seen.scatter / max(abs(bias), 1e-12)) ** 2
    enough = f"Targets to average until the scatter of their mean equals the bias: {many:.2g}."
    return f"{pair}\n{error}\n{enough}"


# Live training on the line: the network, and the fixed point of its own loss

RULES = {SHARED: (ddim, mean_of(same_noise)), FRESH: (other_noise, mean_of(new_noise))}


def live_training(noise: str = SHARED, points: int = 20, seed: int = 0) -> LiveTraining:
    """Consistency training on the line with ‖·‖², from step 0, as it was recorded.

    Args:
        noise: "shared" or "fresh", the noise of x_r.
        points: the number N of noise levels.
        seed: of the weights and of the samples.
    """
    solver, rule = RULES[noise]
    recipe = squared(solver, points, seed)
    limit, oracle = fixed_point_on_grid(rule, points), ORACLE
    ranked = quantile_points(oracle, toy.SIGMA_MAX, 200)
    x = torch.linspace(-24, 24, 241).double()
    level = torch.full((441,), toy.SIGMA_MAX).double()
    at = torch.cat([ranked, x[:, None]])
    exact = oracle.consistency(at, level)[:, 0]
    seen: list[tuple[int, float, float]] = []

    def draw(trainer: Trainer) -> Picture:
        model = trainer.ema.model
        like = next(model.parameters())
        with torch.no_grad():
            said = model(at.to(like), level.to(like)).double()[:, 0]
        gaps = ((said - goal)[:200].square().mean().sqrt() for goal in (exact, limit(at[:, 0])))
        if not trainer.step:
            seen.clear()
        to_exact, to_fixed = map(float, gaps)
        seen.append((trainer.step, to_exact, to_fixed))
        steps, to_f, to_limit = (list(row) for row in zip(*seen, strict=True))
        figure = training_figure(
            TrainingProgress(x, said[200:], steps, to_f, to_limit), limit, exact[200:]
        )
        return Picture(figure, training_reading(noise, points, *seen[-1]))

    return LiveTraining(recipe.trainer, draw)


def training_reading(noise: str, points: int, step: int, to_f: float, to_limit: float) -> str:
    """The reading of a moment of the live training, in three lines."""
    return (
        f"Step {step}, {noise} noise, N = {points} levels, squared distance.\n"
        f"At t = 10 the network is {to_f:.2f} from the exact f* (RMS over even ranks of x_t),\n"
        f"and {to_limit:.2f} from the fixed point of its own loss, which was computed beforehand."
    )
