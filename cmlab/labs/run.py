"""The second step: the notebook is run, and what it shows is kept."""

import os
import time
from errno import EACCES
from pathlib import Path
from tempfile import TemporaryDirectory

from nbformat import NotebookNode

from .notebook import fingerprints, new_metadata, read, save, stale, tags
from .pictures import lighten
from .snapshot import freeze


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
    environment.pop(
        "MPLBACKEND", None
    )  # a kernel chooses the inline backend only when it is unset
    return environment


def _skipped(nb: NotebookNode) -> str:
    """The tag of the cells that are not run here; they keep what they showed elsewhere."""
    if not any("gpu" in tags(cell) for cell in nb.cells):
        return "skip-execution"
    import torch

    return "skip-execution" if torch.cuda.is_available() else "gpu"
