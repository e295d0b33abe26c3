"""Gallery text: Markdown, links, code and formulas as HTML.

Formulas become MathML, which needs no script; style.css names their font. latex2mathml knows the
structure; what browsers' MathML Core asks for beyond it is mended here:
words in one piece, limits below their sign, letters of a script by their own code points.
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape, unescape
from typing import Any
from xml.etree import ElementTree as Tree

import mistune
from mistune.plugins import import_plugin
from nbconvert.filters.markdown_mistune import MathBlockParser, MathInlineParser
from pygments.lexers import get_lexer_by_name
from pygments.token import Token
from pygments.util import ClassNotFound

# Code as HTML: few token classes, for a palette that reads well on light and on dark

# The first that holds counts. What has no class stands in the colour of the text.
CLASSES = (
    (Token.Comment, "com"),
    (Token.Literal.String, "str"),
    (Token.Literal.Number, "num"),
    (Token.Keyword, "key"),
    (Token.Operator.Word, "key"),
    (Token.Name.Function, "def"),
    (Token.Name.Class, "def"),
    (Token.Name.Decorator, "dec"),
    (Token.Name.Builtin, "dec"),
)


def highlighted(text: str, language: str = "python") -> str:
    """The words of a text in spans; a language that nobody knows stays plain."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return escape(text)
    spans = []
    for kind, word in lexer.get_tokens(text.strip("\n")):
        name = next((name for token, name in CLASSES if kind in token), "")
        spans.append(f'<span class="{name}">{escape(word)}</span>' if name else escape(word))
    return "".join(spans).rstrip("\n")


def code_box(text: str, language: str = "python", label: str = "Code") -> str:
    """Code in a box that scrolls by itself and that the keyboard reaches."""
    words = highlighted(text, language)
    return (
        f'<pre class="code" tabindex="0" role="group" aria-label="{escape(label)}">'
        f"<code>{words}</code></pre>\n"
    )


def printed(text: str) -> str:
    """Printed output of a cell as HTML: prose is wrapped, columns stay aligned."""
    kind = "said" if re.search(r"\S {2,}\S", text) else "said prose"
    return (
        f'<pre class="{kind}" tabindex="0" role="group" aria-label="Printed">'
        f"{escape(text.rstrip())}</pre>\n"
    )


# Links: to another page, to the source, or plain text where there is no target

