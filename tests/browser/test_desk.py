"""The training desk in a real browser, worked by keyboard: start, pause, go on, stop."""

import nbformat
import pytest
from browser.harness import ENOUGH_INK, ink, open_and_run, picture, settle, wait_for_text
from cmlab_labs.tools.notebooks.build import new_metadata

pytestmark = pytest.mark.browser

DESK = """\
from cmlab_labs.lab16_cifar10.training_desk import desk

desk("digits.ect", "runs/desk", ("steps=4000", "net.width=8", "start.net.width=8"))
"""


def press(page, css_class):
    """Presses the button of that class by keyboard, as soon as it can be pressed."""
    page.wait_for_function(f"() => !document.querySelector('.{css_class}').disabled")
    page.locator(f".{css_class}").focus()
    page.keyboard.press("Enter")


def test_a_run_is_started_paused_and_stopped_by_keyboard_and_nothing_starts_unasked(page, jupyter):
    cells = [nbformat.v4.new_code_cell(DESK)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=new_metadata())
    nbformat.write(notebook, jupyter.folder / "desk.ipynb")
    open_and_run(page, jupyter, "desk")
    assert "Nothing has run here yet" in page.locator(".lab-out").inner_text()
    assert not (jupyter.folder / "runs").exists()
    assert "train digits.ect --set steps=4000" in page.locator(".lab-command").inner_text()
    assert page.locator(".lab-pause").is_disabled() and page.locator(".lab-stop").is_disabled()

    press(page, "lab-start")
    wait_for_text(page, "lab-out", "Starting")
    press(page, "lab-pause")
    wait_for_text(page, "lab-out", "Paused")
    settle(page)
    assert ink(picture(page, "lab-out")) > ENOUGH_INK
    assert page.locator(".lab-pause").inner_text() == "Go on"

    press(page, "lab-pause")
    wait_for_text(page, "lab-out", "Training")
    press(page, "lab-stop")
    wait_for_text(page, "lab-out", "Stopped, with a checkpoint")
    page.wait_for_function("() => !document.querySelector('.lab-start').disabled")
    assert page.locator(".lab-start").inner_text() == "Resume"
    assert (jupyter.folder / "runs" / "desk" / "start" / "checkpoint.safetensors").exists()
