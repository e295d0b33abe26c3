"""A folder that is whole or not there: made beside its place, and put there when it is done."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

MARK = ".cmlab-gallery"  # tells a former gallery from a folder that is somebody's own


def swap(out: Path, fill: Callable[[Path], object]) -> None:
    """Replaces the gallery at `out` by what `fill` writes into an empty folder.

    Raises FileExistsError for a place that is no former gallery, and whatever `fill` raises;
    then what was there is there still.
    """
    refuse(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        fresh.chmod(0o755)
        fill(fresh)
        (fresh / MARK).write_text("made by cmlab gallery, which may replace this folder\n")
        put(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def refuse(out: Path) -> None:
    """Raises unless `out` is free, empty, or a former gallery."""
    taken = out.is_symlink() or (out.exists() and not out.is_dir())
    if taken or (out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file()):
        raise FileExistsError(
            f"{out} was not made by cmlab gallery; choose another --out or move it away"
        )


def put(fresh: Path, out: Path) -> None:
    """The new folder in place of the old; if the last step fails the old one comes back."""
    old = fresh.with_name(fresh.name + "-old")
    if out.exists():
        os.replace(out, old)
    try:
        os.replace(fresh, out)
    except OSError:
        if old.exists():
            os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)
