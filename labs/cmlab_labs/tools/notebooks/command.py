"""`cmlab labs`: sync, run, check and build the notebooks, and copy them into work/ to work in.

`sync` carries the text into the notebooks, `run` executes those that changed, and `check` finds
faults. `build` writes copies for a class into folders of their own: --student, --instructor.
`work` brings the copies in work/ up to date, where labs are run and edited, and keeps your own.
`papers` writes the pages that are made from docstrings and from the labs' first cells, as do
`sync` and `run`: labs/PAPERS.md and the tables of labs in README.md and labs/README.md.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from errno import EACCES, ENOSPC, EPERM, EROFS
from pathlib import Path

from .build import checkout, execute, find, read, source_of, sync
from .check import out_of_date, problems
from .classroom import fresh_place, instructor, student
from .front import tables
from .papers import PAGE, papers
from .work import FOLDER, bring_up_to_date

CLOSED = (EACCES, EPERM, EROFS, ENOSPC)  # a folder that does not take the file
ACTIONS = ("sync", "run", "check", "build", "work", "papers")
Build = Callable[[Path, Path], Path]  # (a lab, a folder) -> the copy written there


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if all is well, 1 if a lab failed or is faulty, 2 if a name is unknown."""
    parser = argparse.ArgumentParser(prog="cmlab labs", description=__doc__)
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("names", nargs="*", metavar="NN", help="such as 00; none means all")
    parser.add_argument("--student", type=Path, metavar="DIR", help="build: learners' copies")
    parser.add_argument("--instructor", type=Path, metavar="DIR", help="build: teachers' copies")
    wanted = parser.parse_intermixed_args(argv)  # names may follow a folder
    if (wanted.action == "build") != bool(wanted.student or wanted.instructor):
        parser.error("build goes with --student DIR or --instructor DIR, and they with build")
    try:
        root = checkout()
        notebooks = find(root / "labs", wanted.names)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return _act(wanted, root, notebooks)
    except ValueError as error:  # a damaged notebook, front matter or notes that are not whole
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in CLOSED:
            raise
        print(f"{error.filename}: {error.strerror}; work in a folder that you can write to.",
              file=sys.stderr)  # fmt: skip
        return 1


def _act(wanted: argparse.Namespace, root: Path, notebooks: list[Path]) -> int:
    if wanted.action == "build":
        return _build(notebooks, {student: wanted.student, instructor: wanted.instructor})
    if wanted.action == "work":
        return _work(notebooks, root / FOLDER)
    if wanted.action == "check":
        return max(map(_check, notebooks), default=0)
    actions = {"sync": _sync, "run": _run_named if wanted.names else _run}
    if action := actions.get(wanted.action):
        if failed := max(map(action, notebooks), default=0):
            return failed
    return _write_pages(root)


def pages(root: Path) -> dict[str, str]:
    """The text that each page made from docstrings or front matter should have, by its path."""
    return {PAGE: papers(root), **tables(root)}


def _write_pages(root: Path) -> int:
    for page, text in pages(root).items():
        path = root / page
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(page)
    return 0


def _build(notebooks: list[Path], folders: dict[Build, Path | None]) -> int:
    """Nothing is written unless all of it can be."""
    from cmlab.train.lock import hold_folder  # loads torch, which the other actions do without

    wanted = [(build, nb, folder) for build, folder in folders.items() if folder
              for nb in notebooks]  # fmt: skip
    try:
        with ExitStack() as held:
            for folder in filter(None, folders.values()):
                held.enter_context(hold_folder(folder))  # or two would write the same copies
            for _, notebook, folder in wanted:
                fresh_place(notebook, folder)
                read(notebook)
            for build, notebook, folder in wanted:
                print(build(notebook, folder))
    except (FileExistsError, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _work(notebooks: list[Path], folder: Path) -> int:
    try:
        for notebook in filter(Path.exists, notebooks):
            if said := bring_up_to_date(notebook, folder):
                print(said)
    except OSError as error:
        lost = "The labs run, but what you write in them cannot be saved"
        print(f"{folder}: {error.strerror}. {lost}: clone into a folder of your own.",
              file=sys.stderr)  # fmt: skip
        return 1
    return 0


def _sync(notebook: Path) -> int:
    if not source_of(notebook).exists():
        return _check(notebook)
    print(f"{notebook.stem}: {sync(notebook) or 'in step'}")
    return 0


def _run(notebook: Path) -> int:
    """Runs what would otherwise show old outputs."""
    if not source_of(notebook).exists():
        return _check(notebook)
    if done := sync(notebook):
        print(f"{notebook.stem}: {done}")
    return _run_named(notebook) if out_of_date(notebook) else 0


def _run_named(notebook: Path) -> int:
    """Runs it in any case: the package it shows may have changed."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    if not source_of(notebook).exists():
        return _check(notebook)
    print(f"{notebook.stem}: {sync(notebook) or 'in step'}; running", flush=True)
    try:
        seconds = execute(notebook)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(f"{notebook.stem}: stopped, and nothing was written.\n{error}", file=sys.stderr)
        return 1
    size = notebook.stat().st_size / 1000
    print(f"{notebook.stem}: {seconds:.1f} s, {size:.0f} kB", flush=True)
    return _check(notebook)


def _check(notebook: Path) -> int:
    found = problems(notebook)
    for fault in found:
        print(fault)
    return int(bool(found))
