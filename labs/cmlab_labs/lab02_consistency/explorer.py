"""Explorer of lab 02: the consistency function f along an exact ODE path, and off it."""

import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Mixture, Mixture1D

from ..common.explorer import Explorer, Picture, slider, toggle
from ..common.plots_line import (
    SIGMA_MIN,
    PathPlane,
    Point,
    double,
    path_plane,
    point,
    quantile_points,
    same_path,
)
from .figures import path_in_the_plane, points_on_paths

if TYPE_CHECKING:
    from ..live.widget import LiveFigure

HIGH = 3.0  # the largest noise level shown


def explorer(oracle: Mixture1D) -> Explorer:
    """An explorer of f and D for a distribution on the line.

    Knobs: `path` (the share of paths below it, in %), `t` (the noise level along it), `offset`
    (how far off the path the point is pushed, in data units) and `mean` (show D).
    """
    starts = quantile_points(oracle, HIGH, 50)[:, 0].tolist()  # at 1 %, 3 %, … 99 % of the paths
    knobs = {
        "path": slider("path (% below it)", 47, 1, 99, 2),
        "t": slider("noise level t", 1.5, 0.05, HIGH, 0.05),
        "offset": slider("offset off the path", 0.0, -2.0, 2.0, 0.02),
        "mean": toggle("show the posterior mean D", True),
    }
    return Explorer(
        functools.partial(picture, path_plane(oracle, HIGH), starts), knobs, "explorer(oracle)"
    )


def picture(
    scene: PathPlane, starts: list[float], path: int, t: float, offset: float, mean: bool
) -> Picture:
    """The point on its path, and pushed off it by the offset. `starts` are x at 1 %, 3 %, …"""
    start = double([[starts[path // 2]]])
    x = float(scene.oracle.flow(start, *double([[HIGH], [t]])))
    on, off = point(scene.oracle, x, t), point(scene.oracle, x + offset, t)
    top = point(scene.oracle, starts[path // 2], HIGH)
    return Picture(same_path(scene, on, off, mean), reading(scene, top, on, off))


def reading(scene: PathPlane, top: Point, on: Point, off: Point) -> str:
    """The reading of the picture, in three lines."""
    along = (
        f"On the path, f = {on.f:.2f} at t = {on.t:.2f} (x_t = {on.x:.2f}), and also "
        f"f = {top.f:.2f} at t = {top.t:.2f} (x_t = {top.x:.2f})."
    )
    aside = f"Pushed off by {off.x - on.x:+.2f}, the point is on another path: f = {off.f:.2f}."
    if off.x == on.x:
        aside = "Offset 0: the point is on its path. The third slider pushes it off the path."
    empty = scene.empty[0] < off.mean < scene.empty[1]
    where = "in the gap between the modes" if empty else "where the data are"
    gap = f"Posterior mean D = {off.mean:.2f}, {where}; |f − D| = {abs(off.f - off.mean):.2f}."
    return "\n".join((along, aside, gap))


def from_noise_to_data(oracle: Mixture1D, points: int = 15) -> Explorer:
    """Noisy points on their way to the data. Knob: `t`, the noise level, from 3 down to 0."""
    scene = path_plane(oracle, HIGH)
    starts = quantile_points(oracle, HIGH, points)
    knobs = {"t": slider("noise level t", HIGH, 0.0, HIGH, 0.1)}
    return Explorer(
        functools.partial(on_the_way, scene, starts), knobs, "from_noise_to_data(oracle)"
    )


def on_the_way(scene: PathPlane, starts: Tensor, t: float) -> Picture:
    """All points at noise level t, each on its own path."""
    levels = double([HIGH]).expand(len(starts)), double([max(t, SIGMA_MIN)]).expand(len(starts))
    x = scene.oracle.flow(starts, *levels)[:, 0]
    low, high = scene.empty
    between = int(((x > low) & (x < high)).sum())
    spread = (t**2 + scene.oracle.sigma_data**2) ** 0.5
    where = (
        f"{between} of {len(x)} points lie where the data have a gap."
        if between
        else (f"None of the {len(x)} points lies in the gap between the two modes.")
    )
    words = (
        f"Noise level t = {t:.1f}: the noisy points have standard deviation {spread:.2f}.",
        where,
        "The order of the points from bottom to top never changes.",
    )
    return Picture(points_on_paths(scene, x, max(t, SIGMA_MIN)), "\n".join(words))


FROM, LEVEL = (-1.4, 0.75), 68  # where x_t opens, and at which of the levels of the live figure


def dragged(oracle: Mixture) -> "LiveFigure":
    """A live figure of x_t in the plane, its path, f and D, which needs no kernel."""
    from ..live.widget import LiveFigure  # with it come all that trained networks need: seconds

    levels = KarrasGrid(SIGMA_MIN, 10.0).up(101)[: LEVEL + 1].flip(0).double()
    path = oracle.path(double([FROM]), levels)[:, 0]
    mean = oracle.denoise(path[:1], levels[:1])[0]
    parts, weights = oracle.components, 8 * oracle.weights
    rows = torch.cat([parts.means, parts.stds[:, None], weights[:, None]], 1).tolist()
    own = "*".join("_".join(f"{v:.3f}" for v in row) for row in rows)
    opened = {"x": FROM[0], "y": FROM[1], "level": LEVEL, "data": "your own", "own": own}
    t = float(levels[0])
    still = Picture(path_in_the_plane(oracle, path, t, mean), where(path, t, mean))
    return LiveFigure("path", "02", opened, still)


def where(path: Tensor, t: float, mean: Tensor) -> str:
    """The reading of the picture: the places of x_t, f and D."""
    x_t, f, D = (f"({x:.2f}, {y:.2f})" for x, y in torch.stack([*path[[0, -1]], mean]).tolist())
    away = float(torch.dist(path[-1], mean))
    return (
        f"x_t = {x_t} at t = {t:.2f}: its path ends at f = {f};\n"
        f"the mean D is at {D}, {away:.2f} from there."
    )
