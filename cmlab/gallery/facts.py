"""What a lab says of itself in its first cell, and a picture out of it."""

import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from ..labs.notebook import read

PNG = "image/png"


@dataclass(frozen=True, eq=False)
class Lab:
    """A lab's notebook and its page, with the facts that a card tells."""

    path: Path
    nb: NotebookNode
    number: str
    title: str
    question: str
    level: str
    minutes: str

    @property
    def page(self) -> str:
        return f"{self.path.stem}.html"

    @property
    def picture(self) -> str | None:
        """The key figure in base 64, or else the lab's first picture."""
        pictures = [(n, o.data[PNG]) for n, cell in enumerate(self.nb.cells)
                    for o in cell.get("outputs", []) if PNG in o.get("data", {})]  # fmt: skip
        heading = re.compile(r"^## The key figure", re.MULTILINE)
        key = next((n for n, cell in enumerate(self.nb.cells)
                    if heading.search(cell.source)), 0)  # fmt: skip
        after = [encoded for number, encoded in pictures if number > key]
        return next(iter(after or [encoded for _, encoded in pictures]), None)


def lab(path: Path) -> Lab:
    """Reads a lab. Raises ValueError for one whose first cell has no title and question."""
    nb = read(path)
    first = nb.cells[0].source if nb.cells else ""
    title = re.search(r"^# (\w+) · (.+)$", first, re.MULTILINE)
    question = re.search(r"^\*\*(.+\?)\*\*$", first, re.MULTILINE)
    if not (title and question):
        raise ValueError(f"{path.name} needs a first cell with '# NN · title' and '**question?**'")
    rows = dict(re.findall(r"^\| ([\w ]+) \| (.+?) \|$", first, re.MULTILINE))
    return Lab(path, nb, title[1], title[2].strip(), question[1],
               rows.get("Level", ""), rows.get("Time", ""))  # fmt: skip
