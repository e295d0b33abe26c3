"""Animation of lab 19: the mean velocity of a jump, as its end moves away from its start."""

import torch

from cmlab.metrics.plots import DATA, MEAN, STUDENT, TRUTH
from cmlab.metrics.toy import exact_velocity

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
from .analysis import MODES, path_points
from .figures import TIME

START, RANK, REACH, SPEEDS = 0.9, 0.55, 2.2, (-1.8, 0.5)
TIMES = torch.linspace(0, 1, 101).double()
ENDS = torch.linspace(0.88, 0, 45).double()


@animation
def mean_velocity() -> Moving:
    """The chord of a jump, and the velocity along its path with its mean over the jump."""
    oracle = MODES.oracle
    ways = [path_points(oracle, (k + 0.5) / 13, TIMES)[:, 0] for k in range(13)]
    way = path_points(oracle, RANK, TIMES)
    v = exact_velocity(oracle, way, TIMES.clamp(1e-6, 1 - 1e-6))[:, 0]
    still = [
        polylines((torch.stack([TIMES, row], 1) for row in ways), DATA, 0, 0.8),
        line(TIMES, way, TRUTH, 0),
        line(TIMES, v, TRUTH, 1),
        text_labels([0.03], [1.95], ["blue: slope u, the mean velocity"], ink(STUDENT)),
        text_labels([0.03], [-1.95], ["dashes: slope v, the velocity at the start"], ink(MEAN)),
    ]
    at = int((TIMES - START).abs().argmin())
    landings = path_points(oracle, RANK, ENDS)[:, 0]
    start = float(way[at]), float(v[at])
    shots = [frame(float(r), *start, float(X)) for r, X in zip(ENDS, landings, strict=True)]
    panels = [
        Panel(TIME.replace("$t$", "t"), "x<sub>t</sub> (data units)", (0, 1), (-REACH, REACH)),
        Panel(TIME.replace("$t$", "t"), "velocity on the path (data units)", (0, 1), SPEEDS),
    ]  # fmt: skip
    finding = "A short jump has the velocity of its start; a long one has the mean over its path"
    return moving("mean", finding, "end of the jump r (0 data, 1 noise)", panels, still, shots, 30)


def frame(r: float, x_t: float, v: float, X: float) -> Shot:
    """One jump: its chord, its start's tangent, and the mean velocity as a height."""
    h = START - r
    u, away = (x_t - X) / h, abs(x_t - h * v - X)
    now = f"{r:.2f}"
    reading = (
        f"From t = {START:g} to r = {now} the mean velocity is {u:.2f}, and the velocity at the "
        f"start {v:.2f}. A step with the velocity at the start ends {away:.2f} from the path."
    ).replace("-", "−")
    traces = [
        line([START, r], [x_t, x_t - h * v], MEAN, 0, 2),
        line([START, r], [x_t, X], STUDENT, 0, 2),
        dots([START, r], [x_t, X], TRUTH, 0, 9),
        line([r, r, START, START], [0, u, u, 0], STUDENT, 1, 2),
        dots([START], [v], MEAN, 1, 9),
    ]
    titles = (
        f"The step along v ends {away:.2f} off",
        f"Mean from r to t: u = {u:.2f}".replace("-", "−"),
    )
    return Shot(now, reading, titles, traces)
