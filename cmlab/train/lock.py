"""Lock: one process at a time writes in a run's folder; another is refused, and told which one.

The lock is a file, `run.lock`, that names its holder: host, process, its start, and command. It is
taken before anything else is written and removed at the end. A holder that died is found out:

- on the same machine, its containers included, by flock, which the system releases with the
  process, however that ended;
- where there is no flock (Windows, some network file systems), by the process's number and start,
  if both processes are in one container or in none;
- on another machine, and after a restart of this one, by silence: a holder touches the file
  every 20 seconds, and one that has not for ten minutes counts as dead.

What this does not give. Two machines that share a file system without flock between them, such as
NFS mounted with `nolock`, may take over an abandoned lock in the same moment; where files are not
even created exclusively, as on some object stores, a free one too. A process that is frozen for
longer than ten minutes, as on a suspended machine, may lose its lock to another machine. All this
is bounded: a holder looks before each write whether the file is still its own, and stops if not.
"""

import json
import os
import secrets
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread, get_ident
from typing import Any

import psutil

from .checkpoint import REMEDY, BadFile, contents, process_place

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = "run.lock"
SILENCE = 600.0  # seconds after which a holder on another machine counts as dead
BEAT = 20.0  # seconds between two signs of life
SLACK = 60.0  # seconds by which a process's start, computed from the clock, may differ
LONGEST = 4000  # bytes of a lock that are read
HELD: dict[tuple[int, int, Path], "Lock"] = {}  # by process, thread and file


class InUse(BadFile):
    """A file or folder that another process is writing."""


def is_alive(pid: Any, then: Any) -> bool:
    """Whether the process that had this number then (unix seconds) still runs."""
    if not isinstance(pid, int) or pid < 1:
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return not isinstance(then, int | float) or process.create_time() < then + SLACK
    except (psutil.NoSuchProcess, OverflowError):
        return False
    except psutil.Error:  # it lives, and may not be looked at
        return True


def is_abandoned(part: Path) -> bool:
    """Whether the process that wrote a temporary file of `checkpoint.replace` is dead.

    Only the holder of the folder's lock may ask. Files of other machines count by their age.
    """
    *_, place, pid, _, _ = ("", "", *part.name.split("."))
    try:
        written = part.stat().st_mtime
    except OSError:
        return False
    if place == process_place() and pid.isdecimal():
        return int(pid) == os.getpid() or not is_alive(int(pid), written)
    return time.time() - written > SILENCE


class Lock:
    """A lock that this process holds. Made by `hold`."""

    def __init__(self, path: Path) -> None:
        self.path, self.stop = path, Event()
        words = [Path(sys.argv[0]).name, *sys.argv[1:]]
        holder = {
            "place": process_place(),
            "pid": os.getpid(),
            "start": psutil.Process().create_time(),
            "since": time.time(),
            "command": shlex.join(words)[:300],
            "id": secrets.token_hex(8),
        }
        self.text = json.dumps(holder).encode()
        self.file = self.take()
        Thread(target=self.beat, daemon=True, name=f"lock of {path}").start()

    def take(self) -> int:
        """The open lock file with this process's name in it. Raises InUse if another lives."""
        for _ in range(100):  # a file that is released or replaced meanwhile is opened anew
            file, created = open_or_create(self.path)
            flocked, kept = try_flock(file), False
            try:
                if not same_file(self.path, file):
                    continue
                text, age = os.read(file, LONGEST), silence_of(self.path, file)
                if is_held(text, age, flocked, created):
                    if flocked is not False or age < SILENCE or is_local(text):
                        raise InUse(sentence(self.path, text, age))
                    self.path.unlink(missing_ok=True)  # its flock is one that a dead host left
                    continue
                os.ftruncate(file, 0)
                os.lseek(file, 0, os.SEEK_SET)
                os.write(file, self.text)
                kept = True
                return file
            except OSError as error:
                with suppress(OSError):
                    self.path.unlink()  # it is nobody's, and says nothing
                raise _closed(self.path, error) from error
            finally:
                if not kept:
                    os.close(file)
        raise InUse(f"{self.path} changes all the time; wait until other processes are done")

    def beat(self) -> None:
        """Touch the file until the lock is released: a sign of life for other machines."""
        while not self.stop.wait(BEAT):
            with suppress(OSError):
                os.utime(self.file if os.utime in os.supports_fd else self.path)

    def check(self) -> None:
        """Raise InUse if the lock is no longer this process's, which then must not write."""
        try:
            text = contents(self.path)
        except OSError as error:
            raise InUse(
                f"{self.path.parent} was moved or removed while this process wrote there "
                f"({error.strerror}), which writes nothing more; go on with --resume where it is"
            ) from error
        if text != self.text:
            raise InUse(sentence(self.path, text, 0.0) + "; this process writes nothing more")

    def release(self) -> None:
        """Remove the file, unless another has taken it over."""
        self.stop.set()
        with suppress(OSError):
            if contents(self.path) == self.text:
                if os.name == "nt":  # which removes no open file
                    os.close(self.file)
                self.path.unlink()
        with suppress(OSError):
            os.close(self.file)


