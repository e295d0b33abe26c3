"""Animation of lab 07: samples and error by noise level, from CT to iCT."""

import numpy as np

from cmlab.data.toy import Ring
from cmlab.metrics.plots import DATA, STUDENT

from ..common.animation import (
    BY_LEVEL,
    Moving,
    Panel,
    Shot,
    animation,
    cloud,
    line,
    moving,
    text_labels,
)
from ..common.studies_shared import CT_TO_ICT
from ..common.study import Recording, ranged, read


@animation
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
    shots = [variant_frame(CT_TO_ICT[variant].title, run) for variant, run in runs.items()]
    finding = "From CT to iCT, one change at a time: not every change helps where it is introduced"
    return moving("ladder", finding, "variant", [plane, BY_LEVEL], still, shots)


def variant_frame(title: str, run: Recording) -> Shot:
    """A frame of one variant: the samples of its first seed, and the mean error of all."""
    near = np.mean([scores["hq"] for scores in run.record["scores"]])
    reading = (
        f"{title}: error {ranged(run.score('rmse'))} over three seeds; {100 * near:.0f} % of the "
        "samples lie within 3 standard deviations of a mode."
    )
    error = line(run["levels"][0], run["average_error"].mean(0), STUDENT, 1, 3)
    samples = cloud(run["cloud"][0], STUDENT, size=4, opacity=0.75)
    return Shot(
        title, reading, (title, f"RMS error {run.score('rmse').mean():.2g}"), [samples, error]
    )
