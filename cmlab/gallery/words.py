"""Markdown with formulas to HTML: headings in order, tables that scroll, links that lead."""

import re
from dataclasses import dataclass, field
from html import escape, unescape
from typing import Any

import mistune
from mistune.plugins import import_plugin
from nbconvert.filters.markdown_mistune import MathBlockParser, MathInlineParser

from .code import code_box
from .links import Links, slug
from .maths import mathml

TABLE = '<div class="scroll" tabindex="0" role="group" aria-label="Table">{}</div>\n'
EMPTY_HEAD = re.compile(r"<thead>\s*<tr>(\s*<th[^>]*></th>)+\s*</tr>\s*</thead>\s*")
FORMULA = re.compile(r'(<div class="scroll formula".*?</div>)', re.DOTALL)
FIRST_CELL = re.compile(r"(<tr>\s*)<td([^>]*)>(.*?)</td>", re.DOTALL)


@dataclass
class Outline:
    """The headings of a page so far: (level, anchor, HTML)."""

    found: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, level: int, html: str) -> tuple[int, str]:
        """Level and anchor that fit: one first heading, no level left out, no anchor twice."""
        deepest = self.found[-1][0] + 1 if self.found else 1
        level = min(max(level, 2) if self.found else 1, deepest)
        name = slug(unescape(re.sub(r"<[^>]+>", "", html))) or "part"
        taken = {anchor for _, anchor, _ in self.found}
        anchor = next(a for a in (name, *(f"{name}-{k}" for k in range(1, 99))) if a not in taken)
        self.found.append((level, anchor, html))
        return level, anchor


class Writer(mistune.HTMLRenderer):
    """What this site does otherwise than mistune."""

    def __init__(self, outline: Outline, links: Links, folder: str) -> None:
        super().__init__(escape=False)
        self.outline, self.links, self.folder = outline, links, folder

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        level, anchor = self.outline.add(level, text)
        return f'<h{level} id="{anchor}">{text}</h{level}>\n'

    def paragraph(self, text: str) -> str:
        """A formula on its own line stands between paragraphs: a box within one is not HTML."""
        parts = [part.strip() for part in FORMULA.split(text) if part.strip()]
        return "".join(p + "\n" if FORMULA.match(p) else f"<p>{p}</p>\n" for p in parts)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        address = self.links.to(url, self.folder)
        return text if address is None else f'<a href="{escape(address)}">{text}</a>'

    def block_code(self, code: str, info: str | None = None) -> str:
        return code_box(code, (info or "text").split()[0])

    def inline_math(self, text: str) -> str:
        return mathml(unescape(text))

    def block_math(self, text: str) -> str:
        return (
            '<div class="scroll formula" tabindex="0" role="group" aria-label="Formula">'
            f"{mathml(unescape(text), display=True)}</div>"
        )

    def latex_environment(self, text: str, name: str, body: str) -> str:
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def table(self, text: str) -> str:
        """A table without a head names its rows instead."""
        plain = EMPTY_HEAD.sub("", text)
        if plain != text:
            plain = FIRST_CELL.sub(r'\1<th scope="row"\2>\3</th>', plain)
        return TABLE.format(f"<table>\n{plain}</table>\n")


@dataclass(frozen=True, eq=False)
class Words:
    """Turns the Markdown of one page into HTML, `folder` being where its text lies."""

    links: Links
    folder: str
    outline: Outline = field(default_factory=Outline)

    def html(self, text: str) -> str:
        """HTML of a text. Raises ValueError for a formula that cannot be shown."""
        writer = Writer(self.outline, self.links, self.folder)
        inline = MathInlineParser(hard_wrap=False)
        plugins = [import_plugin(name) for name in ("table", "strikethrough")]
        return str(mistune.Markdown(writer, MathBlockParser(), inline, plugins)(text))
