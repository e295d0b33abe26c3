"""The harness sees what a learner would see: a changed figure, a blank one, an error, a leak."""

import nbformat
import pytest
from browser.harness import (
    ENOUGH_INK,
    ink,
    open_and_run,
    picture,
    settle,
    slide,
    wait_for_text,
)
from cmlab_labs.tools.notebooks.build import new_metadata

pytestmark = pytest.mark.browser

SLIDERS = """\
import ipywidgets
from IPython.display import HTML, display
from matplotlib.figure import Figure


def explorer(name, blank):
    seed = ipywidgets.IntSlider(0, 0, 9, continuous_update=False)
    seed.add_class(f"{name}-seed")

    def draw(seed):
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        if blank and seed:
            axes.set_axis_off()
        else:
            axes.plot([0, seed, 1])
        display(figure)
        print(f"seed={seed}")

    out = ipywidgets.interactive_output(draw, {"seed": seed})
    out.add_class(f"{name}-out")
    return ipywidgets.VBox([seed, out])


display(explorer("sound", blank=False), explorer("broken", blank=True))
"""
LEAK = 'HTML("<img src=https://example.org/x.png>")'


def write(jupyter, name, *cells):
    cells = [nbformat.v4.new_code_cell(cell) for cell in ("%matplotlib inline", *cells)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=new_metadata())
    nbformat.write(notebook, jupyter.folder / f"{name}.ipynb")


def test_a_slider_moved_by_keyboard_changes_the_figure_and_a_blank_one_is_seen(page, jupyter):
    write(jupyter, "sliders", SLIDERS)
    open_and_run(page, jupyter, "sliders")
    first = {name: picture(page, f"{name}-out") for name in ("sound", "broken")}
    assert min(map(ink, first.values())) > ENOUGH_INK

    for name in first:
        slide(page, f"{name}-seed")
        wait_for_text(page, f"{name}-out", "seed=1")
        settle(page)
    second = {name: picture(page, f"{name}-out") for name in first}
    assert second["sound"] != first["sound"]
    assert ink(second["sound"]) > ENOUGH_INK
    assert second["broken"] != first["broken"], "so a changed picture alone proves nothing"
    assert ink(second["broken"]) < ENOUGH_INK


def test_a_cell_that_fails_is_seen(page, jupyter):
    write(jupyter, "fails", "1 / 0", "print('never reached')")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        open_and_run(page, jupyter, "fails")


def test_a_request_to_another_host_is_seen(page, jupyter):
    write(jupyter, "leaks", SLIDERS, LEAK)
    open_and_run(page, jupyter, "leaks")
    assert set(page.external) == {"https://example.org/x.png"}
    page.external.clear()
