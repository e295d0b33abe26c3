"""What the doctor asks of folders: a home that Jupyter can write to, labs that can be saved."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..discovery import late_import
from .finding import Finding

ELSEWHERE = "give it another home for this sitting: `HOME=/a/folder/you/can/write make lab`"
READ_ONLY = "labs open and run but are not saved: clone into a folder of your own"


def writable(folder: Path) -> bool:
    """Whether a file can be made there; for a folder that is not there yet, where it would be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def home() -> Iterator[Finding]:
    """JupyterLab does not start without its runtime folder, nor save without its data folder."""
    from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir, jupyter_runtime_dir

    folders = (jupyter_runtime_dir(), jupyter_data_dir(), jupyter_config_dir())
    shut = [folder for folder in folders if not writable(Path(folder))]
    found = f"{shut[0]} cannot be written: JupyterLab needs it" if shut else str(Path.home())
    yield Finding("home", found, ELSEWHERE if shut else "", bool(shut))


def checkout() -> Iterator[Finding]:
    try:
        folder = late_import("labs").checkout()
    except FileNotFoundError:
        return
    good = all(writable(place) for place in (folder, folder / "labs"))
    found = str(folder) if good else f"{folder} cannot be written"
    yield Finding("checkout", found, "" if good else READ_ONLY)


def network() -> Iterator[Finding]:
    yield Finding("network", "not needed: the labs' data and weights are in the repository")
