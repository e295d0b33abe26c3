"""Write the weights of a network that is shipped in data/checkpoints, and the record beside them.

The part that the scripts `train_*.py` share.
"""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from cmlab.train.checkpoint import write, write_json


def write_shipped(
    file: Path, model: nn.Module, record: dict[str, Any], packages: tuple[str, ...]
) -> None:
    """Write `file` (.safetensors) and its .json, and print the record.

    The record gets the versions of Python and of the packages, and the weights' SHA-256.
    """
    versions = {"python": platform.python_version()} | {name: version(name) for name in packages}
    record = record | {"versions": versions}
    write(file, model.state_dict(), record)
    record["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    write_json(file.with_suffix(".json"), record)
    print(record)
