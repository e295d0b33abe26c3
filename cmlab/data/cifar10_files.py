"""CIFAR-10 files: where they are looked for, and how folders and archives are checked and read.

CIFAR-10 is published as two archives at https://www.cs.toronto.edu/~kriz/cifar.html, in a binary
and a Python layout. Their MD5 are the published ones, which torchvision (Python layout) and others
check as well; the sizes are as reported by those who downloaded the archives.

Archives are read as they are and never unpacked: only members of the exact expected name are read,
and no more is decompressed than the published archives hold. Pickles are never run, see
`safe_unpickle`.
"""

import hashlib
import os
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import GzipFile
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from ..discovery import OWN
from ..train.checkpoint import BadFile
from .safe_unpickle import BadBatch, PickledCall, contents

# One batch from the bytes of its file, in each of the two layouts

IMAGES = 10_000  # in every batch
PIXELS = 3 * 32 * 32  # bytes of an image: all red, all green, all blue, each row by row
RECORD = 1 + PIXELS  # in the binary layout: the label, then the image

# Two names of each function: numpy 2 moved them. The second is that of protocol 5.
ARRAY = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
BUFFER = ("numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer")
DTYPE, CLASS = "numpy dtype", "numpy ndarray"

Batch = tuple[np.ndarray, np.ndarray]  # images (10 000, 3072) and labels (10 000,), uint8


def from_binary(payload: bytes) -> Batch:
    """A batch in the binary layout: records of one label byte and 3072 pixel bytes.

    Raises:
        BadBatch: for another size, and for labels above 9.
    """
    if len(payload) != IMAGES * RECORD:
        raise BadBatch(f"has {len(payload)} bytes where a batch has {IMAGES * RECORD}")
    records = np.frombuffer(payload, np.uint8).reshape(IMAGES, RECORD)
    return records[:, 1:], checked(records[:, 0])


def from_python(payload: bytes) -> Batch:
    """A batch in the Python layout: a pickled dictionary with `data` and `labels`, any protocol.

    Raises:
        BadBatch: for anything else.
    """
    record = contents(payload, {*ARRAY, *BUFFER, DTYPE, CLASS})
    if type(record) is dict and b"fine_labels" in record:
        raise BadBatch("holds CIFAR-100")
    if type(record) is not dict or not {b"data", b"labels"} <= record.keys():
        raise BadBatch("holds no images and labels")
    labels = record[b"labels"]
    if type(labels) is not list or any(type(label) is not int for label in labels):
        raise BadBatch("has labels that are no list of whole numbers")
    if len(labels) != IMAGES or not all(0 <= label <= 255 for label in labels):
        raise BadBatch(f"does not have {IMAGES} labels from 0 to 9")
    return pixels(record[b"data"]), checked(np.array(labels, np.uint8))


def pixels(call: Any) -> np.ndarray:
    """The array (10 000, 3072), uint8, that numpy would build from this call, or BadBatch."""
    name = call.name if type(call) is PickledCall else ""
    parts = call.state if name in ARRAY else call.arguments if name in BUFFER else None
    if type(parts) is not tuple or len(parts) != (5 if name in ARRAY else 4):
        raise BadBatch("has images that are no array")
    if name in ARRAY:
        _, shape, dtype, by_column, raw = parts
    else:
        raw, dtype, shape, order = parts
        by_column = order == b"F"
    described = (
        type(dtype) is PickledCall and dtype.name == DTYPE and type(dtype.arguments) is tuple
    )
    unit = dtype.arguments[:1] if described else ()
    whole = type(raw) is bytes and len(raw) == IMAGES * PIXELS
    if unit != (b"u1",) or shape != (IMAGES, PIXELS) or not whole:
        raise BadBatch(f"has an array of images that is not {IMAGES} × {PIXELS} bytes")
    return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if by_column is True else "C")


def checked(labels: np.ndarray) -> np.ndarray:
    if labels.max() > 9:
        raise BadBatch(f"has the label {labels.max()}, and CIFAR-10's are 0 to 9")
    return labels


# The two published archives

PAGE = "https://www.cs.toronto.edu/~kriz"


@dataclass(frozen=True)
class PublishedArchive:
    """An archive as its author published it.

    Args:
        address: its URL.
        size: bytes.
        md5: its checksum, hexadecimal.
    """

    address: str
    size: int
    md5: str

    @property
    def name(self) -> str:
        return self.address.rsplit("/", 1)[1]

    def whole(self, path: Path) -> bool:
        """Whether this file is that archive, by size and MD5."""
        return path.is_file() and path.stat().st_size == self.size and md5(path) == self.md5


BINARY = PublishedArchive(
    f"{PAGE}/cifar-10-binary.tar.gz", 170_052_171, "c32a1d4ab5d03f1284b67883e8d87530"
)
PYTHON = PublishedArchive(
    f"{PAGE}/cifar-10-python.tar.gz", 170_498_071, "c58f30108f718f92721af3b95e74349a"
)


