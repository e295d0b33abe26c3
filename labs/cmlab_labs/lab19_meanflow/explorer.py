"""Explorer of lab 19: u against v, and the target that each tangent makes."""

import functools

import numpy as np
import torch

from cmlab.oracle import Mixture1D

from ..common.explorer import Explorer, Picture, choice, slider
from .analysis import LAST, MODES, TANGENTS, ExactJump, path_points, posterior_velocities
from .figures import TangentPicture, TangentView

PLACES = 50  # of every curve
NOISES = ("hidden", "of single targets")
SHORTEST = 0.02  # a jump, so that a mean over it can be taken


def explorer() -> Explorer:
    """An explorer of targets. Knobs: `tangent`, `path` (% below it), `t`, `r`, `noise`."""
    oracle = MODES.oracle
    knobs = {
        "tangent": choice("tangent", list(TANGENTS)),
        "path": slider("path (%)", 64, 2, 98, 2),
        "t": slider("start t", 0.8, 0.1, 1.0, 0.01),
        "r": slider("end r", 0.2, 0.0, 0.95, 0.01),
        "noise": choice("noise", NOISES),
    }
    return Explorer(functools.partial(picture, TangentPicture(oracle), oracle), knobs)


def picture(
    scene: TangentPicture, oracle: Mixture1D,
    tangent: str, path: int, t: float, r: float, noise: str,
) -> Picture:  # fmt: skip
    """The jump from t to r on this path; an end too near to the start is moved away from it."""
    seen = view(oracle, TANGENTS[tangent], path, t, min(r, round(t - SHORTEST, 6)))
    told = noise != NOISES[0]
    return Picture(scene.show(seen, told), reading(seen, tangent, told))


def view(oracle: Mixture1D, tangent: str, path: int, t: float, r: float) -> TangentView:
    """All that is drawn of one jump."""
    t = min(t, LAST)
    everywhere = torch.linspace(0, 1, 2 * PLACES).double()
    way = path_points(oracle, path / 100, torch.cat([everywhere, torch.tensor([t]).double()]))
    x_t, ends = way[-1:], torch.linspace(0, t - SHORTEST, PLACES - 1).double()
    asked = torch.cat([ends, torch.tensor([r]).double()])
    start = torch.full_like(asked, t)
    jump = ExactJump(oracle, x_t.expand(len(asked), 1), start, asked)
    u, v_end, target = (row[:, 0].numpy() for row in (jump.u, jump.v_end, jump.target(tangent)))
    v, slope, X = (float(row[-1]) for row in (jump.v, jump.slope, jump.X))
    xi = posterior_velocities(oracle, float(x_t), t).numpy() - v
    return TangentView(
        path=np.stack([everywhere, way[:-1, 0]]),
        jump=(t, float(x_t), r, X, v, float(v_end[-1]), float(target[-1])),
        ends=ends.numpy(), u=u[:-1], v_end=v_end[:-1], target=target[:-1],
        noise=np.stack([-slope * xi, -xi]),
    )  # fmt: skip


def reading(seen: TangentView, tangent: str, noise: bool) -> str:
    """The picture in two lines, and one on the noise if it is shown."""
    t, x_t, r, X, v, v_end, target = seen.jump
    u = (x_t - X) / (t - r)
    lines = [
        f"Jump from t = {t:.2f} to r = {r:.2f}: v = {v:.2f} at the start, {v_end:.2f} at the end, "
        f"and the mean velocity is u = {u:.2f}.",
        f"Tangent “{tangent}”: the target is {target:.2f}, and its jump ends "
        f"{abs((t - r) * (target - u)):.2f} from the path.",
        f"Standard deviation of a single target: MeanFlow {seen.noise[0].std():.2f}, "
        f"improved MeanFlow {seen.noise[1].std():.2f}.",
    ]
    return "\n".join(lines if noise else lines[:2]).replace(" -", " −")
