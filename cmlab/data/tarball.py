"""A tar.gz archive gone through once, never unpacked, and never more of it than it may hold."""

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import GzipFile
from io import BufferedIOBase
from pathlib import Path

from ..checkpoint import BadFile

REMEDY = "remove it and run cmlab data cifar10 --download, or give another path"
BLOCK = 2**20  # bytes read at once
LARGEST = 256 * 2**20  # bytes that an archive may hold; the published ones hold 187 MB


class Bounded(BufferedIOBase):
    """A file that ends in BadFile after so many bytes: a small archive may unpack to terabytes."""

    def __init__(self, file: GzipFile, path: Path) -> None:
        self.file, self.path, self.left = file, path, LARGEST

    def read(self, n: int | None = -1, /) -> bytes:
        block = self.file.read(n)
        self.left -= len(block)
        if self.left < 0:
            raise BadFile(f"{self.path} unpacks to more than CIFAR-10 holds; {REMEDY}")
        return block


@contextmanager
def members(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive, to be gone through once from its beginning. Raises BadFile for a bad one."""
    try:
        with (
            GzipFile(path) as file,
            tarfile.open(fileobj=Bounded(file, path), mode="r|", bufsize=BLOCK) as tar,
        ):
            yield tar
    except BadFile:
        raise
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, LookupError) as error:
        raise BadFile(f"{path} is truncated or no tar.gz archive; {REMEDY}") from error
