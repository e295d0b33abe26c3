"""Panels: boxes of widgets that a saved notebook still shows when no kernel is behind them."""

from collections.abc import Sequence

import ipywidgets as ipw

# A widget without a kernel gets a broken chain in red from ipywidgets, as do all widgets in it.
OFFLINE = """<style>
.jupyter-widgets-disconnected::before {display: none}
.lab-panel.jupyter-widgets-disconnected::before {display: block; color: inherit; font: inherit;
  font-style: italic; content: 'As it was saved. Run this cell for the live widget.'}
.lab-panel .lab-panel.jupyter-widgets-disconnected::before {display: none}
.lab-panel.jupyter-widgets-disconnected :is(input, button, .noUi-target) {pointer-events: none;
  opacity: 0.6}
</style>"""


class Panel(ipw.VBox):
    """A column of widgets. Reopened without a kernel it shows what was saved, and says so."""

    def __init__(self, children: Sequence[ipw.Widget]) -> None:
        style = ipw.HTML(OFFLINE, layout=ipw.Layout(display="none"))
        super().__init__([*children, style])
        self.add_class("lab-panel")
