"""Predictions: nothing is spoiled, a second try, and files at fault are named with the remedy."""

import html
import json
from dataclasses import astuple
from pathlib import Path

import pytest
from cmlab_labs.common import prediction as module
from cmlab_labs.common.explorer import Predict as PredictOfOlderCopies
from cmlab_labs.common.prediction import FILE, Predict, predict, prediction, predictions
from cmlab_labs.tools.notebooks.build import asked, find, hides, read, source_of, visible_lines
from cmlab_labs.tools.notebooks.classroom import student

from cmlab.train.checkpoint import BadFile

LABS = find(Path(__file__).parents[2] / "labs")
LINES, WIDTH = 80, 100  # visible code of a lab
every_lab = pytest.mark.parametrize("lab", LABS, ids=lambda path: path.stem)


def code(lab):
    return [cell for cell in read(lab).cells if cell.cell_type == "code"]


def words(lab):
    """Each sentence of the lab's predictions that a learner sees in the widget only."""
    found = predictions(lab.stem[:2]).values()
    return [text for p in found for text in (*p.replies, *p.replies.values())]


# Nothing is spoiled


@every_lab
def test_a_lab_asks_for_each_of_its_predictions_once_and_in_order(lab):
    names = [name for cell in code(lab) for name in asked(cell.source)]
    assert (
        names
        == list(predictions(lab.stem[:2]))
        == [f"{lab.stem[:2]}.{k + 1}" for k in range(len(names))]
    )
    assert 1 <= len(names) <= 2
    assert all(hides(cell) for cell in code(lab) if asked(cell.source))


@every_lab
def test_no_answer_stands_in_the_source_the_notebook_or_a_learners_copy(lab, tmp_path):
    copy = student(lab, tmp_path)
    assert any(asked(cell.source) for cell in code(copy))
    for path in (source_of(lab), lab, copy):
        text = path.read_text(encoding="utf-8")
        forms = [(w, json.dumps(w, ensure_ascii=False)[1:-1], html.escape(w)) for w in words(lab)]
        assert forms and [f[0] for f in forms if any(form in text for form in f)] == [], path


@every_lab
def test_a_lab_shows_prose_and_a_page_or_two_of_code(lab):
    """Imports, tables and plumbing are folded: Jupyter is told so, in the learner's copy too."""
    for cell in code(lab):
        assert (cell.metadata.get("jupyter") == {"source_hidden": True}) == hides(cell), (
            cell.source
        )
    shown = visible_lines(read(lab).cells)
    print(f"{lab.stem}: {len(shown)} visible lines of code")
    assert 10 < len(shown) <= LINES, f'{len(shown)} lines: tag plumbing "hide-input"'
    assert [line for line in shown if len(line) > WIDTH] == []


@every_lab
def test_what_a_learner_writes_or_checks_is_never_folded(lab):
    kept = [c for c in code(lab) if {"exercise", "check"} & set(c.metadata.get("tags", []))]
    assert len(kept) == 4 and not any(map(hides, kept))


def test_a_folded_cell_stays_folded_in_a_learners_copy(tmp_path):
    copy = student(LABS[0], tmp_path)
    folded = [c for c in code(copy) if c.metadata.get("jupyter", {}).get("source_hidden")]
    assert len(folded) == sum(map(hides, code(LABS[0]))) > 2


# The widget: commit, one more try, and the right answer


def made():
    return Predict("Which?", {"a": "Why not a.", "b": "Why not b.", "c": "Why c."}, right="c")


def choose(widget, option):
    widget.options.value = option
    widget.commit.click()
    return widget.reply.value


def test_a_right_answer_is_confirmed_at_once():
    widget = made()
    assert widget.commit.disabled and widget.reply.value == ""
    said = choose(widget, "c")
    assert "<b>Yes.</b> Why c." in said and "role='status' aria-live='polite'" in said
    assert widget.options.disabled and widget.commit.disabled


