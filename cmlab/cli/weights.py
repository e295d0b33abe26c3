"""`cmlab weights`: take the tensors out of published weights, into safetensors; nothing is run.

EDM's and ECT's networks are published as pickles of whole objects, with their code inside, and
openai's as pickles of tensors by name. To unpickle such a file is to run what its author, or
whoever had it last, put into it. Here it is read as data (`safe_unpickle`): the objects in it are
recorded and not made, and of those the tensors are kept, by the names that a state dict gives
them. Files of torch.save, a zip of a pickle and of the bytes of each storage, and before 2020
five pickles and these bytes, are read in the same way.
"""

import argparse
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ..data.safe_unpickle import BYTES, OUTSIDE, BadBatch, ObjectMachine, PickledCall, contents
from ..discovery import late_import
from ..train import checkpoint
from ..train.checkpoint import BadFile
from .settings import Refused, say

REBUILD = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")
PARAMETER, STORAGE = "torch._utils _rebuild_parameter", "torch.storage _load_from_bytes"
WITHIN = (b"_parameters", b"_buffers", b"_modules", b"state")  # no part of a tensor's name
DEEPEST = 64
MAGIC = 0x1950A86A20F9469CFC6C  # what torch.save wrote first, before it wrote zips
TYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16,
    "BFloat16": torch.bfloat16, "Long": torch.int64, "Int": torch.int32, "Short": torch.int16,
    "Char": torch.int8, "Byte": torch.uint8, "Bool": torch.bool,
}  # fmt: skip
DTYPES = {f"torch {name}Storage": dtype for name, dtype in TYPES.items()}

Read = Callable[[str], bytes]  # the bytes of a storage by its key


def add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help=".pkl, .pt, .pth or .safetensors")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--part", default="", help="only the tensors below this name, such as ema")
    parser.add_argument(
        "--as", dest="form", choices=("edm", "ect"),
        help="write a run that cmlab loads, of the DDPM++ of EDM or ECT for CIFAR-10",
    )  # fmt: skip


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
    if args.form:
        late_import("weights").main(found, args.form, args.file, args.out)
    else:
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
            with zipfile.ZipFile(path) as archive:
                found = dict(tensors(*zipped(archive)))
        else:
            payload = path.read_bytes()
            value = contents(payload, (), machine(payload))
            whole = legacy(BytesIO(payload)) if value == MAGIC else (value, nowhere)
            found = dict(tensors(*whole))
    except BadBatch as error:
        raise BadFile(f"{path} is no pickle of tensors or networks, or a truncated one") from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, EOFError,
            RuntimeError, SafetensorError, zipfile.BadZipFile) as error:  # fmt: skip
        raise BadFile(f"{path} is damaged, or holds more than weights; get it again") from error
    if not found:
        raise BadFile(f"{path} holds no tensors")
    return found


def machine(payload: bytes) -> ObjectMachine:
    return ObjectMachine(BYTES, 2 * len(payload))


def nowhere(key: str) -> bytes:
    raise ValueError(f"there is no storage {key}")


def zipped(archive: zipfile.ZipFile) -> tuple[Any, Read]:
    """The value of a file of torch.save, and a reader of its storages."""
    names = archive.namelist()
    (index,) = [name for name in names if name.rpartition("/")[2] == "data.pkl"]
    root = index.removesuffix("data.pkl")

    def read(name: str) -> bytes:
        if archive.getinfo(root + name).compress_type != zipfile.ZIP_STORED:
            raise ValueError("torch.save compresses nothing")
        return archive.read(root + name)

    if f"{root}byteorder" in names and read("byteorder") != b"little":
        raise ValueError("its numbers are big-endian")
    payload = read("data.pkl")
    return contents(payload, (), machine(payload)), lambda key: read(f"data/{key}")


def legacy(file: BytesIO) -> tuple[Any, Read]:
    """The value of five pickles one after the other, and a reader of the storages after them."""
    machines = [machine(file.getvalue()) for _ in range(5)]
    magic, _, system, value, keys = (contents(file, (), each) for each in machines)
    if magic != MAGIC or system[b"little_endian"] is not True:
        raise ValueError("it is no file of torch.save, or its numbers are big-endian")
    width = {call.arguments[2]: DTYPES[call.arguments[1].name].itemsize
             for call in machines[3].outside}  # fmt: skip
    held = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        held[key.decode()] = file.read(count * width[key])
    return value, lambda key: held[key]


def tensors(
    value: Any, read: Read, name: str = "", depth: int = 0
) -> Iterator[tuple[str, Tensor]]:
    """The tensors in a value that was read, each with its name."""
    if depth > DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, PickledCall) and value.name in (PARAMETER, *REBUILD):
        yield name, rebuilt(value, read)
    elif isinstance(value, PickledCall):
        state = value.state if isinstance(value.state, dict) else {}
        told = value.arguments[0] if value.arguments else {}  # as EDM's persistent classes
        inner = value.items | state | (told if isinstance(told, dict) else {})
        yield from tensors(inner, read, name, depth + 1)
    elif isinstance(value, dict):
        for key, part in value.items():
            word = key.decode() if isinstance(key, bytes) else str(key)
            whole = name if key in WITHIN else f"{name}.{word}".strip(".")
            yield from tensors(part, read, whole, depth + 1)


def rebuilt(call: PickledCall, read: Read) -> Tensor:
    """The tensor that torch would build from this call, over a storage of bytes alone."""
    if call.name == PARAMETER:
        return rebuilt(call.arguments[0], read)
    stored, offset, size, stride, *_ = call.arguments
    numbers = storage(stored, read)
    if min((0, offset, *size, *stride)) < 0 or len(size) != len(stride):
        raise ValueError("a tensor has no such shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 in size:
        return numbers.new_empty(size)
    if last >= len(numbers) or prod(size) > len(numbers):  # else a small file fills the memory
        raise ValueError("a tensor reaches out of its storage, or repeats it")
    return numbers.as_strided(size, stride, offset).clone()


def storage(call: PickledCall, read: Read) -> Tensor:
    """All numbers of a storage."""
    if call.name == STORAGE:  # a file of torch.save within the pickle
        return storage(*legacy(BytesIO(call.arguments[0])))
    if call.name != OUTSIDE:
        raise ValueError("a tensor lies in something else than a storage")
    _, kind, key, _, count, *_ = call.arguments
    dtype, payload = DTYPES[kind.name], bytearray(read(key.decode()))
    return torch.frombuffer(payload, dtype=dtype, count=count) if count else torch.empty(0)