ABSOLUTE = re.compile(r"([a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
FOLLOWED = ("http:", "https:", "mailto:", "//")  # no javascript: or data:, which would run here
UNSEEN = re.compile(r"[\x00-\x20\x7f]")  # what browsers leave out of an address


@dataclass(frozen=True)
class Links:
    """`pages` by their path in the repository; `source` is the repository's address, or empty."""

    pages: Mapping[str, str]
    source: str = ""

    def to(self, href: str, folder: str) -> str | None:
        """The address for a link of a text in this folder; None where it leads nowhere."""
        href = UNSEEN.sub("", href)
        if found := ABSOLUTE.match(href):
            return href if found[1].lower() in FOLLOWED else None
        if href.startswith("#"):
            return href
        path, hash_, place = href.partition("#")
        file = posixpath.normpath(posixpath.join(folder, path))
        if file in self.pages:
            return self.pages[file] + hash_ + place
        if self.source and not file.startswith(".."):
            return f"{self.source.rstrip('/')}/blob/main/{file}{hash_}{place}"
        return None


def slug(text: str) -> str:
    """A heading's anchor, as code hosts make it."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text.strip().lower()))


# HTML in a text: a few elements without attributes; all else is shown as the text that it is.
# A fold's two tags come apart, so no sanitiser of whole documents can be asked.

ELEMENTS = "b|br|code|details|em|i|kbd|strong|sub|summary|sup"
PLAIN_TAG = re.compile(rf"(</?(?:{ELEMENTS})\s*/?>)", re.IGNORECASE)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def only_plain_tags(html: str) -> str:
    """Raw HTML with the elements of ELEMENTS alone, and everything else escaped."""
    parts = PLAIN_TAG.split(COMMENT.sub("", html))
    return "".join(part if k % 2 else escape(unescape(part)) for k, part in enumerate(parts))


# LaTeX to MathML, which browsers and screen readers show without a script or a font

SPACE = "http://www.w3.org/1998/Math/MathML"
FENCES = {
    r"\lVert": "‖", r"\rVert": "‖", r"\Vert": "‖", r"\|": "‖", r"\lvert": "|", r"\rvert": "|",
    r"\lfloor": "⌊", r"\rfloor": "⌋", r"\lceil": "⌈", r"\rceil": "⌉",
    r"\langle": "⟨", r"\rangle": "⟩",
}  # fmt: skip
SCRIPT = {"E": "ℰ", "F": "ℱ", "H": "ℋ", "I": "ℐ", "L": "ℒ", "M": "ℳ", "R": "ℛ", "B": "ℬ"}
BELOW = {"∑", "∏", "min", "max", "argmin", "argmax", "sup", "inf", "lim"}
UNDER = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}


def mathml(tex: str, display: bool = False) -> str:
    """A formula as MathML. Raises ValueError for one that holds a command it does not know."""
    from latex2mathml.converter import convert_to_element

    plain = re.sub(r"\\arg\s*\\(min|max)", r"\\operatorname*{arg\1}", tex.strip())
    try:
        found = convert_to_element(plain, display="block" if display else "inline")
    except Exception as error:  # latex2mathml has an exception for each kind of mistake
        raise ValueError(f"this formula is no LaTeX that can be shown: {tex}") from error
    mend_node(found, display)
    # Of commands that it does not know, and of aligned, it prints the source, marks included.
    if left := re.search(r"\\[A-Za-z]+|&", "".join(found.itertext())):
        raise ValueError(f"{left[0]} cannot be shown; write this formula without it: {tex}")
    found.set("alttext", re.sub(r"\s+", " ", tex.strip()))
    return Tree.tostring(found, encoding="unicode")


def mend_node(node: Tree.Element, display: bool) -> None:
    """Mend a node and all in it."""
    node.text = unescape(node.text or "")
    for name in ("href", "style", "class", "id"):  # of \\href and others
        node.attrib.pop(name, None)
    for child in node:
        mend_node(child, display)
    join_words(node)
    letters(node)
    if display and node.tag in UNDER and (node[0].text or "") in BELOW:
        node.tag = UNDER[node.tag]
    space_functions(node)


def letters(node: Tree.Element) -> None:
    """Fences for commands that were left as they are, and script capitals.

    Only a fence of \\left and \\right grows: one that carries an exponent stays small in browsers,
    and its partner would be taller.
    """
    text = node.text or ""
    if text in FENCES or text in FENCES.values():
        node.tag, node.text = "mo", FENCES.get(text, text)
        if "minsize" in node.attrib or "stretchy" not in node.attrib:
            for name in ("minsize", "maxsize"):
                node.attrib.pop(name, None)
            node.set("stretchy", "false")
    if node.get("mathvariant") == "script":
        del node.attrib["mathvariant"]
        node.text = "".join(SCRIPT.get(c, chr(0x1D49C + ord(c) - ord("A"))) for c in text)


def upright(node: Tree.Element) -> bool:
    return node.tag == "mi" and node.get("mathvariant") == "normal"


def join_words(node: Tree.Element) -> None:
    """A row of upright letters is one word: read as one, and set as one."""
    if node.tag == "mrow" and len(node) > 1 and all(upright(child) for child in node):
        word = "".join(child.text or "" for child in node)
        for child in list(node):
            node.remove(child)
        node.tag, node.text = "mi", word


def space_functions(row: Tree.Element) -> None:
    """A thin space between a named function and what it is applied to: ln t, not lnt."""
    if row.tag not in ("mrow", "math"):
        return
    for place in range(len(row) - 1, 0, -1):
        if named(row[place - 1]) and row[place].tag not in ("mo", "mspace"):
            row.insert(place, Tree.Element("mspace", width="0.17em"))


def named(node: Tree.Element) -> bool:
    """Whether this is a function's name, bare or with an index."""
    if node.tag in ("msub", "msup", "munder") and len(node):
        return named(node[0])
    return node.tag in ("mi", "mo") and len(node.text or "") > 1 and (node.text or "").isalpha()


# Markdown with formulas to HTML: headings in order, tables that scroll, links resolved

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


class HTMLRenderer(mistune.HTMLRenderer):
    """HTML renderer: where this site departs from mistune."""

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

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """The words in the picture's place: a page holds no files but its own."""
        return escape(unescape(text))

    def inline_html(self, html: str) -> str:
        return only_plain_tags(html)

    def block_html(self, html: str) -> str:
        return only_plain_tags(html) + "\n"

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
class MarkdownPage:
    """Turns the Markdown of one page into HTML, `folder` being where its text lies."""

    links: Links
    folder: str
    outline: Outline = field(default_factory=Outline)

    def html(self, text: str) -> str:
        """HTML of a text. Raises ValueError for a formula that cannot be shown."""
        writer = HTMLRenderer(self.outline, self.links, self.folder)
        inline = MathInlineParser(hard_wrap=False)
        plugins = [import_plugin(name) for name in ("table", "strikethrough")]
        return str(mistune.Markdown(writer, MathBlockParser(), inline, plugins)(text))
