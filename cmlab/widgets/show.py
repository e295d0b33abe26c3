"""What a lab's first cell needs: figures that show, and the package's own source."""

import inspect
from typing import Any

import torch
from IPython.core.formatters import DisplayFormatter
from IPython.core.getipython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from IPython.display import Code
from matplotlib.figure import Figure


def start_lab(threads: int = 2) -> None:
    """Let a cell that ends in a figure show it, and use this many CPU threads."""
    torch.set_num_threads(threads)
    shell = get_ipython()
    if shell is None:
        return
    select_figure_formats(shell, {"png"}, bbox_inches=None)
    if isinstance(shell.display_formatter, DisplayFormatter):
        plain = shell.display_formatter.formatters["text/plain"]
        plain.for_type(Figure, lambda figure, printer, cycle: printer.text(titles(figure)))


def titles(figure: Figure) -> str:
    """What a figure calls itself, its panels from left to right: for those who do not see it."""
    said = [figure.get_suptitle()]
    said += [ax.get_title(place) for ax in figure.axes for place in ("left", "center", "right")]
    return ". ".join(" ".join(title.split()) for title in said if title.strip()) or repr(figure)


def show_source(thing: Any) -> Code:
    """The source of a class or function as it stands in the package."""
    return Code(inspect.getsource(thing), language="python")
