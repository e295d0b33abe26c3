"""Code as HTML: a few classes of words, for a palette that reads well on light and on dark."""

import re
from html import escape

from pygments.lexers import get_lexer_by_name
from pygments.token import Token
from pygments.util import ClassNotFound

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
    """What a cell printed: prose is wrapped, columns keep their places."""
    kind = "said" if re.search(r"\S {2,}\S", text) else "said prose"
    return (
        f'<pre class="{kind}" tabindex="0" role="group" aria-label="Printed">'
        f"{escape(text.rstrip())}</pre>\n"
    )
