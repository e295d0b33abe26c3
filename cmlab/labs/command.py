"""`sync` carries the text into the notebooks, `run` what changed, `check` finds faults."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .faults import out_of_date, problems
from .merge import sync
from .notebook import checkout, find, source_of
from .run import execute


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if all is well, 1 if a lab failed or is faulty, 2 if a name is unknown."""
    parser = argparse.ArgumentParser(prog="cmlab labs", description=__doc__)
    parser.add_argument("action", choices=("sync", "run", "check"))
    parser.add_argument("names", nargs="*", metavar="NN", help="such as 00; none means all")
    wanted = parser.parse_args(argv)
    try:
        notebooks = find(checkout() / "labs", wanted.names)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    actions = {"sync": _sync, "run": _run_named if wanted.names else _run, "check": _check}
    return max((actions[wanted.action](notebook) for notebook in notebooks), default=0)


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
