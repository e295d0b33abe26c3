"""Animation of lab 06: the error by noise level during training, for EMA targets."""

from collections.abc import Sequence

import numpy as np

from cmlab.metrics.plots import DATA

from ..common.animation import (
    BY_LEVEL,
    Moving,
    Panel,
    Shot,
    animation,
    dots,
    ink,
    line,
    moving,
    text_labels,
)
from ..common.study import read
from .figures import DECAY_STYLE, NEAR, ErrorHistory, mean_front
from .study import DECAYS, variant_name

POINTS = 161


def recorded(mu: float) -> ErrorHistory:
    """The runs of one decay on a grid of 161 points."""
    found = read("target", variant_name(mu, POINTS))
    return ErrorHistory(mu, found["steps"][0], found["levels"][0], found["error"], found["loss"])


@animation
def wavefront() -> Moving:
    """The error by noise level during training, for EMA targets of several decays μ."""
    runs = [recorded(mu) for mu in DECAYS]
    fronts, steps = [mean_front(run) for run in runs], runs[0].steps
    shots = [step_frame(runs, fronts, now) for now in range(len(steps))]
    still = [line([0.002, 11], [NEAR, NEAR], DATA, width=0.8)]
    for k, run in enumerate(runs):
        still.append(
            text_labels([0.0024], [1.35 * 0.62**k], [f"μ = {run.mu:g}"], ink(DECAY_STYLE[run.mu]))
        )
    far = Panel("training step", f"level t with error below {NEAR}", (0, float(steps[-1])),
                (0.08, 14), "y", y_ticks=(0.1, 1, 10))  # fmt: skip
    finding = "Correct answers spread upwards from the data, and a lagging target holds them back"
    return moving("wavefront", finding, "training step", [BY_LEVEL, far], still, shots, 12)


def step_frame(runs: Sequence[ErrorHistory], fronts: Sequence[np.ndarray], now: int) -> Shot:
    """A frame: the errors of all runs at one recorded step."""
    step, traces, far = int(runs[0].steps[now]), [], []
    for run, front in zip(runs, fronts, strict=True):
        role = DECAY_STYLE[run.mu]
        traces.append(line(run.levels, run.mean[now], role))
        traces.append(line(run.steps[: now + 1], front[: now + 1], role, 1))
        traces.append(dots([step], [front[now]], role, 1, 11))
        far.append(f"{front[now]:.2g} for μ = {run.mu:g}")
    reading = f"At step {step} the error is below {NEAR} up to noise level t = {', '.join(far)}."
    titles = f"The error at step {step}", f"Below {NEAR} up to t = {far[0]}"
    return Shot(str(step), reading, titles, traces)
