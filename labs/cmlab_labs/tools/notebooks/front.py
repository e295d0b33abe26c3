"""Front matter of a lab, from its first cell, and the tables of labs that are made from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .build import find, read_source, source_of
from .hosted import with_links

FIELD = re.compile(r"^\| ([\w ]+) \| (.+?) \|$", re.MULTILINE)
NEEDED = ("Paper", "Level", "Part", "Time", "Run All", "You need")
PAPER = re.compile(
    r"(?P<first>[A-Z][\w-]+)(?P<others>, [^&;]+? & [\w-]+| & [\w-]+| et al\.|) (?P<year>\d{4})"
    r"(?: \((?P<short>\w+)\))?(?:, \*[^*]+\*)?(?: \((?P<late>\w+)\))?"
    r"(?P<place>, (?:Section|Appendix|Algorithm) [\w.]*\w)?"
)


@dataclass(frozen=True)
class FrontMatter:
    """What a lab's first cell says: its title, its question, and the rows of its table by name."""

    number: str
    title: str
    question: str
    rows: dict[str, str]

    @property
    def level(self) -> str:
        """The level alone: "2" of "2 of 3"."""
        return self.rows["Level"].split()[0]

    @property
    def minutes(self) -> str:
        """The minutes alone: "30" of "30 minutes, and the run"."""
        return self.rows["Time"].split()[0]

    @property
    def papers(self) -> str:
        """The papers as one cites them, without titles and links."""
        found = [
            p["first"]
            + (" et al." if "," in p["others"] else p["others"])
            + f" {p['year']}"
            + (f" ({short})" if (short := p["short"] or p["late"]) else "")
            + (p["place"] or "")
            for p in PAPER.finditer(self.rows["Paper"])
        ]
        return "; ".join(found) or self.rows["Paper"].partition(",")[0]


def front_matter(first: str, name: str) -> FrontMatter:
    """Read the front matter of the lab `name` from the text of its first cell.

    Raises:
        ValueError: if the title, the question or a row is missing; it says which.
    """
    title = re.search(r"^# (\d\d) · (.+)$", first, re.MULTILINE)
    question = re.search(r"^\*\*(.+\?)\*\*$", first, re.MULTILINE)
    if not (title and question):
        raise ValueError(f"{name} needs a first cell with '# NN · title' and '**question?**'")
    rows = {key.replace("Papers", "Paper"): value for key, value in FIELD.findall(first)}
    if missing := [key for key in NEEDED if key not in rows]:
        raise ValueError(f"{name} needs the row '| {missing[0]} | … |' in its first cell")
    return FrontMatter(title[1], title[2].strip(), question[1], rows)


def tables(root: Path) -> dict[str, str]:
    """The text that each page with a table of labs should have, by its path, links included.

    Raises:
        ValueError: for a lab without its front matter, or of a part that labs/README.md lacks.
    """
    labs = {}
    pages = [page for page in PAGES if (root / page).is_file()]
    for notebook in find(root / "labs") if pages else ():
        source = source_of(notebook)
        first = read_source(source).cells[0].source if source.exists() else ""
        labs[notebook.stem] = front_matter(first, source.relative_to(root).as_posix())
    found = {}
    for page in pages:
        head, rows = PAGES[page]
        body = re.compile(rf"({re.escape(head)}\n\|[-|]+\|\n)((?:\|.*\n)*)")
        text = (root / page).read_text(encoding="utf-8")
        text = body.sub(lambda m, rows=rows: m[1] + rows(labs, m[2]), text)
        found[page] = with_links(text, root)
    return found


def readme_rows(labs: Mapping[str, FrontMatter], old: str) -> str:
    """README's table: a row for each lab."""
    return "".join(
        f"| [{lab.number} {lab.title}](labs/{stem}.ipynb) | {lab.question} | {lab.papers} "
        f"| {lab.level} | {lab.minutes} | {lab.rows['Run All'].partition(' on ')[0]} |\n"
        for stem, lab in labs.items()
    )


def part_rows(labs: Mapping[str, FrontMatter], old: str) -> str:
    """The table of labs/README.md: its parts and their aims are typed in, their labs are found."""
    aims = {row.split(" | ")[0].strip("| "): row.split(" | ")[-1] for row in old.splitlines()}
    rows = ""
    for part, aim in aims.items():
        mine = {stem: lab for stem, lab in labs.items() if lab.rows["Part"] == part}
        links = " · ".join(
            f"[{lab.number} {lab.title}]({stem}.ipynb)" for stem, lab in mine.items()
        )
        levels = ", ".join(sorted({lab.level for lab in mine.values()}))
        rows += f"| {part} | {links} | {levels} | {aim}\n"
    if lost := [stem for stem, lab in labs.items() if lab.rows["Part"] not in aims]:
        raise ValueError(
            f"{lost[0]} is of the part {labs[lost[0]].rows['Part']!r}, which the first table of "
            f"labs/README.md lacks; it has {', '.join(aims)}"
        )
    return rows


PAGES = {
    "README.md": (
        "| lab | the question it answers | paper | level | minutes | Run All |",
        readme_rows,
    ),
    "labs/README.md": ("| part | labs | level | what you can do after it |", part_rows),
}
