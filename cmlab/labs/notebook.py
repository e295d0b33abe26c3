"""A lab is two files: labs/src/NN_name.py, which people edit, and labs/NN_name.ipynb."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}


def new_metadata() -> NotebookNode:
    """What every lab says of itself: nothing that depends on who built it."""
    return NotebookNode(kernelspec=dict(KERNEL), language_info=dict(LANGUAGE))


def checkout() -> Path:
    """The folder of the repository, looked for upwards from here and from the package.

    Raises FileNotFoundError where there is none, as in an installed package.
    """
    here, package = Path.cwd(), Path(__file__).resolve().parents[1]
    for folder in (here, *here.parents, package.parent):
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


def read_source(path: Path) -> NotebookNode:
    """The cells of a py:percent file, without ids or outputs worth keeping."""
    import jupytext

    return jupytext.read(path, fmt="py:percent")


def read(path: Path) -> NotebookNode:
    """The notebook as it is on disk: nothing missing is filled in."""
    return nbformat.v4.reads_json(path.read_text(encoding="utf-8"))


def save(nb: NotebookNode, path: Path) -> None:
    """Writes the whole file or nothing."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(nbformat.writes(nb) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def tags(cell: NotebookNode) -> list[str]:
    return sorted(cell.get("metadata", {}).get("tags", []))


def fingerprints(cells: Sequence[NotebookNode]) -> list[str]:
    """For each cell a hash of its code and all code above it: what its output rests on."""
    digest, prints = hashlib.sha256(), []
    for cell in cells:
        if cell.cell_type == "code":
            digest.update(cell.source.encode() + b"\0")
        prints.append(digest.hexdigest()[:12])
    return prints


def stale(cell: NotebookNode, fingerprint: str) -> bool:
    """Whether a code cell shows what it printed when it, or a cell above, read otherwise."""
    return cell.metadata.get("cmlab", {}).get("sha") != fingerprint


def text_fingerprint(cells: Sequence[NotebookNode]) -> str:
    """A hash of all words and code: it tells a notebook as built from one edited by hand."""
    text = "\0".join(f"{cell.cell_type} {cell.source}" for cell in cells)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
