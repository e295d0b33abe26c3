"""A prediction on paper: the question, and each answer with its reply folded under it."""

import ast
from html import escape
from typing import Any

NOTE = "Choose before you unfold. In JupyterLab you commit to one answer, and it replies to that."


def calls(source: str, name: str) -> list[ast.Call]:
    """The calls of this name in a cell; none where the cell is no Python."""
    try:
        nodes = ast.walk(ast.parse(source))
    except SyntaxError:
        return []
    return [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == name]


def prediction(source: str) -> str | None:
    """HTML for a cell that asks for a prediction; None for any other cell."""
    for call in calls(source, "Predict"):
        try:
            question, replies, *rest = [ast.literal_eval(value) for value in call.args]
            named = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        except (ValueError, TypeError):
            return None
        return paper(question, replies, rest[0] if rest else named.get("right"))
    return None


def paper(question: str, replies: dict[str, str], right: Any) -> str:
    rows = "".join(
        f"<li><details><summary>{escape(option)}</summary><p><strong>"
        f"{'Yes.' if option == right else 'Not quite.'}</strong> {escape(reply)}</p>"
        "</details></li>\n"
        for option, reply in replies.items()
    )
    return (
        f'<div class="predict"><p class="question"><strong>Predict.</strong> {escape(question)}'
        f'</p>\n<ul>\n{rows}</ul>\n<p class="note">{NOTE}</p></div>\n'
    )
