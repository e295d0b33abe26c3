"""Animation of lab 18: the exact flow map from one start to every earlier time."""

import torch
from torch import Tensor

from cmlab.metrics.plots import DATA, STUDENT, TRUTH, WRONG

from ..common.animation import (
    Moving,
    Panel,
    Shot,
    animation,
    dots,
    ink,
    line,
    moving,
    polylines,
    text_labels,
)
from .analysis import Flow, FlowMap, maps, points
from .study import LINE

START, REACH, PATHS = 0.8, 2.3, 11
ENDS = torch.linspace(START, 0, 33).double()
TIME, X_T = "time t (0 data, 1 noise)", "x<sub>t</sub> (data units)"


@animation
def ends() -> Moving:
    """Jumps from t = 0.8 to a moving end: on their paths, and as maps of all starts."""
    found = maps(LINE.oracle)
    starts = points(LINE.oracle, START, PATHS)[:, 0]
    everywhere = torch.linspace(-REACH, REACH, 81).double()
    times = torch.linspace(0, 1, 51).double()
    ways = landings(Flow(LINE.oracle), starts, times)
    x = torch.cat([starts, everywhere])
    exact, straight = (landings(found[name], x, ENDS) for name in ("exact", "one straight step"))
    still = [
        polylines((torch.stack([times, way], 1) for way in ways.T), DATA, 0, 0.8),
        dots([START] * PATHS, starts, TRUTH),
        text_labels([-2.15], [2.05], ["squares: the exact map"], ink(STUDENT), 1),
        text_labels([-2.15], [1.75], ["crosses: one straight step"], ink(WRONG), 1),
    ]
    shots = [frame(float(s), x, *rows) for s, *rows in zip(ENDS, exact, straight, strict=True)]
    panels = [
        Panel(TIME, X_T, (-0.02, 1.02), (-REACH, REACH)),
        Panel("start x<sub>t</sub> at t = 0.8 (data units)", "landing point (data units)",
              (-REACH, REACH), (-REACH, REACH)),
    ]  # fmt: skip
    finding = "One map for every end s: from standing still to the consistency function"
    knob = "end of the jump s (0 data, 1 noise)"
    return moving("ends", finding, knob, panels, still, shots, 20, (1, 29))


def landings(X: FlowMap, x: Tensor, ends: Tensor) -> Tensor:
    """Where jumps from points x (n,) at the start's time land at each end: (ends, n)."""
    s = ends.repeat_interleave(len(x))
    there = X(x.repeat(len(ends))[:, None], torch.full_like(s, START), s)
    return there.reshape(len(ends), len(x))


def frame(s: float, x: Tensor, exact: Tensor, straight: Tensor) -> Shot:
    """One end of the jump: where two maps land, and both as functions of the start."""
    there, off = exact[:PATHS], straight[:PATHS]
    error = float((there - off).abs().max())
    now = f"{s:.2f}"
    reading = (
        f"Jumps from t = {START:g} to s = {now}: the exact map lands on the paths, and one "
        f"straight step lands up to {error:.2f} away from them."
    )
    traces = [
        line([s, s], [-REACH, REACH], DATA, width=1.2),
        dots([s] * PATHS, there, STUDENT, 0, 8),
        dots([s] * PATHS, off, WRONG, 0, 8),
        line(x[PATHS:], straight[PATHS:], WRONG, 1, 1.6),
        line(x[PATHS:], exact[PATHS:], STUDENT, 1),
    ]
    titles = f"Eleven jumps to s = {now}", f"A straight step misses by up to {error:.2f}"
    return Shot(now, reading, titles, traces)
