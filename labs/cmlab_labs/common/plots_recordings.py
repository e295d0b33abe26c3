"""Recorded runs compared: score against training samples, verdicts over seeds, axis ticks."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmlab.metrics import plots
from cmlab.metrics.plots import (
    DATA,
    STUDENT,
    TRUTH,
    bare,
    label,
    mosaic,
    name_axes,
    sheet,
)
from cmlab.train.checkpoint import BadFile

from ..registry import STUDIES
from .study import FOLDER, Recording, ranged, read

# Axis ticks and labels


def plain_ticks(axis: Any, ticks: Sequence[float]) -> None:
    """Ticks of a logarithmic axis with plain numbers."""
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def decade_ticks(ax: Axes) -> None:
    """Plain ticks on a logarithmic y axis: 1, 2, 5 of each decade, or 1 alone for many decades."""
    low, high = ax.get_ylim()
    steps = (1, 2, 5) if high < 100 * low else (1,)
    ticks = [m * 10.0**k for k in range(-4, 6) for m in steps]
    plain_ticks(ax.yaxis, [tick for tick in ticks if low <= tick <= high])
    ax.set_ylim(low, high)


# Scores of recorded variants against training samples, pre-training included

VARIANT_STYLE = {
    "tuned": STUDENT, "scratch": plots.TEACHER, "scratch-short": plots.MEAN,
    "denoiser": plots.NOISE, "fixed": plots.WRONG, "ict": plots.EXTRA, "tuned-long": STUDENT,
}  # fmt: skip
VARIANT_NAMES = {
    "tuned": "tuned", "scratch": "from scratch", "scratch-short": "from scratch, short",
    "denoiser": "denoiser only", "fixed": "fixed ratio", "ict": "iCT",
    "tuned-long": "tuned, long",
}  # fmt: skip
SAMPLES_SEEN = "training samples seen (thousands), pre-training included"
DARK = {"#E69F00": "#8a5c00", "#999999": "#666666"}  # dark enough for text


@dataclass(frozen=True, eq=False)
class ScoreCurve:
    """Scores (seeds, m) of one variant after so many samples (m,), pre-training included."""

    samples: np.ndarray
    values: np.ndarray
    before: int  # samples of the pre-training


@dataclass(frozen=True, eq=False)
class BudgetPanel:
    """A measure with its unit, its curves by variant, and the score of real data, if any."""

    measure: str
    curves: Mapping[str, ScoreCurve]
    floor: float = float("nan")


def recorded_variants(study: str, folder: Path = FOLDER) -> dict[str, Recording]:
    """The variants of a study that have been recorded, in the study's order."""
    recordings = {}
    for variant in STUDIES[study].variants:
        with suppress(BadFile):
            recordings[variant] = read(study, variant, folder)
    return recordings


def score_curve(recording: Recording, score: str = "") -> ScoreCurve:
    """A score during training: a named one, or the RMS error over all noise levels."""
    record, steps = recording.record, recording["steps"][0]
    recipe = STUDIES[record["study"]].variants[record["arm"]](record["seeds"][0])
    share = (recipe.start.samples if recipe.start else 0) / recipe.samples
    before = round(share * record["samples"])
    values = (
        np.sqrt((recording["error"] ** 2).mean(2))
        if not score
        else score_by_name(recording, score)
    )
    return ScoreCurve(before + steps * (record["samples"] - before) / steps[-1], values, before)


def score_by_name(recording: Recording, score: str) -> np.ndarray:
    """One of the evaluator's numbers at each observation: (seeds, observations)."""
    names = list(recording.record["scores"][0])
    return recording["scores"][:, :, names.index(score)]


