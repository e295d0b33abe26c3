"""Training in a process of its own, which outlives the kernel; and how to find it again.

Beside the run's folder lie, since the folder itself has to be empty for a new run:
NAME.desk  which process was started, when, and what was asked for
NAME.said  what it printed
"""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from ..checkpoint import BadFile, read_json, write_json
from .order import Order

SLACK = 60.0  # seconds by which clocks may differ
TAIL = 8192  # bytes of what it printed that are looked at
SENTENCE = re.compile(r"^(?:cmlab: (.+)|((?:\w+\.)*\w*(?:Error|Exception)\b.*))$", re.MULTILINE)
STARTED: dict[int, subprocess.Popen] = {}  # by this kernel, which therefore has to reap them


def command(words: list[str], here: Path, out: IO[bytes], apart: bool) -> subprocess.Popen:
    """Start cmlab with these words. One `apart` is not ended with the kernel or by Ctrl-C."""
    own = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows alone has it
    process = subprocess.Popen(
        [sys.executable, "-m", "cmlab", *words],
        cwd=here,
        env=own,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=apart and os.name == "posix",
        creationflags=group if apart else 0,
    )
    STARTED[process.pid] = process
    return process


def alive(pid: Any, since: float) -> bool:
    """Whether the process that had this number at that time (unix seconds) still runs."""
    if not isinstance(pid, int) or pid < 1:
        return False
    if pid in STARTED and STARTED[pid].poll() is None:  # which reaps it, if it has ended
        return True
    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return not ended and process.create_time() < since + SLACK
    except psutil.Error:
        return False


def last_sentence(text: str) -> str:
    """The last error in what a process printed; empty if there is none."""
    found = SENTENCE.findall(text)
    return "".join(found[-1]).strip() if found else ""


@dataclass(frozen=True)
class Child:
    """The process that trains into `folder`; the command runs in `here`."""

    folder: Path
    here: Path

    @property
    def note(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.desk")

    @property
    def said(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.said")

    def noted(self) -> dict[str, Any]:
        """What was noted when it was started last; empty if it never was."""
        try:
            return read_json(self.note)
        except BadFile:
            return {}

    def pid(self) -> int:
        """The process, if one lives; else 0."""
        noted = self.noted()
        pid, since = noted.get("pid"), noted.get("time", 0.0)
        return pid if isinstance(pid, int) and alive(pid, since) else 0

    def code(self) -> int | None:
        """The exit status, if this kernel started it and it has ended."""
        process = STARTED.get(self.noted().get("pid", 0))
        return process.poll() if process else None

    def start(self, order: Order, resume: bool) -> None:
        """Start it. Raises BadFile when another desk has, OSError when the machine refuses."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if not self.pid():
            self.note.unlink(missing_ok=True)
        try:
            with self.note.open("x", encoding="utf-8") as file:  # one of two desks gets it
                json.dump({"pid": os.getpid(), "time": time.time()}, file)
        except FileExistsError as error:
            raise BadFile(f"a process trains into {order.folder} already; watch it") from error
        try:
            with self.said.open("wb") as out:
                process = command(order.words(resume), self.here, out, apart=True)
        except OSError:
            self.note.unlink(missing_ok=True)
            raise
        kept = {"pid": process.pid, "time": time.time(), "order": order.to_dict()}
        write_json(self.note, kept | {"resume": resume})

    def last_words(self) -> str:
        """The error that it ended with, in its own last sentence; empty if it said none."""
        with suppress(OSError), self.said.open("rb") as file:
            file.seek(max(0, self.said.stat().st_size - TAIL))
            return last_sentence(file.read().decode("utf-8", "replace"))
        return ""
