"""The first step: the source's text goes into the notebook, which keeps what still holds."""

import hashlib
import os
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from .notebook import (
    fingerprints,
    new_metadata,
    read,
    read_source,
    save,
    source_of,
    stale,
    tags,
    text_fingerprint,
)


def sync(notebook: Path) -> str:
    """Brings the notebook to its source's text; says what it did, or "" if nothing was to do.

    Cells keep their ids. An output stays only while its cell and all code above it are the same.
    A notebook that was edited by hand is set aside, never lost.
    """
    old = read(notebook) if notebook.exists() else nbformat.v4.new_notebook()
    new = nbformat.v4.new_notebook(metadata=new_metadata())
    new.cells = _merge(read_source(source_of(notebook)).cells, old.cells)
    new.metadata["cmlab"] = {"text": text_fingerprint(new.cells)}
    if new == old:
        return ""
    aside = _set_aside(notebook, old)
    save(new, notebook)
    return "brought to its source" + (f"; what was edited by hand is now {aside}" if aside else "")


def _set_aside(notebook: Path, nb: NotebookNode) -> str:
    if not nb.cells or nb.metadata.get("cmlab", {}).get("text") == text_fingerprint(nb.cells):
        return ""
    aside = notebook.with_suffix(time.strftime(".edited-%Y%m%d-%H%M%S.ipynb"))
    os.replace(notebook, aside)
    return aside.name


def _merge(source: list[NotebookNode], old: list[NotebookNode]) -> list[NotebookNode]:
    from jupytext.combine import map_outputs_to_inputs

    partners = map_outputs_to_inputs(source, old)
    taken = {str(old[j].get("id")) for j in partners if j is not None}
    cells = []
    for cell, j, fingerprint in zip(source, partners, fingerprints(source), strict=True):
        fresh = _bare(cell)
        if j is None or not old[j].get("id"):
            fresh.id = _new_id(cell, taken)
        else:
            fresh.id = old[j].id
        if j is not None and cell.cell_type == "code" and not stale(old[j], fingerprint):
            fresh.update(outputs=old[j].outputs, execution_count=old[j].execution_count)
            fresh.metadata["cmlab"] = old[j].metadata.cmlab
        cells.append(fresh)
    return cells


def _bare(cell: NotebookNode) -> NotebookNode:
    new = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")
    return new(cell.source, metadata={"tags": cell.metadata.tags} if tags(cell) else {})


def _new_id(cell: NotebookNode, taken: set[str]) -> str:
    """From the text, so that a notebook built again from nothing is the same file."""
    name, n = cell.cell_type + cell.source, 0
    while (fresh := hashlib.sha256(f"{name}{n}".encode()).hexdigest()[:8]) in taken:
        n += 1
    taken.add(fresh)
    return fresh