def compare_seeds(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> str:
    """How errors of several seeds compare: "lower", "higher" or "indistinguishable"."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if len(a) < 3 or len(b) < 3:
        return "too few seeds"
    return "lower" if a.max() < b.min() else "higher" if a.min() > b.max() else "indistinguishable"


VERDICT = {"lower": "confirmed here",
           "higher": "not seen at this scale: the order is the reverse",
           "indistinguishable": "not seen at this scale: indistinguishable"}  # fmt: skip


def compare_variants(
    found: Mapping[str, np.ndarray], a: str, b: str, form: str = ".3g"
) -> tuple[str, str]:
    """Scores of two variants as text, and the verdict on whether the first one's are lower."""
    if a not in found or b not in found:
        return "not recorded yet", "not recorded yet"
    order = compare_seeds(found[a], found[b])
    scores = "; ".join(f"{VARIANT_NAMES.get(v, v)} {ranged(found[v], form)}" for v in (a, b))
    return scores, VERDICT.get(order, order)


def training_budgets(panels: Mapping[str, BudgetPanel]) -> Figure:
    """Scores against training samples, a panel for each data set by title."""
    figure, (axes,) = sheet(1, len(panels), 3.7 * len(panels), 3.9)
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        name_axes(ax, "", panel.measure, title)
        if panel.curves:
            draw_curves(ax, panel)
        else:
            ax.text(0.5, 0.5, "not recorded yet", ha="center", transform=ax.transAxes)
    figure.supxlabel(SAMPLES_SEEN, fontsize=10)
    return figure


def draw_curves(ax: Axes, panel: BudgetPanel) -> None:
    """Each variant's mean and range over the seeds; grey where `tuned` was pre-trained."""
    end = max(curve.samples[-1] for curve in panel.curves.values()) / 1000
    for variant, curve in panel.curves.items():
        role, x = VARIANT_STYLE[variant], curve.samples / 1000
        ax.fill_between(x, curve.values.min(0), curve.values.max(0), color=role.color, alpha=0.2)
        ax.plot(x, curve.values.mean(0), color=role.color, linestyle=role.line, linewidth=1.6)
        ax.plot(x[-1], curve.values.mean(0)[-1], role.marker, color=role.color, markersize=6)
    if "tuned" in panel.curves:
        ax.axvspan(0, panel.curves["tuned"].before / 1000, color="#eeeeee", zorder=0)
    if np.isfinite(panel.floor):
        ax.axhline(panel.floor, color=TRUTH.color, linewidth=1, linestyle=":")
        ax.text(0, panel.floor, " real data", fontsize=9, va="bottom")
    ax.set(yscale="log", xlim=(0, 1.42 * end))
    decade_ticks(ax)
    ax.set_xticks([x for x in ax.get_xticks() if x <= end])
    ax.set_xlim(0, 1.42 * end)
    label_ends(ax, {variant: (c.samples[-1] / 1000, c.values.mean(0)[-1])
                 for variant, c in panel.curves.items()}, end)  # fmt: skip


def label_ends(ax: Axes, ends: Mapping[str, tuple[float, float]], right: float) -> None:
    """The variants' names beside their last points, spread so that they do not overlap."""
    low, high = np.log(ax.get_ylim())
    gap, last = 0.062 * (high - low), -np.inf
    for variant, (x, y) in sorted(ends.items(), key=lambda item: item[1][1]):
        last = max(np.log(y) - gap / 3, last + gap)
        color = VARIANT_STYLE[variant].color
        ax.plot([x, 1.03 * right], [y, np.exp(last + gap / 3)], color=color, linewidth=0.6)
        name = VARIANT_NAMES.get(variant, variant)
        label(ax, 1.04 * right, float(np.exp(last)), name, DARK.get(color, color))


def sample_images(recordings: Mapping[str, Recording], real: torch.Tensor, title: str) -> Figure:
    """One-call images of the first seed, a row for each variant, over real ones (n, c, h, w)."""
    rows = {
        VARIANT_NAMES.get(variant, variant): torch.from_numpy(r["pictures"][0]) / 127.5 - 1
        for variant, r in recordings.items()
    }
    rows |= {"real": real}
    figure, axes = sheet(len(rows), 1, 7.4, 0.6 * len(rows) + 0.35)
    for ax, (name, images) in zip(axes[:, 0], rows.items(), strict=True):
        picture = mosaic(images[: len(real)], len(real))
        grey = picture.shape[2] == 1
        bare(ax).imshow(1 - picture[..., 0] if grey else picture, cmap="gray", vmin=0, vmax=1)
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    axes[0, 0].set_title(title, loc="left", fontsize=11, fontweight="bold")
    return figure


def sample_clouds(recordings: Mapping[str, Recording], modes: torch.Tensor) -> Figure:
    """One-call samples of the first seed, a panel per variant; grey: the data's modes (K, 2)."""
    figure, (axes,) = sheet(1, len(recordings), 2.1 * len(recordings), 2.5)
    for ax, (variant, recording) in zip(axes, recordings.items(), strict=True):
        ax.scatter(*modes.T, s=330, color=DATA.color, alpha=0.15, linewidths=0)
        ax.scatter(*recording["cloud"][0].T, s=3, color=VARIANT_STYLE[variant].color, linewidths=0)
        ax.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", xticks=(-1, 1), yticks=(-1, 1))
        ax.set_title(VARIANT_NAMES.get(variant, variant), loc="left", fontsize=10)
    return figure


def spread_labels(places: Mapping[Any, float], least: float) -> dict[Any, float]:
    """Label positions in rising order, moved up where two would be closer than `least`."""
    spread: dict[Any, float] = {}
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        spread[name] = max(place, max(spread.values(), default=place - least) + least)
    return spread
