"""Labs are run in copies: labs/ never changes, and what a learner did is never overwritten."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
from cmlab_labs.tools.notebooks import command
from cmlab_labs.tools.notebooks.build import NOTE, STATE, VIEW, new_metadata, save
from cmlab_labs.tools.notebooks.work import before_saving, bring_up_to_date, complete
from nbformat.v4 import new_code_cell, new_notebook, new_output

ROOT = Path(__file__).parents[2]


def write_lab(root, text, said="1\n"):
    """A course with one built lab of one cell."""
    (root / "labs").mkdir(exist_ok=True)
    (root / "constraints.txt").touch()
    lab = root / "labs" / "00_small.ipynb"
    output = new_output("stream", text=said)
    cell = new_code_cell(text, id="one", outputs=[output], execution_count=1)
    save(new_notebook(cells=[cell], metadata=new_metadata()), lab)
    return lab


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return write_lab(tmp_path, "print(1)")


@pytest.fixture
def work(lab):
    assert command.main(["work"]) == 0
    return lab.parents[1] / "work"


def edit(path, **cell):
    nb = json.loads(path.read_text())
    nb["cells"][0].update(cell)
    path.write_text(json.dumps(nb))


def text(path):
    return "".join(json.loads(path.read_text())["cells"][0]["source"])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_copy_has_the_labs_cells_and_making_it_changes_no_other_file(lab):
    before = lab.read_bytes()
    assert command.main(["work"]) == 0
    copy = lab.parents[1] / "work" / lab.name
    assert json.loads(copy.read_text())["cells"] == json.loads(before)["cells"]
    assert lab.read_bytes() == before and names(lab.parent) == [lab.name]


def test_git_does_not_see_the_copies():
    names = ["work/00_start_here.ipynb", "work/00_start_here.new.ipynb"]
    seen = subprocess.run(
        ["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True
    )
    if seen.returncode == 128:
        pytest.skip("not a clone")
    assert seen.stdout.split() == names


def test_a_copy_that_was_not_touched_is_refreshed_in_silence(lab, work, capsys):
    for new in ("print(2)", "print(3)"):
        write_lab(lab.parents[1], new)
        assert command.main(["work"]) == 0
        assert text(work / lab.name) == new
    write_lab(lab.parents[1], "print(3)", said="run again\n")
    assert command.main(["work", "00"]) == 0
    assert "run again" in (work / lab.name).read_text()
    assert names(work) == [lab.name] and capsys.readouterr().out == ""


CHANGES = {
    "edited": {"source": "my answer"},
    "run": {"outputs": [], "execution_count": 7},
    "annotated": {"metadata": {"tags": ["mine"]}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_work_is_kept_byte_by_byte_and_the_new_version_goes_beside_it(lab, work, change, capsys):
    mine = work / lab.name
    edit(mine, **CHANGES[change])
    before = mine.read_bytes()
    assert command.main(["work"]) == 0
    assert capsys.readouterr().out == "" and names(work) == [lab.name], "nothing is new"

    write_lab(lab.parents[1], "print(2)")
    assert command.main(["work"]) == 0
    assert "00_small.new.ipynb. Yours is kept" in capsys.readouterr().out
    new = work / "00_small.new.ipynb"
    assert mine.read_bytes() == before and text(new) == "print(2)"
    assert command.main(["work"]) == 0
    assert capsys.readouterr().out == "", "it is said once"

    edit(new, source="my second answer")
    write_lab(lab.parents[1], "print(3)")
    assert command.main(["work"]) == 0
    assert text(new) == "my second answer" and mine.read_bytes() == before
    assert text(work / "00_small.new2.ipynb") == "print(3)"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"cells": 3}', "\N{SNOWMAN}"])
def test_a_file_that_is_no_notebook_is_kept_too(lab, work, damage):
    (work / lab.name).write_text(damage, encoding="utf-8")
    assert command.main(["work"]) == 0
    assert (work / lab.name).read_text(encoding="utf-8") == damage
    assert text(work / "00_small.new.ipynb") == "print(1)"


def test_a_copy_that_was_thrown_away_is_made_again(lab, work):
    edit(work / lab.name, source="a muddle")
    (work / lab.name).unlink()
    assert command.main(["work"]) == 0
    assert text(work / lab.name) == "print(1)"


def test_two_at_once_leave_one_whole_copy(lab):
    folder, failed = lab.parents[1] / "work", []
    start = threading.Barrier(4)

    def begin():
        try:
            start.wait()
            bring_up_to_date(lab, folder)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and names(folder) == [lab.name] and text(folder / lab.name) == "print(1)"


def test_a_copy_that_appears_just_after_it_was_looked_for_is_no_work_of_the_learners(
    lab, monkeypatch
):
    folder, read = lab.parents[1] / "work", Path.read_text

    def read_then_another_writes(self, encoding):
        if self.parent != folder or self.exists():
            return read(self, encoding=encoding)
        monkeypatch.setattr(Path, "read_text", read)
        bring_up_to_date(lab, folder)
        raise FileNotFoundError(str(self))

    monkeypatch.setattr(Path, "read_text", read_then_another_writes)
    assert bring_up_to_date(lab, folder) == ""
    assert names(folder) == [lab.name]


def test_where_nothing_can_be_written_a_sentence_says_so(lab, monkeypatch, capsys):
    def closed(self, parents, exist_ok):
        raise PermissionError(13, os.strerror(13), str(lab.parents[1] / "work"))

    monkeypatch.setattr(Path, "mkdir", closed)
    assert command.main(["work"]) == 1
    said = capsys.readouterr().err
    assert "work: Permission denied" in said and "folder of your own" in said
    assert said.count("\n") == 1


def test_a_file_in_the_folders_place_is_said_and_kept(lab, capsys):
    (lab.parents[1] / "work").write_text("mine")
    assert command.main(["work"]) == 1
    assert "cannot be saved" in capsys.readouterr().err
    assert (lab.parents[1] / "work").read_text() == "mine"


# What the hook makes of a notebook that is saved


def widget(name, inside=()):
    return {"model_name": name, "state": {"children": [f"IPY_MODEL_{part}" for part in inside]}}


def shown(*models, **states):
    views = [{"output_type": "display_data", "data": {VIEW: {"model_id": m}}} for m in models]
    widgets = {"widgets": {STATE: {"version_major": 2, "version_minor": 0, "state": states}}}
    return {"metadata": widgets, "cells": [{"cell_type": "code", "outputs": views}]}


def kept(nb):
    return nb["metadata"].get("widgets", {}).get(STATE, {}).get("state", {})


def test_the_state_of_a_widget_whose_kernel_is_gone_stays_in_the_notebook(tmp_path):
    states = {"box": widget("VBoxModel", ["part"]), "part": widget("ImageModel")}
    (tmp_path / "a.ipynb").write_text(json.dumps(shown("box", **states)))
    again = shown("box")
    manager = type("Manager", (), {"root_dir": str(tmp_path)})
    before_saving({"type": "notebook", "content": again}, "/a.ipynb", manager)
    assert kept(again) == states
    assert VIEW in again["cells"][0]["outputs"][0]["data"]
    before_saving({"type": "file", "content": "text"}, "a.txt", manager)


def test_the_newer_state_is_saved_and_that_of_widgets_no_longer_shown_is_dropped():
    nb = shown("box", box=widget("new"), gone=widget("old run"))
    complete(nb, {"box": widget("old"), "earlier": widget("old")})
    assert kept(nb) == {"box": widget("new")}


def test_a_widget_of_which_nothing_is_known_becomes_a_note_and_no_error():
    nb = shown("box", "lost", box=widget("VBoxModel"))
    complete(nb, {})
    first, second = nb["cells"][0]["outputs"]
    assert VIEW in first["data"] and second["data"]["text/plain"] == NOTE
    assert VIEW not in second["data"]
    nb["cells"][0]["outputs"] = []
    complete(nb, {})
    assert "widgets" not in nb["metadata"]
