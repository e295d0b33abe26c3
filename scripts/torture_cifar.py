"""CIFAR-10 in many forms, for `scripts/torture.py`: full size, with pictures made by rule."""

import gzip
import os
import pickle
import random
import re
import struct
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import cifar_files
import numpy as np
from cifar_files import BATCHES, as_python2, pictures
from torture_run import Case, Ended

FOLDER = {"binary": "cifar-10-batches-bin", "python": "cifar-10-batches-py"}
SUFFIX = {"binary": ".bin", "python": ""}


@cache
def home(shelf: Path) -> Path:
    """Both layouts as folders, written once, 370 MB."""
    folder = shelf / "cifar"
    if not (folder / "whole").exists():
        cifar_files.write_binary(folder)
        cifar_files.write_python(folder)
        (folder / "whole").touch()
    return folder


def link(source: Path, folder: Path) -> Path:
    """A folder of batches again, by links."""
    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def protocol(number: int, images: np.ndarray, labels: np.ndarray) -> bytes:
    """A batch as Python 3 pickles it by this protocol."""
    return pickle.dumps({b"data": images, b"labels": labels.tolist()}, protocol=number)


def archive(path: Path, source: Path, layout: str, prefix: str, packed: str) -> None:
    """The batches of a folder in one archive, its members named as asked."""
    if packed == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
            for batch in sorted(source.iterdir()):
                file.write(batch, f"{prefix}{FOLDER[layout]}/{batch.name}")
        return
    raw = gzip.open(path, "wb", compresslevel=0) if packed == "gz" else path.open("wb")
    with raw, tarfile.open(fileobj=raw, mode="w") as tar:  # type: ignore[arg-type]
        for batch in sorted(source.iterdir()):
            tar.add(batch.resolve(), f"{prefix}{FOLDER[layout]}/{batch.name}")


def cifar_case(rng: random.Random, shelf: Path) -> Case:
    """A form of CIFAR-10, or what looks like it, and `cmlab data cifar10`."""
    layout = rng.choice(("binary", "python"))
    way = rng.choice(("archive", "archive", "protocol", "half beside whole", "damaged", "damaged",
                      "other file", "other file", "other file", "cut archive"))  # fmt: skip
    seed, good = rng.random(), way in ("archive", "protocol", "half beside whole")
    note: list[str] = [way]

    def prepare(folder: Path) -> None:
        FORMS[way](folder, layout, home(shelf) / FOLDER[layout], random.Random(seed))

    def judge(folder: Path, ends: list[Ended]) -> str:
        if re.search(r"\b(remove|delete)\b", ends[0].err):
            return "advises to remove a file that somebody named"
        if good and ends[0].status:
            return "a good data set is refused"
        if not good and not ends[0].status:
            return "accepted"
        return ""

    words = ("data", "cifar10", "--path", "given")
    return Case(f"{layout}, {note[0]}, seed {seed}", words, prepare, judge)


def packed(folder: Path, layout: str, source: Path, rng: random.Random) -> None:
    kind = rng.choice(("tar", "gz", "tar", "gz"))
    name = rng.choice(("given", f"given/cifar-10-{layout}.tar{'.gz' * (kind == 'gz')}"))
    (folder / name).parent.mkdir(exist_ok=True)
    archive(folder / name, source, layout, rng.choice(("", "./", "./")), kind)


def other_protocol(folder: Path, layout: str, source: Path, rng: random.Random) -> None:
    place = link(source.parent / FOLDER["python"], folder / "given" / FOLDER["python"])
    name = rng.choice(BATCHES)
    (place / name).unlink()
    number = rng.choice((0, 1, 2, 3, 4, 5))
    payload = as_python2(*pictures(name)) if number == 0 else protocol(number, *pictures(name))
    (place / name).write_bytes(payload)


