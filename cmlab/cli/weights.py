"""`cmlab weights`: take the tensors out of published weights, into safetensors; nothing is run.

EDM's and ECT's networks are published as pickles of whole objects, with their code inside, and
openai's as pickles of tensors by name. To unpickle such a file is to run what its author, or
whoever had it last, put into it. Here it is read as data (`safe_unpickle`): the objects in it are
recorded and not made, and of those the tensors are kept, by the names that a state dict gives
them. Files of torch.save are read by torch's own reader for weights alone.
"""

import argparse
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ..data.safe_unpickle import BYTES, BadBatch, ObjectMachine, PickledCall, contents
from ..train import checkpoint
from ..train.checkpoint import BadFile
from .settings import Refused, say

REBUILD = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")
PARAMETER, STORAGE = "torch._utils _rebuild_parameter", "torch.storage _load_from_bytes"
WITHIN = (b"_parameters", b"_buffers", b"_modules", b"state")  # no part of a tensor's name
DEEPEST = 64


def add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help=".pkl, .pt, .pth or .safetensors")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument(
        "--part", default="", help="only the tensors below this name, such as ema, without it"
    )


def weights(args: argparse.Namespace) -> int:
    """Write the tensors of a file, and print how many there are."""
    if args.out.suffix != ".safetensors":
        raise Refused(f"--out takes a .safetensors file, not {args.out}")
    found = read_weights(args.file)
    if args.part:
        start = f"{args.part}."
        parts = sorted({name.partition(".")[0] for name in found})
        found = {n.removeprefix(start): x for n, x in found.items() if n.startswith(start)}
        if not found:
            raise Refused(f"{args.file} has nothing below {args.part}; it has {', '.join(parts)}")
    payload = save({name: x.contiguous().clone() for name, x in found.items()})
    checkpoint.replace(args.out, lambda part: part.write_bytes(payload))
    numbers = sum(x.numel() for x in found.values())
    say({"wrote": str(args.out), "tensors": len(found), "numbers": numbers})
    return 0


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of published weights by name. Raises BadFile for a file that has none."""
    if not path.is_file():
        raise BadFile(f"{path} does not exist; give a .pkl, .pt, .pth or .safetensors file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if zipfile.is_zipfile(path):
            value = torch.load(path, map_location="cpu", weights_only=True)
        else:
            payload = path.read_bytes()
            value = contents(payload, (), ObjectMachine(BYTES, 2 * len(payload)))
        found = dict(tensors(value))
    except BadBatch as error:
        raise BadFile(f"{path} is no pickle of tensors or networks, or a truncated one") from error
    except Exception as error:  # torch's reader has many kinds of them
        raise BadFile(f"{path} is damaged, or holds more than weights; get it again") from error
    if not found:
        raise BadFile(f"{path} holds no tensors")
    return found


def tensors(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """The tensors in a value that was read, each with its name."""
    if depth > DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, PickledCall) and value.name in (PARAMETER, *REBUILD):
        yield name, rebuilt(value)
    elif isinstance(value, PickledCall):
        state = value.state if isinstance(value.state, dict) else {}
        told = value.arguments[0] if value.arguments else {}  # as EDM's persistent classes
        inner = value.items | state | (told if isinstance(told, dict) else {})
        yield from tensors(inner, name, depth + 1)
    elif isinstance(value, dict):
        for key, part in value.items():
            word = key.decode() if isinstance(key, bytes) else str(key)
            whole = name if key in WITHIN else f"{name}.{word}".strip(".")
            yield from tensors(part, whole, depth + 1)


def rebuilt(call: PickledCall) -> Tensor:
    """The tensor that torch would build from this call, over a storage of bytes alone."""
    if call.name == PARAMETER:
        return rebuilt(call.arguments[0])
    storage, offset, size, stride, *_ = call.arguments
    if type(storage) is not PickledCall or storage.name != STORAGE:
        raise ValueError("a tensor lies in something else than a storage")
    held = torch.load(BytesIO(storage.arguments[0]), map_location="cpu", weights_only=True)
    if not isinstance(held, torch.storage.TypedStorage):
        raise ValueError("a tensor's storage holds something else")
    if min((0, offset, *size, *stride)) < 0 or len(size) != len(stride):
        raise ValueError("a tensor has no such shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    empty = torch.empty(0, dtype=held.dtype)
    bytes_held = held._untyped_storage.nbytes()
    if (last + 1) * empty.element_size() > bytes_held and 0 not in size:
        raise ValueError("a tensor reaches out of its storage")  # `set_` would enlarge it
    return empty.set_(held._untyped_storage, offset, torch.Size(size), stride).clone()
