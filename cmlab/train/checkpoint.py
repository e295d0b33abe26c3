"""Checkpoint files: tensors in safetensors with a JSON record in the header; never pickle.

Files are written atomically: beside their place, forced to the disk, and renamed over the old one.
A run that is killed, or out of space, leaves the last good file whole.
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
    """Write tensors and their record into one safetensors file, atomically.

    Raises:
        BadFile: if the file cannot be written.
    """
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    payload = save(flat, metadata={KEY: json.dumps(record, allow_nan=False)})
    replace(path, lambda temporary: temporary.write_bytes(payload))


def write_json(path: Path, record: dict) -> None:
    """Write a record as readable JSON, atomically. Raises BadFile if it cannot be written."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict:
    """Read a record that `write_json` wrote. Raises BadFile if it is missing or damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} is missing or no JSON record; remake or restore it") from error
    if not isinstance(record, dict):
        raise BadFile(f"{path} holds no JSON record; remake or restore it")
    return record


def replace(path: Path, fill: Callable[[Path], object]) -> None:
    """Write a file atomically: `fill` a temporary one, force it to the disk, rename it.

    Raises:
        BadFile: if the file cannot be written; the one that was there before is whole.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
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


def append(path: Path, line: str) -> None:
    """Append a line to a log. Raises BadFile if it cannot; half of the line may be there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> BadFile:
    return BadFile(
        f"{path} could not be written ({error.strerror}); free some space or choose another "
        f"place, the file that was there before is whole"
    )


def read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Read the tensors and the record of a safetensors file.

    Raises:
        BadFile: if the file is missing, truncated or not one of cmlab's.
    """
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
