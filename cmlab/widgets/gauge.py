"""What a run takes and what it has come to: memory, loss, and its scores at the end."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import psutil

from ..checkpoint import BadFile, read_json
from ..folder import RECORD
from .standing import Standing
from .telling import size

FEW = 6  # scores that are shown


def facts(now: Standing, rows: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """Named values of the latest log row and of the process, or the scores of a finished run."""
    if now.word == "finished":
        return scores(folder)
    found = {"Loss": f"{rows[-1]['loss']:.4g}"} if rows else {}
    if now.pid and (taken := resident(now.pid)):
        found["memory of the process"] = size(taken)
    memory = rows[-1].get("memory") if rows else None
    if isinstance(memory, int | float):
        found["most on the GPU"] = size(memory)
    if now.sentence and now.pid:
        found["note:"] = escape(now.sentence)
    return found


def resident(pid: int) -> int:
    """Bytes of a process in memory; 0 if it has just ended."""
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


def scores(folder: Path) -> dict[str, str]:
    """The first few of a finished run's scores."""
    try:
        found = read_json(folder / RECORD)["scores"].items()
    except (BadFile, KeyError, AttributeError):
        return {}
    return {escape(k): f"{v:.4g}" for k, v in list(found)[:FEW] if isinstance(v, int | float)}
