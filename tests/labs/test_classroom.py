"""Copies for a class: learners get no solution, teachers all of them, and nbgrader can mark."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from cmlab_labs.common.exercise import Verdict
from cmlab_labs.common.prediction import predictions
from cmlab_labs.tools.notebooks.build import read, tags
from cmlab_labs.tools.notebooks.classroom import POINTS, instructor, student
from cmlab_labs.tools.notebooks.command import main
from exercises import lab, solutions

from cmlab.train.lock import LOCK

LABS = Path(__file__).parents[2] / "labs"
NOTEBOOKS = sorted(LABS.glob("[0-9]*.ipynb"))
PARTS = ["exercise", "check", "points"]
MARKED = ("01_probability_flow.ipynb", "02_consistency_function.ipynb")  # two short ones
needs_nbgrader = pytest.mark.skipif(
    not find_spec("nbgrader"), reason="nbgrader is not installed: make class"
)


@pytest.mark.parametrize("line", [
    "from cmlab.check import lab02", "from cmlab import runs", "from cmlab import checkpoint",
    "from cmlab.balance import Even", "import cmlab.widgets.frame",
])  # fmt: skip
def test_a_copy_built_for_an_earlier_cmlab_says_how_to_build_it_again(line):
    with pytest.raises(ImportError, match="cmlab labs build NN --student"):
        exec(line)


def test_other_missing_modules_are_missing_as_ever():
    with pytest.raises(ModuleNotFoundError, match="No module named 'cmlab.chekc'"):
        exec("import cmlab.chekc")


def lines_of(notebook):
    """For each solution of a lab its code lines that stand nowhere else: in no text, no output."""
    own = {"solution", "exercise", "check"}
    kept = [c for c in read(notebook).cells if not own & set(tags(c))]
    stubs = [c.source for c in read(notebook).cells if {"exercise", "check"} & set(tags(c))]
    rest = json.dumps([kept, stubs], ensure_ascii=False)
    codes = [{line.strip() for line in s.split("\n")} for s in solutions(lab(notebook.stem[:2]))]
    return [{x for x in code if len(x) > 12 and quoted(x) not in rest} for code in codes]


def quoted(line):
    """A line of code as it stands in a notebook's file."""
    return json.dumps(line, ensure_ascii=False)[1:-1]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_learners_copy_holds_no_solution_and_no_outcome_of_an_exercise(notebook, tmp_path):
    copy = read(student(notebook, tmp_path))
    raw = next(tmp_path.iterdir()).read_text("utf-8")
    for found in lines_of(notebook):
        assert found and not [line for line in found if quoted(line) in raw]
    marked = [
        c for c in copy.cells if {"exercise", "check"} & set(tags(c)) or "nbgrader" in c.metadata
    ]
    parts = [tag for c in marked for tag in tags(c) or ["points"] if tag in PARTS]
    assert parts == [*PARTS, *PARTS], (
        f"{notebook.name} has the cells {parts}; a lab has two exercises, each of a cell tagged "
        "`exercise` and one tagged `check`, under which its points are booked"
    )
    assert all(not c.outputs for c in marked)
    assert any(c.get("outputs") for c in copy.cells)  # the figures are still there
    nbformat.validate(copy)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_teachers_copy_holds_every_solution_and_every_misconception(notebook, tmp_path):
    copy = read(instructor(notebook, tmp_path))
    code = "\n".join(c.source for c in copy.cells if c.cell_type == "code")
    said = "\n".join(c.source for c in copy.cells if c.cell_type == "markdown")
    assert all(piece.rstrip() in code for piece in solutions(lab(notebook.stem[:2])))
    assert all(line in code for found in lines_of(notebook) for line in found)
    asked = predictions(notebook.stem[:2]).values()
    assert asked and all(f"The right answer is “{p.right}”." in said for p in asked)
    assert all(f"| {option} |" in said for p in asked for option in p.wrong)
    assert "## Rubric" in said and "## Questions" in said
    (stated,) = re.findall(
        r"^# \| Run All \| (.+) \|$", lab(notebook.stem[:2]).read_text("utf-8"), re.M
    )
    assert f"*Run All*: {stated}. " in copy.cells[0].source
    nbformat.validate(copy)


