"""Gallery cells: code, outputs, predictions and animations of a notebook as HTML."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from itertools import groupby
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import numpy as np
from nbformat import NotebookNode

from ...common.animation import Moving
from ...common.prediction import Prediction, prediction
from ..notebooks.build import NOTE, asked, hides, sets_up, tags
from .markdown import MarkdownPage, code_box, printed

if TYPE_CHECKING:
    from PIL.Image import Image

# Alternative text of figures: their titles, or the paragraph above them

MARKS = re.compile(r"[*`#]|\[([^\]]*)\]\([^)]*\)")
FIGURE_OUTPUT = re.compile(r"<(Figure|IPython|PIL)|^Run this cell")


def alternative(title: str, above: str, live: bool) -> str:
    """Words in place of a picture. `title` is what the figure calls itself in plain text."""
    if title and not FIGURE_OUTPUT.search(title):
        return " ".join(title.split())
    said = plain(above)
    return f"A widget as it opens. {said}" if live else said


def plain(markdown: str, most: int = 280) -> str:
    """The last paragraph of a text without marks or formulas' signs, cut at a sentence."""
    paragraphs = [p for p in re.split(r"\n\s*\n", markdown.strip()) if p.strip()]
    prose = [p for p in paragraphs if not p.lstrip().startswith(("|", "#", "$$", "<", "```"))]
    heads = [p for p in paragraphs if p.lstrip().startswith("#")]
    words = " ".join(MARKS.sub(r"\1", (prose or heads or ["Figure"])[-1]).split())
    words = words.replace("$", "").replace("\\", "")
    sentences = re.findall(r".+?(?:[.:?!](?=\s|$)|$)", words)
    kept = sentences[:1] + [s for k, s in enumerate(sentences[1:], 2)
                            if len("".join(sentences[:k])) <= most]  # fmt: skip
    return "".join(kept).strip()


# Media files of the pages, each stored once under a hash of its content


@dataclass(frozen=True)
class StoredPicture:
    """A picture's address, its size in pixels, and whether it is drawn, see `is_drawn`."""

    address: str
    width: int
    height: int
    drawn: bool


COLOURED, FEW, KINDS = 25, 0.06, 10  # least chroma of 255; a share of a picture; kinds of colour


def is_drawn(image: Image) -> bool:
    """Whether a picture is lines and marks, which may change light for dark and keep their hues.

    Photographs and maps of colour may not: much of them is coloured, in many kinds. The test is
    strict, since a plot that is left on white is only bright, and a photograph turned is wrong.
    """
    pixels = np.asarray(image.convert("RGB").resize((300, 100), 0)).reshape(-1, 3).astype(int)
    coloured = pixels[np.ptp(pixels, axis=1) >= COLOURED] // 16
    counts = np.sort(np.unique(coloured, axis=0, return_counts=True)[1])[::-1]
    few = len(coloured) < FEW * len(pixels)
    return few or int(counts[:KINDS].sum()) > 0.9 * len(coloured)


@dataclass(frozen=True, eq=False)
class MediaFiles:
    """Writes below `folder`; the addresses that it answers with are relative to it."""

    folder: Path
    known: dict[str, StoredPicture] = field(default_factory=dict)

    def keep(self, content: bytes, kind: str, suffix: str) -> str:
        """The address of this content in the folder `kind`."""
        address = f"{kind}/{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
        path = self.folder / address
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(content)
        return address

    def picture(self, encoded: str) -> StoredPicture:
        """A PNG in base 64."""
        from PIL import Image

        content = base64.b64decode(encoded)
        address = self.keep(content, "pictures", "png")
        if address not in self.known:
            with Image.open(BytesIO(content)) as image:
                self.known[address] = StoredPicture(address, *image.size, is_drawn(image))
        return self.known[address]


# Outputs of a cell as HTML: text, tables, pictures, sounds, sources

AUDIO = re.compile(r'src="data:audio/(\w+);base64,([^"]+)"')
LIVE = (
    '<p class="note">A live widget in JupyterLab; below is the picture with which it opens.</p>\n'
)


