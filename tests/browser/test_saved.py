"""A lab that is run in its working copy and saved reopens, without a kernel, as it was left."""

import shutil
from pathlib import Path

import pytest
from browser.harness import ENOUGH_INK, STATUS, ink, open_and_run, picture, settle, slide
from cmlab_labs.tools.notebooks.work import bring_up_to_date

pytestmark = pytest.mark.browser

LABS = Path(__file__).parents[2] / "labs"
KNOBS = {"04_consistency_distillation": "stage", "14_faster_pretraining": "draw"}
SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
END = "() => window.jupyterapp.serviceManager.sessions.shutdownAll()"
# What ipywidgets puts before widgets that have no kernel: by default a broken chain in red.
MARKS = """() => [...document.querySelectorAll('.jupyter-widgets-disconnected')]
    .map(widget => getComputedStyle(widget, '::before')).filter(mark => mark.display !== 'none')
    .map(mark => mark.content)"""


def words(page):
    return page.locator(".lab-out [role=status]").first.inner_text()


def reopen(page, jupyter, name):
    """The notebook in a new page, with a new kernel in which nothing was run."""
    page.evaluate(END)
    again = page.context.new_page()
    page.close()
    again.set_default_timeout(600_000)
    url = f"{jupyter.url}/lab/tree/{name}.ipynb?reset&token={jupyter.token}"
    again.goto(url, wait_until="domcontentloaded")
    again.wait_for_function(f"() => {STATUS} === 'idle'")
    again.locator(".lab-out img").first.wait_for()
    settle(again)
    return again


@pytest.mark.parametrize("name", KNOBS)
def test_a_saved_lab_reopens_with_the_last_picture_and_reading_and_the_lab_is_unchanged(
    page, jupyter, name, monkeypatch
):
    own = jupyter.folder.parent / "jupyter_data_dir"  # the server's: the copy is signed there
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(own))
    course = jupyter.folder / "course"
    (course / "labs").mkdir(parents=True, exist_ok=True)
    lab = Path(shutil.copy(LABS / f"{name}.ipynb", course / "labs"))
    bring_up_to_date(lab, course / "copies")
    copy = f"course/copies/{name}"
    open_and_run(page, jupyter, copy, "explorer()")
    slide(page, f"lab-{KNOBS[name]}", times=2)
    settle(page)
    left = words(page)
    page.evaluate(SAVE)
    for _ in range(2):  # a lab that was reopened is saved once more: its widgets are still there
        page = reopen(page, jupyter, copy)
        assert words(page) == left
        assert ink(picture(page, "lab-out")) > ENOUGH_INK
        said = page.locator("body").inner_text()
        assert "Error displaying widget" not in said and "Jupyter news" not in said
        assert page.locator(".jupyter-widgets-error-widget").count() == 0
        assert all("Run this cell" in mark for mark in page.evaluate(MARKS))
        page.evaluate(SAVE)
    page.close()
    assert lab.read_bytes() == (LABS / lab.name).read_bytes()
    assert bring_up_to_date(lab, course / "copies") == "", "nothing is new"
