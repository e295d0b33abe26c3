"""Cases of `scripts/torture.py`: one attack on the command line, run in processes of its own.

A case is a folder to prepare, one or more commands that start at the same moment, what happens to
them from outside (a signal, a moved folder), a command that comes after, and a judgement of what
is left. Commands run in a forked copy of this process, which calls the command's `main()`, or in
a fresh interpreter (`whole`). Each has a limit of time and of memory.
"""

import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# Limits of one command: seconds in which it waits without a pause, seconds of processor time,
# seconds in all (a machine may be busy), and bytes of memory beyond those of this process
WAITING, PROCESSOR_SECONDS, SECONDS, MEMORY = 60.0, 60, 1800.0, 3 * 2**30
SHOW = False  # whether all that commands print is shown
ROOT = Path(__file__).resolve().parents[1]
NO_MEMORY = re.compile(r"MemoryError|can't allocate memory|bad_alloc|Cannot allocate memory")
TRACEBACK = "Traceback (most recent call last)"
CRASHED = 99  # exit status of a fork that `main` left by an exception

Words = tuple[str, ...]


def nothing(*_: object) -> None:
    """Nothing to prepare, and nothing to find fault with."""


def no_fault(folder: Path, ends: "list[Ended]") -> str:
    return ""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (minus the signal), and what it printed."""

    status: int
    out: str
    err: str
    hung: bool = False

    @property
    def sentences(self) -> list[str]:
        """What it gave as the reason: lines of standard error that begin with the command."""
        return re.findall(r"^(?:cmlab(?: \w+)?: .+)$", self.err, re.MULTILINE)

    @property
    def outcome(self) -> str:
        """hang, memory, traceback, refused (in one sentence), accepted, killed, or unclear."""
        if self.hung or self.status == -signal.SIGXCPU:
            return "hang"
        if NO_MEMORY.search(self.err) and (self.status == CRASHED or TRACEBACK in self.err):
            return "memory"
        if TRACEBACK in self.err or self.status == CRASHED:
            return "traceback"
        if self.status == 0:
            return "accepted"
        if self.status < 0:
            return "killed"
        return "refused" if len(self.sentences) == 1 else "unclear"


@dataclass(frozen=True)
class Event:
    """What happens to a command from outside, some seconds after its start (or its first file)."""

    after: float
    act: Callable[[int, Path], object]  # on its process id and the case's folder
    when: str = ""  # a pattern of files; the seconds count from when one is there


@dataclass(frozen=True)
class Case:
    """One attack.

    Args:
        name: what is attacked and how, in words.
        words: the command's words; it runs in the case's folder.
        prepare: fills that folder.
        judge: (folder, ends) -> what is unsound about the ending; empty if nothing is.
        rivals: commands started at the same moment.
        then: a command after all have ended.
        environment: added to that of the commands.
        event: what happens to the first command from outside.
        before: called in each forked process before its command.
        whole: whether commands run in fresh interpreters.
        python: the interpreter and options of whole processes, if not this one.
    """

    name: str
    words: Words
    prepare: Callable[[Path], object] = nothing
    judge: Callable[[Path, list[Ended]], str] = no_fault
    rivals: tuple[Words, ...] = ()
    then: Words = ()
    environment: dict[str, str] = field(default_factory=dict)
    event: Event | None = None
    before: Callable[[], object] = nothing
    whole: bool = False
    python: Words = (sys.executable, "-m", "cmlab")


@dataclass(frozen=True)
class Result:
    """A case's result: its outcome, what was said, what is unsound, processes and kills."""

    outcome: str
    said: str
    fault: str
    processes: int
    kills: int


def run(case: Case, folder: Path) -> Result:
    """Run a case in a new folder, which is removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder = folder.resolve()
    try:
        case.prepare(folder)
        ends = together(case, folder, (case.words, *case.rivals), case.event)
        killed = [e for e in ends if e.status == -signal.SIGKILL and not e.hung]
        if case.then:
            ends += together(case, folder, (case.then,), event=None)
        return result(case, folder, ends, len(killed))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


REPORTS = (("labs",), ("doctor",))  # commands that list what is wrong, with status 1
WORST = ("traceback", "hang", "memory", "unclear", "accepted", "refused", "killed")


def result(case: Case, folder: Path, ends: list[Ended], kills: int) -> Result:
    """The worst outcome of a case's commands, and the judgement where all ended in order."""
    outcomes = [end.outcome for end in ends]
    worst = min(outcomes, key=WORST.index)
    said = next(e for e, o in zip(ends, outcomes, strict=True) if o == worst)
    text = (said.sentences or said.err.strip().splitlines() or [""])[-1]
    fault = ""
    if worst in ("accepted", "refused", "killed"):
        fault = case.judge(folder, ends)
    elif worst == "unclear" and case.words[:1] in REPORTS and said.out + said.err:
        fault, worst = case.judge(folder, ends), "refused"
    elif worst == "unclear":
        fault, worst = f"status {said.status} with {len(said.sentences)} sentences", "refused"
    if worst == "killed":
        worst = "refused"
    return Result(worst, text[-400:], fault, len(ends) if case.whole else 0, kills)


