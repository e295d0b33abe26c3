"""Where on the noise axis and when in training the recorded runs differ; and iCT's digits."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .digits import contact
from .emphasis import LEVEL, plain
from .ladder import Scores
from .schedules import STEP
from .style import EXTRA, MEAN, STUDENT, TEACHER, Role, label, name_axes, sheet

FOUR = (TEACHER, EXTRA, MEAN, STUDENT)  # the last one is iCT
INK = {MEAN: "#8a5c00"}  # dark enough for words
ERROR = "RMS of f − f* (data units)"


def where_and_when(
    levels: np.ndarray, by_level: Scores, steps: np.ndarray, by_step: Scores
) -> Figure:
    """Errors at the end by noise level (seeds, levels), and all along training (seeds, looks).

    Four names each, the last one iCT's; of the levels' the third is the second with the weight.
    """
    figure, ((left, right),) = sheet(1, 2, 10.4, 3.6)
    ranges(left, levels, by_level, 1.6)
    left.set(xscale="log", xlim=(0.005, 70), ylim=(3e-4, 2))
    plain(left.yaxis, (0.001, 0.01, 0.1, 1))
    plain(left.xaxis, (0.01, 0.1, 1, 10))
    before, after = (row.mean(0)[1:] for row in list(by_level.values())[1:3])
    where = "every level" if bool((after < before).all()) else "most levels"
    name_axes(left, LEVEL, ERROR, f"Where: the weight helps at {where}")
    ranges(right, steps, by_step)
    right.set(xlim=(0, 1.3 * steps[-1]), xticks=steps[:: len(steps) // 2])
    plain(right.yaxis, (0.05, 0.1, 0.2, 0.4))
    ends = {name: v.mean(0)[-1] for name, v in by_step.items()}
    title = f"When: {max(ends, key=ends.get)} stops improving"  # type: ignore[arg-type]
    name_axes(right, STEP, "", title)
    return figure


def band(ax: Axes, x: np.ndarray, row: np.ndarray, role: Role) -> None:
    """The mean over seeds of one row (seeds, len(x)), and its range."""
    ax.fill_between(x, row.min(0), row.max(0), color=role.color, alpha=0.2, linewidth=0)
    ax.plot(x, row.mean(0), color=role.color, linestyle=role.line)


def ranges(ax: Axes, x: np.ndarray, rows: Scores, factor: float = 1.18) -> None:
    """The mean over seeds of each row (seeds, len(x)), range as a band, name at the end."""
    places = apart([float(row.mean(0)[-1]) for row in rows.values()], factor)
    for role, place, (name, row) in zip(FOUR[-len(rows) :], places, rows.items(), strict=True):
        band(ax, x, row, role)
        label(ax, x[-1] * 1.06, place, name, INK.get(role, role.color))
        ax.texts[-1].set_verticalalignment("center")
    ax.set_yscale("log")


def apart(values: Sequence[float], factor: float) -> list[float]:
    """Places for labels on a logarithmic axis: each at least this factor above the one below."""
    places, below = [0.0] * len(values), 0.0
    for i in np.argsort(values):
        places[i] = below = max(values[i], below * factor)
    return places


def on_digits(
    steps: np.ndarray, runs: Scores, beside: Mapping[str, np.ndarray], pictures: np.ndarray
) -> Figure:
    """Fréchet distance of one-call digits while training (seeds, looks), and digits at the end.

    `beside` are scores to compare with, one a seed; `pictures` (n, 1, h, w) are uint8, their
    classes 0 to 9 in turn.
    """
    figure, ((left, right),) = sheet(1, 2, 10.4, 3.4, ratios=(1, 1.35))
    for name, found in runs.items():  # the first look is at noise, far above the rest
        band(left, steps[1:], found[:, 1:], STUDENT)
        label(left, 1.15 * steps[1], found[:, 1].mean(), name, STUDENT.color)
    for i, (name, found) in enumerate(beside.items()):
        x = (1.12 + 0.12 * i) * steps[-1]
        left.plot([x] * len(found), found, TEACHER.marker, color=TEACHER.color)
        y = found.max() * 1.08 if i else found.min() * 0.84  # the first below, the next above
        label(left, x - 0.03 * steps[-1], y, name, TEACHER.color)
    left.set_yscale("log")
    left.set(xlim=(0, 1.75 * steps[-1]), xticks=[0, steps[-1] // 2, steps[-1]])
    plain(left.yaxis, (10, 20, 50, 100))
    name_axes(left, STEP, "Fréchet distance, one call", "Nearer to the held-out digits")
    ink = torch.from_numpy(pictures).float() / 127.5 - 1
    rows = ink.reshape(-1, 10, *ink.shape[1:])
    contact(right, rows, [str(k) for k in range(10)], title="iCT: one call a digit")
    return figure
