"""The front page: what this is, the idea in motion, ways in, the labs, how to run them."""

import re
from collections.abc import Sequence
from html import escape

from ..moving.base import Moving
from .facts import Lab
from .files import Files
from .frame import Page, heading
from .stage import stage
from .words import Words

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


def front(labs: Sequence[Lab], hero: Moving, readme: str, words: Words, files: Files) -> Page:
    """The page. What it says of labs comes from them, the rest from README's own sections."""
    said = paragraphs(readme)
    body = [
        f'<div class="masthead">{words.html("# " + said[0])}<div class="lead">',
        words.html(said[1]), "</div></div>\n", stage(hero, autoplay=True), ways(labs),
        heading(words, 2, "The labs"), cards(labs, files),
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


def ways(labs: Sequence[Lab]) -> str:
    """Three ways in."""
    rows = "".join(
        f'<li><p class="who">{who}</p><a href="{page.format(first=labs[0].page)}">'
        f"{link.format(number=labs[0].number)}</a><p>{why}</p></li>\n"
        for who, page, link, why in WAYS
    )
    return f'<ul class="ways" aria-label="Ways in">\n{rows}</ul>\n'


def cards(labs: Sequence[Lab], files: Files) -> str:
    """A card for each lab, with a picture out of it."""
    rows = ""
    for lab in labs:
        level = f"level {lab.level}" if lab.level else ""
        minutes = lab.minutes.split(",")[0]
        rows += CARD.format(
            page=lab.page, number=escape(lab.number), title=escape(lab.title),
            question=escape(lab.question), picture=thumbnail(lab, files),
            meta=escape(" · ".join(word for word in (minutes, level) if word)),
        )  # fmt: skip
    return f'<ol class="cards">\n{rows}</ol>\n'


def thumbnail(lab: Lab, files: Files) -> str:
    """The lab's picture; it says nothing that the card does not, so it has no words of its own."""
    if lab.picture is None:
        return ""
    address, width, height = files.picture(lab.picture)
    return f'<img src="{address}" width="{width}" height="{height}" loading="lazy" alt="">'
