"""Build notebooks: from the text in labs/src to the executed notebook in labs/."""

import ast
import hashlib
import os
import re
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from errno import EACCES
from html import unescape
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbformat.validator import iter_validate

from cmlab.train.checkpoint import contents, parse_json

from . import hosted

# Reading and writing a lab's two files: labs/src/NN_name.py and labs/NN_name.ipynb

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}


def new_metadata() -> NotebookNode:
    """Metadata of every notebook: nothing that depends on who built it."""
    return NotebookNode(kernelspec=dict(KERNEL), language_info=dict(LANGUAGE))


def checkout() -> Path:
    """The repository's folder: the working folder, one above it, or where this package lies.

    Raises FileNotFoundError where there is none, as in an installed package.
    """
    here, ours = Path.cwd(), Path(__file__).resolve().parents[4]
    for folder in (here, *here.parents, ours):
        if (folder / "labs").is_dir() and (folder / "constraints.txt").is_file():
            return folder
    raise FileNotFoundError("The labs are in the cmlab repository: clone it and work from there.")


def source_of(notebook: Path) -> Path:
    """The text that a notebook is built from."""
    return notebook.parent / "src" / f"{notebook.stem}.py"


def find(labs: Path, names: Sequence[str] = ()) -> list[Path]:
    """The notebooks of a folder, built or not, in order; all, or those whose name starts so.

    Raises ValueError for a name that no lab has.
    """
    files = (*labs.glob("[0-9]*.ipynb"), *labs.glob("src/[0-9]*.py"))
    stems = sorted({p.stem for p in files if "." not in p.stem})  # a dot: set aside by `sync`
    for name in names:
        if not any(stem.startswith(name) for stem in stems):
            raise ValueError(f"No lab is called {name!r}: choose from {', '.join(stems)}.")
    chosen = [s for s in stems if not names or s.startswith(tuple(names))]
    return [labs / f"{stem}.ipynb" for stem in chosen]


class BadNotebook(ValueError):
    """A notebook or its source that cannot be read, and why, in one sentence."""


def readable(path: Path) -> bytes:
    """A file's bytes. Raises BadNotebook if there is none that can be read."""
    try:
        return contents(path)
    except OSError as error:
        why = error.strerror or error
        raise BadNotebook(
            f"{path.name} cannot be read ({why}); restore it with `git checkout`"
        ) from error


def read_source(path: Path) -> NotebookNode:
    """The cells of a py:percent file, without ids or outputs worth keeping.

    Raises BadNotebook for a file that is no text or holds the marks of a merge conflict.
    """
    import jupytext

    raw = readable(path)
    try:
        text = raw.decode("utf-8")
    except ValueError as error:
        raise BadNotebook(f"{path.name} is no text; restore it with `git checkout`") from error
    if found := re.search(r"^(<{7}|>{7}) .*$", text, re.MULTILINE):
        line = text.count("\n", 0, found.start()) + 1
        raise BadNotebook(f"{path.name} holds a merge conflict at line {line}; resolve it there")
    return jupytext.reads(text, fmt="py:percent")


def cells_for(notebook: Path) -> list[NotebookNode]:
    """The cells that a notebook is built from: its source's, and below the title the hosted one.

    Raises BadNotebook for a source that cannot be read.
    """
    cells = read_source(source_of(notebook)).cells
    if install := hosted.head(notebook.parent.parent):
        metadata = {"tags": [hosted.TAG]}
        cells.insert(1, nbformat.v4.new_code_cell(install.rstrip(), metadata=metadata))
    return cells


def read(path: Path) -> NotebookNode:
    """The notebook as it is on disk: nothing missing is filled in. Raises BadNotebook."""
    raw = readable(path)
    try:
        found = parse_json(raw)
    except ValueError as error:
        why = "holds a merge conflict" if b"\n<<<<<<< " in raw else "is empty, cut or no JSON"
        raise BadNotebook(_set_aside_by(path, why)) from error
    if not isinstance(found, dict) or found.get("nbformat") != 4:
        raise BadNotebook(_set_aside_by(path, "is no notebook of format 4"))
    # Format 4.4 does not ask for the cells' ids, which `sync` and `check` see to.
    faults = iter_validate(found, version=4, version_minor=4, relax_add_props=True)
    try:
        fault = next(faults, None)
    except (TypeError, LookupError, AttributeError) as error:  # in nbformat's wording of the fault
        why = "is not a valid notebook: a cell's type is no text"
        raise BadNotebook(_set_aside_by(path, why)) from error
    if fault:
        place = "/".join(map(str, fault.absolute_path)) or "its top"
        raise BadNotebook(_set_aside_by(path, f"is not a valid notebook at {place}"))
    if not all(isinstance(cell.get("id", ""), str) for cell in found["cells"]):
        raise BadNotebook(_set_aside_by(path, "is not a valid notebook at the ids of its cells"))
    return nbformat.v4.reads_json(raw.decode("utf-8"))


