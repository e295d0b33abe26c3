"""What a lab's first cell needs: figures that show, and the package's own source."""

import inspect
from typing import Any

import torch
from IPython.core.getipython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from IPython.display import Code


def start_lab(threads: int = 2) -> None:
    """Let a cell that ends in a figure show it, and use this many CPU threads."""
    torch.set_num_threads(threads)
    shell = get_ipython()
    if shell is not None:
        select_figure_formats(shell, {"png"}, bbox_inches=None)


def show_source(thing: Any) -> Code:
    """The source of a class or function as it stands in the package."""
    return Code(inspect.getsource(thing), language="python")
