"""Gallery site: all labs as static HTML that needs no kernel, no server and no network."""

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

from nbformat import NotebookNode

from ...common.animation import Moving
from ...live.page import EMBED, live_figure, live_scripts
from ...registry import animations
from ..notebooks import hosted
from ..notebooks.build import bare_widgets, checkout, find, read, tags
from ..notebooks.front import FrontMatter, front_matter
from .cards import HIGH, WIDE, card
from .cells import CellRenderer, MediaFiles, OutputRenderer, contents, motion, moving_figure
from .markdown import Links, MarkdownPage

Figures = Mapping[str, Sequence[Moving]]  # what moves in each lab, by its number

# A lab's title, question and picture, from its notebook

PNG = "image/png"


@dataclass(frozen=True, eq=False)
class Lab:
    """A lab's notebook and its page, with the facts that a card tells."""

    path: Path
    nb: NotebookNode
    front: FrontMatter

    @property
    def page(self) -> str:
        return f"{self.path.stem}.html"

    @property
    def name(self) -> str:
        return f"{self.front.number} · {self.front.title}"

    @property
    def picture(self) -> str | None:
        """The key figure in base 64, or else the lab's first picture."""
        pictures = [(n, o.data[PNG]) for n, cell in enumerate(self.nb.cells)
                    for o in cell.get("outputs", []) if PNG in o.get("data", {})]  # fmt: skip
        heading = re.compile(r"^## The key figure", re.MULTILINE)
        key = next((n for n, cell in enumerate(self.nb.cells)
                    if heading.search(cell.source)), 0)  # fmt: skip
        after = [encoded for number, encoded in pictures if number > key]
        return next(iter(after or [encoded for _, encoded in pictures]), None)


def lab(path: Path) -> Lab:
    """Reads a lab. Raises ValueError for one whose first cell lacks its front matter."""
    if not re.fullmatch(r"[\w.-]+", path.stem):  # it becomes an address
        raise ValueError(f"{path.name} needs a name of letters, digits, '_', '.' and '-'")
    nb = read(path)
    return Lab(path, nb, front_matter(nb.cells[0].source if nb.cells else "", path.name))


def raise_if_bare(labs: Sequence[Lab]) -> None:
    """Raises ValueError, with the command that mends it, if a widget in a lab has no picture."""
    bare = [one for one in labs if bare_widgets(one.nb)]
    if bare:
        names, numbers = (" and ".join(one.path.name for one in bare),
                          " ".join(one.front.number for one in bare))  # fmt: skip
        raise ValueError(f"the widgets in {names} have no pictures, as after a notebook was saved "
                         f"from Jupyter; `cmlab labs run {numbers}` makes them")  # fmt: skip


# HTML frame of every page: head, navigation, text, footer

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta name="description" content="{about}">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="assets/style.css">
<script src="assets/theme.js"></script>
{scripts}</head>
<body class="{kind}">
<a class="skip" href="#main">Skip to the text</a>
<header class="bar">
<nav aria-label="Site">
{links}</nav>
<button type="button" id="theme" hidden>Dark</button>
</header>
<main id="main">
{body}</main>
<footer><p>{foot}</p></footer>
</body>
</html>
"""
MOVES = '<script src="assets/moving.js" defer></script>\n'  # it asks for plotly when it draws
LIVES = '<script src="assets/live.js" defer></script>\n'
FOOT = "Made from the notebooks by <code>make gallery</code>."


@dataclass(frozen=True)
class Page:
    """A page to write: its file, its title, what it holds, and its neighbours (file, title)."""

    file: str
    title: str
    about: str
    body: str
    kind: str = "text"
    before: tuple[str, str] | None = None
    after: tuple[str, str] | None = None

    def html(self) -> str:
        scripts = MOVES * ('class="moving"' in self.body) + LIVES * ('class="live"' in self.body)
        name = "cmlab" if self.kind == "front" else f"{self.title} · cmlab"
        return PAGE.format(
            title=escape(name), about=escape(self.about), scripts=scripts,
            kind=self.kind, links=self.links(), body=self.body, foot=FOOT,
        )  # fmt: skip

    def links(self) -> str:
        here = ' aria-current="page"' if self.kind == "front" else ""
        rows = [f'<a class="home" href="index.html"{here}>cmlab</a>\n']
        for neighbour, sign in ((self.before, "‹ {}"), (self.after, "{} ›")):
            if neighbour:
                word = "Before" if neighbour is self.before else "Next"
                label = f"{word}: {neighbour[1]}"
                short = sign.format(neighbour[1].split(" ")[0])
                rows.append(f'<a href="{neighbour[0]}" aria-label="{escape(label)}" '
                            f'title="{escape(neighbour[1])}">{escape(short)}</a>\n')  # fmt: skip
        return "".join(rows)


def neighbour_links(
    page_before: tuple[str, str] | None, page_after: tuple[str, str] | None
) -> str:
    """Links to the neighbours under a lab's last line."""
    parts = [f'<a href="{file}"><span>{word}</span> {escape(title)}</a>\n'
             for word, (file, title) in (("Before", page_before or ("", "")),
                                         ("Next", page_after or ("", ""))) if file]  # fmt: skip
    return f'<nav class="turn" aria-label="Before and next">\n{"".join(parts)}</nav>\n'


