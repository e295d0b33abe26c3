"""Animations of labs 06 and 07: error by noise level during training, and from CT to iCT."""

from collections.abc import Sequence

import numpy as np

from cmlab.data.toy import Ring
from cmlab.metrics.plots import DATA, STUDENT

from ..common.animation import (
    Moving,
    Panel,
    Shot,
    animation,
    cloud,
    dots,
    ink,
    line,
    moving,
    text_labels,
)
from ..common.studies_shared import CT_TO_ICT
from ..common.study import Recording, ranged, read
from .figures import DECAY_STYLE, NEAR, ErrorHistory, mean_front
from .study import DECAYS, variant_name

LEVEL, ERROR = "noise level t (data units)", "RMS of f<sub>θ</sub> − f* (data units)"
POINTS = 161
BY_LEVEL = Panel(LEVEL, ERROR, (0.002, 11), (0.001, 2), "xy", x_ticks=(0.01, 0.1, 1, 10),
                 y_ticks=(0.001, 0.01, 0.1, 1))  # fmt: skip


def recorded(mu: float) -> ErrorHistory:
    """The runs of one decay on a grid of 161 points."""
    found = read("target", variant_name(mu, POINTS))
    return ErrorHistory(mu, found["steps"][0], found["levels"][0], found["error"], found["loss"])


@animation("06")
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
    finding = "Truth spreads from the data outward, and a target that lags holds it back"
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


@animation("07")
def ladder() -> Moving:
    """One-call samples and the error by level, from CT to iCT, one change at a time."""
    runs = {name: read("ladder", name) for name in CT_TO_ICT}
    first = runs[next(iter(CT_TO_ICT))]
    still = [
        cloud(Ring().oracle.components.means, DATA, size=34, opacity=0.22),
        line(first["levels"][0], first["average_error"].mean(0), DATA, 1, 1.4),
        text_labels([0.0024], [1.2], ["thin line: CT 2023"], DATA.color, 1),
        text_labels([0.0024], [0.72], ["thick line: this variant"], STUDENT.color, 1),
    ]
    plane = Panel("x<sub>1</sub> (data units)", "x<sub>2</sub> (data units)", (-1.6, 1.6),
                  (-1.6, 1.6), square=True)  # fmt: skip
    shots = [
        variant_frame(CT_TO_ICT[variant].title.replace("t - r", "t − r"), run)
        for variant, run in runs.items()
    ]
    finding = "From CT to iCT, one change at a time: not every change helps when it arrives"
    return moving("ladder", finding, "variant", [plane, BY_LEVEL], still, shots)


def variant_frame(title: str, run: Recording) -> Shot:
    """A frame of one variant: the samples of its first seed, and the mean error of all."""
    near = np.mean([scores["hq"] for scores in run.record["scores"]])
    reading = (
        f"{title}: error {ranged(run.score('rmse'))} over three seeds; {near:.0%} of the samples "
        "lie within 3 standard deviations of a mode."
    )
    error = line(run["levels"][0], run["average_error"].mean(0), STUDENT, 1, 3)
    samples = cloud(run["cloud"][0], STUDENT, size=4, opacity=0.75)
    return Shot(
        title, reading, (title, f"RMS error {run.score('rmse').mean():.2g}"), [samples, error]
    )
