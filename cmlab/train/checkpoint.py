"""Checkpoints: safetensors and JSON files, written whole or not at all.

One file on disk: tensors in safetensors, with a JSON record in its header. Never pickle.

A file is written beside its place, forced to the disk, and renamed over the old one: whoever is
killed, or out of space, leaves the last good file whole.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

KEY = "cmlab"  # the header entry that holds the record


class BadFile(ValueError):
    """A file that cannot be used, and why, in one sentence."""


def write(path: Path, tensors: dict[str, Tensor], record: dict) -> None:
    """Write both atomically. Raises BadFile when the disk refuses."""
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    payload = save(flat, metadata={KEY: json.dumps(record, allow_nan=False)})
    replace(path, lambda temporary: temporary.write_bytes(payload))


def write_json(path: Path, record: dict) -> None:
    """Write a readable record atomically. Raises BadFile when the disk refuses."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict:
    """A record that `write_json` wrote. Raises BadFile for a missing or damaged one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} is missing or no JSON record; remake or restore it") from error
    if not isinstance(record, dict):
        raise BadFile(f"{path} holds no JSON record; remake or restore it")
    return record


def replace(path: Path, fill: Callable[[Path], object]) -> None:
    """Fill a temporary file, force it to the disk, and rename it over `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fill(temporary)
        with temporary.open("r+b") as file:  # Windows forces only a writable file to the disk
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise refused(path, error) from error
    finally:  # also when the user interrupts; after the renaming there is nothing left to remove
        with suppress(OSError):
            temporary.unlink()


def append(path: Path, line: str) -> None:
    """Add a line to a log. Raises BadFile when the disk refuses; half of it may be there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise refused(path, error) from error


def refused(path: Path, error: OSError) -> BadFile:
    return BadFile(
        f"{path} could not be written ({error.strerror}); free some space or choose another "
        f"place, the file that was there before is whole"
    )


def read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and record. Raises BadFile for a missing, truncated or foreign file."""
    if not path.is_file():
        raise BadFile(f"{path} does not exist; give a run's folder or a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})[KEY])
            return {name: file.get_tensor(name) for name in file.keys()}, record  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise BadFile(f"{path} is damaged or no safetensors file; remake or restore it") from error
    except KeyError as error:
        raise BadFile(f"{path} holds no cmlab record; give a file that cmlab wrote") from error
