"""Animations of labs 02 and 04: f and D by noise level, and distilled students by grid size N."""

import torch
from torch import Tensor

from cmlab.data.toy import Bumps
from cmlab.metrics.plots import DATA, MEAN, STUDENT, TRUTH
from cmlab.oracle import Mixture1D

from ..common.animation import (
    INK,
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
from ..common.plots_line import between_modes, exact_paths
from ..common.studies_shared import GRIDS
from ..common.study import Recording, read

ORACLE = Mixture1D(*(torch.tensor(v).double() for v in ([0.4, 0.6], [-1.2, 1.0], [0.2, 0.2])))
HIGH, REACH = 3.0, 4.5
T, X_T = "noise level t (data units)", "noisy point x<sub>t</sub> (data units)"
SCALED = "x<sub>t</sub> / √(t² + σ<sub>d</sub>²) at t = 10 (no unit)"


@animation("02")
def maps(frames: int = 41) -> Moving:
    """f and D over x at one noise level, with the exact paths that pass through it."""
    levels, rows = exact_paths(ORACLE, HIGH, 13)
    t = torch.cat([torch.tensor([0.002]), torch.linspace(0.075, HIGH, frames - 1)]).double()
    at = ORACLE.path(rows[-1][:, None], t.flip(0)).squeeze(2).flip(0)
    shots = [level_frame(level, here) for level, here in zip(t, at, strict=True)]
    still = [
        polylines((torch.stack([levels, row], 1) for row in rows.T), DATA, 0, 0.8),
        text_labels([-4.3], [2.05], ["f, circles: a step"], INK, 1),
        text_labels([-4.3], [1.75], ["D, triangles: a slope"], ink(MEAN), 1),
    ]
    panels = [
        Panel(T, X_T, (-0.06, HIGH + 0.06), (-REACH, REACH)),
        Panel(X_T, "f and D (data units)", (-REACH, REACH), (-2.3, 2.3)),
    ]
    finding = "The more noise, the flatter D, while f remains a step from mode to mode"
    return moving("maps", finding, T, panels, still, shots, 26)


def answers(x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """The exact f and D at points (n,) of one level."""
    t = level.expand(len(x))
    return ORACLE.consistency(x[:, None], t)[:, 0], ORACLE.denoise(x[:, None], t)[:, 0]


def level_frame(level: Tensor, here: Tensor) -> Shot:
    """A frame at one noise level: the paths, and f and D over x."""
    x, now = torch.linspace(-REACH, REACH, 181).double(), f"{float(level):.3g}"
    (f, mean), (ends, middle) = answers(x, level), answers(here, level)
    gap = int(between_modes(ORACLE, middle[:, None]).sum())
    low, high = (f"{float(v):.2f}".replace("-", "−") for v in (middle.min(), middle.max()))
    reading = (
        f"At t = {now} the 13 paths still have their 13 ends f. Their posterior means D reach "
        f"from {low} to {high}; {gap} of them lie where there are next to no data."
    )
    traces = [
        line([level, level], [-REACH, REACH], DATA, width=1.2),
        dots(level.expand(len(here)), here, TRUTH),
        *(line(x, f, TRUTH, 1), line(x, mean, MEAN, 1)),
        *(dots(here, ends, TRUTH, 1), dots(here, middle, MEAN, 1, 8)),
    ]
    titles = f"13 exact paths at t = {now}", f"{gap} of their 13 D lie between the modes"
    return Shot(now, reading, titles, traces)


@animation("04")
def students() -> Moving:
    """Recorded students, distilled with Heun's method on grids of N levels: f from pure noise."""
    oracle, runs = Bumps().oracle, {n: read("distil", f"exact-heun-{n}") for n in GRIDS}
    first = runs[GRIDS[0]]
    place, top = torch.from_numpy(first["place"][0]).double(), float(first["levels"][0][-1])
    x = place * (top**2 + oracle.sigma_data**2) ** 0.5
    exact = oracle.consistency(x[:, None], torch.full_like(x, top))
    still = [
        line(place, exact, TRUTH, width=1.6),
        text_labels([-2.6], [1.75], ["thin line: exact f"]),
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
    finding = "A student climbs where its teacher's steps climb: more levels, sharper cliffs"
    return moving("students", finding, "grid points N", panels, still, shots)


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
