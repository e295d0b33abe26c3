"""The frame of every page: head, bar, text, foot."""

from dataclasses import dataclass
from html import escape

from .words import Words

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
MOVES = (
    '<script src="assets/plotly.min.js" defer></script>\n'
    '<script src="assets/moving.js" defer></script>\n'
)
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
        moves = 'class="moving"' in self.body
        name = "cmlab" if self.kind == "front" else f"{self.title} · cmlab"
        return PAGE.format(
            title=escape(name), about=escape(self.about), scripts=MOVES if moves else "",
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


def turn(page_before: tuple[str, str] | None, page_after: tuple[str, str] | None) -> str:
    """Links to the neighbours under a lab's last line."""
    parts = [f'<a href="{file}"><span>{word}</span> {escape(title)}</a>\n'
             for word, (file, title) in (("Before", page_before or ("", "")),
                                         ("Next", page_after or ("", ""))) if file]  # fmt: skip
    return f'<nav class="turn" aria-label="Before and next">\n{"".join(parts)}</nav>\n'


def heading(words: Words, level: int, text: str) -> str:
    """A heading that the page's outline knows."""
    return words.html(f"{'#' * level} {text}")
