"""Figures of lab 16, CIFAR-10: cost, training curves, samples, and published FIDs.

Every published FID here is Inception's, of 50 000 samples against the training images,
unconditional, as published. Distances measured in this repository are in other spaces and have
other tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cmlab.cli.ship import stacked, with_suffix
from cmlab.gaussian_mixture import require
from cmlab.metrics.feature_extractors import CifarSpace
from cmlab.metrics.frechet import frechet
from cmlab.metrics.patches import patch_distance
from cmlab.metrics.plots import (
    DATA,
    NOISE,
    STUDENT,
    TEACHER,
    WRONG,
    Role,
    label,
    name_axes,
    sheet,
    styled,
)
from cmlab.presets import PRESETS
from cmlab.train.checkpoint import BadFile, read_json, with_fields
from cmlab.train.cost import FEW, saved_bytes
from cmlab.train.recipe import Recipe
from cmlab.train.run_log import CALLS, LEVELS, read_log

from ..common.plots_samples import annotate_at

# Cost of one image, counted on tensors without content


@dataclass(frozen=True)
class NetworkCost:
    """Cost of a network for one image: `call` and `step` in operations, `kept` in bytes."""

    weights: int
    call: int  # one forward pass
    step: int  # of ECT: two forward passes, and the way back through one of them
    kept: int  # what one forward pass keeps for the way back, in float32
    samples: int  # of the whole run, its start counted
    begun: int  # those of its start, as a denoiser: a step without the second forward pass

    @property
    def run(self) -> float:
        """Operations of the run."""
        return float(self.step) * self.samples - float(self.call) * self.begun


def cost(recipe: Recipe) -> NetworkCost:
    """Count; nothing is computed and no weight is allocated, so it takes a second for any size."""
    net: Any = recipe.net
    data: Any = recipe.data
    with torch.device("meta"):
        whole = net.build()
        bare = without_classes(net).build()
        x, c_noise = torch.empty(FEW, *data.shape), torch.empty(FEW)
    call, there_and_back, kept = count_passes(bare, x, c_noise)
    weights = sum(p.numel() for p in whole.parameters())
    begun = recipe.start.samples if recipe.start else 0
    return NetworkCost(weights, call, call + there_and_back, kept, recipe.samples, begun)


def without_classes(net: Any) -> Any:
    """The record of the same network without classes.

    A class costs a row of a table, and a label without a number cannot be looked up.
    """
    inner = getattr(net, "inner", None)
    if inner is not None:
        return replace(net, inner=without_classes(inner))
    return replace(net, classes=0)


def count_passes(net: nn.Module, x: Tensor, c_noise: Tensor) -> tuple[int, int, int]:
    """For one image: operations of a forward pass, of both passes, and bytes kept in between."""
    with FlopCounterMode(display=False) as flops:
        with saved_bytes(net) as kept:
            out = net(x, c_noise)
        there = flops.get_total_flops()
        out.mean().backward()
    return there // FEW, flops.get_total_flops() // FEW, sum(kept.values()) // FEW


def cost_table(costs: Mapping[str, NetworkCost]) -> str:
    """A Markdown table, one row a preset."""
    heads = ("preset", "weights", "one call, one image", "one ECT step, one image",
             "kept for the gradient, one image", "images, whole run")  # fmt: skip
    rows = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name, found in costs.items():
        cells = (f"`{name}`", f"{found.weights / 1e6:.2f} M", giga(found.call), giga(found.step),
                 f"{found.kept / 1e6:.1f} MB", f"{found.samples / 1e6:.2f} M")  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


# What a step is of, and its network calls for an image.
STEPS = {
    "EDM": ("denoiser (EDM)", 3),
    "ECT": ("consistency tuning (ECT)", 4),
    "CD": ("distillation (CD) with guidance", 6),
}


def trainings(recipe: Recipe) -> list[tuple[str, int, int]]:
    """Name, images and calls for each image of a run's trainings, its start's first."""
    return [
        (name, part.train.steps * part.train.batch, calls)
        for part in recipe.trainings
        for name, calls in [STEPS[type(part.method).__name__]]
    ]


def trainings_table(recipe: Recipe) -> str:
    """The trainings of a run as Markdown."""
    rows = [f"| {name} | {n / 1e6:.2f} M | {calls} |" for name, n, calls in trainings(recipe)]
    return "\n".join(["| training | images | calls for each |", "|---|---:|---:|", *rows])


def calls_made(recipe: Recipe) -> int:
    """Network calls of a run, its start's counted; a backward pass counts as two."""
    return sum(n * calls for _, n, calls in trainings(recipe))


SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def giga(operations: float) -> str:
    return f"{operations / 1e9:.3g} GFLOP"


def power(number: float) -> str:
    """A large number to two digits, such as 1.7 · 10¹⁶."""
    digits, exponent = f"{number:.1e}".split("e")
    return f"{digits} · 10" + str(int(exponent)).translate(SUPERSCRIPT)


def hours(seconds: float) -> str:
    """A time to two digits, in minutes below two hours."""
    value, unit = (seconds / 60, "minutes") if seconds < 7200 else (seconds / 3600, "hours")
    return f"{float(f'{value:.2g}'):g} {unit}"


# Training curves of the training desk: loss, loss by noise level, and samples

LEVEL, LOSS = "noise level σ/α (data units)", "loss (weighted, no unit)"
AVERAGED_LINES = 3  # log lines that a line by noise level is the mean of
BEFORE = Role(DATA.color, "o", ":")


@dataclass(frozen=True, eq=False)
class Phase:
    """One training of a run: samples (n,) counted from the run's first, loss (n,), and the
    loss by noise level (n, 12), NaN where a batch had none."""

    name: str
    samples: np.ndarray
    loss: np.ndarray
    by_level: np.ndarray


def training_curves(phases: Sequence[Phase]) -> Figure:
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
    name_axes(ax, f"samples seen ({name})", LOSS, loss_title(phases))
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


