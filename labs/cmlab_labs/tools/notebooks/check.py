"""Check built notebooks: every fault in one sentence."""

from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode
from nbformat.validator import iter_validate

from . import hosted
from .build import BadNotebook, bare, cells_for, fingerprints, read, source_of, stale, tags

LARGEST = 500_000  # bytes: what a code host still shows and a diff still bears


def problems(notebook: Path) -> list[str]:
    """Every fault of a notebook as it is on disk; nothing is run and nothing changed."""
    if not source_of(notebook).exists():
        return [f"{notebook.name} has no source src/{notebook.stem}.py."]
    if not notebook.exists():
        return [f"{notebook.name} is not built; `cmlab labs run {_number(notebook)}` builds it."]
    try:
        nb = read(notebook)
        found = [*_out_of_step(nb, notebook)]
    except BadNotebook as error:
        return [str(error)]
    found = [*found, *_malformed(nb), *_too_large(notebook)]
    for n, (cell, fingerprint) in enumerate(zip(nb.cells, fingerprints(nb.cells), strict=True)):
        if cell.cell_type == "code":
            found += [f"cell {n} {fault}" for fault in _badly_run(cell, fingerprint)]
    return [f"{notebook.name}: {fault}" for fault in found]


def out_of_date(notebook: Path) -> bool:
    """Whether an output is missing, or was made by code that has changed since."""
    cells = read(notebook).cells
    return any(
        cell.cell_type == "code" and _must_run(cell) and stale(cell, fingerprint)
        for cell, fingerprint in zip(cells, fingerprints(cells), strict=True)
    )


def _number(notebook: Path) -> str:
    return notebook.stem.split("_")[0]


def _must_run(cell: NotebookNode) -> bool:
    left_out = {"gpu", "skip-execution", hosted.TAG} & set(tags(cell))
    return bool(cell.source.strip()) and not left_out


def _out_of_step(nb: NotebookNode, notebook: Path) -> Iterator[str]:
    remedy = f"`cmlab labs run {_number(notebook)}` rebuilds it"
    source = [bare(cell) for cell in cells_for(notebook)]
    if len(source) != len(nb.cells):
        yield f"has {len(nb.cells)} cells where its source has {len(source)}; {remedy}"
    for n, (a, b) in enumerate(zip(source, nb.cells, strict=False)):
        if _written(a) != _written(b):
            yield f"cell {n} differs from the source; {remedy}"
            return  # one cell too many shifts all that follow


def _written(cell: NotebookNode) -> tuple:
    """What a cell has from its source: kind, text, tags, and whether its code is folded."""
    return cell.cell_type, cell.source, tags(cell), cell.metadata.get("jupyter")


def _malformed(nb: NotebookNode) -> Iterator[str]:
    ids = [str(cell.get("id", "")) for cell in nb.cells]
    if "" in ids or len(set(ids)) != len(ids):
        yield "cell ids are missing or used twice"
    for fault in iter_validate(nb):
        yield f"is not a valid notebook: {fault.message.splitlines()[0][:80]}"
    kernel = nb.metadata.get("kernelspec", {}).get("name")
    if kernel != "python3":
        yield f"asks for the kernel {kernel!r}, which others may not have, instead of 'python3'"
    if "widgets" in nb.metadata:
        yield "holds the state of its widgets"


def _too_large(notebook: Path) -> Iterator[str]:
    size = notebook.stat().st_size
    if size > LARGEST:
        yield f"takes {size // 1000} kB of the {LARGEST // 1000} kB allowed"


def _badly_run(cell: NotebookNode, fingerprint: str) -> Iterator[str]:
    outputs = cell.get("outputs", [])
    if cell.execution_count is None and not outputs:
        if _must_run(cell):
            yield "was never run"
    elif stale(cell, fingerprint):
        yield "shows what other code than this, or than stands above it, put out"
    if "nbval-check-output" in tags(cell) and not outputs:
        yield "is to be compared with its output and has none"
    for output in outputs:
        if output.output_type == "error" and "raises-exception" not in tags(cell):
            yield f"ended in {output.ename}"
        if output.get("name") == "stderr":
            yield f"holds a warning: {output.text.strip().splitlines()[0][:60]}"