def md5(path: Path) -> str:
    """The MD5 checksum of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


# A tar archive, compressed or not, read as a stream up to a limit

REMEDY = "run cmlab data cifar10 --download for the published one, or give another path"
BLOCK = 2**20  # bytes read at once
LARGEST = 400 * 2**20  # bytes that an archive may hold; the published ones hold 187 MB
KNOWN = {  # how files begin that are taken for an archive of CIFAR-10
    b"version https://git-lfs": "a git-lfs pointer, not the file itself: `git lfs pull` brings it",
    b"\xfd7zXZ": "compressed by xz",
    b"BZh": "compressed by bzip2",
    b"\x89HDF": "an HDF5 file",
    b"PAR1": "a Parquet table",
    b"\x89PNG": "a PNG picture",
    b"\x93NUMPY": "a NumPy array",
    b"\x80": "a pickle, perhaps one batch of the Python layout: give the folder of all batches",
    b"<": "a web page, perhaps what a server sent in place of the file",
}


class Bounded(BufferedIOBase):
    """A decompressed stream with a limit, since a small archive may hold terabytes."""

    def __init__(self, file: GzipFile | BufferedReader, path: Path) -> None:
        self.file, self.path, self.left = file, path, LARGEST

    def read(self, n: int | None = -1, /) -> bytes:
        block = self.file.read(n)
        self.left -= len(block)
        if self.left < 0:
            raise BadFile(f"{self.path} unpacks to more than CIFAR-10 holds; {REMEDY}")
        return block


@contextmanager
def members(path: Path) -> Iterator[tarfile.TarFile]:
    """The members of an archive, to be read once in order. Raises BadFile for any other file."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = Bounded(GzipFile(fileobj=raw) if packed else raw, path)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK) as tar:
                yield tar
    except BadFile:
        raise
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, LookupError) as error:
        raise BadFile(f"{path} is {described(path)}; {REMEDY}") from error


def described(path: Path) -> str:
    """What a file is that is no whole tar archive, in words."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
        if start.startswith(b"PK\x03\x04"):
            return described_zip(path)
    except OSError as error:
        return f"not to be read ({error.strerror})"
    if start.startswith(b"\x1f\x8b") or start[257:262] == b"ustar":
        return "a truncated or damaged archive"
    known = (what for magic, what in KNOWN.items() if start.lstrip().startswith(magic))
    return next(known, "no tar or tar.gz archive" if start else "empty")


def described_zip(path: Path) -> str:
    """What a zip archive is, in words: several forms of CIFAR-10 are zip archives."""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (zipfile.BadZipFile, ValueError, LookupError, NotImplementedError):
        return "a truncated or damaged zip archive"
    if any(name.endswith("dataset.json") for name in names):
        return "a zip of images with dataset.json, as EDM and ECT take it; cmlab reads batches"
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz); cmlab reads CIFAR-10 as it was published, in batches"
    return "a zip archive; if it holds CIFAR-10's batches, unpack it and give their folder"


# Folders and archives that hold batches

SIZE = IMAGES * RECORD  # bytes of a batch
PICKLED = 2 * SIZE + 3_000_000  # at most, as text of protocols 0 to 2 in two bytes a character
DATA = OWN
TRAIN, TEST = tuple(f"data_batch_{k}" for k in range(1, 6)), ("test_batch",)
HUNDRED = ("cifar-100-binary", "cifar-100-python", "train.bin", "fine_label_names.txt")
GET = "run cmlab data cifar10 --download, or give a folder or archive that holds it"


class Missing(BadFile):
    """A batch file is missing."""


@dataclass(frozen=True)
class Layout:
    """One of the two layouts in which CIFAR-10 is published.

    Args:
        name: binary or python.
        folder: the folder that holds the batches.
        suffix: of the batches' file names.
        smallest: least size of a batch, in bytes.
        largest: greatest size of a batch, in bytes.
        decode: reads a batch from the bytes of its file.
        archive: the published archive.
    """

    name: str
    folder: str
    suffix: str
    smallest: int
    largest: int
    decode: Callable[[bytes], Batch]
    archive: PublishedArchive


LAYOUTS = (  # in the order in which they are looked for
    Layout("binary", "cifar-10-batches-bin", ".bin", SIZE, SIZE, from_binary, BINARY),
    Layout("python", "cifar-10-batches-py", "", SIZE, PICKLED, from_python, PYTHON),
)


@dataclass(frozen=True)
class BatchStore(ABC):
    """A folder or an archive that holds batches of CIFAR-10 in one layout."""

    path: Path
    layout: Layout

    @abstractmethod
    def files(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Names and bytes of these batches, in any order; missing ones are left out."""

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, Batch]]:
        """Each batch with its index in `names`.

        Raises:
            BadFile: for a damaged batch; its subclass Missing for a missing one.
        """
        missing = list(names)
        for name, payload in self.files(names):
            missing.remove(name)
            with self.naming(name):
                yield names.index(name), self.layout.decode(payload)
        if missing:
            raise Missing(f"{self.path} lacks {missing[0]}{self.layout.suffix}; {REMEDY}")

    @contextmanager
    def naming(self, name: str) -> Iterator[None]:
        """Turn a BadBatch into a BadFile that names the file and the remedy."""
        try:
            yield
        except BadBatch as error:
            where = f"{name}{self.layout.suffix} in {self.path}"
            raise BadFile(f"{where} {error}; {REMEDY}") from error

    def check_size(self, size: int) -> None:
        """Raise BadBatch for a size that no batch has, before a byte is read."""
        least, most = self.layout.smallest, self.layout.largest
        if not least <= size <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise BadBatch(f"has {size} bytes where a batch of CIFAR-10 has {wanted}")


