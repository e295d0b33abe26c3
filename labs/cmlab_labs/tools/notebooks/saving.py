"""Save notebooks: what a widget showed last is kept, and is there without a kernel.

A Jupyter server extension, switched on wherever this package is installed (etc/jupyter), as is
JupyterLab's setting to write the state of widgets into the notebook. By itself JupyterLab writes
it only for widgets whose kernel lives: a lab reopened and saved again would lose its pictures.
"""

import json
from pathlib import Path
from typing import Any

from .build import NOTE, STATE, VIEW, reachable

Json = dict[str, Any]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(app: Any) -> None:
    """Too early: Jupytext's extension, loaded later, puts another contents manager in place."""


async def _start_jupyter_server_extension(app: Any) -> None:
    app.contents_manager.register_pre_save_hook(before_saving)


def before_saving(model: Json, path: str, contents_manager: Any) -> None:
    """Hook of the contents manager: completes the notebook that is about to be saved."""
    if model.get("type") == "notebook":
        complete(model["content"], states(Path(contents_manager.root_dir) / path.strip("/")))


def states(path: Path) -> Json:
    """The state of each widget of a notebook on disk; none where there is no such file."""
    try:
        return states_in(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def states_in(nb: Json) -> Json:
    """The state of each widget by its model's id."""
    return nb.get("metadata", {}).get("widgets", {}).get(STATE, {}).get("state", {})


def complete(nb: Json, before: Json) -> None:
    """Give each widget that is shown its state, as it was `before` if it is not known better.

    States of widgets that are not shown any more are dropped. A widget that nothing is known of
    becomes a note, for JupyterLab would show an error in its place.
    """
    known = before | states_in(nb)
    outputs = [
        o for cell in nb["cells"] for o in cell.get("outputs", ()) if VIEW in o.get("data", ())
    ]
    shown: set[str] = set()
    for output in outputs:
        name = output["data"][VIEW].get("model_id", "")
        shown.update(reachable(name, known))
        if name not in known:
            output["data"] = {"text/plain": NOTE, "text/markdown": f"*{NOTE}*"}
    nb["metadata"].pop("widgets", None)
    if shown:
        state = {name: known[name] for name in known if name in shown}
        whole = {"version_major": 2, "version_minor": 0, "state": state}
        nb["metadata"]["widgets"] = {STATE: whole}
