"""LaTeX to MathML, which browsers set and screen readers read without a script or a font.

latex2mathml knows the structure; what browsers' MathML Core asks for beyond it is mended here:
words in one piece, limits below their sign, letters of a script by their own code points.
"""

import re
from html import unescape
from xml.etree import ElementTree as Tree

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
    except Exception as error:  # latex2mathml has an exception for each kind of slip
        raise ValueError(f"this formula is no LaTeX that can be shown: {tex}") from error
    mend(found, display)
    if left := re.search(r"\\[A-Za-z]+", "".join(found.itertext())):
        raise ValueError(f"{left[0]} cannot be shown; write this formula without it: {tex}")
    found.set("alttext", re.sub(r"\s+", " ", tex.strip()))
    return Tree.tostring(found, encoding="unicode")


def mend(node: Tree.Element, display: bool) -> None:
    """Mend a node and all in it."""
    node.text = unescape(node.text or "")
    for child in node:
        mend(child, display)
    join_words(node)
    letters(node)
    if display and node.tag in UNDER and (node[0].text or "") in BELOW:
        node.tag = UNDER[node.tag]
    part(node)


def letters(node: Tree.Element) -> None:
    """Fences for commands that were left as they are, and script capitals."""
    text = node.text or ""
    if text in FENCES or text in FENCES.values():
        node.tag, node.text = "mo", FENCES.get(text, text)
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


def part(row: Tree.Element) -> None:
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
