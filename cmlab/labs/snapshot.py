"""A live widget needs a kernel; a committed notebook shows how the widget opens instead."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
NOTE = "Run this cell for the live widget."


def freeze(nb: NotebookNode) -> None:
    """Replaces each widget by a note and the pictures and text it opened with."""
    models = nb.metadata.pop("widgets", {}).get(STATE, {}).get("state", {})
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = [still for output in cell.outputs for still in _still(output, models)]


def _still(output: NotebookNode, models: dict[str, Any]) -> Iterator[NotebookNode]:
    view = output.get("data", {}).get(VIEW)
    if view is None:
        yield output
        return
    yield new_output("display_data", {"text/plain": NOTE, "text/markdown": f"*{NOTE}*"})
    inside = [models[name] for name in _reachable(view["model_id"], models)]
    for place, model in enumerate(inside):
        yield from _shown(model, _words([*inside[place:], *inside[:place]]))


def _words(models: list[dict[str, Any]]) -> str:
    """The first text among widgets, without its marks: an explorer's reading of its picture."""
    texts = (m["state"].get("value", "") for m in models if m["model_name"] == "HTMLModel")
    lines = (re.sub(r"<(br|/?p|/?div|/?li)\b[^>]*>", " ", text) for text in texts)
    plain = (" ".join(unescape(re.sub(r"<[^>]+>", "", text)).split()) for text in lines)
    return next(filter(None, plain), "")


def _shown(model: dict[str, Any], words: str) -> Iterator[NotebookNode]:
    """What an Output widget holds, and an Image widget's picture with the words for it."""
    if model["model_name"] == "OutputModel":
        for output in model["state"].get("outputs", []):
            # Plotly's figures bring megabytes of state, and draw nothing without their scripts.
            if VIEW not in output.get("data", {}):
                yield NotebookNode(output)
    pictures = [part["data"] for part in model.get("buffers", ()) if part["data"]]
    if model["model_name"] == "ImageModel" and pictures:  # an empty one has nothing to show
        kind = "image/" + model["state"].get("format", "png")
        said = {"text/plain": words} if words else {}
        yield new_output("display_data", {kind: pictures[0]} | said)


def _reachable(start: str, models: dict[str, Any]) -> list[str]:
    """The widget and all inside it, each once, in the order in which they are laid out."""
    found: list[str] = []
    waiting = [start]
    while waiting:
        name = waiting.pop(0)
        if name in models and name not in found:
            found.append(name)
            inside = re.findall(r"IPY_MODEL_(\w+)", str(models[name]["state"]))
            waiting = inside + waiting
    return found