def open_or_create(path: Path) -> tuple[int, bool]:
    """The lock file opened, and whether it was created. Raises BadFile if neither can be."""
    gone: OSError = FileNotFoundError()
    for _ in range(100):  # it may be released, and an empty folder removed, at any moment
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), True
            return os.open(path, os.O_RDWR), False
        except FileNotFoundError as error:
            gone = error
        except OSError as error:
            raise _closed(path, error) from error
    raise _closed(path, gone)


def _closed(path: Path, error: OSError) -> BadFile:
    return BadFile(f"{path} could not be written ({error.strerror}); {REMEDY}")


def try_flock(file: int) -> bool | None:
    """Whether the file could be locked; None where the system or file system has no flock."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def same_file(path: Path, file: int) -> bool:
    """Whether the path still names the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def silence_of(path: Path, file: int) -> float:
    """Seconds since the last sign of life, by the clock of the file system if it matters."""
    age = time.time() - os.fstat(file).st_mtime
    if abs(age) < SILENCE / 2:
        return age
    probe = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        probe.touch()
        return probe.stat().st_mtime - os.fstat(file).st_mtime
    except OSError:
        return age
    finally:
        with suppress(OSError):
            probe.unlink()


def holder_of(text: bytes) -> dict[str, Any]:
    """The holder that a lock names; empty for a file that is none, or not yet written."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_local(text: bytes) -> bool:
    """Whether the holder runs, or ran, on this machine since it was started."""
    place, ours = str(holder_of(text).get("place", "")), process_place()
    boot = ours.split("-")[-2]
    return place == ours or (place.split("-")[-2:-1] == [boot] and boot.strip("0") != "")


def is_held(text: bytes, age: float, flocked: bool | None, created: bool) -> bool:
    """Whether a lock has a holder that may be alive.

    Args:
        text: the file's content.
        age: seconds since the last sign of life.
        flocked: whether this process could lock the file; None where there are no such locks.
        created: whether this process has just created the file.
    """
    if created or flocked is False:
        return flocked is False
    holder = holder_of(text)
    if flocked and (not text or is_local(text)):
        return False  # a living holder on this machine would have kept its flock
    if holder.get("place") == process_place():
        return is_alive(holder.get("pid"), holder.get("start"))
    return age < SILENCE


def sentence(path: Path, text: bytes, age: float) -> str:
    """Who holds a lock, since when, and what to do."""
    holder, what = holder_of(text), path.parent if path.name == LOCK else path.with_suffix("")
    if not holder:
        return f"{what} is just being taken by another process; wait, or remove {path}"
    host = "".join(c for c in str(holder.get("place", ""))[:-18] if c.isprintable())
    command = "".join(c for c in str(holder.get("command", "")) if c.isprintable())[:120]
    since = holder.get("since")
    when = time.strftime("%d %B %H:%M", time.localtime(since if _is_time(since) else 0.0))
    said = f"{what} is in use by process {holder.get('pid')} on {host or '?'} since {when}"
    said += f" ({command}); wait for it, stop it, or choose another place"
    if not is_local(text):
        said += (
            f"; it was last heard of {max(age, 0):.0f} s ago: after {SILENCE:.0f} s it counts as "
            f"dead, or remove {path} if you know that it is"
        )
    return said


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < 2**32


@contextmanager
def hold(path: Path, wait: float = 0.0) -> Iterator[Lock]:
    """A context that holds the lock file `path`; a lock that this thread holds is held once more.

    Args:
        path: the lock's file; its folder is made.
        wait: seconds to wait for another holder.

    Raises:
        InUse: if another process, or another thread of this one, holds it.
        BadFile: if the file cannot be written.
    """
    key = os.getpid(), get_ident(), path.resolve()
    if key in HELD:
        yield HELD[key]
        return
    until = time.monotonic() + wait
    while True:
        try:
            lock = Lock(path)
            break
        except InUse:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
    HELD[key] = lock
    try:
        yield lock
    finally:
        del HELD[key]
        lock.release()


@contextmanager
def hold_folder(folder: Path) -> Iterator[Lock]:
    """A context that holds a run's folder, or one that it lies in and that this thread holds.

    The folder is made, and removed at the end if nothing was written into it.

    Raises:
        InUse, BadFile: as `hold`.
    """
    if lock := held_above(folder):
        yield lock
        return
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        with hold(folder / LOCK) as lock:
            yield lock
    finally:
        with suppress(OSError):
            for place in made:
                place.rmdir()  # only where it is empty


def held_above(folder: Path) -> Lock | None:
    """This thread's lock on the folder or on one that it lies in."""
    place = folder.resolve()
    keys = ((os.getpid(), get_ident(), above / LOCK) for above in (place, *place.parents))
    return next((HELD[key] for key in keys if key in HELD), None)


def check_lock(folder: Path) -> None:
    """Raise InUse if this thread held the folder's lock and has lost it."""
    if lock := held_above(folder):
        lock.check()


def is_begun(folder: Path) -> bool:
    """Whether there is anything in the folder but its lock."""
    return any(path.name != LOCK for path in folder.iterdir())
