"""Explorer of lab 18: one jump of a flow map, and what each condition makes of it."""

import functools

import numpy as np
import torch

from cmlab.oracle import Mixture1D

from ..common.explorer import Explorer, Picture, choice, slider
from .analysis import LAST, Flow, FlowMap, JumpResiduals, all_maps, distribution_gap, points
from .figures import SPOKEN, ZERO, JumpView, MapPicture
from .study import LINE

PLACES = 40  # of every curve
RANKS = 400  # quantiles of the distribution


def explorer() -> Explorer:
    """An explorer of jumps. Knobs: `map`, `path` (% below it), the start `t`, the end `s`."""
    oracle, candidates = LINE.oracle, all_maps()
    knobs = {
        "map": choice("map", list(candidates), "one straight step"),
        "path": slider("path (%)", 64, 2, 98, 2),
        "t": slider("start t", 0.8, 0.05, 1.0, 0.01),
        "s": slider("end s", 0.2, 0.0, 0.95, 0.01),
    }
    scene = MapPicture(oracle)
    return Explorer(functools.partial(picture, scene, oracle, candidates), knobs)


def picture(
    scene: MapPicture, oracle: Mixture1D, candidates: dict[str, FlowMap],
    map: str, path: int, t: float, s: float,
) -> Picture:  # fmt: skip
    """The jump of this map from t to s on this path; an end above the start is set to it."""
    seen = view(oracle, candidates[map], path, t, min(s, t))
    return Picture(scene.show(seen, map), reading(seen, map))


def view(oracle: Mixture1D, X: FlowMap, path: float, t: float, s: float) -> JumpView:
    """All that is drawn of one jump."""
    exact, t = Flow(oracle), min(t, LAST)
    top = points(oracle, 1.0, 200)[[min(int(2 * path), 199)]]
    below, above = torch.linspace(0, t, PLACES).double(), torch.linspace(s, 1, PLACES).double()
    everywhere = torch.linspace(0, 1, 2 * PLACES).double()
    asked = torch.cat([everywhere, above, torch.tensor([t, s]).double()])
    one = torch.full_like(asked, LAST)
    way = exact(top.expand(len(asked), 1), one, asked)
    on_path, starts, ends = way.split([len(everywhere), PLACES, 2])
    x_t = ends[:1]
    t_b, s_b, m = (torch.tensor([v]).double() for v in (t, s, (t + s) / 2))
    half = X(x_t, t_b, m)
    row = torch.full((PLACES,), t).double()
    found = JumpResiduals(oracle)(X, x_t, t_b, s_b)
    missed = {key: float(value.abs()) for key, value in found.items()}
    there = float(X(x_t, t_b, s_b))
    q, full = points(oracle, t, RANKS), torch.ones(RANKS).double()
    return JumpView(
        path=np.stack([everywhere, on_path[:, 0]]),
        ends=np.stack([below, X(x_t.expand(PLACES, 1), row, below)[:, 0]]),
        starts=X(starts, above, torch.full_like(above, s))[:, 0].numpy(),
        split=np.array([[t, float(m), s], [float(x_t), float(half), float(X(half, m, s_b))]]),
        jump=(t, float(x_t), s, there, float(ends[1])),
        reached=X(q, t * full, s * full)[:, 0].numpy(),
        wanted=points(oracle, s, RANKS)[:, 0].numpy(),
        missed=missed | {"distribution": distribution_gap(oracle, X, t, s)},
    )


def reading(seen: JumpView, name: str) -> str:
    """The picture in three lines."""
    t, x_t, s, there, exact = seen.jump
    holds = [SPOKEN[key] for key, size in seen.missed.items() if size < ZERO]
    fails = [SPOKEN[key] for key, size in seen.missed.items() if size >= ZERO]
    lines = [
        f"The map “{name}” sends x_t = {x_t:.2f} at t = {t:.2f} to {there:.2f} at s = {s:.2f}; "
        f"the exact path is at {exact:.2f} there.",
        f"Holds: {', '.join(holds) or 'nothing'}.",
        f"Broken: {', '.join(fails) or 'nothing'}.",
    ]
    return "\n".join(lines).replace(" -", " −")