def loss_title(phases: Sequence[Phase]) -> str:
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
            title = level_title(early, late)
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
    few = min(AVERAGED_LINES, len(rows) // 2)
    return (mean_of_finite(rows[:few]) if few else None), mean_of_finite(rows[-max(few, 1) :])


def mean_of_finite(rows: np.ndarray) -> np.ndarray:
    """The mean of each column over what is known in it; NaN where nothing is."""
    known = np.isfinite(rows)
    total = np.where(known, rows, 0.0).sum(0)
    return np.divide(total, known.sum(0), out=np.full(rows.shape[1], np.nan), where=total > 0)


def level_title(early: np.ndarray, late: np.ndarray) -> str:
    """Title: the noise level at which the loss fell most."""
    share = late / early
    if not np.isfinite(share).any():
        return "By noise level"
    best = int(np.nanargmin(share))
    return f"Fell most at noise level {LEVELS[best]:.2g}: × {share[best]:.2g}"


def sample_strip(pixels: np.ndarray, title: str, columns: int = 8) -> Figure:
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
    name_axes(ax, "the same noise throughout", "network calls", title)
    return figure


# A generator's calls, nearest neighbours, and the great circle between two noises

GAP = 3  # dots between two pictures
WIDE, HIGH = 8.8, 5.25  # inches


@dataclass(frozen=True)
class GeneratorScene:
    """Pictures (n, 3, h, w) in [-1, 1] that the explorer draws, in groups."""

    calls: tuple[Tensor, Tensor]  # what goes into each network call, and what comes out
    made: Tensor  # (3, h, w)
    near: Tensor  # (k, 3, h, w), k ≤ 3: its nearest neighbours
    distances: Sequence[float]
    between: Tensor  # one for each of `shares`, mixed on the great circle
    shares: Sequence[float]


def image_page(pictures: Tensor) -> np.ndarray:
    """Pictures (rows, columns, 3, h, w) in [-1, 1] side by side, those of NaN left white."""
    rows, columns, _, height, width = pictures.shape
    out = torch.ones(rows, columns, height + GAP, width + GAP, 3)
    shown = ((pictures.clamp(-1, 1) + 1) / 2).nan_to_num(1.0)
    out[:, :, 1 : height + 1, 1 : width + 1] = shown.permute(0, 1, 3, 4, 2).float()
    return out.permute(0, 2, 1, 3, 4).reshape(rows * (height + GAP), -1, 3).numpy()


def image_grid(
    ax: Axes, pictures: Tensor, columns: Sequence[str], rows: Sequence[str] = (), title: str = ""
) -> Axes:
    """A sheet of pictures with names above its columns and beside its rows."""
    image = image_page(pictures)
    down, across = pictures.shape[:2]
    high, wide = image.shape[0] / down, image.shape[1] / across
    ax.imshow(image, interpolation="none")
    ax.set_axis_off()
    for k, name in enumerate(columns):
        annotate_at(ax, ((k + 0.5) * wide - 2, 0), name, (0, 2), ("center", "bottom"))
    for k, name in enumerate(rows):
        annotate_at(ax, (0, (k + 0.5) * high), name, (-4, 0), ("right", "center"))
    # With y given, matplotlib spares itself the search for a free place at every redraw.
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", y=1.0, pad=18)
    return ax


def padded(pictures: Tensor, count: int) -> Tensor:
    """`count` pictures: these, and then empty places."""
    empty = torch.full((count - len(pictures), *pictures.shape[1:]), torch.nan)
    return torch.cat([pictures, empty])


def generator_scene(scene: GeneratorScene) -> Figure:
    """The calls, the neighbours where there are any, and the way from one noise to another."""
    figure, (left, right, below) = three_grids(len(scene.shares))
    calls = torch.stack([padded(pictures, 4) for pictures in scene.calls])
    count = len(scene.calls[0])
    names = [f"call {i + 1}" for i in range(count)]
    title = f"{count} network call{'s' * (count > 1)}"
    image_grid(left, calls, names, ("in: xₜ", "out: f"), title)
    if scene.distances:
        four = padded(torch.cat([scene.made[None], scene.near]), 4).unflatten(0, (2, 2))
        image_grid(right, four, (), (), "Generated, and the nearest")
        away = [f"{d:.1f} away" for d in scene.distances]
        name_grid(right, ["generated", *away], four.shape[-1] + GAP)
    else:
        right.set_axis_off()
    names = [f"{100 * share:.0f} %" for share in scene.shares]
    image_grid(below, scene.between[None], names, ("out: f",),
          "From the first noise to the second, one call each")  # fmt: skip
    return figure


def name_grid(ax: Axes, names: Sequence[str], side: int) -> None:
    """Names above the first row and below the second of a board of 2 × 2."""
    for k, name in enumerate(names):
        across, down = ((k % 2) + 0.5) * side - 2, (2 * side - 1) * (k // 2)
        align = "top" if k // 2 else "bottom"
        annotate_at(ax, (across, down), name, (0, -2 if k // 2 else 2), ("center", align))


def three_grids(columns: int) -> tuple[Figure, list[Axes]]:
    """Boards of 4 × 2, 2 × 2 and `columns` × 1 pictures, those above in one scale."""
    with styled():
        figure = Figure(figsize=(WIDE, HIGH), dpi=100)
    left, unit = 0.105, 0.134  # shares of the width
    tall = unit * WIDE / HIGH
    low = min(0.885 / columns, 0.177)
    boxes = (
        (left, 0.9 - 2 * tall, 4 * unit, 2 * tall),
        (left + 4.35 * unit, 0.9 - 2 * tall, 2 * unit, 2 * tall),
        (left, 0.02, columns * low, low * WIDE / HIGH),
    )
    return figure, [figure.add_axes(box, anchor="NW") for box in boxes]


# Published results of one- and few-step generators, and this package's presets

READ, REPORTED = "read in the paper", "as reported"
NOT_RUN = "not run here"
SPACE = "Inception, 50 000 samples against train"


@dataclass(frozen=True)
class PublishedResult:
    """A row: FIDs by number of calls, and millions of images seen; NaN or None is unknown."""

    method: str
    source: str
    one: float | None
    two: float | None
    before: float | None  # millions of images that the denoiser had seen, 0 without one
    images: float | None  # millions of images after it
    status: str
    note: str = ""


ROWS = (
    PublishedResult("EDM, diffusion, 35 calls", "2206.00364", None, None, 0, 200, REPORTED,
              "1.97 with 35 calls; flips and geometric augmentation"),
    PublishedResult("CD, LPIPS", "2303.01469", 3.55, 2.93, None, 409.6, READ,
              "from a denoiser of their own; its images are not counted here"),
    PublishedResult("CT, LPIPS", "2303.01469", 8.70, 5.83, 0, 409.6, READ),
    PublishedResult("iCT", "2310.14189", 2.83, 2.46, 0, 409.6, REPORTED),
    PublishedResult("iCT-deep", "2310.14189", 2.51, 2.24, 0, None, REPORTED,
                    "a network twice as deep"),
    PublishedResult("ECT, 100 000 steps of 128", "2406.14548", 4.54, 2.20, 200, 12.8, REPORTED,
              "from EDM's network"),
    PublishedResult("ECT, 200 000 steps", "2406.14548", 3.86, 2.15, 200, 25.6, REPORTED),
    PublishedResult("ECT, 400 000 steps", "2406.14548", 3.60, 2.11, 200, 51.2, REPORTED),
    PublishedResult("sCT", "2410.11081", 2.85, 2.06, 204.8, None, READ,
              "the length of the second part is not stated"),
    PublishedResult("sCD", "2410.11081", 3.66, 2.52, 204.8, None, READ,
              "the length of the second part is not stated"),
)  # fmt: skip

OURS = ("cifar10.ect-laptop", "cifar10.ect-sprint", "cifar10.ect-paper", "cifar10.ict-paper")
HEADS = ("method", "FID, 1 call", "FID, 2 calls", "pre-training images, M", "images, M", "source",
         "note")  # fmt: skip


def published_cells(row: PublishedResult) -> tuple[str, ...]:
    """One published row as text; what is not known is a dash."""
    paper = f"{row.method} ([{row.source}](https://arxiv.org/abs/{row.source}))"
    fids = (f"{v:.2f}" if v is not None else "–" for v in (row.one, row.two))
    seen = (f"{v:g}" if v is not None else "–" for v in (row.before, row.images))
    return paper, *fids, *seen, row.status, row.note


def preset_cells(preset: str, record: Path | None = None) -> tuple[str, ...]:
    """Row of one of our presets: images from the recipe, FIDs from a run's record if any."""
    recipe = PRESETS[preset]()
    before = recipe.start.samples if recipe.start else 0
    fids = recorded_fids(record) if record else {}
    seen = (f"{round(count / 1e6, 2):g}" for count in (before, recipe.samples - before))
    known = "measured here" if fids else "images from the preset"
    one, two = (fids.get(calls, NOT_RUN) for calls in ("1", "2"))
    return f"here: `{preset}`", one, two, *seen, known, ""


def recorded_fids(record: Path) -> dict[str, str]:
    """FIDs by calls in a run's record: readings of Inception's space, 50 000 against train."""
    if not record.exists():
        return {}
    readings = read_json(record).get("readings", [])
    return {
        row["of"].split()[0]: f"{row['value']:.2f} ± {row['error']:.2f}"
        for row in readings
        if (row["space"], row["name"]) == ("inception", "fd")
        and (row["samples"], row["reference"]) == (50_000, "train")
    }


def results_table(records: Sequence[Path | None] = (None,) * len(OURS)) -> str:
    """The whole as Markdown: published rows, then those of our presets that have an FID."""
    rows = [published_cells(row) for row in ROWS]
    pairs = zip(OURS, records, strict=True)
    rows += [
        preset_cells(name, record) for name, record in pairs if record and recorded_fids(record)
    ]
    lines = ["| " + " | ".join(row) + " |" for row in (HEADS, *rows)]
    lines.insert(1, "|---|---:|---:|---:|---:|---|---|")
    return "\n".join(lines)


# The log of a shipped run with its start: sheets of samples


@dataclass(frozen=True)
class TrainingRecord:
    """Training record: sheets of samples of one run, its start included."""

    before: int  # images seen by the start
    seen: np.ndarray  # (sheets,) images seen at each sheet
    sheets: np.ndarray  # (sheets, rows of calls, h, w, 3) uint8

    def strip(self, index: int, calls: int = 1) -> np.ndarray:
        """The row of samples after so many calls on one sheet: uint8 (h, w, 3)."""
        return self.sheets[index, CALLS.index(calls)]


def read_training_record(path: Path) -> TrainingRecord:
    """Read what `cmlab ship RUN --out PATH` wrote. Raises BadFile where a file is none of it."""
    record = with_fields(read_json(with_suffix(path, ".json")), {"sheets": list}, str(path))
    rows = [row for row in read_log(with_suffix(path, ".jsonl")) if row.get("stage") in (0, 1)]
    if not rows:
        raise BadFile(f"{path}.jsonl is no log of a run; make it with `cmlab ship RUN --out NAME`")
    first = [row["samples"] for row in rows if row["stage"] < rows[-1]["stage"]]
    try:
        whole = stacked([with_suffix(path, ".png")])
        seen = np.array(record["sheets"], dtype=int)
        sheets = whole.reshape(len(seen), len(CALLS), -1, *whole.shape[1:])
    except (ValueError, TypeError) as error:
        raise BadFile(f"{path}.png does not fit its record; restore the files") from error
    return TrainingRecord(max(first, default=0), seen, sheets)


# Bias of a Fréchet distance by the number of samples


@dataclass(frozen=True)
class DistanceBySize:
    """Distances (sizes, repeats) of n pictures to one fixed large set, at each n of `sizes`."""

    sizes: tuple[int, ...]
    values: Tensor

    @property
    def mean(self) -> np.ndarray:
        return self.values.mean(1).numpy()

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over the repeats: what an error bar of one measurement shows."""
        return self.values.std(1).numpy()


def distance_by_size(
    made: Tensor, real: Tensor, sizes: Sequence[int], repeats: int
) -> DistanceBySize:
    """Sets of n from the features `made` against all of `real` (m, d), `repeats` sets at each n.

    Raises ValueError where there are not enough for sets that share none.
    """
    need = max(sizes) * repeats
    require(len(made) >= need, f"{repeats} sets of {max(sizes)} take {need} pictures: draw more")
    rows = [[frechet(part, real) for part in made.split(n)[:repeats]] for n in sizes]
    return DistanceBySize(tuple(sizes), torch.tensor(rows).double())


def distance_curves(
    drifts: Mapping[str, DistanceBySize], title: str, exact: Mapping[str, float]
) -> Figure:
    """Mean and spread of each against n; dotted its exact distance, where that is not 0."""
    figure, ((ax,),) = sheet(1, 1, 8.2, 3.8)
    for (name, found), role in zip(drifts.items(), (DATA, STUDENT, TEACHER, WRONG), strict=False):
        n = np.array(found.sizes)
        ax.errorbar(n, found.mean, found.spread, color=role.color, marker=role.marker,
                    ls=role.line, ms=5, capsize=3)  # fmt: skip
        label(ax, n[-1] * 1.12, found.mean[-1], name, role.color)
        if exact[name]:
            ax.axhline(exact[name], color=role.color, ls=":", lw=1)
    ax.set(xscale="log", yscale="log", xlim=(n[0] / 1.2, n[-1] * 4.5))
    y = "Fréchet distance of 48 features\n(feature values squared)"
    name_axes(ax, "samples measured, n", y, title)
    return figure


# Patch distance of the few samples in a strip to real images, during training


@dataclass(frozen=True)
class PatchDistances:
    """Patch distances of each sheet's pictures, and of as many real ones: (sheets,) and bounds."""

    values: np.ndarray
    floor: tuple[float, float]  # lowest and highest of real pictures against others
    pictures: int  # in each set


def pictures(strip: np.ndarray) -> Tensor:
    """The pictures of a strip, uint8 (h + 1, n (w + 1), 3), as (n, 3, h, w) in [-1, 1]."""
    side = len(strip)
    count = strip.shape[1] // side
    x = torch.from_numpy(strip.copy()).reshape(side, count, side, 3)[:-1, :, :-1]
    return x.permute(1, 3, 0, 2).float() / 127.5 - 1


def recorded_distances(strips: Mapping[str, Any]) -> PatchDistances:
    """Those that the judges recorded: values, floor and pictures."""
    low, high = strips["floor"]
    return PatchDistances(np.array(strips["values"], float), (low, high), int(strips["pictures"]))


def patch_distances(run: TrainingRecord, real: Tensor, calls: int = 1) -> PatchDistances:
    """Mean distance of each sheet to the sets of `real` (sets, n, 3, h, w), and theirs to others.

    The first half of the sets is the reference, the second half stands in for what was made.
    """
    reference, others = real[: len(real) // 2], real[len(real) // 2 :]

    def distance(x: Tensor) -> float:
        return mean(mean(patch_distance(x, y)) for y in reference)

    values = [distance(pictures(run.strip(k, calls))) for k in range(len(run.sheets))]
    floor = [distance(x) for x in others]
    return PatchDistances(np.array(values), (min(floor), max(floor)), real.shape[1])


# Samples from fixed noise during training, read from the run's log

SHARPENING_WIDE, BELOW = 8.8, 2.9  # inches: of the figure, and of its lower part


def chosen_sheets(seen: np.ndarray, count: int, before: int) -> list[int]:
    """Indices of `count` sheets at most, half of them the start's; each training's last is one."""
    stages = [(before, int(seen[-1]), count - count // 2)]
    stages = [(0, before, count // 2), *stages] if before else [(0, int(seen[-1]), count)]
    found: set[int] = set()
    for low, high, few in stages:
        own = np.flatnonzero((seen > low) & (seen <= high))
        marks = low + np.geomspace((high - low) / 12, high - low, few)
        found |= {int(own[np.abs(seen[own] - mark).argmin()]) for mark in marks if len(own)}
    return sorted(found)


def sharpening(
    run: TrainingRecord, score: PatchDistances, title: str, count: int = 5, calls: int = 1
) -> Figure:
    """Strips of samples at `count` moments, over a score of each."""
    picked = chosen_sheets(run.seen, count, run.before)
    strips = [run.strip(index, calls) for index in picked]
    above = 0.86 * SHARPENING_WIDE * sum(len(strip) for strip in strips) / strips[0].shape[1]
    high = above + BELOW + 0.35
    with styled():
        figure = Figure(figsize=(SHARPENING_WIDE, high), dpi=100)
        top = figure.add_axes((0.13, BELOW / high, 0.86, above / high))
        below = figure.add_axes((0.13, 0.5 / high, 0.86, 1.9 / high))
    stack_strips(top, strips, [sheet_name(run, index) for index in picked], title)
    draw_distances(below, run, score)
    below.plot(run.seen[picked] / 1e6, [0.03] * len(picked), "|", color="black", ms=7,
               transform=below.get_xaxis_transform())  # fmt: skip
    if run.before:
        below.axvline(run.before / 1e6, color=NOISE.color, lw=1.2, ls="--")
    return figure


def sheet_name(run: TrainingRecord, index: int) -> str:
    """Images seen, and in which of the two trainings."""
    stage = "denoiser" if run.seen[index] <= run.before and run.before else "consistency"
    return f"{run.seen[index] / 1e6:.3g} million\n{stage}"


def stack_strips(ax: Axes, strips: Sequence[np.ndarray], names: Sequence[str], title: str) -> None:
    ax.imshow(np.concatenate(strips), interpolation="none", aspect="auto")
    ax.set_axis_off()
    for k, name in enumerate(names):
        annotate_at(ax, (0, (k + 0.5) * len(strips[0])), name, (-6, 0), ("right", "center"))
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", x=-0.145)


def draw_distances(ax: Axes, run: TrainingRecord, score: PatchDistances) -> None:
    """The score of each sheet's pictures, over that of as many real ones."""
    low, high = score.floor
    ax.axhspan(low, high, color=DATA.color, alpha=0.2, lw=0)
    count = f"{score.pictures} photographs"
    label(ax, run.seen[0] / 1e6, low * 0.87, count, DATA.color)
    ax.plot(run.seen / 1e6, score.values, color=STUDENT.color, marker=STUDENT.marker, ms=4,
            markevery=max(len(run.seen) // 12, 1))  # fmt: skip
    ax.set_ylim(bottom=0)
    near = score.values[-1] <= high
    said = (
        "The patch distance cannot tell the last strip from photographs"
        if near
        else "Distance to photographs"
    )
    name_axes(ax, "images seen (millions)", "patch distance", said)


# Two pairs of CIFAR-10's training images that distances in pixels put in the wrong order


@dataclass(frozen=True)
class PhotographPair:
    """Two training images, by how the SHA-256 of their pixels (3, 32, 32) begins."""

    name: str
    first: str
    second: str
    pixels: float  # ‖x - y‖ in [-1, 1], as recorded
    features: float  # the same among the features of `CifarSpace`


PAIRS = (
    PhotographPair(
        "two versions of one photograph", "3d232fc77256574c", "e0131d79011c1e0c", 6.978, 4.437
    ),
    PhotographPair(
        "an aeroplane and a ship", "a93373408a75e24a", "7bfcdfd10d587cd7", 5.501, 19.479
    ),
)


def photograph_pairs(images: Tensor | None, *rows: str) -> tuple[str, Figure | None]:
    """The pairs' distances as a Markdown table, and both pairs as a figure.

    Args:
        images: CIFAR-10's training images (n, 3, 32, 32), uint8; without them the table holds the
            recorded distances, and there is no figure.
        rows: more rows of the table, in Markdown.

    Raises:
        ValueError: if an image of a pair is not among them.
    """
    if images is None:
        note = "As recorded: CIFAR-10 is not on this machine, so the pictures are not shown."
        return f"{pair_table(PAIRS, *rows)}\n\n{note}", None
    shown = torch.stack([pair_of(images, pair) for pair in PAIRS])
    found = [measured(pair, *two) for pair, two in zip(PAIRS, shown, strict=True)]
    names = [f"{p.name}:\n{p.pixels:.2f} in pixels, {p.features:.1f} in features" for p in found]
    figure, ((ax,),) = sheet(1, 1, 6.4, 1.8 * len(PAIRS))
    image_grid(ax, shown / 127.5 - 1, (), names).set_anchor("E")  # the names stand to the left
    return pair_table(found, *rows), figure


def pair_table(pairs: Sequence[PhotographPair], *more: str) -> str:
    """A Markdown table, one row a pair, and then these rows."""
    rows = [f"| {pair.name} | {pair.pixels:.2f} | {pair.features:.1f} |" for pair in pairs]
    head = "| two pictures | distance in pixels | distance in features |"
    return "\n".join([head, "|---|---:|---:|", *rows, *more])


def measured(pair: PhotographPair, x: Tensor, y: Tensor) -> PhotographPair:
    """The pair with the distances of its images (3, 32, 32), uint8."""
    (u, v), apart = CifarSpace().features(torch.stack([x, y])), (x.float() - y.float()) / 127.5
    return replace(pair, pixels=float(apart.norm()), features=float((u - v).norm()))


def pair_of(images: Tensor, pair: PhotographPair) -> Tensor:
    """Both images of a pair, (2, 3, h, w)."""
    digests = [sha256(image.numpy().tobytes()).hexdigest()[:16] for image in images]
    for wanted in (pair.first, pair.second):
        require(wanted in digests, f"the set holds no image whose SHA-256 begins with {wanted}: "
                "give CIFAR-10's 50 000 training images")  # fmt: skip
    return images[[digests.index(pair.first), digests.index(pair.second)]]
