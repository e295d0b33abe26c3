"""Explorer of lab 05: training pairs, one noisy point x_t with its neighbours x_r and targets."""

import functools

from cmlab.oracle import Mixture1D

from ..common.explorer import Explorer, Picture, choice, slider
from ..common.plots_line import SIGMA_MIN, PathPlane, double, path_plane, quantile_points
from .figures import Pairs, pair_plane, pairs

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
    return Explorer(functools.partial(picture, path_plane(oracle, HIGH)), knobs, "explorer(law)")


def picture(scene: PathPlane, noise: str, t: float, ratio: float, place: int) -> Picture:
    """The pairs whose noisier point x_t has this rank."""
    x_t = float(place_of(scene.oracle, place, t))
    seen = pairs(scene, x_t, t, max(ratio * t, SIGMA_MIN), noise == SHARED)
    return Picture(pair_plane(scene, seen), reading(seen))


@functools.lru_cache(maxsize=4)
def starts(oracle: Mixture1D) -> list[float]:
    """Quantiles 1 %, 3 %, … at the highest level: ODE paths keep their quantile."""
    return quantile_points(oracle, HIGH, 50)[:, 0].tolist()


def place_of(oracle: Mixture1D, place: int, t: float) -> float:
    """The quantile `place` (in %) of the noisy points at level t."""
    start = double([[starts(oracle)[place // 2]]])
    return float(oracle.flow(start, *double([[HIGH], [t]])))


def reading(seen: Pairs) -> str:
    """The reading of the picture, in three lines."""
    bias = seen.mean - seen.exact
    pair = (
        f"x_t = {seen.x_t:.2f} at t = {seen.t:.2f}, neighbours at r = {seen.r:.3f}. "
        f"Exact f = {seen.exact:.3f}; mean of the data behind x_t: D = {seen.average:.3f}."
    )
    error = (
        f"Mean target {seen.mean:.3f}, spread {seen.spread:.3f}; bias (mean − exact) {bias:+.4f}."
    )
    if not seen.shared:
        return (
            f"{pair}\n{error}\nx_r has noise of its own: knowing x_t, its path is anybody's guess."
        )
    if seen.r <= 2 * SIGMA_MIN:
        return f"{pair}\n{error}\nWith r at its least the target is x itself: this is denoising."
    many = (seen.spread / max(abs(bias), 1e-12)) ** 2
    return f"{pair}\n{error}\nTargets to average until their noise equals the bias: {many:.2g}."
