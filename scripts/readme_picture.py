"""Draw docs/hero.png: one network call from noise to digits, and the exact flow that it learns.

python scripts/readme_picture.py [--out docs/hero.png] [--run a_run_or_file.safetensors]
"""

import argparse
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from cmlab import runs
from cmlab.checkpoint import replace
from cmlab.data.toy import Ring
from cmlab.figures.basins import COLORS, nearest
from cmlab.figures.samples import mosaic, png
from cmlab.figures.style import styled
from cmlab.widgets.digits import GENERATOR, noise

HIGH, LOW = 3.0, 0.002
COLUMNS, ROWS = 10, 6


def digits(run: Path, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise, and what one call of the generator makes of it: a column for each digit."""
    model, recipe, _ = runs.load(run)
    z, asked = noise(seed, COLUMNS * ROWS), torch.arange(COLUMNS * ROWS) % COLUMNS
    with torch.no_grad():
        return z, recipe.sampler(model.process, lambda x_t, t: model(x_t, t, asked), z, 1)


def pictures(ax: Axes, images: Tensor, words: str) -> None:
    """A mosaic, ink on paper, with words below it."""
    ax.imshow(1 - mosaic(images, COLUMNS)[..., 0], cmap="gray", vmin=0, vmax=1)
    ax.set_axis_off()
    ax.set_title(words, y=-0.17, fontsize=15)


def arrow(figure: Figure, start: float, stop: float, height: float, words: str) -> None:
    """An arrow across the gap between two panels, in figure shares."""
    figure.add_artist(
        FancyArrowPatch((start, height), (stop, height), arrowstyle="-|>", mutation_scale=26,
                        linewidth=3, color="#0072B2")
    )  # fmt: skip
    figure.text((start + stop) / 2, height + 0.045, words, ha="center", va="bottom", fontsize=13,
                color="#0072B2", fontweight="bold", linespacing=1.2)  # fmt: skip


def flow(ax: Axes, paths: int = 420, levels: int = 90) -> None:
    """Exact paths of eight Gaussians, from noise to data, each in the colour of its mode."""
    law = Ring().oracle
    z = torch.randn(paths, 2, generator=torch.Generator().manual_seed(4)).double()
    t = torch.logspace(0, 1, levels, dtype=torch.float64)
    t = LOW + (HIGH - LOW) * (10 - t) / 9
    way = law.path(law.sample(paths, torch.Generator().manual_seed(5)).double() + HIGH * z, t)
    mode = nearest(law, way[-1]).tolist()
    lines = LineCollection(list(way.transpose(0, 1).numpy()), linewidths=0.7, alpha=0.45,
                           colors=[COLORS[k] for k in mode])  # fmt: skip
    ax.add_collection(lines)
    ax.scatter(*way[0].T, s=7, color="#999999", linewidths=0, zorder=2)
    ax.scatter(*way[-1].T, s=16, c=[COLORS[k] for k in mode], edgecolors="white",
               linewidths=0.3, zorder=3)  # fmt: skip
    reach = 2.1 * HIGH
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set_axis_off()
    ax.set_title("the exact flow: where each noise ends", y=-0.085, fontsize=15)


def hero(run: Path) -> Figure:
    """Noise, arrow, digits; and the flow. 1600 × 560 pixels at 100 dpi."""
    with styled():
        figure = Figure(figsize=(16, 5.6), dpi=100, facecolor="white")
        z, x = digits(run)
        left = figure.add_axes((0.012, 0.14, 0.285, 0.80))
        right = figure.add_axes((0.383, 0.14, 0.285, 0.80))
        pictures(left, 0.7 * z, "noise")
        pictures(right, x, "digits that nobody wrote")
        arrow(figure, 0.303, 0.377, 0.54, "one\nnetwork\ncall")
        flow(figure.add_axes((0.690, 0.10, 0.30, 0.86)))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/hero.png"))
    parser.add_argument("--run", type=Path, default=GENERATOR)
    given = parser.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    replace(given.out, lambda temporary: temporary.write_bytes(png(hero(given.run))))


if __name__ == "__main__":
    main()
