"""Where CIFAR-10 lies on this machine, and the bytes of its batches: folders and archives.

Archives are read as they are and never unpacked: members count by their exact name alone, and no
more is decompressed than the published archives hold.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..checkpoint import BadFile
from .batch_file import IMAGES, RECORD, Batch, from_binary, from_python
from .inert_pickle import Refused
from .published import BINARY, PYTHON, Published
from .tarball import REMEDY, members

SIZE = IMAGES * RECORD  # bytes of a batch
DATA = Path(__file__).parents[2] / "data"
TRAIN, TEST = tuple(f"data_batch_{k}" for k in range(1, 6)), ("test_batch",)
HUNDRED = ("cifar-100-binary", "cifar-100-python", "train.bin", "fine_label_names.txt")
GET = "run cmlab data cifar10 --download, or give a folder or archive that holds it"


class Missing(BadFile):
    """A batch that is not there."""


@dataclass(frozen=True)
class Layout:
    """One of the two forms in which the set is published."""

    name: str
    folder: str
    suffix: str  # of the file names of its batches
    smallest: int  # size of a batch in bytes
    largest: int
    decode: Callable[[bytes], Batch]
    archive: Published


LAYOUTS = (  # in the order in which they are looked for
    Layout("binary", "cifar-10-batches-bin", ".bin", SIZE, SIZE, from_binary, BINARY),
    Layout("python", "cifar-10-batches-py", "", SIZE, 33_000_000, from_python, PYTHON),
)


@dataclass(frozen=True)
class Place(ABC):
    """A folder or an archive that holds batches of one layout."""

    path: Path
    layout: Layout

    @abstractmethod
    def files(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """These batches and their bytes, in any order; what is not there is left out."""

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, Batch]]:
        """Each with its index in `names`. Raises BadFile for a bad or missing one."""
        missing = list(names)
        for name, payload in self.files(names):
            missing.remove(name)
            with self.blamed(name):
                yield names.index(name), self.layout.decode(payload)
        if missing:
            raise Missing(f"{self.path} lacks {missing[0]}{self.layout.suffix}; {REMEDY}")

    @contextmanager
    def blamed(self, name: str) -> Iterator[None]:
        try:
            yield
        except Refused as error:
            where = f"{name}{self.layout.suffix} in {self.path}"
            raise BadFile(f"{where} {error}; {REMEDY}") from error

    def fits(self, size: int) -> None:
        """Before a byte is read."""
        least, most = self.layout.smallest, self.layout.largest
        if not least <= size <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise Refused(f"has {size} bytes where a batch of CIFAR-10 has {wanted}")


@dataclass(frozen=True)
class Folder(Place):
    def files(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            path = self.path / f"{name}{self.layout.suffix}"
            if not path.is_file():
                continue
            with self.blamed(name):
                self.fits(path.stat().st_size)
            try:
                payload = path.read_bytes()
            except OSError as error:
                raise BadFile(f"{path} cannot be read ({error.strerror}); {REMEDY}") from error
            yield name, payload


@dataclass(frozen=True)
class Archive(Place):
    def files(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        wanted = {f"{self.layout.folder}/{name}{self.layout.suffix}": name for name in names}
        with members(self.path) as archive:
            for member in archive:
                name = wanted.pop(member.name, None) if member.isreg() else None
                if name is None:
                    continue
                with self.blamed(name):
                    self.fits(member.size)
                file = archive.extractfile(member)
                assert file is not None  # a regular file
                yield name, file.read()
                if not wanted:
                    return


def find(path: str) -> Place:
    """What a path means: batches, an archive, or a folder with one of them.

    "" is what the environment's CMLAB_DATA names, or data/: so a recipe need not name a place on
    one machine. Raises BadFile when CIFAR-10 is not there.
    """
    path = path or os.environ.get("CMLAB_DATA", "")
    root = (Path(path).expanduser() if path else DATA).resolve()
    if root.is_file():
        return Archive(root, inside(root))
    for layout in LAYOUTS:
        for folder in (root, root / layout.folder):
            if folder.is_dir() and belongs(folder, layout):
                return Folder(folder, layout)
    for archive in (root / layout.archive.name for layout in LAYOUTS):
        if archive.is_file():
            return Archive(archive, inside(archive))
    other = any((root / name).exists() for name in HUNDRED) or root.name in HUNDRED
    where = f"{root} holds CIFAR-100, not CIFAR-10" if other else f"there is no CIFAR-10 in {root}"
    raise BadFile(f"{where}; {GET}")


def belongs(folder: Path, layout: Layout) -> bool:
    """By its own name, or by those of its files."""
    one = any((folder / f"{name}{layout.suffix}").is_file() for name in (*TRAIN, *TEST))
    return one or folder.name == layout.folder


def inside(path: Path) -> Layout:
    """The layout in an archive, whatever its own name is. Raises BadFile when there is none."""
    with members(path) as archive:
        for member in archive:
            folder = member.name.split("/")[0]
            for layout in LAYOUTS:
                if folder == layout.folder:
                    return layout
            if folder in HUNDRED:
                raise BadFile(f"{path} holds CIFAR-100, not CIFAR-10; {GET}")
    raise BadFile(f"{path} holds no batches of CIFAR-10; {GET}")
