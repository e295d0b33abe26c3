"""Classroom copies of a lab: for learners, and with solutions for teachers.

Learners' copies have no solutions, and the metadata that nbgrader needs. Each exercise becomes two
cells that nbgrader knows: the stub, which learners fill in, and below the check a locked cell that
ends with a number of points. It never raises, so that *Run All* goes through an untouched copy.

Teachers' copies have the solutions in place and notes beside each step. The notes come from
labs/src/teaching.toml: the minutes, which cell breaks which wrong prediction, questions to
discuss, and what earns the points.
"""

import ast
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from ...common.prediction import prediction
from .build import asked, read, readable, save, tags
from .front import front_matter

# Learners' copies: without solutions, with nbgrader's metadata

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
    """Path of a copy of the lab. Raises FileExistsError if something is there."""
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
            cell.metadata["nbgrader"] = nbgrader_metadata(name, solution=True)
        if {"exercise", "check"} & set(found):
            cell.outputs, cell.execution_count = [], None
        yield cell
        if "check" in found:
            yield points_cell(cell, name)


def points_cell(check: NotebookNode, name: str) -> NotebookNode:
    """The locked cell that books points for the exercise above."""
    if not name or not is_call(check.source):
        raise ValueError(
            f"the check {check.source!r} cannot be graded: let it follow an exercise, as one call"
        )
    cell = new_code_cell(
        f"# for graders: {POINTS} points if the check above passes\n"
        f"{check.source.strip()}.points({POINTS})",
        id=f"{check.id}-p",
    )
    cell.metadata["nbgrader"] = nbgrader_metadata(f"{name}-points", solution=False) | {
        "points": POINTS
    }
    return cell


def nbgrader_metadata(name: str, solution: bool) -> dict[str, object]:
    """nbgrader's metadata of a cell that learners write (`solution`) or that grades them."""
    return {
        "grade": not solution,
        "grade_id": name,
        "locked": not solution,
        "schema_version": SCHEMA,
        "solution": solution,
        "task": False,
    }


def is_call(source: str) -> bool:
    """Whether the code is one function call."""
    body = ast.parse(source).body
    return len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Call)


# Teachers' copies: with solutions, and notes beside each step

NOTES = "teaching.toml"
KEYS = {  # of a lab's notes, each with the keys of its entries
    "before": (),
    "sections": (),
    "misconceptions": ("option", "broken_by", "say"),
    "discussion": ("question", "answer"),
    "rubric": ("exercise", "full", "part", "none"),
}
FENCED = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
Notes = dict[str, Any]


def instructor(notebook: Path, folder: Path) -> Path:
    """Write the teacher's copy of a built lab into a folder, and say where.

    Raises FileExistsError for a copy that is there already, ValueError for a lab whose notes or
    front matter are not whole.
    """
    place = fresh_place(notebook, folder)
    nb = read(notebook)
    code = [cell.source for cell in nb.cells if cell.cell_type == "code"]
    notes = notes_of(notebook, [option for text in code for option in wrong_options(text)])
    run_all = front_matter(nb.cells[0].source, notebook.name).rows["Run All"]
    nb.cells = [opening(notes, run_all), *annotated(nb.cells, notes), closing(notes)]
    nb.metadata.pop("cmlab", None)
    folder.mkdir(parents=True, exist_ok=True)
    save(nb, place)
    return place


def notes_of(notebook: Path, options: Sequence[str] = ()) -> Notes:
    """Teaching notes of a lab.

    Raises:
        ValueError: if they lack a key, or a misconception for one of these wrong options.
    """
    path = notebook.parent / "src" / NOTES
    notes = tomllib.loads(readable(path).decode("utf-8")).get(notebook.stem, {})
    lacks = [f'["{notebook.stem}"] the key {key}' for key in KEYS if not notes.get(key)]
    for kind in KEYS:
        for note in notes.get(kind, ()) if KEYS[kind] else ():
            missing = (key for key in KEYS[kind] if key not in note)
            lacks += [f'[["{notebook.stem}".{kind}]] the key {key}' for key in missing]
    answered = [note.get("option") for note in notes.get("misconceptions", ())]
    entry = f'[["{notebook.stem}".misconceptions]] an entry with option ='
    lacks += [f'{entry} "{option}"' for option in options if option not in answered]
    if lacks:
        raise ValueError(f"{path.name} lacks under {lacks[0]}; write it as lab 07 has it.")
    return notes


def annotated(cells: list[NotebookNode], notes: Notes) -> Iterator[NotebookNode]:
    """The lab's cells, each stub answered by its solution, each prediction with its replies."""
    solutions = iter([solution(cell) for cell in cells if SOLVED in tags(cell)])
    for cell in cells:
        cell.metadata.pop("cmlab", None)
        found = tags(cell)
        if "check" in found:
            yield answer(next(solutions), cell.id)
            cell.outputs, cell.execution_count = [], None
        yield cell
        if cell.cell_type == "code" and (names := asked(cell.source)):
            yield misconceptions(names, notes, cell.id)


def solution(cell: NotebookNode) -> str:
    """The code of a folded solution."""
    (code,) = FENCED.findall(cell.source)
    return code.rstrip()


def answer(code: str, above: str) -> NotebookNode:
    """The solution as a cell that runs, so that the check below it passes."""
    return new_code_cell(f"# the solution\n{code}", id=f"{above}-s")


def wrong_options(source: str) -> list[str]:
    """The wrong options of the predictions that a cell asks for."""
    return [option for name in asked(source) for option in prediction(name).wrong]


def misconceptions(names: list[str], notes: Notes, above: str) -> NotebookNode:
    """What is right, and a table: the wrong option, where it breaks, what to say."""
    rows = {note["option"]: note for note in notes["misconceptions"]}
    found = [prediction(name) for name in names]
    lines = ["**For the teacher: what breaks a wrong prediction**", ""]
    lines += [f"The right answer is “{p.right}”.\n" for p in found]
    lines += ["| who says | look under | and say |", "|---|---|---|"]
    wrong = [option for p in found for option in p.wrong]
    lines += [f"| {o} | {rows[o]['broken_by']} | {rows[o]['say']} |" for o in wrong]
    return new_markdown_cell("\n".join(lines), id=f"{above}-m")


def opening(notes: Notes, run_all: str) -> NotebookNode:
    """Opening cell: what to know before class, minutes by section, and the time of *Run All*."""
    rows = [f"| {heading} | {minutes} |" for heading, minutes in notes["sections"]]
    total = sum(minutes for _, minutes in notes["sections"])
    lines = [
        *("# For the teacher", "", notes["before"], ""),
        *("| section | minutes |", "|---|---|", *rows, f"| together | {total} |", ""),
        f"*Run All*: {run_all}. The minutes are a learner's.",
    ]
    return new_markdown_cell("\n".join(lines), id="teacher-opening")


def closing(notes: Notes) -> NotebookNode:
    """Questions to discuss, and the marking rubric."""
    lines = ["# For the teacher: to discuss, and to mark", "", "## Questions", ""]
    for n, note in enumerate(notes["discussion"], 1):
        lines += [f"{n}. **{note['question']}**", f"   {note['answer']}", ""]
    lines += ["## Rubric", "", f"| exercise | {POINTS} points | part | 0 |", "|---|---|---|---|"]
    for note in notes["rubric"]:
        lines.append(f"| {note['exercise']} | {note['full']} | {note['part']} | {note['none']} |")
    return new_markdown_cell("\n".join(lines), id="teacher-closing")
