"""A lab as a class gets it: without solutions, and with what nbgrader needs to grade it.

Each exercise becomes two cells that nbgrader knows: the stub, which learners fill in, and below
the check a locked cell that ends on a number of points. It never raises, so that *Run All* goes
through an untouched copy.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from .notebook import read, save, tags

POINTS = 10  # an exercise
SCHEMA = 3  # of nbgrader's metadata
SOLVED = "solution"


def student(notebook: Path, folder: Path) -> Path:
    """Write the learner's copy of a built lab into a folder, and say where.

    Raises ValueError for a lab whose exercises cannot be graded, FileExistsError for a copy that
    is there already: it may hold somebody's work.
    """
    place = fresh_place(notebook, folder)
    nb = read(notebook)
    nb.cells = list(without_solutions(nb.cells, notebook.stem.split("_")[0]))
    nb.metadata.pop("cmlab", None)  # the lab's own book-keeping
    folder.mkdir(parents=True, exist_ok=True)
    save(nb, place)
    return place


def fresh_place(notebook: Path, folder: Path) -> Path:
    """Where a copy of the lab goes. Raises FileExistsError if something is there."""
    place = folder / notebook.name
    if place.exists():
        raise FileExistsError(f"{place} is there already: name an empty folder.")
    return place


def without_solutions(cells: list[NotebookNode], number: str) -> Iterator[NotebookNode]:
    """The cells of a learner's copy; exercises are called 06-a, 06-b and so on."""
    letters = iter("abcdefgh")
    name = ""
    for cell in cells:
        cell.metadata.pop("cmlab", None)
        found = tags(cell)
        if SOLVED in found:
            continue
        if "exercise" in found:
            name = f"lab{number}-{next(letters)}"
            cell.metadata["nbgrader"] = duty(name, solution=True)
        if {"exercise", "check"} & set(found):
            cell.outputs, cell.execution_count = [], None
        yield cell
        if "check" in found:
            yield graded(cell, name)


def graded(check: NotebookNode, name: str) -> NotebookNode:
    """The locked cell that books points for the exercise above."""
    if not name or not call(check.source):
        raise ValueError(
            f"the check {check.source!r} cannot be graded: let it follow an exercise, as one call"
        )
    cell = new_code_cell(
        f"# for graders: {POINTS} points if the check above passes\n"
        f"{check.source.strip()}.points({POINTS})",
        id=f"{check.id}-p",
    )
    cell.metadata["nbgrader"] = duty(f"{name}-points", solution=False) | {"points": POINTS}
    return cell


def duty(name: str, solution: bool) -> dict[str, object]:
    """nbgrader's metadata of a cell that learners write (`solution`) or that grades them."""
    return {
        "grade": not solution,
        "grade_id": name,
        "locked": not solution,
        "schema_version": SCHEMA,
        "solution": solution,
        "task": False,
    }


def call(source: str) -> bool:
    """Is the code one function call?"""
    body = ast.parse(source).body
    return len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Call)
