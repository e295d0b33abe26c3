"""Remote run: start, watch, pause and stop training in a process that outlives the kernel.

Two files lie beside the run's folder, since the folder itself has to be empty for a new run:
NAME.desk  which process was started, when, and with which request
NAME.said  what it printed
"""

import inspect
import os
import re
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from cmlab.presets import PRESETS
from cmlab.train.checkpoint import KEY, BadFile, parse_json, read_json, with_fields, write_json
from cmlab.train.control import PAUSE, STATE, STOP, RunControl
from cmlab.train.lock import hold, is_alive, is_begun
from cmlab.train.run_log import LOG, log_row
from cmlab.train.runs import CHECKPOINT, RECORD, recipe_in

from .figures import Phase

# A run's preset, folder and settings, and the equivalent command line

PICTURES = tuple(name for name in PRESETS if not name.startswith(("toy.", "images.")))


def own_steps(preset: str) -> int | None:
    """The optimizer steps of a preset, its start counted; None if they cannot be chosen."""
    steps = inspect.signature(PRESETS[preset]).parameters.get("steps")
    return steps.default if steps else None


def all_steps(preset: str) -> int:
    """The same, whether or not they can be chosen."""
    recipe = PRESETS[preset]()
    return recipe.train.steps + (recipe.start.train.steps if recipe.start else 0)


@dataclass(frozen=True)
class RunRequest:
    """A preset, where it goes, and how; `steps` None are the preset's own."""

    preset: str
    folder: str
    steps: int | None = None
    settings: tuple[str, ...] = ()  # as in key=value
    data: str = ""
    devices: int = 1
    compiled: bool = False
    accelerator: str = ""

    def arguments(self, resume: bool = False, plan: bool = False) -> list[str]:
        """Command-line arguments after `cmlab`."""
        steps = [f"steps={self.steps}"] if self.steps not in (None, own_steps(self.preset)) else []
        parts = {
            "--set": [*steps, *self.settings],
            "--data": [self.data] if self.data else [],
            "--devices": [str(self.devices)] if self.devices > 1 else [],
            "--accelerator": [self.accelerator] if self.accelerator else [],
            "--out": [self.folder],
        }
        words = [word for key, values in parts.items() if values for word in (key, *values)]
        flags = {"--compile": self.compiled, "--resume": resume and not plan, "--plan": plan}
        return ["train", self.preset, *words, *(flag for flag, on in flags.items() if on)]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


REQUEST = {"preset": str, "folder": str, "settings": list, "data": str, "devices": int}


def request_from(kept: Any) -> RunRequest | None:
    """The order that `to_dict` gave; None for anything else, or for a preset that is gone."""
    try:
        words = with_fields(kept, REQUEST | {"accelerator": str}, "the note")["settings"]
        order = RunRequest(**{**kept, "settings": tuple(words)})
    except (BadFile, TypeError):
        return None
    steps = order.steps is None or isinstance(order.steps, int)
    known = order.preset in PRESETS and isinstance(order.compiled, bool)
    return order if known and steps and all(isinstance(word, str) for word in words) else None


def split_steps(settings: Sequence[str]) -> tuple[int | None, tuple[str, ...]]:
    """The number in steps=…, if it is among the settings, and the rest of them."""
    chosen = [word.removeprefix("steps=") for word in settings if word.startswith("steps=")]
    if not (chosen and chosen[-1].isdigit()):
        return None, tuple(settings)
    return int(chosen[-1]), tuple(word for word in settings if not word.startswith("steps="))


def shell(words: Sequence[str]) -> str:
    """The command line, quoted for the shell of this machine."""
    whole = ["python", "-m", "cmlab", *words]
    return shlex.join(whole) if os.name == "posix" else subprocess.list2cmdline(whole)


# The training process, and how to find it again

TAIL = 8192  # bytes of what it printed that are looked at
SENTENCE = re.compile(r"^(?:cmlab: (.+)|((?:\w+\.)*\w*(?:Error|Exception)\b.*))$", re.MULTILINE)
STARTED: dict[int, subprocess.Popen] = {}  # by this kernel, which therefore has to reap them