def hosted_links(root: Path, one: Lab) -> str:
    """Links that open a lab in a hosted notebook; none where the repository has no address."""
    found = hosted.links(hosted.address(root), f"labs/{one.path.name}")
    shown = " ".join(f'<a href="{escape(page)}">{label}</a>' for label, page in found)
    return f'<p class="hosted">{shown}</p>\n' if shown else ""


def heading(words: MarkdownPage, level: int, text: str) -> str:
    """A heading that the page's outline knows."""
    return words.html(f"{'#' * level} {text}")


# Front page: introduction, an animation, ways in, cards of the labs, how to run them

WAYS = (
    ("Learn", "{first}", "Begin with lab {number}",
     "Predict, look, then read the method's source beside its equation."),
    ("Teach", "teaching.html", "Notes for teachers",
     "Copies for a class, where the minutes go, what goes wrong, how to mark."),
    ("Research", "papers.html", "Paper and code, side by side",
     "Where each equation lives, and where authors' code departs from their paper."),
)  # fmt: skip
CARD = """<li class="card">
<a href="{page}" aria-label="{number} {title}"><div class="thumb">{picture}</div>
<p class="name"><span>{number}</span> {title}</p></a>
<p class="asks">{question}</p>
<p class="meta">{meta}</p>
</li>
"""


def front(
    labs: Sequence[Lab], figures: Figures, readme: str, words: MarkdownPage, files: MediaFiles
) -> Page:
    """The page. What it says of labs comes from them, the rest from README's own sections."""
    said = paragraphs(readme)
    body = [
        f'<div class="masthead">{words.html("# " + said[0])}<div class="lead">',
        words.html(said[1]), "</div></div>\n",
        f'<div class="side-by-side">\n{live_figure("front")}</div>\n', ways_in(labs),
        moving_figure(figures[HERO][0], autoplay=True),
        heading(words, 2, "The labs"), cards(labs, figures, files),
    ]  # fmt: skip
    for name in ("Start", "Found on the way"):
        if text := section(readme, name):
            body.append(words.html(f"## {name}\n\n{text}"))
    return Page("index.html", said[0], plain(said[1]), "".join(body), "front")


def paragraphs(readme: str) -> tuple[str, str]:
    """README's title and its first paragraph. Raises ValueError where it has none."""
    found = re.match(r"# (.+)\n\s*\n((?:[^\n#!][^\n]*\n)+)", readme)
    if not found:
        raise ValueError("README.md needs a title and a paragraph at its top")
    return found[1].strip(), found[2].strip()


def plain(markdown: str) -> str:
    return " ".join(re.sub(r"[*`]", "", markdown).split())


def section(readme: str, name: str) -> str:
    """The text under a second-level heading; empty where README has none of this name."""
    found = re.search(
        rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL
    )
    return found[1].strip() if found else ""


def ways_in(labs: Sequence[Lab]) -> str:
    """Three ways in."""
    rows = "".join(
        f'<li><p class="who">{who}</p><a href="{page.format(first=labs[0].page)}">'
        f"{link.format(number=labs[0].front.number)}</a><p>{why}</p></li>\n"
        for who, page, link, why in WAYS
    )
    return f'<ul class="ways" aria-label="Ways in">\n{rows}</ul>\n'


def cards(labs: Sequence[Lab], figures: Figures, files: MediaFiles) -> str:
    """A card for each lab, with a picture out of it."""
    rows = ""
    for lab in labs:
        front = lab.front
        meta = f"{front.rows['Time'].partition(',')[0]} · level {front.rows['Level']}"
        picture = thumbnail(lab, figures.get(front.number, ()), files)
        rows += CARD.format(
            page=lab.page, number=escape(front.number), title=escape(front.title),
            question=escape(front.question), picture=picture, meta=escape(meta),
        )  # fmt: skip
    return f'<ol class="cards">\n{rows}</ol>\n'


THUMB = (
    '<img class="{kind}" src="{address}" width="{width}" height="{height}" loading="lazy" alt="">'
)


def thumbnail(lab: Lab, figures: Sequence[Moving], files: MediaFiles) -> str:
    """A picture of what moves in the lab, or else its own picture.

    It says nothing that the card does not, so it has no words of its own.
    """
    if figures:
        drawing = card(figures[0])
        address = files.keep(drawing.encode(), "pictures", "svg")
        kind = "" if "<image" in drawing else "drawn"
        return THUMB.format(address=address, width=WIDE, height=HIGH, kind=kind)
    if lab.picture is None:
        return ""
    found = files.picture(lab.picture)
    kind = "drawn" if found.drawn else ""
    return THUMB.format(**vars(found) | {"kind": kind})