@dataclass(frozen=True, eq=False)
class OutputRenderer:
    """Shows the outputs of one page's cells; `above` is the text that stands over a figure."""

    words: MarkdownPage
    files: MediaFiles

    def html(self, cell: NotebookNode, above: str) -> str:
        live = is_live(cell)
        return "".join(self.one(output, cell.source, above, live) for output in cell.outputs)

    def one(self, output: NotebookNode, source: str, above: str, live: bool) -> str:
        if output.output_type == "stream":
            return printed(output.text)
        data = output.get("data", {})
        if "image/png" in data:
            title = data.get("text/plain", "")
            return self.picture(data["image/png"], alternative(title, above, live))
        if "audio" in data.get("text/html", ""):
            return self.sound(data["text/html"])
        if NOTE in data.get("text/plain", ""):
            return LIVE
        if "text/markdown" in data:
            return self.words.html(data["text/markdown"])
        return self.text(data, source)

    def text(self, data: NotebookNode, source: str) -> str:
        """A source that was asked for, or what a value calls itself."""
        plain = data.get("text/plain", "")
        if source.strip().startswith("show_source("):
            name = source.strip().removeprefix("show_source(").removesuffix(")")
            label = f"<code>{escape(name)}</code>, as the package runs it"
            box = code_box(dedent(plain), label=f"Source of {name}")
            return f'<figure class="source"><figcaption>{label}</figcaption>\n{box}</figure>\n'
        return printed(plain) if plain else ""

    def picture(self, encoded: str, alt: str) -> str:
        found = self.files.picture(encoded)
        kind = "sheet drawn" if found.drawn else "sheet"
        return (
            f'<figure class="picture"><div class="{kind}" tabindex="0" role="group" '
            f'aria-label="Figure"><img src="{found.address}" width="{found.width}" '
            f'height="{found.height}" loading="lazy" alt="{escape(alt)}"></div></figure>\n'
        )

    def sound(self, html: str) -> str:
        """A player for each sound, with the sound in a file of its own."""
        players = ""
        for suffix, encoded in AUDIO.findall(html):
            address = self.files.keep(base64.b64decode(encoded), "sounds", suffix)
            players += (
                f'<audio controls preload="none" src="{address}" aria-label="Listen"></audio>\n'
            )
        return f'<div class="sound">{players}</div>\n'


# Predictions as HTML: the question, and each answer with its reply folded under it

PREDICT_NOTE = (
    "Choose before you unfold. In JupyterLab you commit to one answer, and it replies to that."
)


def prediction_list(asked: Prediction) -> str:
    rows = "".join(
        f"<li><details><summary>{escape(option)}</summary><p><strong>"
        f"{'Yes.' if option == asked.right else 'Not quite.'}</strong> {escape(reply)}</p>"
        "</details></li>\n"
        for option, reply in asked.replies.items()
    )
    return (
        '<div class="predict"><p class="question"><strong>Predict.</strong> '
        f'{escape(asked.question)}</p>\n<ul>\n{rows}</ul>\n<p class="note">{PREDICT_NOTE}</p>'
        "</div>\n"
    )


# Sentences about sliders and buttons that a page lacks are set apart, as spoken of JupyterLab

KNOBS = re.compile(
    r"\b(sliders?|arrow keys?|knobs|explorer|widgets|page (up|down)|things to try|press|"
    r"click (a|an|the))\b",
    re.IGNORECASE,
)
TO_TRY = re.compile(
    r"\W*(turn|move|set|choose|walk|press|click|slide|"
    r"push|raise|ask|try|spend|change|lower|compare|put|give (?!it))\b",
    re.IGNORECASE,
)
SENTENCE = re.compile(r"(?:(?<=[.?!])|(?<=[.?!][*)])|(?<=[.?!][*][*]))\s+(?=[A-Z*`$(])")
LISTED = re.compile(r"\s*([-*+]|\d+\.)\s")
THERE = '<div class="there"><p class="note">In JupyterLab, where widgets are live:</p>\n{}</div>\n'


def set_apart(text: str, before_widget: bool = False) -> Iterator[tuple[str, bool]]:
    """The parts of a Markdown text, and whether each is about knobs that a page lacks.

    A sentence that names a knob is. Before a widget, one that asks to try something is too, and
    with it the rest of its paragraph, and a list that it announces.
    """
    parts, fenced, announced = [], False, False  # by a colon: the list that follows
    for block in re.split(r"\n\s*\n", text):
        words = not fenced and not block.lstrip().startswith(("|", "#", "$$", "<", "```"))
        fenced ^= block.count("```") % 2 == 1
        here, there = halves(block, before_widget) if words else (block, "")
        if announced and LISTED.match(block):
            here, there = "", block
        announced = there.endswith(":")
        parts += [(part, mark) for part, mark in ((here, False), (there, True)) if part]
    for mark, found in groupby(parts, lambda part: part[1]):
        yield "\n\n".join(part for part, _ in found), mark


def halves(block: str, before_widget: bool) -> tuple[str, str]:
    """What of a paragraph stands on a page, and what is set apart. A list stays in one piece."""
    sentences = [block] if LISTED.match(block) else SENTENCE.split(block)
    about = [bool(KNOBS.search(one) or before_widget and TO_TRY.match(one)) for one in sentences]
    if before_widget and any(about):
        about = [place >= about.index(True) for place in range(len(about))]
    rows = list(zip(sentences, about, strict=True))
    here, there = (" ".join(one for one, mark in rows if mark == apart) for apart in (False, True))
    return (here, there) if there else (block, "")


# A notebook's cells as HTML, with a note where a kernel is needed

YOURS = (
    '<p class="note">Your turn, in JupyterLab: write it there, and the check below it '
    "names the likely mistake.</p>\n"
)
FOLD = '<details class="setup"><summary>{}</summary>\n{}</details>\n'
SETUP, PLUMBING = "Set-up: what this lab imports", "Code of what follows"


