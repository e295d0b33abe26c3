"""A training as the desk shows it: its loss, the loss by noise level, its samples sharpening."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..callbacks import LEVELS
from ..diary import CALLS
from .style import DATA, STUDENT, TEACHER, Role, name_axes, sheet

LEVEL, LOSS = "noise level σ/α (data units)", "loss (weighted, no unit)"
FEW = 3  # log lines that a line by noise level is the mean of
BEFORE = Role(DATA.color, "o", ":")


@dataclass(frozen=True, eq=False)
class Phase:
    """One training of a run: samples (n,) counted from the run's first, loss (n,), and the
    loss by noise level (n, 12), NaN where a batch had none."""

    name: str
    samples: np.ndarray
    loss: np.ndarray
    by_level: np.ndarray


def curves(phases: Sequence[Phase]) -> Figure:
    """The loss over samples, and by noise level at first and now. Two phases at most."""
    figure, ((left, right),) = sheet(1, 2, 10.0, 3.3)
    figure.set_layout_engine(None)  # finding a layout takes a third of the time of a redraw
    figure.subplots_adjust(0.09, 0.165, 0.985, 0.89, wspace=0.25)
    over_samples(left, phases)
    by_level(right, phases[-1] if phases else None)
    for ax in (left, right) if not phases else ():
        ax.set_yticks([])
        ax.annotate("a point every 100 steps", (0.5, 0.5), xycoords="axes fraction", ha="center",
                    color=DATA.color)  # fmt: skip
    return figure


def over_samples(ax: Axes, phases: Sequence[Phase]) -> None:
    """One line a phase, each with its own look: the losses of two methods are not comparable."""
    most = phases[-1].samples[-1] if phases else 0
    unit, name = (1e6, "millions") if most > 2e6 else (1, "count")
    roles = (TEACHER, STUDENT)[-len(phases) :] if phases else ()
    for phase, role in zip(phases, roles, strict=True):
        marker = role.marker if len(phase.loss) < 30 else ""
        ax.plot(phase.samples / unit, phase.loss, color=role.color, linestyle=role.line,
                marker=marker, markersize=5, label=phase.name)  # fmt: skip
    name_axes(ax, f"samples seen ({name})", LOSS, headline(phases))
    if not phases:
        ax.set_xticks([])
    else:
        ax.xaxis.set_major_formatter(lambda value, place: f"{value:,g}")
        ax.locator_params(axis="x", nbins=5)
        decades(ax)
        ax.set_xlim(0, 1.05 * most / unit)
        ax.legend(loc="best", fontsize=9, frameon=False)


def decades(ax: Axes) -> None:
    """A logarithmic axis of losses with plain numbers, at least two of them."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5)))
    ax.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def headline(phases: Sequence[Phase]) -> str:
    if not phases:
        return "Loss over training"
    first, last = phases[-1].loss[0], phases[-1].loss[-1]
    where = phases[-1].name.partition(":")[0]
    return f"Loss {last:.3g} in {where}" + (f", from {first:.3g}" * (len(phases[-1].loss) > 1))


def by_level(ax: Axes, phase: Phase | None) -> None:
    """The mean of the first and of the latest few log lines of one phase."""
    title = "By noise level"
    if phase is not None:
        early, late = early_and_late(phase.by_level)
        seen = int(phase.samples[-1])
        if early is not None:
            line(ax, early, BEFORE, "its first log lines")
            title = verdict(early, late)
        line(ax, late, STUDENT, f"now, after {seen:,} samples")
        decades(ax)
        ax.legend(loc="best", fontsize=9, frameon=False)
    ax.set(xscale="log", xlim=(0.0015, 110))
    ax.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    ax.set_xticks([], minor=True)
    name_axes(ax, LEVEL, LOSS, title)


def line(ax: Axes, loss: np.ndarray, role: Role, name: str) -> None:
    known = np.isfinite(loss) & (loss > 0)
    ax.plot(np.array(LEVELS)[known], loss[known], color=role.color, linestyle=role.line,
            marker=role.marker, markersize=5, label=name)  # fmt: skip


def early_and_late(rows: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Means (12,) of the first and the last few rows; no first one where they would overlap."""
    few = min(FEW, len(rows) // 2)
    return (mean(rows[:few]) if few else None), mean(rows[-max(few, 1) :])


def mean(rows: np.ndarray) -> np.ndarray:
    """The mean of each column over what is known in it; NaN where nothing is."""
    known = np.isfinite(rows)
    total = np.where(known, rows, 0.0).sum(0)
    return np.divide(total, known.sum(0), out=np.full(rows.shape[1], np.nan), where=total > 0)


def verdict(early: np.ndarray, late: np.ndarray) -> str:
    """Where the loss is the smallest and the largest part of what it was."""
    share = late / early
    if not np.isfinite(share).any():
        return "By noise level"
    best = int(np.nanargmin(share))
    return f"Fell most at noise level {LEVELS[best]:.2g}: × {share[best]:.2g}"


def strip(pixels: np.ndarray, title: str, columns: int = 8) -> Figure:
    """A sheet of samples (height, width, 3) in uint8: a row for each number of calls."""
    figure, ((ax,),) = sheet(1, 1, 7.0, 3.1)
    figure.set_layout_engine(None)
    figure.subplots_adjust(0.1, 0.13, 0.99, 0.9)
    ax.imshow(pixels, interpolation="nearest")
    high, wide = pixels.shape[0] / len(CALLS), pixels.shape[1] / columns
    ax.set_yticks([(i + 0.5) * high for i in range(len(CALLS))], [str(c) for c in CALLS])
    ax.set_xticks(
        [(i + 0.5) * wide for i in range(columns)], [f"$z_{i + 1}$" for i in range(columns)]
    )
    ax.grid(False)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    name_axes(ax, "the same noise all along", "network calls", title)
    return figure
