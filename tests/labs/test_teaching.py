"""The teaching notes fit the labs: minutes, headings, each wrong prediction, questions, marks."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "labs" / "src"
NOTES = tomllib.loads((SOURCES / "teaching.toml").read_text(encoding="utf-8"))
LATER: set[str] = set()  # labs whose notes follow with them
LABS = {path.stem: path for path in sorted(SOURCES.glob("[0-9][0-9]_*.py"))}
ASIDES = {
    "misconceptions": {"option", "broken_by", "say"},
    "discussion": {"question", "answer"},
    "rubric": {"exercise", "full", "part", "none"},
}


def source(lab: str) -> str:
    return LABS[lab].read_text(encoding="utf-8")


def headings(lab: str, marks: str) -> set[str]:
    """The texts of the headings that open with these marks, such as "##"."""
    return set(re.findall(rf"^# {marks} (.+)$", source(lab), re.MULTILINE))


def wrong_options(lab: str) -> list[str]:
    """Every option of every prediction but the right one."""
    found = []
    for call in ast.walk(ast.parse(source(lab))):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Predict":
            replies = ast.literal_eval(call.args[1])
            (right,) = [ast.literal_eval(k.value) for k in call.keywords if k.arg == "right"]
            assert right in replies
            found += [option for option in replies if option != right]
    return found


def test_every_finished_lab_has_notes_and_no_other_has():
    missing = sorted(lab for lab in LABS if lab not in NOTES and lab[:2] not in LATER)
    assert not missing, f"labs without teaching notes in {SOURCES.name}/teaching.toml: {missing}"
    assert set(NOTES) <= set(LABS), "notes on labs that have no source"


@pytest.mark.parametrize("lab", NOTES)
def test_the_minutes_are_the_labs_and_go_to_sections_it_has(lab):
    (stated,) = re.findall(r"^# \| Time \| (\d+) minutes", source(lab), re.MULTILINE)
    names, minutes = zip(*NOTES[lab]["sections"], strict=True)
    assert sum(minutes) == int(stated)
    assert len(set(names)) == len(names) and set(names) <= headings(lab, "##")


@pytest.mark.parametrize("lab", NOTES)
def test_each_wrong_prediction_has_a_reply_at_a_heading_of_the_lab(lab):
    notes = NOTES[lab]["misconceptions"]
    assert sorted(note["option"] for note in notes) == sorted(wrong_options(lab))
    assert {note["broken_by"] for note in notes} <= headings(lab, "##") | headings(lab, "###")


@pytest.mark.parametrize("lab", NOTES)
def test_there_are_three_questions_and_marks_for_both_exercises(lab):
    assert len(NOTES[lab]["discussion"]) == 3
    assert [marks["exercise"] for marks in NOTES[lab]["rubric"]] == ["a", "b"]


@pytest.mark.parametrize("lab", NOTES)
def test_no_note_is_empty_or_breaks_the_table_that_it_stands_in(lab):
    assert NOTES[lab]["before"].strip()
    for kind, keys in ASIDES.items():
        for note in NOTES[lab][kind]:
            assert set(note) == keys
            assert all(text.strip() and not {"\n", "|"} & set(text) for text in note.values())


@pytest.fixture(scope="module")
def said():
    """All that the checks can say, as one string."""
    package = SOURCES.parents[1] / "labs" / "cmlab_labs"
    files = [*package.glob("lab*/checks.py"), package / "common" / "exercise.py"]
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in files)
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return "\n".join(node.value for node in nodes if isinstance(node.value, str))


@pytest.mark.parametrize("lab", NOTES)
def test_the_rubric_quotes_what_the_checks_say(lab, said):
    quoted = [
        quote
        for marks in NOTES[lab]["rubric"]
        for quote in re.findall("“([^”]+)”", " ".join(marks.values()))
    ]
    assert quoted and [quote for quote in quoted if quote not in said] == []
