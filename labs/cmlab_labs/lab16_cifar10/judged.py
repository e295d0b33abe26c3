"""The record of the photographs' judges: scores, nearest training images, unselected samples.

`scripts/judge_photographs.py` writes it beside the shipped weights, so that the lab needs neither
CIFAR-10 nor the minutes that judging takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from cmlab.cli.ship import with_suffix
from cmlab.data.cifar10 import CLASSES
from cmlab.metrics.plots import sheet
from cmlab.metrics.report import Reading
from cmlab.train.checkpoint import BadFile, read_json, with_fields

SIDE = 10  # samples a side of the sheet of unselected ones
COLUMNS = {
    "fd": "Fréchet distance",
    "asked": "class asked for",
    "precision": "precision",
    "recall": "recall",
}


def read_scores(weights: Path) -> dict[str, Any]:
    """The record beside these weights: n, seed, readings, nearest and strips.

    Raises BadFile where it is missing or is none.
    """
    path = with_suffix(weights.with_suffix(""), "-scores.json")
    kinds = {"n": int, "seed": int, "readings": list, "nearest": dict, "strips": dict}
    return with_fields(read_json(path), kinds, str(path))


def row_of(record: Mapping[str, Any], name: str, of: str) -> dict[str, Any]:
    """The row of one score, with its floor. Raises ValueError where there is none."""
    found = [row for row in record["readings"] if (row["name"], row["of"]) == (name, of)]
    if not found:
        raise ValueError(f"the record has no {name} of {of}: judge the run again")
    return found[0]


def reading(record: Mapping[str, Any], name: str, of: str) -> Reading:
    """One score, such as the "fd" of "1 call". Raises ValueError where there is none."""
    row = row_of(record, name, of)
    return Reading(**{field.name: row[field.name] for field in fields(Reading)})


def scores_table(record: Mapping[str, Any], calls: Sequence[str]) -> str:
    """A Markdown table: a row for each number of calls, the floor of real images last."""
    heads = " | ".join(COLUMNS.values())
    lines = [
        f"| {spaced(record['n'])} images each | {heads} |",
        "|---" + "|---:" * len(COLUMNS) + "|",
    ]
    for of in calls:
        cells = [with_error(name, reading(record, name, of)) for name in COLUMNS]
        lines.append(f"| {of} | " + " | ".join(cells) + " |")
    cells = [number(name, row_of(record, name, calls[0])["floor"]) for name in COLUMNS]
    lines.append("| *floor: real images* | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_error(name: str, row: Reading) -> str:
    places = 1 if name == "fd" else 3
    value = number(name, row.value)
    certain = name != "fd" and row.value in (0, 1)  # a resampled share has no error bar there
    return value if certain else f"{value} ± {row.error:.{places}f}"


def number(name: str, value: float) -> str:
    return f"{value:.1f}" if name == "fd" else f"{value:.3f}"


def spaced(count: int) -> str:
    """A count with a space between its thousands."""
    return f"{count:,}".replace(",", " ")


def nearest_table(record: Mapping[str, Any]) -> str:
    """A Markdown table: distances to the nearest training image, of samples and test images."""
    found = record["nearest"]
    names = {"generated": "samples, one call", "test": "test images"}
    quantiles = list(found["test"])
    heads = " | ".join(f"{100 * float(q):.0f} % are nearer than" for q in quantiles)
    rows = [
        f"| {name} | " + " | ".join(f"{found[key][q]:.1f}" for q in quantiles) + " |"
        for key, name in names.items()
    ]
    head = f"| distance in the features of {found['space']}, {spaced(found['n'])} each | {heads} |"
    return "\n".join([head, "|---" + "|---:" * len(quantiles) + "|", *rows])


def close_samples(record: Mapping[str, Any], within: float) -> list[dict[str, Any]]:
    """The samples whose nearest training image is nearer than `within` in features.

    Raises ValueError where the record lists too few to know all of them.
    """
    listed = record["nearest"]["closest"]
    found = [row for row in listed if row["distance"] < within]
    if len(found) == len(listed):
        raise ValueError(f"all {len(listed)} samples of the record are nearer than {within:g}")
    return found


def unselected(weights: Path, title: str) -> Figure:
    """The sheet of the first samples of a seed, a class in each column.

    Raises BadFile where the picture is missing or none.
    """
    path = with_suffix(weights.with_suffix(""), "-unselected.png")
    try:
        pixels = np.asarray(Image.open(path).convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise BadFile(f"{path} is missing or no picture; restore the files") from error
    figure, ((ax,),) = sheet(1, 1, 6.6, 6.1)
    ax.imshow(pixels, interpolation="nearest")
    ax.set_axis_off()
    wide = pixels.shape[1] / SIDE
    for k, name in enumerate(CLASSES):
        ax.annotate(name, ((k + 0.5) * wide, 0), (0, 2), textcoords="offset points", ha="center",
                    va="bottom", fontsize=7.5)  # fmt: skip
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", y=1.0, pad=18)
    return figure
