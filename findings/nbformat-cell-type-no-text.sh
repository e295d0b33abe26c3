#!/usr/bin/env bash
# nbformat 5.11.1: validating a notebook in which a cell's type is not a string.
# Guess: validate raises its ValidationError, and iter_validate yields one, as for any other fault of a notebook.
# Seen: both raise TypeError while the message for the fault is put together, so that a program which reports each fault by ValidationError ends in a traceback.
# Versions: nbformat 5.11.1, Python 3.11. Seen on 2026-11-29, output:
#   cell type 'song': validate NotebookValidationError, iter_validate yields NotebookValidationError
#   cell type None: validate TypeError, iter_validate raises TypeError
#   cell type 3: validate TypeError, iter_validate raises TypeError
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q nbformat==5.11.1
"$folder/venv/bin/python" - <<'PYTHON'
from nbformat import validate
from nbformat.validator import iter_validate


def notebook(cell_type):
    cell = {"id": "a", "cell_type": cell_type, "metadata": {}, "source": "text"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}


def by_validate(cell_type):
    try:
        validate(notebook(cell_type))
    except Exception as error:
        return type(error).__name__


def by_iteration(cell_type):
    try:
        return "yields " + type(next(iter_validate(notebook(cell_type)))).__name__
    except Exception as error:
        return "raises " + type(error).__name__


found = {repr(one): (by_validate(one), by_iteration(one)) for one in ("song", None, 3)}
for name, (first, second) in found.items():
    print(f"cell type {name}: validate {first}, iter_validate {second}")
assert found["'song'"] == ("NotebookValidationError", "yields NotebookValidationError")
assert found["None"] == found["3"] == ("TypeError", "raises TypeError")
PYTHON