def test_what_nbgrader_is_told_of_a_lab(tmp_path):
    told = [
        cell.metadata.nbgrader
        for cell in read(student(NOTEBOOKS[0], tmp_path)).cells
        if "nbgrader" in cell.metadata
    ]
    names = ["lab00-a", "lab00-a-points", "lab00-b", "lab00-b-points"]
    assert [t["grade_id"] for t in told] == names
    assert [t["solution"] for t in told] == [True, False] * 2
    assert [t["grade"] for t in told] == [t["locked"] for t in told] == [False, True] * 2
    assert [t.get("points") for t in told] == [None, POINTS] * 2


def test_points_are_all_or_nothing():
    assert Verdict("passed", "").points(10) == 10
    assert Verdict("slip", "").points(10) == Verdict("not attempted yet", "").points(10) == 0


def test_copies_are_the_same_each_time_and_never_written_over(tmp_path, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        words = ["build", "--student", str(folder / "s"), "--instructor", str(folder / "i")]
        assert main(words) == 0
    made = list(one.rglob("*.ipynb"))
    assert len(made) == 2 * len(NOTEBOOKS)
    for path in made:
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
    kept = next((one / "s").glob("*.ipynb"))
    kept.write_text("somebody's work")
    assert (
        main(["build", "--student", str(one / "s"), "--instructor", str(tmp_path / "i"), "00"])
        == 1
    )
    assert kept.read_text() == "somebody's work" and not (tmp_path / "i").exists()
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["build"], ["check", "--student", "s"]])
def test_build_wants_a_folder_and_nothing_else_takes_one(words, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert "build goes with" in capsys.readouterr().err


@needs_nbgrader
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_nbgrader_finds_no_fault_in_a_learners_copy(notebook, tmp_path):
    from nbgrader.nbgraderformat import MetadataValidator
    from nbgrader.preprocessors import CheckCellMetadata

    copy = read(student(notebook, tmp_path))
    MetadataValidator().validate_nb(copy)
    CheckCellMetadata().preprocess(copy, {})  # which finds names used twice, and cells without


def handed_in(released, who):
    """The released copy as it comes back: with the lab's own solutions, or as it went out."""
    copy = nbformat.read(released, 4)
    stubs = [c for c in copy.cells if c.metadata.get("nbgrader", {}).get("solution")]
    if who == "filled":
        for cell, code in zip(stubs, solutions(lab(released.name[:2])), strict=True):
            cell.source = code
    return copy


@needs_nbgrader
def test_nbgrader_gives_a_filled_copy_full_marks_and_an_untouched_one_none(tmp_path):
    for name in MARKED:
        student(LABS / name, tmp_path / "source" / "week1")
    (tmp_path / "nbgrader_config.py").write_text("get_config().CourseDirectory.course_id = 'c'\n")
    bins = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def nbgrader(*words):
        command = [sys.executable, "-m", "nbgrader", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"PATH": bins}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    nbgrader("generate_assignment", "week1")
    for who in ("filled", "untouched"):
        place = tmp_path / "submitted" / who / "week1"
        place.mkdir(parents=True)
        for name in MARKED:
            nbformat.write(handed_in(tmp_path / "release" / "week1" / name, who), place / name)
    nbgrader("autograde", "week1")
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        scores = {
            (s.student.id, n.name): (n.score, n.max_score)
            for s in book.assignment_submissions("week1")
            for n in s.notebooks
        }
    full = 2 * POINTS
    assert scores == {
        (who, Path(name).stem): (full if who == "filled" else 0, full)
        for who in ("filled", "untouched")
        for name in MARKED
    }


def test_a_folder_that_another_build_writes_is_refused(tmp_path, capsys):
    holder = {"place": "far-away-0123abcd-0123abcd", "pid": 7, "since": 1e9, "command": "cmlab"}
    (tmp_path / LOCK).write_text(json.dumps(holder))
    assert main(["build", "--student", str(tmp_path), "00"]) == 1
    assert "in use by process 7 on far-away" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
