"""The two archives in which CIFAR-10 is published, at https://www.cs.toronto.edu/~kriz/cifar.html.

The MD5 are the published ones, which torchvision (Python layout) and others check as well; the
sizes are as reported by those who downloaded the archives.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

PAGE = "https://www.cs.toronto.edu/~kriz"


@dataclass(frozen=True)
class Published:
    """An archive as its author published it."""

    address: str
    size: int  # bytes
    md5: str

    @property
    def name(self) -> str:
        return self.address.rsplit("/", 1)[1]

    def whole(self, path: Path) -> bool:
        """Whether this file is that archive, to the last bit."""
        return path.is_file() and path.stat().st_size == self.size and md5(path) == self.md5


BINARY = Published(
    f"{PAGE}/cifar-10-binary.tar.gz", 170_052_171, "c32a1d4ab5d03f1284b67883e8d87530"
)
PYTHON = Published(
    f"{PAGE}/cifar-10-python.tar.gz", 170_498_071, "c58f30108f718f92721af3b95e74349a"
)


def md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
