"""Download of a published archive: on request only, resumable, and checked by size and MD5.

What arrives is kept as `.part` beside the final file. A broken transfer resumes from there, now or
at the next request; only a file of the published size and MD5 gets the archive's name.
"""

import errno
import os
import shutil
import sys
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from ..train.checkpoint import BadFile
from ..train.lock import hold
from .cifar10_files import PublishedArchive

TRIES = 4  # in a row in which nothing arrives
PAUSE = 2.0  # seconds before the next try
TIMEOUT = 30.0  # seconds without a byte
BLOCK = 2**18  # bytes


def download(archive: PublishedArchive, folder: Path) -> Path:
    """Download an archive into a folder; nothing is fetched if it is there.

    Returns:
        The archive's path.

    Raises:
        BadFile: when it cannot be fetched or written; what has arrived is kept.
    """
    path = folder / archive.name
    try:
        if archive.whole(path):
            return path
        if path.exists():
            raise BadFile(f"{path} is not the published archive, and is left as it is; give "
                          f"--path another folder, or give that file another name")  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        with hold(folder / f"{archive.name}.lock"):
            transfer = Transfer(archive, folder / f"{archive.name}.part")
            if shutil.disk_usage(folder).free < archive.size - transfer.have():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return transfer.run(path)
    except OSError as error:
        raise BadFile(
            f"{folder} could not be written to ({error.strerror}); free {archive.size / 1e6:.0f} "
            f"MB or give another --path, what has arrived is kept"
        ) from error


class Broken(Exception):
    """The connection, not the disk, failed: the transfer is tried again."""


@dataclass(frozen=True)
class Transfer:
    """The transfer of one archive into its `.part` file."""

    archive: PublishedArchive
    part: Path

    def run(self, path: Path) -> Path:
        """Fetch the archive to `path`. Raises BadFile, and OSError when it cannot be written."""
        resumed = self.have() > 0
        self.fetch()
        if resumed and not self.archive.whole(self.part):
            self.part.unlink()  # it was begun with another file: start again
            self.fetch()
        if not self.archive.whole(self.part):
            self.part.unlink()
            raise self.failed("sent a file without the published checksum, now removed")
        self.part.replace(path)
        return path

    def failed(self, what: str) -> BadFile:
        where = f"get {self.archive.name} elsewhere and put it into {self.part.parent}"
        return BadFile(f"{self.archive.address} {what}; try again later, or {where}")

    def have(self) -> int:
        """Bytes that have arrived."""
        return self.part.stat().st_size if self.part.exists() else 0

    def fetch(self) -> None:
        """Connect again until the `.part` has the archive's size."""
        failures = 0
        while (before := self.have()) != self.archive.size:
            try:
                self.attempt(before)
            except Broken as error:
                failures = 0 if self.have() > before else failures + 1
                if failures == TRIES:
                    raise self.failed(f"cannot be reached ({error})") from error
                time.sleep(PAUSE)

    def attempt(self, start: int) -> None:
        """One connection: append what it sends. Raises Broken unless it sends all."""
        asked = {"Range": f"bytes={start}-"} if 0 < start < self.archive.size else {}
        try:
            reply = urlopen(Request(self.archive.address, headers=asked), timeout=TIMEOUT)
        except HTTPError as error:
            error.close()
            return self.refused(error.code, bool(asked))
        except (HTTPException, OSError) as error:
            raise Broken(getattr(error, "reason", error)) from error
        with reply:
            self.receive(reply, self.place(reply, start))

    def refused(self, code: int, resumed: bool) -> None:
        """Start afresh after 416, try again after 5xx, or else give up."""
        if code == 416 and resumed:
            return self.part.unlink()
        if code >= 500:
            raise Broken(f"it answers {code}")
        raise self.failed(f"answers {code}")

    def place(self, reply: HTTPResponse, start: int) -> int:
        """The offset at which the server's bytes begin. Raises BadFile if it has another file."""
        said = reply.headers.get("Content-Range" if reply.status == 206 else "Content-Length")
        rest = f"bytes {start}-{self.archive.size - 1}/{self.archive.size}"
        if reply.status == 206 and said == rest:
            return start
        if reply.status == 200 and said in (None, str(self.archive.size)):
            return 0
        raise self.failed("offers a file of another size than the published archive")

    def receive(self, reply: HTTPResponse, start: int) -> None:
        size = self.archive.size
        bar = tqdm(
            total=size, initial=start, unit="B", unit_scale=True, desc=self.archive.name,
            file=sys.stderr, disable=None,
        )  # fmt: skip
        with bar, self.part.open("ab" if start else "wb") as file:
            while start < size:
                block = arrived(reply, min(BLOCK, size - start))
                file.write(block)
                start += len(block)
                bar.update(len(block))
            file.flush()
            os.fsync(file.fileno())


def arrived(reply: HTTPResponse, n: int) -> bytes:
    """Read at most n bytes and at least one. Raises Broken if the connection ends."""
    try:
        block = reply.read1(n)
    except (HTTPException, OSError) as error:
        raise Broken(error) from error
    if not block:
        raise Broken("the connection ended early")
    return block
