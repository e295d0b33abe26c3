"""The committed notebooks are sound, and each way in which one can be unsound is noticed."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from cmlab_labs.common.explorer import titles
from cmlab_labs.tools.notebooks import build, check, command
from cmlab_labs.tools.notebooks.build import STATE, VIEW, freeze, read, save
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_notebook, new_output

LABS = Path(__file__).parents[2] / "labs"

SOURCE = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A small lab

# %%
# %matplotlib inline
import ipywidgets
from IPython.display import display
from matplotlib.figure import Figure


def draw(k):
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, k])
    display(figure)
    print(f"drawn k={k}")


# %% tags=["nbval-check-output"]
print(1 + 1)

# %%
k = ipywidgets.IntSlider(value=3)
ipywidgets.VBox([k, ipywidgets.interactive_output(draw, {"k": k})])

# %% tags=["raises-exception"]
1 / 0
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A folder of labs holding one small lab, built and run."""
    folder = tmp_path_factory.mktemp("made") / "labs"
    (folder / "src").mkdir(parents=True)
    (folder.parent / "constraints.txt").touch()
    (folder / "src" / "00_small.py").write_text(SOURCE)
    build.sync(folder / "00_small.ipynb")
    build.execute(folder / "00_small.ipynb")
    return folder


@pytest.fixture
def notebook(executed, tmp_path):
    """A copy of the small lab to spoil."""
    shutil.copytree(executed.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "labs" / "00_small.ipynb"


@pytest.mark.parametrize("lab", build.find(LABS), ids=lambda path: path.stem)
def test_the_committed_lab_has_no_fault(lab):
    assert check.problems(lab) == []


def test_a_lab_fresh_from_its_source_has_no_fault(notebook):
    assert check.problems(notebook) == []
    assert not check.out_of_date(notebook)


def _output(n, **fields):
    return lambda nb: nb.cells[n].outputs.append(nbformat.v4.new_output(**fields))


def _set(n, **fields):
    return lambda nb: nb.cells[n].update(fields)


FAULTS = {
    "cell ids are missing or used twice": lambda nb: nb.cells[1].pop("id"),
    "ids are missing or used twice": lambda nb: nb.cells[1].update(id=nb.cells[2].id),
    "not a valid notebook": lambda nb: nb.cells[0].update(colour="red"),
    "asks for the kernel 'mine'": lambda nb: nb.metadata.kernelspec.update(name="mine"),
    "state of its widgets": lambda nb: nb.metadata.update(widgets={}),
    "kB of the 500 kB allowed": _output(1, output_type="stream", text="x" * 500_001),
    "cell 2 was never run": _set(2, execution_count=None, outputs=[]),
    "cell 2 is to be compared with its output and has none": _set(2, outputs=[]),
    "cell 2 ended in ValueError": _output(2, output_type="error", ename="ValueError", evalue=""),
    "holds a warning: oh": _output(2, output_type="stream", name="stderr", text="oh\nno"),
    "cell 3 shows what other code": lambda nb: nb.cells[3].metadata.cmlab.update(sha="0" * 12),
    "cell 1 shows what other code": lambda nb: nb.cells[1].metadata.pop("cmlab"),
    "cell 2 differs from the source": lambda nb: nb.cells[2].metadata.update(tags=[]),
    "cell 1 differs from the source": lambda nb: nb.cells[1].metadata.update(
        jupyter={"source_hidden": True}
    ),
    "has 4 cells where its source has 5": lambda nb: nb.cells.pop(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_spoilt_notebook_is_found_out(notebook, fault):
    nb = read(notebook)
    FAULTS[fault](nb)
    notebook.write_text(json.dumps(nb))
    assert any(fault in problem for problem in check.problems(notebook))


def test_a_lab_without_notebook_or_without_source_is_found_out(notebook):
    build.source_of(notebook).rename(notebook.parent / "src" / "01_other.py")
    assert "no source" in check.problems(notebook)[0]
    assert "not built" in check.problems(notebook.with_stem("01_other"))[0]


def test_code_changed_in_the_source_is_found_out_and_takes_the_outputs_below_with_it(notebook):
    before = read(notebook)
    source = build.source_of(notebook)
    source.write_text(SOURCE.replace("1 + 1", "1 + 2"))
    assert any("cell 2 differs" in problem for problem in check.problems(notebook))

    assert build.sync(notebook)
    after = read(notebook)
    assert [c.id for c in after.cells] == [c.id for c in before.cells]
    assert after.cells[1] == before.cells[1]
    assert [c.outputs for c in after.cells[2:]] == [[], [], []]
    assert check.out_of_date(notebook)


def test_words_changed_in_the_source_keep_every_output(notebook):
    before = read(notebook)
    build.source_of(notebook).write_text(SOURCE.replace("small lab", "little lab"))
    assert build.sync(notebook)
    assert read(notebook).cells[1:] == before.cells[1:]
    assert check.problems(notebook) == []
    assert not build.sync(notebook)


def test_code_is_folded_by_its_tag_and_where_it_only_imports_or_asks_for_a_prediction(notebook):
    cells = ["import torch\n\nstart_lab()", "predict('00.1')", "x = 1", "import torch\nx = 1"]
    text = "".join(f"# %%\n{cell}\n\n" for cell in cells) + '# %% tags=["hide-input"]\nx = 2\n'
    build.source_of(notebook).write_text(text)
    build.sync(notebook)
    after = read(notebook).cells
    folded = [cell.metadata.get("jupyter") == {"source_hidden": True} for cell in after]
    assert folded == [True, True, False, False, True]
    assert build.visible_lines(after) == ["x = 1", "import torch", "x = 1"]


def test_a_notebook_built_again_from_nothing_is_the_same_file(notebook):
    before = notebook.read_bytes()
    notebook.unlink()
    build.sync(notebook)
    build.execute(notebook)
    assert notebook.read_bytes() == before


def test_a_notebook_edited_by_hand_is_set_aside_and_not_lost(notebook):
    nb = read(notebook)
    nb.cells[0].source = "# My notes"
    save(nb, notebook)
    assert "edited by hand" in build.sync(notebook)
    assert check.problems(notebook) == []
    (aside,) = notebook.parent.glob("*.edited-*.ipynb")
    assert read(aside).cells[0].source == "# My notes"
    assert build.find(notebook.parent) == [notebook]


def test_a_lab_that_fails_gives_status_1_and_its_run_writes_nothing(notebook, monkeypatch, capsys):
    build.source_of(notebook).write_text(SOURCE.replace('tags=["raises-exception"]', ""))
    build.sync(notebook)
    before = notebook.read_bytes()
    monkeypatch.chdir(notebook.parents[1])
    assert command.main(["run", "00"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert notebook.read_bytes() == before


def test_a_widget_is_committed_as_the_picture_it_opened_with(notebook):
    outputs = read(notebook).cells[3].outputs
    assert [next(iter(o.get("data", o))) for o in outputs][0] == "text/markdown"
    assert "image/png" in outputs[1].data
    assert outputs[2].text == "drawn k=3\n"


def test_the_picture_of_a_widget_keeps_the_words_that_stand_below_it():
    def model(name, **state):
        return {"model_name": name, "state": state}

    reading = "<p role='status'>One<br><b>two</b>, x &lt; 3</p>"
    models = {
        "box": model("VBoxModel", children=["IPY_MODEL_a", "IPY_MODEL_b"]),
        "a": model("ImageModel", format="png") | {"buffers": [{"data": "cGljdHVyZQ=="}]},
        "b": model("HTMLModel", value=reading),
    }
    view = {VIEW: {"model_id": "box"}}
    nb = new_notebook(cells=[new_code_cell("1", outputs=[new_output("display_data", view)])])
    nb.metadata["widgets"] = {STATE: {"state": models}}
    freeze(nb)
    _, picture = nb.cells[0].outputs
    assert picture.data == {"image/png": "cGljdHVyZQ==", "text/plain": "One two, x < 3"}


def test_a_figure_says_its_titles_to_those_who_do_not_see_it():
    figure = Figure()
    left, _, right = figure.subplots(1, 3)
    left.set_title("A finding\nin two lines", loc="left")
    right.set_title("another")
    assert titles(figure) == "A finding in two lines. another"
    figure.suptitle("Above all")
    assert titles(figure).startswith("Above all. A finding")
    assert titles(Figure()).startswith("<Figure")


@pytest.mark.parametrize("lab", build.find(LABS), ids=lambda path: path.stem)
def test_every_picture_of_a_lab_comes_with_words(lab):
    outputs = [o for c in read(lab).cells if c.cell_type == "code" for o in c.outputs]
    pictures = [o.data for o in outputs if "image/png" in o.get("data", {})]
    assert pictures
    assert [d for d in pictures if d.get("text/plain", "<Figure").startswith("<Figure")] == []


def test_the_command_checks_syncs_and_refuses_unknown_names(notebook, monkeypatch, capsys):
    monkeypatch.chdir(notebook.parents[1])
    assert command.main(["check", "00"]) == 0
    assert command.main(["sync"]) == 0
    assert command.main(["run"]) == 0, "nothing to do, so nothing is run"
    assert "running" not in capsys.readouterr().out
    assert command.main(["check", "07"]) == 2
    assert "choose from 00_small" in capsys.readouterr().err
    nb = read(notebook)
    nb.cells.pop()
    save(nb, notebook)
    assert command.main(["check"]) == 1
