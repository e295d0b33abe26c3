"""Make the README's pictures: python scripts/readme_pictures.py [hero] [learner] [teacher] …

`hero` is drawn, `teacher` opens JupyterLab in Chromium, the others are taken from the labs.
"""

import argparse
import sys
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from cmlab_labs.common.generators import GENERATOR, noise
from cmlab_labs.common.plots_samples import image_sheet
from cmlab_labs.lab02_consistency.explorer import from_noise_to_data
from cmlab_labs.lab02_consistency.figures import COLORS, nearest_mode
from cmlab_labs.tools.notebooks import build
from cmlab_labs.tools.notebooks.classroom import student
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from cmlab.data.toy import Ring
from cmlab.metrics.plots import png, styled
from cmlab.oracle import Mixture1D
from cmlab.train import runs
from cmlab.train.checkpoint import replace

ROOT = Path(__file__).parents[1]
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
    ax.imshow(image_sheet(images.reshape(ROWS, COLUMNS, *images.shape[1:])))
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
    colors = [COLORS[k] for k in nearest_mode(law, way[-1]).tolist()]
    ways = list(way.transpose(0, 1).numpy())
    ax.add_collection(LineCollection(ways, linewidths=0.8, alpha=0.55, colors=colors))
    ax.scatter(*way[0].T, s=5, color="#777777", linewidths=0)
    ax.scatter(*way[-1].T, s=20, c=colors, edgecolors="white", linewidths=0.4, zorder=3)
    ax.set(xlim=(-3.1, 3.1), ylim=(-3.1, 3.1), aspect="equal")
    ax.set_axis_off()
    below(ax, "the exact flow, from noise to eight Gaussians")


def hero(run: Path = GENERATOR) -> Figure:
    """Noise, arrow, digits; and the flow. 1600 × 500 pixels at 100 dpi."""
    with styled():
        figure = Figure(figsize=(16, 5.0), dpi=100, facecolor="white")
    z, x = digits(run)
    left, right = (
        figure.add_axes((0.01, 0.1, 0.29, 0.88)),
        figure.add_axes((0.38, 0.1, 0.29, 0.88)),
    )
    pictures(left, 0.7 * z, "noise")
    pictures(right, x, "digits")
    arrow(figure, 0.308, 0.374, 0.52, "one\nnetwork\ncall")
    flow(figure.add_axes((0.7, 0.1, 0.285, 0.88)))
    return figure


def learner() -> bytes:
    """The first explorer of lab 02, its slider moved: it gives away no prediction of a lab."""
    two = Mixture1D(*(torch.tensor(v).double() for v in ((0.4, 0.6), (-1.2, 1.0), (0.2, 0.2))))
    figure = from_noise_to_data(two).turn({"t": 1.0}).picture.figure
    return png(figure, dpi=140)


def shown(lab: str, call: str) -> bytes:
    """The picture that a lab shows below the cell with this call."""
    nb = build.read(ROOT / "labs" / f"{lab}.ipynb")
    (cell,) = (c for c in nb.cells if c.cell_type == "code" and call in c.source)
    (picture,) = (o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {}))
    return b64decode(picture)


MISTAKE = '''def ct_pair(x, z, t, r):
    """The neighbours x_t and x_r, in this order, made of the data x and the noise z."""
    wide = lambda v: v.reshape(-1, *[1] * (x.ndim - 1))
    x_t = x + wide(t) * z
    x_r = wide(r / t) * x_t
    return x_t, x_r'''


def teacher() -> bytes:
    """A learner's copy of lab 05 in JupyterLab: an answer with a likely mistake, and the reply."""
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT / "tests"))
    from browser.harness import chromium, open_and_run, serve

    with TemporaryDirectory() as place:
        folder = Path(place) / "labs"
        lab = student(ROOT / "labs" / "05_consistency_training.ipynb", folder)
        nb = build.read(lab)
        cell = next(c for c in nb.cells if "exercise" in build.tags(c))
        cell.source = MISTAKE
        build.save(nb, lab)
        with serve(folder) as jupyter, sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1180, "height": 900}, device_scale_factor=2)
            page.set_default_timeout(120_000)
            open_and_run(page, jupyter, lab.stem)
            page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
            asked = page.locator(".jp-MarkdownCell", has_text="A · guided: the pair").first
            asked.scroll_into_view_if_needed()
            page.wait_for_timeout(1000)
            top = asked.bounding_box()
            said = page.locator(
                ".jp-CodeCell", has_text="checks.ct_pair(ct_pair)"
            ).first.bounding_box()
            assert top and said
            return page.screenshot(clip={
                "x": top["x"], "y": top["y"], "width": top["width"],
                "height": said["y"] + said["height"] - top["y"],
            })  # fmt: skip


PICTURES: dict[str, Callable[[], bytes]] = {
    "hero": lambda: png(hero()),
    "learner": learner,
    "teacher": teacher,
    "researcher": lambda: shown("17_atlas", "errors_by_calls(rows,"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="all, or: " + ", ".join(PICTURES))
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    given = parser.parse_args()
    for wanted in given.names or PICTURES:
        write = partial(Path.write_bytes, data=PICTURES[wanted]())
        replace(given.out / f"{wanted}.png", write)


if __name__ == "__main__":
    main()
