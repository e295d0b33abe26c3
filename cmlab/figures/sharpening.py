"""How samples from fixed noise sharpen while a run goes on, read from the run's own diary."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .digits import beside
from .run_diary import Diary
from .strip_score import Scored
from .style import DATA, MEAN, NOISE, STUDENT, TEACHER, label, name_axes, styled

# Which of LEVELS are averaged into one curve: noise below, about and above the data's own size.
BANDS = {"t < 0.1": (0, 4), "0.1 to 5": (4, 9), "t > 5": (9, 12)}
WIDE, BELOW = 8.8, 3.2  # inches: of the figure, and of its lower part


def chosen(seen: np.ndarray, count: int, before: int) -> list[int]:
    """Indices of `count` sheets at most: half of them up to the start's end, and the last one."""
    stages = [(0, before), (before, int(seen[-1]))] if before else [(0, int(seen[-1]))]
    found: set[int] = set()
    for low, high in stages:
        marks = low + np.geomspace((high - low) / 12, high - low, count // len(stages))
        found |= {int(np.abs(seen - mark).argmin()) for mark in marks}
    return sorted(found)


def sharpening(run: Diary, score: Scored, title: str, count: int = 6, calls: int = 1) -> Figure:
    """Strips of samples at `count` moments, over the loss by noise level and a score of each."""
    picked = chosen(run.seen, count, run.before)
    strips = [run.strip(index, calls) for index in picked]
    above = 0.86 * WIDE * sum(len(strip) for strip in strips) / strips[0].shape[1]
    high = above + BELOW + 0.35
    with styled():
        figure = Figure(figsize=(WIDE, high), dpi=100)
        top = figure.add_axes((0.13, BELOW / high, 0.86, above / high))
        left = figure.add_axes((0.08, 0.5 / high, 0.4, 2.2 / high))
        right = figure.add_axes((0.58, 0.5 / high, 0.4, 2.2 / high))
    stacked(top, strips, [moment(run, index) for index in picked], title)
    by_band(left, run)
    by_score(right, run, score)
    for ax in (left, right):
        ax.plot(run.seen[picked] / 1e3, [0.03] * len(picked), "|", color="black", ms=7,
                transform=ax.get_xaxis_transform())  # fmt: skip
        if run.before:
            ax.axvline(run.before / 1e3, color=NOISE.color, lw=1.2, ls="--")
    return figure


def moment(run: Diary, index: int) -> str:
    """Images seen, and in which of the two trainings."""
    stage = "denoiser" if run.seen[index] <= run.before and run.before else "consistency"
    return f"{run.seen[index]:,}".replace(",", " ") + f"\n{stage}"


def stacked(ax: Axes, strips: Sequence[np.ndarray], names: Sequence[str], title: str) -> None:
    ax.imshow(np.concatenate(strips), interpolation="none", aspect="auto")
    ax.set_axis_off()
    for k, name in enumerate(names):
        beside(ax, (0, (k + 0.5) * len(strips[0])), name, (-6, 0), ("right", "center"))
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", x=-0.145)


def by_band(ax: Axes, run: Diary) -> None:
    """The loss in each of BANDS, a running median over the log."""
    for (name, bins), role in zip(BANDS.items(), (STUDENT, MEAN, TEACHER), strict=True):
        for later in (False, True):  # the two losses have two units: no line joins them
            x, y = smoothed(run, bins, later)
            ax.plot(x, y, color=role.color, ls=role.line, marker=role.marker, ms=5,
                    markevery=max(len(x) // 4, 1), label="" if later else name)  # fmt: skip
    ax.set_yscale("log")
    ax.legend(fontsize=8, title="noise level", title_fontsize=8)
    name_axes(ax, "thousands of images seen", "loss", "Loss by noise level")


def smoothed(run: Diary, bins: tuple[int, int], later: bool) -> tuple[np.ndarray, np.ndarray]:
    """Thousands of images and a running median of the loss in these bins, of one training."""
    mean = np.ma.masked_invalid(run.losses[:, slice(*bins)]).mean(1).filled(np.nan)
    kept = np.isfinite(mean) & ((run.samples > run.before) == later)
    values = mean[kept]
    smooth = [np.median(values[max(i - 3, 0) : i + 4]) for i in range(len(values))]
    return run.samples[kept] / 1e3, np.array(smooth)


def by_score(ax: Axes, run: Diary, score: Scored) -> None:
    """The score of each sheet's pictures, over that of as many real ones."""
    low, high = score.floor
    ax.axhspan(low, high, color=DATA.color, alpha=0.2, lw=0)
    count = f"{score.pictures} real pictures"
    label(ax, 0, low * 0.87, count, DATA.color)
    ax.plot(run.seen / 1e3, score.values, color=STUDENT.color, marker=STUDENT.marker, ms=4,
            markevery=max(len(run.seen) // 12, 1))  # fmt: skip
    ax.set_ylim(bottom=0)
    name_axes(ax, "thousands of images seen", "patch distance", "Nearness to real ones")
