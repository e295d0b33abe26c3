"""A notebook's cells as HTML; what needs a kernel says so and shows what it can without."""

import ast
import re
from dataclasses import dataclass
from html import escape

from nbformat import NotebookNode

from ..labs.notebook import tags
from .code import code_box
from .outputs import Outputs
from .predict import prediction
from .words import Words

YOURS = (
    '<p class="note">Your turn, in JupyterLab: write it there, and the check below it '
    "names the likely slip.</p>\n"
)
SETUP = '<details class="setup"><summary>Set-up: what this lab imports</summary>\n{}</details>\n'
SETTLES = ("start_lab", "torch.set_default_dtype")


@dataclass(frozen=True, eq=False)
class Cells:
    """Writes the cells of one page."""

    words: Words
    outputs: Outputs

    def html(self, nb: NotebookNode, motion: str = "") -> str:
        """All cells; what moves stands before the lab's own explorer, or its key figure."""
        parts, above, heading = [], "", stands_before(nb)
        for cell in nb.cells:
            if cell.cell_type != "markdown":
                parts.append(self.one(cell, above))
                continue
            above = cell.source
            before, found, after = split(above, heading)
            parts += [self.words.html(before), motion if found else "", self.words.html(after)]
        return "".join(parts if heading else [*parts, motion])

    def one(self, cell: NotebookNode, above: str) -> str:
        if asked := prediction(cell.source):
            return asked
        shown = self.outputs.html(cell, above)
        if cell.source.strip().startswith("show_source("):
            return shown
        code = code_box(cell.source, label="Code of this cell")
        if sets_up(cell.source):
            code = SETUP.format(code)
        if "exercise" in tags(cell):
            return f'<div class="exercise">{YOURS}{code}</div>\n{shown}'
        return code + shown


def sets_up(source: str) -> bool:
    """Whether a cell does nothing but import and settle what holds for the whole lab."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    calls = [n.value for n in body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    settled = sum(ast.unparse(call.func) in SETTLES for call in calls)
    imports = sum(isinstance(node, ast.Import | ast.ImportFrom) for node in body)
    return imports > 0 and imports + settled == len(body)


def stands_before(nb: NotebookNode) -> str:
    """The heading that what moves stands before; empty where a lab has none of them."""
    lines = [line for cell in nb.cells if cell.cell_type == "markdown"
             for line in cell.source.splitlines()]  # fmt: skip
    return next((h for h in ("## Explore", "## The key figure") if h in lines), "")


def split(text: str, heading: str) -> tuple[str, bool, str]:
    """What stands before this heading, whether it is there, and the heading with what follows."""
    lines = text.splitlines()
    if not heading or heading not in lines:
        return text, False, ""
    place = lines.index(heading)
    return "\n".join(lines[:place]), True, "\n".join(lines[place:])


def contents(words: Words) -> str:
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
