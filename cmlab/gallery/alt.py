"""What a figure shows, for those who do not see it: its titles, or what the lab says of it."""

import re

MARKS = re.compile(r"[*`#]|\[([^\]]*)\]\([^)]*\)")
FIGURE = re.compile(r"<(Figure|IPython|PIL)|^Run this cell")


def alternative(title: str, above: str, live: bool) -> str:
    """Words in place of a picture. `title` is what the figure calls itself in plain text."""
    if title and not FIGURE.search(title):
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
