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
from cmlab.figures.digits import page
from cmlab.figures.samples import png
from cmlab.figures.style import styled
from cmlab.widgets.digits import GENERATOR, noise

HIGH, LOW = 1.2, 0.002
COLUMNS, ROWS = 10, 9


def digits(run: Path, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise, and what one call of the generator makes of it: a column for each digit."""
    model, recipe, _ = runs.load(run)
    z, asked = noise(seed, COLUMNS * ROWS), torch.arange(COLUMNS * ROWS) % COLUMNS
    with torch.no_grad():
        return z, recipe.sampler(model.process, lambda x_t, t: model(x_t, t, asked), z, 1)


def pictures(ax: Axes, images: Tensor, words: str) -> None:
    """A sheet of framed images, with words below it."""
    ax.imshow(page(images.reshape(ROWS, COLUMNS, *images.shape[1:])), cmap="gray", vmin=0, vmax=1)
    ax.set_axis_off()
    below(ax, words)


def below(ax: Axes, words: str) -> None:
    ax.text(0.5, -0.035, words, transform=ax.transAxes, ha="center", va="top", fontsize=14)


def arrow(figure: Figure, start: float, stop: float, height: float, words: str) -> None:
    """An arrow across the gap between two panels, in figure shares."""
    figure.add_artist(
        FancyArrowPatch((start, height), (stop, height), arrowstyle="-|>", mutation_scale=26,
                        linewidth=3, color="#0072B2")
    )  # fmt: skip
    figure.text((start + stop) / 2, height + 0.045, words, ha="center", va="bottom", fontsize=13,
                color="#0072B2", fontweight="bold", linespacing=1.2)  # fmt: skip


def flow(ax: Axes, paths: int = 650, levels: int = 60) -> None:
    """Exact paths of eight Gaussians, from noise to data, each in the colour of its mode."""
    law, seed = Ring().oracle, torch.Generator().manual_seed(5)
    z = torch.randn(paths, 2, generator=seed).double()
    t = LOW + (HIGH - LOW) * torch.linspace(1, 0, levels).double() ** 2
    way = law.path(law.sample(paths, seed).double() + HIGH * z, t)
    colors = [COLORS[k] for k in nearest(law, way[-1]).tolist()]
    ways = list(way.transpose(0, 1).numpy())
    ax.add_collection(LineCollection(ways, linewidths=0.8, alpha=0.55, colors=colors))
    ax.scatter(*way[0].T, s=5, color="#777777", linewidths=0)
    ax.scatter(*way[-1].T, s=20, c=colors, edgecolors="white", linewidths=0.4, zorder=3)
    ax.set(xlim=(-3.1, 3.1), ylim=(-3.1, 3.1), aspect="equal")
    ax.set_axis_off()
    below(ax, "the exact flow, from noise to eight Gaussians")


def hero(run: Path) -> Figure:
    """Noise, arrow, digits; and the flow. 1600 × 500 pixels at 100 dpi."""
    with styled():
        figure = Figure(figsize=(16, 5.0), dpi=100, facecolor="white")
    z, x = digits(run)
    left, right = (
        figure.add_axes((0.01, 0.1, 0.29, 0.88)),
        figure.add_axes((0.38, 0.1, 0.29, 0.88)),
    )
    pictures(left, 0.7 * z, "noise")
    pictures(right, x, "digits that nobody wrote")
    arrow(figure, 0.308, 0.374, 0.52, "one\nnetwork\ncall")
    flow(figure.add_axes((0.7, 0.1, 0.285, 0.88)))
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