IN_DARK = (
    '<p class="note if-dark">On dark ground, drawings have light and dark exchanged: what the '
    "text calls black is white here.</p>\n"
)
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
    files: MediaFiles
    figures: Figures

    def words(self, folder: str = "labs") -> MarkdownPage:
        return MarkdownPage(self.links, folder)

    def write(self, page: Page) -> None:
        (self.folder / page.file).write_text(page.html(), encoding="utf-8")

    def assets(self) -> None:
        """Style and scripts, and plotly's once for all pages."""
        from plotly.offline import get_plotlyjs

        shutil.copytree(ASSETS, self.folder / "assets")
        for name, file in {"plotly.min": get_plotlyjs().encode(), **live_scripts()}.items():
            (self.folder / "assets" / f"{name}.js").write_bytes(file)
        (self.folder / "embed.html").write_text(EMBED, encoding="utf-8")

    def lab_page(self, one: Lab, before: Lab | None, after: Lab | None) -> Page:
        """A lab with its neighbours."""
        words = self.words()
        cells = CellRenderer(words, OutputRenderer(words, self.files))
        figures = list(self.figures.get(one.front.number, ()))
        nb, first = one.nb, words.html(one.nb.cells[0].source)
        rest = type(nb)(cells=[c for c in nb.cells[1:] if hosted.TAG not in tags(c)])
        moving = (
            motion(
                figures,
                heading(MarkdownPage(self.links, "labs"), 1, "In motion")
                + live_figure(one.front.number),
            )
            if figures
            else ""
        )
        body = cells.html(rest, moving.replace("<h1", "<h2").replace("</h1>", "</h2>"))
        near = [(n.page, n.name) if n else None for n in (before, after)]
        first = first.replace(f"{one.front.number} · ", f"<span>{one.front.number} ·</span> ", 1)
        whole = (
            f'<div class="opening">{first}</div>\n{hosted_links(self.root, one)}'
            f"{contents(words)}{IN_DARK}{body}"
            f"{neighbour_links(*near)}"
        )
        return Page(one.page, one.name, one.front.question, whole, "lab", *near)

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
    cannot be shown, and for a notebook whose widgets have no pictures.
    """
    labs = [lab(path) for path in find(root / "labs", names) if path.exists()]
    raise_if_bare(labs)
    texts = {path: file for path, file in TEXTS.items() if (root / path).is_file()}
    pages = {f"labs/{one.path.name}": one.page for one in labs}
    links = Links(pages | texts | {"README.md": "index.html", "labs": "labs.html"}, source)
    numbers = {one.front.number for one in labs} | {HERO}
    figures = {n: [make() for make in makes] for n, makes in animations().items() if n in numbers}
    site = Site(root, folder, links, MediaFiles(folder), figures)
    site.assets()
    for before, one, after in zip([None, *labs], labs, [*labs[1:], None], strict=False):
        site.write(site.lab_page(one, before, after))
    for path, file in texts.items():
        site.write(site.text_page(path, file))
    readme = (root / "README.md").read_text(encoding="utf-8")
    site.write(front(labs, figures, readme, site.words(""), site.files))
    return len(labs) + len(texts) + 1


# Atomic replacement: the folder is made beside its place and moved there when it is complete

MARK = ".cmlab-gallery"  # tells a former gallery from a folder that is somebody's own


def swap(out: Path, fill: Callable[[Path], object]) -> None:
    """Replaces the gallery at `out` by what `fill` writes into an empty folder.

    Raises FileExistsError for a place that is no former gallery, and whatever `fill` raises;
    then what was there is there still.
    """
    raise_if_foreign(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        fresh.chmod(0o755)
        fill(fresh)
        (fresh / MARK).write_text("made by cmlab gallery, which may replace this folder\n")
        move_into_place(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def raise_if_foreign(out: Path) -> None:
    """Raises unless `out` is free, empty, or a former gallery."""
    taken = out.is_symlink() or (out.exists() and not out.is_dir())
    if taken or (out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file()):
        raise FileExistsError(
            f"{out} was not made by cmlab gallery; choose another --out or move it away"
        )


def move_into_place(fresh: Path, out: Path) -> None:
    """The new folder in place of the old; if the last step fails the old one comes back."""
    old = fresh.with_name(fresh.name + "-old")
    if out.exists():
        os.replace(out, old)
    try:
        os.replace(fresh, out)
    except OSError:
        if old.exists():
            os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)


# `cmlab gallery`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("site"), help="folder; default site")
    parser.add_argument("--source", default="", metavar="URL",
                        help="the repository's address, for links to the code")  # fmt: skip


def main(given: argparse.Namespace) -> int:
    """Exit status 0 when the site is there, 2 when it cannot be made; then nothing is changed."""
    start = perf_counter()
    try:
        if given.source and urlsplit(given.source).scheme not in ("http", "https"):
            raise ValueError(f"--source takes an address such as https://…, not {given.source!r}")
        root = checkout()
        swap(given.out, lambda folder: write_site(root, folder, given.source))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cmlab: {error}\n")
        return 2
    size = sum(file.stat().st_size for file in given.out.rglob("*") if file.is_file())
    pages = len(list(given.out.glob("*.html")))
    took = perf_counter() - start
    sys.stdout.write(f"{given.out}/index.html: {pages} pages, {size / 1e6:.0f} MB, {took:.0f} s\n")
    return 0
