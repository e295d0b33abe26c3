"""The table of all runs: one JSON line a run, sorted, and the first seed's networks beside it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import checkpoint
from ..checkpoint import BadFile
from ..runs import ROOT
from .entries import ENTRIES

LEDGER = ROOT / "data" / "atlas.jsonl"
Row = dict[str, Any]


def read_rows(path: Path = LEDGER) -> list[Row]:
    """The runs of a table, none if there is no such file. Raises BadFile naming a bad line."""
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} cannot be read as text; choose another --out") from error
    return [row_of(line, f"line {i} of {path}") for i, line in enumerate(lines, 1)]


def row_of(line: str, place: str) -> Row:
    """One run. Raises BadFile."""
    try:
        row = json.loads(line)
        known = row["arm"] in ENTRIES and isinstance(row["seed"], int)
    except (ValueError, KeyError, TypeError):
        known, row = False, {}
    if not known:
        raise BadFile(
            f"{place} is no run of the atlas; take the line out, and bench makes it anew"
        )
    return row


def merged(rows: Iterable[Row], row: Row) -> list[Row]:
    """The rows with this one in place of an earlier run of the same arm and seed, in order."""
    order = {arm: i for i, arm in enumerate(ENTRIES)}
    others = [r for r in rows if (r["arm"], r["seed"]) != (row["arm"], row["seed"])]
    return sorted([*others, row], key=lambda r: (order[r["arm"]], r["seed"]))


def write_rows(rows: Iterable[Row], path: Path = LEDGER) -> None:
    """Write the whole table or nothing. Raises BadFile when the disk refuses."""
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    checkpoint.replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def weights_of(arm: str, role: str = "f", table: Path = LEDGER) -> Path:
    """Where a network of seed 0 lies: a file for `runs.load`."""
    return table.with_suffix("") / f"{arm}{'' if role == 'f' else '-' + role}.safetensors"


def score(rows: Sequence[Row], arm: str, name: str, way: str = "", calls: int = 0) -> np.ndarray:
    """One number for each seed: a fact of the run, or an answer's by way and calls; nan if failed.

    Raises KeyError where no run of the arm has it.
    """
    mine = [row for row in rows if row["arm"] == arm]
    found = [value_of(row, name, way, calls) for row in mine]
    if not mine or all(
        value is None and "failed" not in row for value, row in zip(found, mine, strict=True)
    ):
        raise KeyError(
            f"no run of {arm!r} has {name!r} {way} in {calls} calls; run `cmlab bench {arm}`"
        )
    return np.array([np.nan if value is None else value for value in found], dtype=float)


def value_of(row: Row, name: str, way: str, calls: int) -> float | None:
    """A fact of a run, or one number of one of its answers."""
    if not way:
        return row.get(name)
    answers = (a for a in row.get("answers", []) if (a["way"], a["calls"]) == (way, calls))
    return next((a[name] for a in answers if name in a), None)