@dataclass(frozen=True, eq=False)
class CellRenderer:
    """Writes the cells of one page."""

    words: MarkdownPage
    outputs: OutputRenderer

    def html(self, nb: NotebookNode, motion: str = "") -> str:
        """All cells; what moves stands before a lab's heading of `stands_before`."""
        parts, above, heading = [], "", stands_before(nb)
        for cell, next_cell in zip(nb.cells, [*nb.cells[1:], None], strict=True):
            if cell.cell_type != "markdown":
                parts.append(self.one(cell, above))
                continue
            above, live = cell.source, next_cell is not None and is_live(next_cell)
            before, found, after = split(above, heading)
            parts += [self.text(before, live), motion if found else "", self.text(after, live)]
        return "".join(parts if heading else [*parts, motion])

    def text(self, markdown: str, before_widget: bool) -> str:
        """A text, with what is about knobs set apart."""
        rows = set_apart(markdown, before_widget)
        shown = ((self.words.html(part), mark) for part, mark in rows)
        return "".join(THERE.format(html) if mark else html for html, mark in shown)

    def one(self, cell: NotebookNode, above: str) -> str:
        if names := asked(cell.source):
            return "".join(prediction_list(prediction(name)) for name in names)
        shown = self.outputs.html(cell, above)
        if cell.source.strip().startswith("show_source("):
            return shown
        code = code_box(cell.source, label="Code of this cell")
        if hides(cell):
            said = SETUP if sets_up(cell.source) else PLUMBING
            code = FOLD.format(said, code)
        if "exercise" in tags(cell):
            return f'<div class="exercise">{YOURS}{code}</div>\n{shown}'
        return code + shown


def is_live(cell: NotebookNode) -> bool:
    """Whether a cell shows a widget that is no prediction."""
    said = (output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", []))
    return not asked(cell.source) and any(NOTE in words for words in said)


def stands_before(nb: NotebookNode) -> str:
    """The heading that what moves stands before; empty where a lab has none of them.

    A lab that returns to its explorer has it there, after the prediction; others where they open.
    """
    lines = [line for cell in nb.cells if cell.cell_type == "markdown"
             for line in cell.source.splitlines()]  # fmt: skip
    return next((h for h in ("## Explore", "## Predict") if h in lines), "")


def split(text: str, heading: str) -> tuple[str, bool, str]:
    """Text before a heading, whether it is there, and the heading with what follows."""
    lines = text.splitlines()
    if not heading or heading not in lines:
        return text, False, ""
    place = lines.index(heading)
    return "\n".join(lines[:place]), True, "\n".join(lines[place:])


def contents(words: MarkdownPage) -> str:
    """The second-level headings as a list of links."""
    rows = "".join(
        f'<li><a href="#{escape(anchor)}">{re.sub("</?a[^>]*>", "", html)}</a></li>\n'
        for level, anchor, html in words.outline.found
        if level == 2
    )
    return (
        '<nav class="contents" aria-label="In this lab"><details><summary>In this lab</summary>'
        f"<ul>\n{rows}</ul></details></nav>\n"
    )


# Animations on a page: data, slider and buttons, and a line of text

FIGURE = """<figure class="moving" id="moving-{name}" data-start="{start}"{auto}>
<figcaption>{finding}</figcaption>
<div class="plot" role="img" aria-label="{finding}" aria-describedby="reading-{name}"></div>
<p class="note still">The drawing needs JavaScript. What it shows at first: {reading}</p>
<div class="controls" hidden>
<button type="button" class="back" aria-label="Frame before">◂</button>
<button type="button" class="play" aria-label="Play">▶</button>
<button type="button" class="on" aria-label="Next frame">▸</button>
<label for="knob-{name}">{knob}</label>
<input type="range" id="knob-{name}" min="0" max="{last}" step="1" value="{start}">
<output for="knob-{name}">{value}</output>
</div>
<p class="reading" id="reading-{name}" aria-live="polite">{reading}</p>
<script type="application/json">{data}</script>
</figure>
"""


def moving_figure(moving: Moving, autoplay: bool = False) -> str:
    """HTML of one moving figure. With `autoplay` it runs once, where motion is welcome."""
    texts = {"values": list(moving.values), "readings": list(moving.readings)}
    data = json.dumps({**moving.parts(), **texts}, ensure_ascii=False, separators=(",", ":"))
    return FIGURE.format(
        name=escape(moving.name), finding=escape(moving.finding), knob=escape(moving.knob),
        start=moving.start, last=len(moving.values) - 1, value=escape(moving.values[moving.start]),
        reading=escape(moving.readings[moving.start]), auto=" data-auto" if autoplay else "",
        data=data.replace("</", "<\\/"),
    )  # fmt: skip


def motion(figures: list[Moving], words: str) -> str:
    """The section of a lab in which things move; `words` is its heading in HTML."""
    return words + "".join(map(moving_figure, figures)) if figures else ""