@dataclass(frozen=True)
class BatchFolder(BatchStore):
    """A folder of batch files."""

    def whole(self, names: Sequence[str]) -> bool:
        """Whether it has all these batches, by their sizes."""
        paths = [self.path / f"{name}{self.layout.suffix}" for name in names]
        least, most = self.layout.smallest, self.layout.largest
        return all(p.is_file() and least <= p.stat().st_size <= most for p in paths)

    def files(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            path = self.path / f"{name}{self.layout.suffix}"
            if not os.path.lexists(path):
                continue
            if not path.is_file():
                raise BadFile(f"{path} is a folder, a pipe or a link that leads nowhere; {REMEDY}")
            with self.naming(name):
                self.check_size(path.stat().st_size)
            try:
                payload = path.read_bytes()
            except OSError as error:
                raise BadFile(f"{path} cannot be read ({error.strerror}); {REMEDY}") from error
            yield name, payload


@dataclass(frozen=True)
class BatchArchive(BatchStore):
    """A tar or tar.gz archive of batch files."""

    def files(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        wanted = {f"{self.layout.folder}/{name}{self.layout.suffix}": name for name in names}
        with members(self.path) as archive:
            for member in archive:
                where = member.name.removeprefix("./")
                name = wanted.pop(where, None) if member.isreg() else None
                if name is None:
                    continue
                with self.naming(name):
                    self.check_size(member.size)
                file = archive.extractfile(member)
                assert file is not None  # a regular file
                yield name, file.read()
                if not wanted:
                    return


def find(path: str, names: Sequence[str] = (*TRAIN, *TEST)) -> BatchStore:
    """Find CIFAR-10 at a path.

    Args:
        path: a folder of batches, an archive, or a folder with one of them. "" is what the
            environment's CMLAB_DATA names, or data/, so that recipes name no machine's path.
        names: the batches that are wanted: an archive is taken before a folder without them.

    Raises:
        BadFile: when CIFAR-10 is not there.
    """
    path = path or os.environ.get("CMLAB_DATA", "")
    root = Path(os.path.realpath(os.path.expanduser(path) or DATA))
    if root.is_file():
        return BatchArchive(root, inside(root))
    places = ((layout, f) for layout in LAYOUTS for f in (root, root / layout.folder))
    folders = [BatchFolder(f, layout) for layout, f in places if f.is_dir() and belongs(f, layout)]
    whole = [folder for folder in folders if folder.whole(names)]
    archives = [
        root / name
        for layout in LAYOUTS
        for name in (layout.archive.name, layout.archive.name.removesuffix(".gz"))
        if not whole and (root / name).is_file()
    ]
    for archive in archives:
        try:
            return BatchArchive(archive, inside(archive))
        except BadFile:
            if not folders and archive == archives[-1]:
                raise
    if folders:
        return (*whole, *folders)[0]
    other = any((root / name).exists() for name in HUNDRED) or root.name in HUNDRED
    where = f"{root} holds CIFAR-100, not CIFAR-10" if other else f"there is no CIFAR-10 in {root}"
    raise BadFile(f"{where}; {GET}")


def belongs(folder: Path, layout: Layout) -> bool:
    """Whether a folder has this layout, by its own name or those of its files."""
    one = any((folder / f"{name}{layout.suffix}").is_file() for name in (*TRAIN, *TEST))
    return one or folder.name == layout.folder


def inside(path: Path) -> Layout:
    """The layout of an archive, by its members' names. Raises BadFile when it has neither."""
    with members(path) as archive:
        for member in archive:
            folder = member.name.removeprefix("./").split("/")[0]
            for layout in LAYOUTS:
                if folder == layout.folder:
                    return layout
            if folder in HUNDRED:
                raise BadFile(f"{path} holds CIFAR-100, not CIFAR-10; {GET}")
    raise BadFile(f"{path} holds no batches of CIFAR-10; {GET}")