@dataclass
class Job:
    """One command that runs."""

    pid: int
    said: Callable[[], list[str]]  # standard output and error, once it has ended
    process: subprocess.Popen[bytes] | None = None
    used: int = 0  # processor time, in ticks
    status: int | None = None
    hung: bool = False
    began: float = field(default_factory=time.monotonic)
    ran: float = field(default_factory=time.monotonic)  # when it was last seen to compute

    def stop_if_hung(self) -> None:
        """Kill it if it has waited too long, or takes too long in all."""
        now = time.monotonic()
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            return
        used = int(state[11]) + int(state[12])
        if state[0] == "R" or used != self.used:
            self.ran, self.used = now, used
        if now - self.ran > WAITING or now - self.began > SECONDS:
            self.hung = True
            os.kill(self.pid, signal.SIGKILL)

    def poll(self) -> bool:
        """Whether it has ended."""
        if self.status is None and self.process:
            self.status = self.process.poll()
        elif self.status is None:
            pid, raw = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(raw) if pid else None
        return self.status is not None

    def ended(self) -> Ended:
        assert self.status is not None
        return Ended(self.status, *self.said(), self.hung)


def together(
    case: Case, folder: Path, commands: tuple[Words, ...], event: Event | None
) -> list[Ended]:
    """Start these commands at the same moment and wait for all; a late one is killed."""
    start = start_process if case.whole else start_fork
    jobs = [start(case, folder, words) for words in commands]
    looked, due = 0.0, None
    while not all([job.poll() for job in jobs]):
        now = time.monotonic()
        if event and due is None and (not event.when or any(folder.glob(event.when))):
            due = now + event.after
        if event and due is not None and now >= due and jobs[0].status is None:
            event.act(jobs[0].pid, folder)
            event = None
        if now > looked + 0.2:
            looked = now
            for job in jobs:
                if job.status is None:
                    job.stop_if_hung()
        time.sleep(0.002)
    ends = [job.ended() for job in jobs]
    if SHOW:
        sys.stdout.write("".join(f"$ {e.status}\n{e.out}{e.err}\n" for e in ends))
    return ends


def start_process(case: Case, folder: Path, words: Words) -> Job:
    """A fresh interpreter with this command."""
    out, err = pipe(), pipe()
    process = subprocess.Popen(
        [*case.python, *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=out[1], stderr=err[1],
        env={**os.environ, "OMP_NUM_THREADS": "1", **case.environment},
    )  # fmt: skip
    return Job(process.pid, listener(out, err), process)


def start_fork(case: Case, folder: Path, words: Words) -> Job:
    """A copy of this process that calls `main` with this command."""
    out, err = pipe(), pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            os._exit(in_fork(case, folder, words, out[1], err[1]))
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(CRASHED)
    return Job(pid, listener(out, err))


def pipe() -> tuple[int, int]:
    """A pipe that holds all a command says: no file, whose size is limited in some attacks."""
    end, into = os.pipe()
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 2**20)
    return end, into


def listener(*pipes: tuple[int, int]) -> Callable[[], list[str]]:
    """Close our writing ends; a function that reads what was said once the command has ended."""
    for _, into in pipes:
        os.close(into)
    return lambda: [drained(end) for end, _ in pipes]


def drained(end: int) -> str:
    """All that is in a pipe; a process left behind may still hold its other end."""
    os.set_blocking(end, False)
    said = b""
    with suppress(BlockingIOError):
        while more := os.read(end, 2**20):
            said += more
    os.close(end)
    return said.decode("utf-8", "replace")


def in_fork(case: Case, folder: Path, words: Words, out: int, err: int) -> int:
    """Redirect, limit, and call `main`; its exit status."""
    sys.stdout, sys.stderr = (
        open(end, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
        for end in (out, err)
    )
    os.chdir(folder)
    os.environ.update(case.environment)
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 5))
    used = int(Path("/proc/self/statm").read_text("utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    from cmlab.__main__ import main

    sys.argv = [str(Path(sys.executable).with_name("cmlab")), *words]
    case.before()
    try:
        status = main()
    except SystemExit as error:  # argparse
        status = error.code if isinstance(error.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status % 256
