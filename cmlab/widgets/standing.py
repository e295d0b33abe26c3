"""Where a run stands: what its folder says, held against which processes live."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..checkpoint import KEY, BadFile, read_json
from ..folder import CHECKPOINT
from ..sitting import STATE
from .child import Child, alive

ACTIVE = ("training", "paused", "scoring")


@dataclass(frozen=True)
class Standing:
    """A word, and what there is to say about it.

    nothing, starting, training, paused, scoring, stopped, finished, failed; `gone` when the
    process ended without a word, `refused` when it would not start.
    """

    word: str = "nothing"
    pid: int = 0  # of the process that is alive; 0 if none is
    sentence: str = ""
    stage: tuple[int, int] = (1, 1)
    step: int = 0
    steps: int = 0
    time: float = 0.0  # when this was told, in unix seconds


def told(folder: Path) -> Standing:
    """What the run's own state file says, whoever is alive; `nothing` if there is no such file."""
    try:
        said = read_json(folder / STATE)
        now, total = (int(n) for n in said["stage"])
        numbers = (int(said["step"]), int(said["steps"]), float(said["time"]))
        word, pid, sentence = str(said["state"]), int(said["pid"]), str(said["sentence"])
        return Standing(word, pid, sentence, (now, total), *numbers)
    except (BadFile, KeyError, TypeError, ValueError):
        return Standing()


def standing(folder: Path, child: Child) -> Standing:
    """Where the run stands now."""
    said, own = told(folder), child.pid()
    elsewhere = said.word in ACTIVE and alive(said.pid, said.time)
    if own and own != said.pid:
        return replace(said, word="starting", pid=own, sentence="")
    if own or elsewhere:
        return said
    return ended(replace(said, pid=0), said.pid, child)


def ended(said: Standing, pid: int, child: Child) -> Standing:
    """The same of a run whose process is not alive, with the reason where one is known."""
    noted, why, code = child.noted(), child.last_words(), child.code()
    mute = bool(noted) and noted.get("pid") != pid and noted.get("time", 0.0) > said.time
    if mute and why:
        return replace(said, word="refused", sentence=why)
    if said.word in ACTIVE or (mute and code is not None):
        return replace(said, word="gone", sentence=why or from_outside(code))
    return said


def from_outside(code: int | None) -> str:
    """What an exit status says of a process that said nothing itself."""
    if code is None or code >= 0:
        return ""
    return f"ended from outside, signal {-code}" + ("; often for want of memory" * (code == -9))


def kept(folder: Path) -> str:
    """Where the checkpoints of a run end, in words."""
    for place, phase in ((folder, ""), (folder / "start", " of phase 1")):
        if (record := header(place / CHECKPOINT)) is not None:
            return f"step {record.get('step', 0):,}{phase}"
    return "the beginning"


def header(path: Path) -> dict[str, Any] | None:
    """The record in a checkpoint's header, without reading its tensors."""
    try:
        with safe_open(path, framework="numpy") as file:
            return json.loads((file.metadata() or {})[KEY])
    except (SafetensorError, OSError, ValueError, KeyError):
        return None