def half_beside_whole(folder: Path, layout: str, source: Path, rng: random.Random) -> None:
    place = link(source, folder / "given" / FOLDER[layout])
    for path in rng.sample(sorted(place.iterdir()), rng.randrange(1, 6)):
        payload = path.read_bytes()[: rng.randrange(10**6)] if rng.random() < 0.5 else None
        path.unlink()
        if payload is not None:
            path.write_bytes(payload)
    name = f"cifar-10-{layout}.tar.gz"
    archive(folder / "given" / name, source, layout, "", "gz")


def damaged(folder: Path, layout: str, source: Path, rng: random.Random) -> None:
    place = link(source, folder / "given" / FOLDER[layout])
    path = place / f"{rng.choice(BATCHES)}{SUFFIX[layout]}"
    payload = bytearray(path.read_bytes())
    path.unlink()
    way = rng.choice(("cut", "label", "code", "text", "empty", "fifo", "folder", "loop"))
    if way == "cut":
        path.write_bytes(payload[: rng.randrange(len(payload))])
    elif way == "label" and layout == "binary":
        payload[3073 * rng.randrange(10_000)] = rng.randrange(10, 256)
        path.write_bytes(payload)
    elif way in ("label", "code"):
        code = b"cposix\nsystem\n(S'false'\ntR." + bytes(30_740_000)
        path.write_bytes(code[: 30_730_000 if layout == "binary" else None])
        if layout == "binary":
            path.write_bytes(b"\xff" * 30_730_000)
    elif way in ("text", "empty"):
        path.write_bytes(b"hello" * (way == "text"))
    elif way == "fifo":
        os.mkfifo(path)
    elif way == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.name)


def edm_zip(path: Path, rng: random.Random) -> None:
    """The start of the zip of PNGs that EDM and ECT train on."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("dataset.json", '{"labels": [["00000/img00000000.png", 6]]}')
        file.writestr("00000/img00000000.png", b"\x89PNG\r\n\x1a\n" + rng.randbytes(100))


def other_file(folder: Path, layout: str, source: Path, rng: random.Random) -> None:
    path = folder / rng.choice(("given", f"given/cifar-10-{layout}.tar.gz"))
    path.parent.mkdir(exist_ok=True)
    way = rng.choice(("edm", "npz", "zip", "pdf", "gz", "html", "pickle", "bytes", "empty", "h5",
                      "parquet", "xz", "png"))  # fmt: skip
    if way == "edm":
        edm_zip(path, rng)
    elif way == "npz":
        with path.open("wb") as file:
            np.savez(file, x_train=np.zeros((4, 32, 32, 3), np.uint8), y_train=np.zeros(4))
    elif way == "zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("holiday.jpg", b"x")
    else:
        start = {"pdf": b"%PDF-1.4\n", "gz": gzip.compress(b"hello" * 100), "bytes": b"",
                 "html": b"<!DOCTYPE html><html>", "pickle": as_pickle(rng), "empty": None,
                 "h5": b"\x89HDF\r\n\x1a\n", "parquet": b"PAR1", "xz": b"\xfd7zXZ\x00",
                 "png": b"\x89PNG\r\n\x1a\n"}[way]  # fmt: skip
        path.write_bytes(b"" if start is None else start + rng.randbytes(rng.randrange(1, 5000)))


def as_pickle(rng: random.Random) -> bytes:
    return rng.choice((pickle.dumps({b"data": 1}), b"cposix\nsystem\n(S'false'\ntR."))


def cut_archive(folder: Path, layout: str, source: Path, rng: random.Random) -> None:
    (folder / "whole").parent.mkdir(exist_ok=True)
    archive(folder / "whole", source, layout, "", rng.choice(("tar", "gz")))
    size = (folder / "whole").stat().st_size
    with (folder / "whole").open("r+b") as file:
        file.truncate(rng.choice((rng.randrange(2000), rng.randrange(size - 20_000_000))))
        if rng.random() < 0.3:
            file.seek(rng.randrange(600))
            file.write(struct.pack("<Q", rng.randrange(2**63)))
    (folder / "whole").rename(folder / "given")


FORMS = {
    "archive": packed, "protocol": other_protocol, "half beside whole": half_beside_whole,
    "damaged": damaged, "other file": other_file, "cut archive": cut_archive,
}  # fmt: skip