def start_command(words: list[str], here: Path, out: IO[bytes], apart: bool) -> subprocess.Popen:
    """Start cmlab with these arguments; with `apart`, it outlives the kernel and Ctrl-C."""
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
    if not isinstance(pid, int) or not 0 < pid < 2**31:  # psutil takes no more
        return False
    if pid in STARTED and STARTED[pid].poll() is None:  # which reaps it, if it has ended
        return True
    return is_alive(pid, since)


def last_error_in(text: str) -> str:
    """The last error in what a process printed; empty if there is none."""
    found = SENTENCE.findall(text)
    return "".join(found[-1]).strip() if found else ""


NOTE = {"pid": int, "time": float}


@dataclass(frozen=True)
class TrainingProcess:
    """The process that trains into `folder`; the command runs in `here`."""

    folder: Path
    here: Path

    @property
    def note_file(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.desk")

    @property
    def output_file(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.said")

    def note(self) -> dict[str, Any]:
        """Contents of the note file of the last start; empty if there was none."""
        try:
            return with_fields(read_json(self.note_file), NOTE, self.note_file.name)
        except BadFile:
            return {}

    def pid(self) -> int:
        """The process, if one lives; else 0."""
        noted = self.note()
        pid, since = noted.get("pid"), noted.get("time", 0.0)
        return pid if isinstance(pid, int) and alive(pid, since) else 0

    def code(self) -> int | None:
        """The exit status, if this kernel started it and it has ended."""
        process = STARTED.get(self.note().get("pid", 0))
        return process.poll() if process else None

    def start(self, order: RunRequest, resume: bool) -> None:
        """Start it. Raises BadFile when another desk has, OSError when the machine refuses."""
        with hold(self.note_file.with_name(f"{self.note_file.name}.lock"), wait=10):
            if self.pid():  # one of two desks is first
                raise BadFile(f"a process trains into {order.folder} already; watch it")
            write_json(self.note_file, {"pid": os.getpid(), "time": time.time()})
            self.start_noted(order, resume)

    def start_noted(self, order: RunRequest, resume: bool) -> None:
        """Start it, when the note file is this desk's."""
        try:
            with self.output_file.open("wb") as out:
                process = start_command(order.arguments(resume), self.here, out, apart=True)
        except OSError:
            self.note_file.unlink(missing_ok=True)
            raise
        kept = {"pid": process.pid, "time": time.time(), "order": order.to_dict()}
        write_json(self.note_file, kept | {"resume": resume})

    def last_error(self) -> str:
        """The error that it ended with, in its own last sentence; empty if it said none."""
        with suppress(OSError), self.output_file.open("rb") as file:
            file.seek(max(0, self.output_file.stat().st_size - TAIL))
            return last_error_in(file.read().decode("utf-8", "replace"))
        return ""


# Status of a run: what its folder says, compared with the processes that live

ACTIVE = ("training", "paused", "scoring")


@dataclass(frozen=True)
class RunStatus:
    """Status of a run: a word, and what there is to say about it.

    nothing, starting, training, paused, scoring, stopped, finished, failed; `gone` when the
    process ended without a word, `refused` when it would not start.
    """

    word: str = "nothing"
    pid: int = 0  # of the process that is alive; 0 if none is
    sentence: str = ""
    stage: tuple[int, int] = (1, 1)
    step: int = 0
    steps: int = 0
    time: float = 0.0  # of this status, in unix seconds


STAGES = ((1, 1), (1, 2), (2, 2))
WORDS = (*ACTIVE, "stopped", "finished", "failed")  # that a run writes
STATUS = {"state": str, "pid": int, "sentence": str, "stage": list, "step": int, "steps": int}


def recorded_status(folder: Path) -> RunStatus:
    """Status from the run's own state file, without a look at processes."""
    try:
        state = with_fields(read_json(folder / STATE), STATUS | {"time": float}, STATE)
        stage = tuple(state["stage"])
        if stage not in STAGES or state["state"] not in WORDS:
            return RunStatus()
        numbers = state["step"], state["steps"], float(state["time"])
        return RunStatus(state["state"], state["pid"], state["sentence"], stage, *numbers)
    except BadFile:
        return RunStatus()


def run_status(folder: Path, process: TrainingProcess) -> RunStatus:
    """Status of the run now."""
    status, own = recorded_status(folder), process.pid()
    elsewhere = status.word in ACTIVE and alive(status.pid, status.time)
    if own and own != status.pid:
        return replace(status, word="starting", pid=own, sentence="")
    if own or elsewhere:
        return status
    return ended_status(replace(status, pid=0), status.pid, process)


def ended_status(status: RunStatus, pid: int, process: TrainingProcess) -> RunStatus:
    """Status of a run whose process is not alive, with the reason where one is known."""
    noted, why, code = process.note(), process.last_error(), process.code()
    silent = bool(noted) and noted.get("pid") != pid and noted.get("time", 0.0) > status.time
    if silent and why:
        return replace(status, word="refused", sentence=why)
    if status.word in ACTIVE or (silent and code is not None):
        return replace(status, word="gone", sentence=why or signal_sentence(code))
    return status


def signal_sentence(code: int | None) -> str:
    """Sentence on the exit status of a process that printed no error."""
    if code is None or code >= 0:
        return ""
    return f"ended from outside, signal {-code}" + ("; often for want of memory" * (code == -9))


def last_checkpoint(folder: Path) -> str:
    """Step of a run's last checkpoint, in words."""
    for place, phase in ((folder, ""), (folder / "start", " of phase 1")):
        if (record := checkpoint_record(place / CHECKPOINT)) is not None:
            return f"step {record['step']:,}{phase}"
    return "the beginning"


def checkpoint_record(path: Path) -> dict[str, Any] | None:
    """The record in a checkpoint's header, without reading its tensors."""
    try:
        with safe_open(path, framework="numpy") as file:
            return with_fields(parse_json((file.metadata() or {})[KEY]), {"step": int}, path.name)
    except (SafetensorError, OSError, ValueError, KeyError):
        return None


# Control of a run from outside: start, pause, stop, and status


class RemoteRun:
    """The run in a folder, whoever started it.

    A request is written until a running process has read it: one that is starting would miss it.
    """

    def __init__(self, folder: str, here: Path) -> None:
        self.folder, self.here = here / folder, here
        self.process, self.run_control = (
            TrainingProcess(self.folder, here),
            RunControl(self.folder),
        )
        self.request: str | None = None

    def known(self, order: RunRequest) -> RunRequest:
        """The request with which the folder's run was started, if it is under way."""
        noted = request_from(self.process.note().get("order"))
        live = bool(self.process.pid())
        if noted is None or not (live or self.fixed):
            return order
        if live:
            return replace(noted, folder=order.folder)
        return replace(order, preset=noted.preset, steps=noted.steps, settings=noted.settings,
                       accelerator=noted.accelerator)  # fmt: skip

    @property
    def begun(self) -> bool:
        """Whether there are files in the folder: then the command needs --resume."""
        with suppress(OSError):
            return is_begun(self.folder)
        return False

    @property
    def fixed(self) -> bool:
        """Whether there is a checkpoint, which goes on with its own recipe alone."""
        places = (self.folder, self.folder / "start")
        return any((place / CHECKPOINT).exists() for place in places)

    @property
    def want(self) -> str:
        """The request to the run, whoever made it."""
        return self.run_control.want() if self.request is None else self.request

    def now(self) -> RunStatus:
        """Status of the run."""
        return run_status(self.folder, self.process)

    def line(self, order: RunRequest, now: RunStatus) -> str:
        """The command line: the one that runs, else the one that Start or Resume would run."""
        noted = request_from(self.process.note().get("order"))
        if now.pid:
            resumed = bool(self.process.note().get("resume"))
            own = self.process.pid() == now.pid and noted
            return shell(noted.arguments(resumed)) if own and noted else ""
        return shell(order.arguments(self.begun and now.word != "finished"))

    def start(self, order: RunRequest) -> None:
        """Start or resume; a run that is alive, or finished, is left alone.

        Raises OSError or BadFile when the machine refuses, or another desk was faster.
        """
        now = self.now()
        if not now.pid and now.word != "finished":
            self.request = None
            self.run_control.ask("")
            self.process.start(order, self.begun)

    def pause(self) -> None:
        """Pause; or go on, if a pause is what was asked for."""
        self.request = "" if self.want == PAUSE else PAUSE

    def stop(self) -> None:
        """Let the run write a checkpoint and end."""
        self.request = STOP

    def send_request(self, now: RunStatus) -> None:
        """Write the request where the run looks for it. Raises OSError when the disk refuses."""
        request, up = self.request, now.word != "starting"
        if request is None:
            return
        if up or not now.pid:
            self.request = None  # even if it cannot be written: the desk reports it once
        if now.pid:
            with nullcontext() if up else suppress(FileNotFoundError):  # no folder yet
                self.run_control.ask(request)


# Logs of a run, read as they grow, and its speed


class LogReader:
    """The rows of a log, of which `read` takes in only what is new."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.forget()

    def forget(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.offset, self.file = 0, 0

    def read(self) -> bool:
        """Read new rows; whether there were any. A line that is half written waits for its end."""
        try:
            with self.path.open("rb") as file:
                return self.take(file.fileno(), file)
        except OSError:
            known = bool(self.rows)
            self.forget()
            return known

    def take(self, number: int, file: Any) -> bool:
        size, same = self.path.stat().st_size, self.path.stat().st_ino
        if same != self.file or size < self.offset:  # a resumed run puts a shorter one in place
            self.forget()
        self.file = same
        file.seek(self.offset)
        whole = file.read().rpartition(b"\n")[0]
        self.offset += len(whole) + bool(whole)
        rows = [row for line in whole.splitlines() if (row := log_row(line))]
        self.rows += rows
        return bool(rows)


class RunHistory:
    """A run's phases, one or two: names and batches from its records, rows from its logs."""

    def __init__(self, folder: Path) -> None:
        self.folders = (folder / "start", folder)
        self.logs = tuple(LogReader(place / LOG) for place in self.folders)
        self.known: dict[Path, tuple[str, int]] = {}

    def read(self) -> bool:
        return any([log.read() for log in self.logs])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Those of the latest phase that has any."""
        return self.logs[1].rows or self.logs[0].rows

    def facts(self, place: Path) -> tuple[str, int]:
        """The method's name and the samples of a step; ("", 0) before the record is written."""
        if place not in self.known:
            try:
                recipe = recipe_in(read_json(place / RECORD), place / RECORD)
                self.known[place] = type(recipe.method).__name__, recipe.train.batch
            except BadFile:
                return "", 0
        return self.known[place]

    def phases(self) -> list[Phase]:
        """Training phases to draw, samples counted through both."""
        before, found = 0, []
        for place, log in zip(self.folders, self.logs, strict=True):
            if log.rows:
                found.append(phase_of(self.facts(place)[0], log.rows, before, len(found) + 1))
                before += int(log.rows[-1]["samples"])
        return found

    def here(self, now: RunStatus) -> tuple[str, int]:
        """The method's name and the samples of a step, in the phase that the run is in."""
        return self.facts(self.folders[now.stage[0] == now.stage[1]])

    def samples(self, now: RunStatus) -> int:
        """Samples seen so far, those of the first phase counted."""
        first = self.logs[0].rows if now.stage == (2, 2) else []
        return now.step * self.here(now)[1] + (int(first[-1]["samples"]) if first else 0)


def phase_of(name: str, rows: Sequence[dict[str, Any]], before: int, number: int) -> Phase:
    levels = np.array([[np.nan if v is None else v for v in r["by_level"]] for r in rows], float)
    samples = np.array([before + r["samples"] for r in rows], float)
    title = f"phase {number}" + (f": {name}" if name else "")
    return Phase(title, samples, np.array([r["loss"] for r in rows], float), levels)


class TrainingSpeed:
    """Steps a second over the last half minute of training, from what the run tells of itself."""

    def __init__(self) -> None:
        self.seen: deque[tuple[float, int]] = deque(maxlen=30)
        self.kind: tuple[object, ...] = ()

    def see(self, now: RunStatus) -> None:
        kind = (now.word, now.pid, now.stage)
        if kind != self.kind:
            self.seen.clear()
        self.kind = kind
        if now.word == "training" and (not self.seen or now.time > self.seen[-1][0]):
            self.seen.append((now.time, now.step))

    @property
    def steps(self) -> float:
        """0 as long as it is not known."""
        if len(self.seen) < 2:
            return 0.0
        (start, first), (end, last) = self.seen[0], self.seen[-1]
        return (last - first) / (end - start)
