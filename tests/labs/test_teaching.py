"""The teaching notes fit the labs: minutes, headings, each wrong prediction, questions, marks."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from cmlab_labs.common.prediction import predictions
from cmlab_labs.tools.notebooks.classroom import KEYS, Notes, notes_of

SOURCES = Path(__file__).parents[2] / "labs" / "src"
LABS = {path.stem: path for path in sorted(SOURCES.glob("[0-9][0-9]_*.py"))}


def notes(lab: str) -> Notes:
    return notes_of(SOURCES.parent / f"{lab}.ipynb")


def source(lab: str) -> str:
    return LABS[lab].read_text(encoding="utf-8")


def headings(lab: str, marks: str) -> set[str]:
    """The texts of the headings that open with these marks, such as "##"."""
    return set(re.findall(rf"^# {marks} (.+)$", source(lab), re.MULTILINE))


def wrong_options(lab: str) -> list[str]:
    """Every option of every prediction but the right one."""
    return [option for asked in predictions(lab[:2]).values() for option in asked.wrong]


@pytest.mark.parametrize("lab", LABS)
def test_every_lab_has_whole_notes(lab):
    assert set(notes(lab)) == set(KEYS)


def test_there_are_no_notes_without_a_lab():
    written = tomllib.loads((SOURCES / "teaching.toml").read_text(encoding="utf-8"))
    assert [lab for lab in written if lab not in LABS] == []


@pytest.mark.parametrize(("was", "now", "said"), [
    ("07_improved_training", "07_gone", '["07_improved_training"] the key before'),
    ("\nsections =", "\nminutes =", '["07_improved_training"] the key sections'),
    ("\nbroken_by =", "\nbroken =", '[["07_improved_training".misconceptions]] the key broken_by'),
    ("\npart =", "\nparts =", '[["07_improved_training".rubric]] the key part'),
])  # fmt: skip
def test_notes_that_are_not_whole_are_refused_by_lab_and_key(tmp_path, was, now, said):
    text = (SOURCES / "teaching.toml").read_text(encoding="utf-8")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "teaching.toml").write_text(text.replace(was, now), encoding="utf-8")
    with pytest.raises(ValueError) as error:
        notes_of(tmp_path / "07_improved_training.ipynb")
    assert str(error.value) == f"teaching.toml lacks under {said}; write it as lab 07 has it."


def test_a_wrong_option_without_a_reply_is_refused_by_its_words():
    with pytest.raises(ValueError, match='an entry with option = "Because"; write it as lab 07'):
        notes_of(SOURCES.parent / "07_improved_training.ipynb", ["Because"])


@pytest.mark.parametrize("lab", LABS)
def test_the_minutes_are_the_labs_and_go_to_sections_it_has(lab):
    (stated,) = re.findall(r"^# \| Time \| (\d+) minutes", source(lab), re.MULTILINE)
    names, minutes = zip(*notes(lab)["sections"], strict=True)
    assert sum(minutes) == int(stated)
    assert len(set(names)) == len(names) and set(names) <= headings(lab, "##")


@pytest.mark.parametrize("lab", LABS)
def test_each_wrong_prediction_has_a_reply_at_a_heading_of_the_lab(lab):
    replies = notes(lab)["misconceptions"]
    assert sorted(note["option"] for note in replies) == sorted(wrong_options(lab))
    assert {note["broken_by"] for note in replies} <= headings(lab, "##") | headings(lab, "###")


@pytest.mark.parametrize("lab", LABS)
def test_there_are_three_questions_and_marks_for_both_exercises(lab):
    assert len(notes(lab)["discussion"]) == 3
    assert [marks["exercise"] for marks in notes(lab)["rubric"]] == ["a", "b"]


@pytest.mark.parametrize("lab", LABS)
def test_no_note_is_empty_or_breaks_the_table_that_it_stands_in(lab):
    assert notes(lab)["before"].strip()
    for kind, keys in KEYS.items():
        for note in notes(lab)[kind] if keys else ():
            assert set(note) == set(keys)
            assert all(text.strip() and not {"\n", "|"} & set(text) for text in note.values())


@pytest.fixture(scope="module")
def said():
    """All that the checks can say, as one string."""
    package = SOURCES.parents[1] / "labs" / "cmlab_labs"
    files = [*package.glob("lab*/checks.py"), package / "common" / "exercise.py"]
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in files)
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return "\n".join(node.value for node in nodes if isinstance(node.value, str))


@pytest.mark.parametrize("lab", LABS)
def test_the_rubric_quotes_what_the_checks_say(lab, said):
    quoted = [
        quote
        for marks in notes(lab)["rubric"]
        for quote in re.findall("“([^”]+)”", " ".join(marks.values()))
    ]
    assert quoted and [quote for quote in quoted if quote not in said] == []
