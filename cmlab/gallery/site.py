"""All pages of the site, from the notebooks, README and the texts beside the labs."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..labs.notebook import find
from ..moving import animations
from ..moving.base import Moving
from .cells import Cells, contents
from .facts import Lab, lab
from .files import Files
from .frame import Page, heading, turn
from .front import front, plain
from .links import Links
from .outputs import Outputs
from .stage import motion
from .words import Words

ASSETS = Path(__file__).parent / "assets"
TEXTS = {
    "labs/README.md": "labs.html",
    "labs/TEACHING.md": "teaching.html",
    "labs/PAPERS.md": "papers.html",
}
HERO = "01"  # the lab whose first moving figure opens the front page


@dataclass(frozen=True, eq=False)
class Site:
    """Writes pages into `folder` for the repository at `root`.

    `figures` makes the moving figures of a lab, by its number.
    """

    root: Path
    folder: Path
    links: Links
    files: Files
    figures: Mapping[str, Sequence[Moving]]

    def words(self, folder: str = "labs") -> Words:
        return Words(self.links, folder)

    def write(self, page: Page) -> None:
        (self.folder / page.file).write_text(page.html(), encoding="utf-8")

    def assets(self) -> None:
        """Style and scripts, and plotly's once for all pages."""
        from plotly.offline import get_plotlyjs

        shutil.copytree(ASSETS, self.folder / "assets")
        (self.folder / "assets" / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")

    def lab_page(self, one: Lab, before: Lab | None, after: Lab | None) -> Page:
        """A lab with its neighbours."""
        words = self.words()
        cells = Cells(words, Outputs(words, self.files))
        figures = list(self.figures.get(one.number, ()))
        nb, first = one.nb, words.html(one.nb.cells[0].source)
        rest = type(nb)(cells=nb.cells[1:])
        moving = (
            motion(figures, heading(Words(self.links, "labs"), 1, "In motion")) if figures else ""
        )
        body = cells.html(rest, moving.replace("<h1", "<h2").replace("</h1>", "</h2>"))
        near = [(n.page, f"{n.number} · {n.title}") if n else None for n in (before, after)]
        first = first.replace(f"{one.number} · ", f"<span>{one.number} ·</span> ", 1)
        whole = f'<div class="opening">{first}</div>\n{contents(words)}{body}{turn(*near)}'
        return Page(one.page, f"{one.number} · {one.title}", one.question, whole, "lab", *near)

    def text_page(self, path: str, file: str) -> Page:
        """A page from a text beside the labs."""
        text = (self.root / path).read_text(encoding="utf-8")
        words = self.words("labs")
        body = words.html(text)
        title = plain(text.partition("\n")[0].lstrip("# "))
        return Page(file, title, f"{title}: cmlab, a lab on consistency models.", body)


def write_site(root: Path, folder: Path, source: str = "", names: Sequence[str] = ()) -> int:
    """Writes the whole site into an empty folder, and says how many pages it has.

    `names` are the labs to write, all of them if there are none. Raises ValueError for a text that
    cannot be shown.
    """
    labs = [lab(path) for path in find(root / "labs", names) if path.exists()]
    texts = {path: file for path, file in TEXTS.items() if (root / path).is_file()}
    pages = {f"labs/{one.path.name}": one.page for one in labs}
    links = Links(pages | texts | {"README.md": "index.html", "labs": "labs.html"}, source)
    numbers = {one.number for one in labs} | {HERO}
    figures = {n: [make() for make in makes] for n, makes in animations().items() if n in numbers}
    site = Site(root, folder, links, Files(folder), figures)
    site.assets()
    for before, one, after in zip([None, *labs], labs, [*labs[1:], None], strict=False):
        site.write(site.lab_page(one, before, after))
    for path, file in texts.items():
        site.write(site.text_page(path, file))
    readme = (root / "README.md").read_text(encoding="utf-8")
    site.write(front(labs, figures[HERO][0], readme, site.words(""), site.files))
    return len(labs) + len(texts) + 1
