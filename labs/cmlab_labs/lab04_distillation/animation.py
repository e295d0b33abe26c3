"""Animation of lab 04: distilled students by the number N of grid points."""

import torch
from torch import Tensor

from cmlab.data.toy import Bumps
from cmlab.metrics.plots import DATA, STUDENT, TRUTH

from ..common.animation import Moving, Panel, Shot, animation, line, moving, text_labels
from ..common.studies_shared import GRIDS
from ..common.study import Recording, read

T = "noise level t (data units)"
SCALED = "x<sub>t</sub> / √(t² + σ<sub>d</sub>²) at t = 10 (no unit)"


@animation
def students() -> Moving:
    """Recorded students, distilled with Heun's method on grids of N levels: f from pure noise."""
    oracle, runs = Bumps().oracle, {n: read("distil", f"exact-heun-{n}") for n in GRIDS}
    first = runs[GRIDS[0]]
    place, top = torch.from_numpy(first["place"][0]).double(), float(first["levels"][0][-1])
    x = place * (top**2 + oracle.sigma_data**2) ** 0.5
    exact = oracle.consistency(x[:, None], torch.full_like(x, top))
    still = [
        line(place, exact, TRUTH, width=1.6),
        text_labels([-2.6], [1.75], ["thin line: exact f*"]),
        text_labels([-2.6], [1.5], ["thick line: the student"], STUDENT.color),
        text_labels([0.0024], [0.62], ["thin lines: all students"], DATA.color, 1),
        *(
            line(r["levels"][0], r["average_error"].mean(0), DATA, 1, 1, 0.5)
            for r in runs.values()
        ),
    ]
    panels = [
        Panel(SCALED, "answer (data units)", (-2.8, 2.8), (-2, 2)),
        Panel(T, "RMS of f<sub>θ</sub> − f* (data units)", (0.002, 11), (0.0005, 1), "xy",
              x_ticks=(0.01, 0.1, 1, 10), y_ticks=(0.001, 0.01, 0.1, 1)),
    ]  # fmt: skip
    shots = [student_frame(n, run, place) for n, run in runs.items()]
    finding = "A student's cliffs are those of its teacher's steps: more levels, sharper cliffs"
    return moving("students", finding, "levels N", panels, still, shots)


def student_frame(n: int, run: Recording, place: Tensor) -> Shot:
    """A frame: the student of N levels at the highest noise level, and its error by level."""
    levels, error = run["levels"][0], run["average_error"].mean(0)
    reading = (
        f"With N = {n} levels the student's error from pure noise, t = {levels[-1]:g}, is "
        f"{error[-1]:.2g} (mean of three recorded seeds); near the data it is far smaller."
    )
    titles = (
        f"A student of Heun's steps, N = {n}",
        f"RMS error {error[-1]:.2g} at t = {levels[-1]:g}",
    )
    traces = [line(place, run["map"][0][-1], STUDENT), line(levels, error, STUDENT, 1, 3)]
    return Shot(str(n), reading, titles, traces)
