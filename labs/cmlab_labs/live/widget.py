"""Live figures in a notebook: the gallery's own, by anywidget, so that no kernel is asked."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

import anywidget
import ipywidgets as ipw
import traitlets

from ..common.explorer import Picture, reading_html
from ..common.screen import Screen
from ..tools.gallery.site import ASSETS
from .page import ATLAS, DIGITS, FLOWS, PHOTOGRAPHS, PLANE, script, told

RENDER = """
export default {
  render({ model, el }) {
    Object.assign(cmlab.given, model.get("networks"));
    el.classList.add("live");
    el.dataset.live = model.get("figure");
    el.dataset.lab = model.get("lab");
    el.append(document.createElement("figure"));
    cmlab.enliven(el, model.get("opened"));
  },
};
"""
NETWORKS = {"digits": {"digits": DIGITS}, "retouch": {"digits": DIGITS},
            "photographs": {"photographs": PHOTOGRAPHS},
            "map": {key: PLANE[key] for key in ATLAS},
            "flow": {key: PLANE[key] for key in FLOWS}}  # fmt: skip
NOTEBOOK = """
[data-jp-theme-light="false"] .live { color-scheme: dark; }
.live figure { margin: 0; color: var(--ink); }
.live figcaption { font-weight: 600; }
.live button { font: inherit; color: var(--ink); background: var(--card); cursor: pointer;
  border: 1px solid var(--line); border-radius: 0.5rem; }
.live .note { color: var(--soft); font: 0.92rem/1.5 var(--sans); }
"""


@cache
def style() -> str:
    """The gallery's rules for live figures, with its colours on the figures alone."""
    sheet = (ASSETS / "style.css").read_text(encoding="utf-8")
    named = "".join(re.findall(r"^  --[\w-]+: [^;]+;", sheet, re.MULTILINE))
    rules = re.search(r"/\* what lives.*?(?=/\* under a lab)", sheet, re.DOTALL)
    assert rules, "style.css has lost its part about what lives"
    return f".live {{ color-scheme: light; {named} }}\n{NOTEBOOK}{rules[0]}"


class LiveFigure(anywidget.AnyWidget):
    """A live figure, which works in the page alone.

    Args:
        figure: "digits", "photographs", "retouch", "path", "ring", "map" or "flow".
        lab: the lab in which it stands, for the figures that begin differently in two of them.
        opened: what it opens with, as in the address that its Share control tells on a web page.
        still: the picture of it that a notebook keeps.
    """

    figure = traitlets.Unicode().tag(sync=True)
    lab = traitlets.Unicode().tag(sync=True)
    opened = traitlets.Unicode().tag(sync=True)
    networks = traitlets.Dict().tag(sync=True)
    still = traitlets.Instance(ipw.Box, allow_none=True).tag(sync=True, **ipw.widget_serialization)

    def __init__(
        self,
        figure: str,
        lab: str = "",
        opened: Mapping[str, object] = {},  # noqa: B006 (read only)
        still: Picture | None = None,
    ) -> None:
        paths = NETWORKS.get(figure, {})
        networks: dict[str, Any] = {name: told(path) for name, path in paths.items()}
        super().__init__(figure=figure, lab=lab, networks=networks, opened=urlencode(opened))
        if still is not None:
            screen = Screen()
            screen.show(still.figure)
            self.still = ipw.VBox([screen, ipw.HTML(reading_html(still.reading))])

    @property
    def _esm(self) -> str:
        return script() + RENDER

    @property
    def _css(self) -> str:
        return style()
