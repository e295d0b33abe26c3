"""Working copies of the labs in work/: what a learner runs and edits, while labs/ stays as it is.

A copy holds the fingerprint of the cells that it was made with. While it still has these it is
brought up to date; once it was run or edited it is the learner's, and a newer lab goes beside it.

A saved copy keeps what its widgets showed. This is done by a Jupyter server extension, switched on
wherever this package is installed (etc/jupyter), as is JupyterLab's setting to write the state of
widgets into the notebook. By itself JupyterLab writes it only for widgets whose kernel lives: a
lab reopened and saved again would lose its pictures.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from .build import NOTE, STATE, VIEW, reachable

Json = dict[str, Any]
FOLDER = "work"
MADE = "made"  # in a copy's metadata.cmlab: the fingerprint of its cells when it was made


def bring_up_to_date(notebook: Path, folder: Path) -> str:
    """Write the working copy of a built lab, or a newer one; says so where work was kept.

    Raises OSError if the folder cannot be written to.
    """
    lab = json.loads(notebook.read_text(encoding="utf-8"))
    now = _fingerprint(lab)
    for place in _places(folder / notebook.name):
        copy = _read(place)
        if copy is None:  # not asked again: another process may have written it since
            break
        made = copy.get("metadata", {}).get("cmlab", {}).get(MADE)
        if made == now:
            return ""
        if made == _fingerprint(copy):
            break
    lab["metadata"].setdefault("cmlab", {})[MADE] = now
    _write(json.dumps(lab, indent=1, ensure_ascii=False, sort_keys=True) + "\n", place)
    _trust(place)
    if place.name == notebook.name:
        return ""
    return f"{notebook.name} has a new version: {place.name}. Yours is kept as it is."


def _places(first: Path) -> Iterator[Path]:
    yield first
    n = 1
    while True:
        yield first.with_suffix(f".new{n if n > 1 else ''}.ipynb")
        n += 1


def _fingerprint(nb: dict[str, Any]) -> str:
    cells = json.dumps(nb.get("cells"), sort_keys=True)
    return hashlib.sha256(cells.encode()).hexdigest()[:12]


def _read(path: Path) -> dict[str, Any] | None:
    """The notebook: None where there is no file, empty where it is damaged."""
    try:
        nb = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return nb if isinstance(nb, dict) else {}


def _write(text: str, path: Path) -> None:
    """The whole file or nothing, whoever else is writing it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{uuid4().hex}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _trust(path: Path) -> None:
    """Sign it as `jupyter trust` does: of a notebook run in part JupyterLab else hides widgets."""
    import nbformat
    from nbformat.sign import NotebookNotary

    with contextlib.suppress(OSError):  # a home that cannot be written to
        NotebookNotary().sign(nbformat.read(path, as_version=4))


# Saving: a server extension


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