def _set_aside_by(path: Path, why: str) -> str:
    number = path.stem.split("_")[0]
    return f"{path.name} {why}; `cmlab labs run {number}` sets it aside and builds it anew."


def save(nb: NotebookNode, path: Path) -> None:
    """Writes the whole file or nothing."""
    unfinished = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.unfinished")
    unfinished.write_text(nbformat.writes(nb) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def tags(cell: NotebookNode) -> list[str]:
    return sorted(cell.get("metadata", {}).get("tags", []))


def fingerprints(cells: Sequence[NotebookNode]) -> list[str]:
    """For each cell a hash of its code and all code above it: what its output rests on.

    The cell that installs cmlab in a hosted notebook has no part in it.
    """
    digest, prints = hashlib.sha256(), []
    for cell in cells:
        if cell.cell_type == "code" and hosted.TAG not in tags(cell):
            digest.update(cell.source.encode() + b"\0")
        prints.append(digest.hexdigest()[:12])
    return prints


def stale(cell: NotebookNode, fingerprint: str) -> bool:
    """Whether a cell's output was made before its code, or code above it, changed."""
    return note_of(cell).get("sha") != fingerprint


def note_of(part: NotebookNode) -> dict[str, Any]:
    """What `sync` and `execute` have noted in a cell or a notebook."""
    note = part.metadata.get("cmlab")
    return note if isinstance(note, dict) else {}


def text_fingerprint(cells: Sequence[NotebookNode]) -> str:
    """A hash of all words and code: it tells a notebook as built from one edited by hand."""
    text = "\0".join(f"{cell.cell_type} {cell.source}" for cell in cells)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# Folded code: a learner sees prose, the method's code and figures

HIDE = "hide-input"  # the tag of a cell whose code is no part of the lesson: a table, plumbing
FOLDED = {"source_hidden": True}  # as Jupyter's metadata say it
SETTINGS = ("start_lab", "torch.set_default_dtype")


def calls(source: str, name: str) -> list[ast.Call]:
    """The calls of this name in a cell; none where the cell is no Python."""
    try:
        nodes = ast.walk(ast.parse(source))
    except SyntaxError:
        return []
    return [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == name]


def asked(source: str) -> list[str]:
    """The names of the predictions that a cell asks for, such as "07.1"."""
    return [ast.literal_eval(call.args[0]) for call in calls(source, "predict")]


def sets_up(source: str) -> bool:
    """Whether a cell only imports and sets defaults of the lab."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    found = [n.value for n in body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    settings = sum(ast.unparse(call.func) in SETTINGS for call in found)
    imports = sum(isinstance(node, ast.Import | ast.ImportFrom) for node in body)
    return imports > 0 and imports + settings == len(body)


def hides(cell: NotebookNode) -> bool:
    """Whether a notebook opens with the code of this cell folded."""
    if cell.cell_type != "code":
        return False
    folded = bool({HIDE, hosted.TAG} & set(tags(cell)))
    return folded or sets_up(cell.source) or bool(asked(cell.source))


def visible_lines(cells: Sequence[NotebookNode]) -> list[str]:
    """The lines of code that a learner sees when the lab is opened, blank ones not counted."""
    shown = [cell.source for cell in cells if cell.cell_type == "code" and not hides(cell)]
    return [line for source in shown for line in source.splitlines() if line.strip()]


# Sync: the source's text goes into the notebook, which keeps the outputs that still hold


def sync(notebook: Path) -> str:
    """Brings the notebook to its source's text; says what it did, or "" if nothing was to do.

    Cells keep their ids. An output stays only while its cell and all code above it are the same.
    A notebook that was edited by hand is set aside, never lost.
    """
    old, damaged = nbformat.v4.new_notebook(), ""
    try:
        old = read(notebook) if notebook.exists() else old
    except BadNotebook:
        damaged = "damaged"
    new = nbformat.v4.new_notebook(metadata=new_metadata())
    new.cells = _merge(cells_for(notebook), old.cells)
    new.metadata["cmlab"] = {"text": text_fingerprint(new.cells)}
    if new == old:
        return ""
    changed = damaged or ("edited" if _edited(old) else "")
    aside = notebook.with_suffix(time.strftime(f".{changed}-%Y%m%d-%H%M%S.ipynb"))
    if changed:
        os.replace(notebook, aside)
    save(new, notebook)
    what = "the damaged file" if damaged else "what was edited by hand"
    return "brought to its source" + (f"; {what} is now {aside.name}" if changed else "")


def _edited(nb: NotebookNode) -> bool:
    """Whether a notebook holds other words than `sync` wrote."""
    return bool(nb.cells) and note_of(nb).get("text") != text_fingerprint(nb.cells)


def _merge(source: list[NotebookNode], old: list[NotebookNode]) -> list[NotebookNode]:
    from jupytext.combine import map_outputs_to_inputs

    partners = map_outputs_to_inputs(source, old)
    taken = {str(old[j].get("id")) for j in partners if j is not None}
    cells = []
    for cell, j, fingerprint in zip(source, partners, fingerprints(source), strict=True):
        fresh = bare(cell)
        if j is None or not isinstance(old[j].get("id"), str):
            fresh.id = _new_id(cell, taken)
        else:
            fresh.id = old[j].id
        if j is not None and cell.cell_type == "code" and not stale(old[j], fingerprint):
            fresh.update(outputs=old[j].outputs, execution_count=old[j].execution_count)
            fresh.metadata["cmlab"] = old[j].metadata.cmlab
        cells.append(fresh)
    return cells


def bare(cell: NotebookNode) -> NotebookNode:
    """A cell of a source as a notebook holds it before it was run."""
    new = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")
    metadata = {"tags": cell.metadata.tags} if tags(cell) else {}
    return new(cell.source, metadata=metadata | ({"jupyter": FOLDED} if hides(cell) else {}))


def _new_id(cell: NotebookNode, taken: set[str]) -> str:
    """From the text, so that a notebook built again from nothing is the same file."""
    name, n = cell.cell_type + cell.source, 0
    while (fresh := hashlib.sha256(f"{name}{n}".encode()).hexdigest()[:8]) in taken:
        n += 1
    taken.add(fresh)
    return fresh


# Smaller pictures: with a palette of 256 colours a plot takes less than half the space

PNG = "image/png"


def lighten(nb: NotebookNode) -> None:
    """Gives every committed picture the 256 colours that suit it best, where that saves room."""
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if PNG in output.get("data", {}):
                output.data[PNG] = _smaller(output.data[PNG])


def _smaller(encoded: str) -> str:
    from PIL import Image

    with Image.open(BytesIO(b64decode(encoded))) as image:
        if image.mode == "P":
            return encoded
        buffer = BytesIO()
        flat = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        flat.save(buffer, "PNG", optimize=True)
    return min(encoded, b64encode(buffer.getvalue()).decode(), key=len)


# Widgets: a committed notebook holds the picture with which a widget opens

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
    inside = [models[name] for name in reachable(view["model_id"], models)]
    for place, model in enumerate(inside):
        layout = models.get(str(model["state"].get("layout")).removeprefix("IPY_MODEL_"), {})
        width = layout.get("state", {}).get("width")
        yield from _shown(model, _words([*inside[place:], *inside[:place]]), width)


def _words(models: list[dict[str, Any]]) -> str:
    """The first text among widgets, without its marks: an explorer's reading of its picture."""
    texts = (m["state"].get("value", "") for m in models if m["model_name"] == "HTMLModel")
    bare = (re.sub(r"(?s)<style>.*?</style>", "", text) for text in texts)
    lines = (re.sub(r"<(br|/?p|/?div|/?li)\b[^>]*>", " ", text) for text in bare)
    plain = (" ".join(unescape(re.sub(r"<[^>]+>", "", text)).split()) for text in lines)
    return next(filter(None, plain), "")


def _shown(model: dict[str, Any], words: str, width: str | None) -> Iterator[NotebookNode]:
    """Outputs of an Output widget, and an Image widget's picture with its alternative text.

    A picture is kept no wider than the page shows it (`width`, as "980px"): notebooks stay small.
    """
    if model["model_name"] == "OutputModel":
        for output in model["state"].get("outputs", []):
            # Plotly's figures bring megabytes of state, and draw nothing without their scripts.
            if VIEW not in output.get("data", {}):
                yield NotebookNode(output)
    pictures = [part["data"] for part in model.get("buffers", ()) if part["data"]]
    if model["model_name"] == "ImageModel" and pictures:  # an empty one has nothing to show
        kind = "image/" + model["state"].get("format", "png")
        said = {"text/plain": words} if words else {}
        small = _narrowed(pictures[0], int(width[:-2])) if kind == PNG and width else pictures[0]
        yield new_output("display_data", {kind: small} | said)


def _narrowed(encoded: str, most: int) -> str:
    """A PNG picture at most so many pixels wide."""
    from PIL import Image

    with Image.open(BytesIO(b64decode(encoded))) as image:
        if image.width <= most:
            return encoded
        size = (most, round(image.height * most / image.width))
        buffer = BytesIO()
        image.convert("RGB").resize(size, Image.Resampling.BOX).save(buffer, "PNG")
    return b64encode(buffer.getvalue()).decode()


def bare_widgets(nb: NotebookNode) -> list[NotebookNode]:
    """The cells whose widget has no picture beside it, as after a notebook was saved from Jupyter.

    Predictions are none of them: they need no picture.
    """

    def is_bare(cell: NotebookNode) -> bool:
        data = [output.get("data", {}) for output in cell.get("outputs", [])]
        live = any(VIEW in one or NOTE in one.get("text/plain", "") for one in data)
        return live and not asked(cell.source) and not any(PNG in one for one in data)

    return list(filter(is_bare, nb.cells))


def reachable(start: str, models: dict[str, Any]) -> list[str]:
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


# Execution of a notebook, and what is kept of it


def execute(notebook: Path, timeout: int = 600) -> float:
    """Runs the notebook from top to bottom in its own folder and returns the seconds it took.

    `timeout` is in seconds a cell. Raises nbclient's CellExecutionError, and then writes nothing;
    PermissionError before anything runs if the result could not be kept.
    """
    if not os.access(notebook.parent, os.W_OK):
        raise PermissionError(EACCES, os.strerror(EACCES), str(notebook.parent))
    nb = read(notebook)
    skip = _skipped(nb)
    for cell, fingerprint in zip(nb.cells, fingerprints(nb.cells), strict=True):
        if skip not in tags(cell) or stale(cell, fingerprint):
            _clear(cell)
    start = time.perf_counter()
    _run(nb, notebook.parent, timeout, skip)
    seconds = time.perf_counter() - start
    save(_finish(nb), notebook)
    return seconds


def _run(nb: NotebookNode, folder: Path, timeout: int, skip: str) -> None:
    """The kernel's connection is noted in a folder of its own: the home may be read-only."""
    from nbclient import NotebookClient
    from traitlets.config import Config

    with TemporaryDirectory(ignore_cleanup_errors=True) as own:
        note = Config({"ConnectionFileMixin": {"connection_file": str(Path(own) / "kernel.json")}})
        client = NotebookClient(
            nb,
            timeout=timeout,
            kernel_name="python3",
            record_timing=False,
            skip_cells_with_tag=skip,
            resources={"metadata": {"path": str(folder)}},
            coalesce_streams=True,  # a slow machine prints in more pieces
            config=note,
        )
        client.execute(env=_kernel_environment())


def _clear(cell: NotebookNode) -> None:
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
        cell.metadata.pop("cmlab", None)


def _finish(nb: NotebookNode) -> NotebookNode:
    """Keeps what a reader sees; drops what belongs to one run or to a live kernel."""
    freeze(nb)
    lighten(nb)
    nb.metadata = new_metadata() | {"cmlab": nb.metadata.get("cmlab", {})}
    for cell, fingerprint in zip(nb.cells, fingerprints(nb.cells), strict=True):
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code" and cell.execution_count is not None:
            cell.metadata["cmlab"] = {"sha": fingerprint}
    return nb


def _kernel_environment() -> dict[str, str]:
    """Two threads unless OMP_NUM_THREADS says otherwise: run times are stated for two cores."""
    environment = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "OMP_NUM_THREADS": "2", **os.environ}
    environment.pop("MPLBACKEND", None)  # unset, or the kernel does not choose the inline backend
    return environment


def _skipped(nb: NotebookNode) -> str:
    """The tag of the cells that are not run here; they keep what they showed elsewhere."""
    if not any("gpu" in tags(cell) for cell in nb.cells):
        return "skip-execution"
    import torch

    return "skip-execution" if torch.cuda.is_available() else "gpu"
