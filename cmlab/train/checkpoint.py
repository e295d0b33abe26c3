"""Checkpoint files: tensors in safetensors with a JSON record in the header; never pickle.

Files are written atomically: beside their place, forced to the disk, and renamed over the old one.
A run that is killed, or out of space, leaves the last good file whole.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import socket
import stat
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

KEY = "cmlab"  # the header entry that holds the record
SUM = "crc32"  # the header entry that holds the checksum; files of earlier versions have none
POINTER = b"version https://git-lfs.github.com/"


class BadFile(ValueError):
    """A file that cannot be used, and why, in one sentence."""


def write(path: Path, tensors: dict[str, Tensor], record: dict) -> None:
    """Write tensors and their record into one safetensors file, atomically.

    Raises:
        BadFile: if the file cannot be written.
    """
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps(record, allow_nan=False)
    payload = save(flat, metadata={KEY: text, SUM: checksum(flat, text)})
    replace(path, lambda temporary: temporary.write_bytes(payload))


def checksum(tensors: dict[str, Tensor], text: str) -> str:
    """CRC-32 of tensors, their names and shapes, and a record's text: it tells flipped bytes."""
    value = zlib.crc32(text.encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"


def write_json(path: Path, record: dict) -> None:
    """Write a record as readable JSON, atomically. Raises BadFile if it cannot be written."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def contents(path: Path) -> bytes:
    """A regular file's bytes. Raises OSError, also for a pipe or a device: it may never end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return path.read_bytes()


def read_json(path: Path) -> dict:
    """Read a record that `write_json` wrote. Raises BadFile if it is missing or damaged."""
    try:
        record = parse_json(contents(path))
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} is missing or no JSON record; remake or restore it") from error
    if not isinstance(record, dict):
        raise BadFile(f"{path} holds no JSON record; remake or restore it")
    return record


# JSON from outside: whatever a file holds, it is checked here before anything is made of it

DEEPEST, LARGEST = 64, 2**64  # of values within one another, of whole numbers


def parse_json(text: bytes | str) -> Any:
    """Parse JSON in UTF-8 whose numbers are finite and whose values are not nested deeply.

    Raises:
        ValueError: for anything else, also for what Python's own parser would take, such as NaN.
    """
    try:
        value = json.loads(text if isinstance(text, str) else text.decode("utf-8"))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    _check_json(value, 0)
    return value


def _check_json(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError("the JSON is nested too deeply")
    if isinstance(value, dict | list):
        for part in value if isinstance(value, list) else (*value, *value.values()):
            _check_json(part, depth + 1)
    elif isinstance(value, str):
        value.encode("utf-8")  # half of a surrogate pair could not be written again
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError("the JSON holds a number of too many digits")
    elif isinstance(value, float) and not isfinite(value):
        raise ValueError("the JSON holds a number that is not finite")


def with_fields(record: Any, fields: Mapping[str, type], where: str) -> dict[str, Any]:
    """The record, once it is one and has these fields, each of its type.

    Args:
        record: what was read.
        fields: name -> int for a whole number of 0 or more, float for any number, dict, list, str.
        where: the file, for the message.

    Raises:
        BadFile: naming the first field that is missing or of another type.
    """
    if not isinstance(record, dict):
        raise BadFile(f"{where} holds no JSON record; remake or restore it")
    for name, kind in fields.items():
        value = record.get(name)
        good = isinstance(value, int | float if kind is float else kind)
        if kind is int and isinstance(value, int):
            good = value >= 0
        if not good or isinstance(value, bool):
            raise BadFile(f"{where} has no {name!r} that makes sense; remake or restore it")
    return record


def replace(path: Path, fill: Callable[[Path], object]) -> None:
    """Write a file atomically: `fill` a temporary one, force it to the disk, rename it.

    Raises:
        BadFile: if the file cannot be written; the one that was there before is whole.
    """
    own = f"{process_place()}.{os.getpid()}.{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.name}.{own}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fill(temporary)
        with temporary.open("r+b") as file:  # Windows forces only a writable file to the disk
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:  # also when the user interrupts; after the renaming there is nothing left to remove
        with suppress(OSError):
            temporary.unlink()


@cache
def process_place() -> str:
    """Where a process's number means one process: the host, its boot and its process namespace.

    Two containers may share a host's name, or the numbers of their processes; not this.
    """
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    with suppress(OSError):  # Linux alone has them
        marks = boot.read_text("ascii"), os.readlink(space)
        digests = (hashlib.sha256(mark.encode()).hexdigest()[:8] for mark in marks)
        return "-".join((_host(), *digests))
    return f"{_host()}-{0:08}-{0:08}"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:60] or "host"


# Logs: lines of JSON, of which a kill may leave half of the last


def read_lines(path: Path) -> list[bytes]:
    """The lines of a log, without a last one that was torn: no line feed, and no JSON.

    Raises:
        BadFile: if it cannot be read.
    """
    try:
        *lines, last = contents(path).split(b"\n")
    except OSError as error:
        raise BadFile(f"{path} cannot be read ({error.strerror})") from error
    return [*lines, last] if last and _is_json(last) else lines


def append(path: Path, line: str) -> None:
    """Append a line to a log, after mending a torn one.

    Raises:
        BadFile: if it cannot be; half of the line may be there, which the next call removes.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            mend_last_line(file)
            file.write(line.encode())
    except OSError as error:
        raise _not_written(path, error) from error


def mend_last_line(file: BinaryIO) -> None:
    """Cut off the last line of a log if it was torn; end it if nothing but its end is missing."""
    size = file.seek(0, os.SEEK_END)
    block, last = 4096, b""
    while size and b"\n" not in last and len(last) < size:
        file.seek(max(0, size - block))
        last, block = file.read(), 2 * block
    torn = last.rpartition(b"\n")[2]
    if torn and _is_json(torn):
        file.write(b"\n")
    elif torn:
        file.truncate(size - len(torn))
    file.seek(0, os.SEEK_END)


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


REMEDY = "free some space or choose another place that you can write to"


def _not_written(path: Path, error: OSError) -> BadFile:
    return BadFile(
        f"{path} could not be written ({error.strerror}); {REMEDY}, the file that was there "
        f"before is whole"
    )


def is_pointer(path: Path) -> bool:
    """Whether a file is what Git LFS leaves in a file's place until it is fetched."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER
    return False


def read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Read the tensors and the record of a safetensors file.

    Raises:
        BadFile: if the file is missing, truncated or not one of cmlab's.
    """
    if not path.is_file():
        raise BadFile(f"{path} does not exist; give a run's folder or a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            record = with_fields(parse_json(header[KEY]), {}, str(path))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header.get(SUM) not in (None, checksum(tensors, header[KEY])):
            raise BadFile(f"{path} is damaged: its checksum is another; remake or restore it")
        return tensors, record
    except BadFile:
        raise
    except (SafetensorError, OSError, ValueError) as error:
        if is_pointer(path):
            raise BadFile(f"{path} is a Git LFS pointer; fetch it with `git lfs pull`") from error
        raise BadFile(f"{path} is damaged or no safetensors file; remake or restore it") from error
    except KeyError as error:
        raise BadFile(f"{path} holds no cmlab record; give a file that cmlab wrote") from error