def test_a_wrong_answer_gets_its_reply_and_one_more_try_without_the_right_one():
    widget = made()
    said = choose(widget, "a")
    assert "<b>Not quite.</b> Why not a." in said and "once more" in said
    assert "Why c." not in said and "right answer" not in said
    assert not widget.options.disabled and widget.commit.disabled
    widget.options.value = "c"
    assert not widget.commit.disabled
    widget.options.value = "a"
    assert widget.commit.disabled, "it was tried"
    said = choose(widget, "c")
    assert "<b>Yes.</b> Why c." in said and "right answer" not in said
    assert widget.options.disabled


def test_after_two_wrong_answers_the_right_one_is_shown():
    widget = made()
    choose(widget, "a")
    said = choose(widget, "b")
    assert "<b>Not quite.</b> Why not b." in said and "role='status' aria-live='polite'" in said
    assert "The right answer is “c”.</b> Why c." in said
    assert widget.options.disabled and widget.commit.disabled
    widget.answer()
    assert widget.reply.value == said, "it is over"


def test_the_widget_says_what_it_said_before_predictions_had_files():
    widget = predict("00.1")
    asked_for = prediction("00.1")
    assert isinstance(widget, PredictOfOlderCopies)
    assert widget.children[0].value == f"<b>Predict.</b> {asked_for.question}"
    assert widget.options.options == tuple(asked_for.replies) and widget.options.value is None
    assert widget.commit.description == "This is my prediction"


# Files at fault

WHOLE = """
["07.1"]
question = "Which?"
options = [{option = "a", reply = "No."}, {option = "b", reply = "Since.", right = true}]
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Lab 07's file of predictions with this text; None for no file."""
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    (tmp_path / "lab07_ict").mkdir()

    def write(text):
        if text is not None:
            (tmp_path / "lab07_ict" / FILE).write_bytes(text)

    return write


def test_a_whole_file_is_read(written):
    written(WHOLE.encode())
    assert astuple(prediction("07.1")) == ("Which?", {"a": "No.", "b": "Since."}, "b")
    assert prediction("07.1").wrong == ["a"]


NEEDS = "lab07_ict/predictions.toml: 07.1 needs a question and two options or more"
FAULTS = {
    "no file": (None, "lacks lab07_ict/predictions.toml: install cmlab again"),
    "no TOML": (b'["07.1"\nquestion', r"lab07_ict/predictions.toml cannot be read \(.*line 1"),
    "no UTF-8": ("é".encode("latin1"), "lab07_ict/predictions.toml cannot be read"),
    "no question": (WHOLE.replace("question", "asks").encode(), NEEDS),
    "no options": (b'["07.1"]\nquestion = "Which?"', NEEDS),
    "one option": (b'["07.1"]\nquestion = "?"\noptions = [{option = "a", reply = "b"}]', NEEDS),
    "no reply": (WHOLE.replace('reply = "No."', 'said = "No."').encode(), NEEDS),
    "none is right": (WHOLE.replace("true", "false").encode(), NEEDS),
    "two are right": (WHOLE.replace('"No."', '"No.", right = true').encode(), NEEDS),
    "an option twice": (WHOLE.replace('"b"', '"a"').encode(), NEEDS),
    "no table": (b'"07.1" = 3', NEEDS),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_at_fault_is_named_in_one_sentence_with_the_remedy(written, fault):
    text, said = FAULTS[fault]
    written(text)
    with pytest.raises(BadFile, match=said) as error:
        predict("07.1")
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    assert "install" in str(error.value) or "write it as lab07_ict" in str(error.value)


@pytest.mark.parametrize(("name", "said"), [
    ("07.3", "No prediction is named '07.3': choose from 07.1."),
    ("42.1", "No lab has the number '42': a prediction is named like 07.1."),
    ("", "No lab has the number '': a prediction is named like 07.1."),
])  # fmt: skip
def test_an_unknown_name_is_refused_with_those_that_are_known(name, said):
    with pytest.raises(ValueError) as error:
        predict(name)
    assert str(error.value) == said
