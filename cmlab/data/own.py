"""Own data: pictures and points of one's own, packed into one file that a record can name.

`cmlab data images` and `cmlab data points` write the file: safetensors, content and measures in
one, its name ending in a hash of what it holds. A record has the hash and no path, so it says on
which data a run was trained, on whatever machine they lie.
"""

import csv
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ..discovery import OWN
from ..ingredients import ingredient
from ..oracle import Empirical
from ..train.checkpoint import BadFile, contents, read
from ..types import Classes, Count, Data, Positive
from .cifar10 import ResidentImages
from .latents import digest
from .pictures import Pictures, resized
from .toy import ToyData

SHARE = 5  # every fifth picture of a class is held out
LEAST, MOST_POINTS = 10, 5_000
UNIT = 0.5  # standard deviation of packed points

# The packed file


def unpacked(kind: str, path: str, wanted: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and record of a packed file.

    Args:
        kind: images or points.
        path: the file, or a folder with it; "" is what CMLAB_DATA names, or data/.
        wanted: the hash of its content; "" is any.

    Raises:
        BadFile: when it is not there, or holds other data.
    """
    place = Path(path or os.environ.get("CMLAB_DATA", "") or OWN).expanduser()
    named = sorted(place.glob(f"*-{wanted}.safetensors")) if wanted else []
    files = [place] if place.is_file() else named
    if not files:
        which = f"the {kind} {wanted}" if wanted else f"{kind} packed by cmlab"
        raise BadFile(
            f"{which} were not found at {place}; make their file with `cmlab data {kind} --path "
            f"…`, and give it with --data"
        )
    tensors, record = checked_file(files[0], files[0].stat().st_mtime_ns)
    if record.get("data") != kind:
        raise BadFile(f"{files[0]} is not what `cmlab data {kind}` wrote; give that file")
    if wanted not in ("", record["digest"]):
        raise BadFile(f"{files[0]} holds {record['digest']} and not the {kind} {wanted}")
    return tensors, record


@lru_cache(maxsize=2)
def checked_file(file: Path, written: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What is in a file, once its hash is right; read again when it was written later."""
    tensors, record = read(file)
    if "data" in record and record.get("digest") != digest(tensors):
        raise BadFile(f"{file} is damaged: it has another hash than it says; make it again")
    return tensors, record


def pack(kind: str, tensors: dict[str, Tensor], facts: dict[str, Any]) -> dict[str, Any]:
    """The record of a packed file: what it holds, and the hash of its tensors."""
    return {"data": kind, "digest": digest(tensors), **facts}


# Pictures


def pack_images(found: Pictures, size: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Pictures as the tensors of a packed file and its record: measured, and split in two.

    Every fifth of each class is held out, in an order shuffled once.

    Args:
        found: the pictures.
        size: pixels a side.

    Raises:
        BadFile: for pictures that cannot be read, too few of them, or all alike.
    """
    if found.count < LEAST:
        raise BadFile(f"there are {found.count} pictures; give at least {LEAST}")
    x = torch.empty(found.count, 3, size, size, dtype=torch.uint8)
    for row, (_, picture) in zip(x, found.images, strict=True):
        row.copy_(torch.from_numpy(resized(picture, size).copy()))
    labels = torch.tensor(found.labels or [0] * found.count)
    order = torch.randperm(len(x), generator=Generator().manual_seed(0))
    order = order[labels[order].argsort(stable=True)]
    held = torch.zeros(len(x), dtype=torch.bool)
    held[order[::SHARE]] = True
    tensors = {"train": x[~held], "test": x[held]}
    if found.labels:
        tensors |= {"train_labels": labels[~held], "test_labels": labels[held]}
    sigma_data = round(spread(tensors["train"]), 4)
    if sigma_data < 0.01:
        raise BadFile("the pictures are all of one colour; there is nothing to learn")
    facts = {"shape": [3, size, size], "classes": list(found.classes), "sigma_data": sigma_data}
    return tensors, pack("images", tensors, facts)


def spread(images: Tensor) -> float:
    """Standard deviation of bytes, in units of [-1, 1]; exact, from counts of the 256 values."""
    share = images.flatten().bincount(minlength=256).double() / images.numel()
    levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    return float((share @ levels**2 - (share @ levels) ** 2).sqrt())


@ingredient
@dataclass(frozen=True)
class Images:
    """Pictures of one's own, packed by `cmlab data images`.

    Shape, classes and σ_data are the file's: a network can be loaded and sampled without it.

    Args:
        path: the packed file, or a folder with it; "" is what CMLAB_DATA names, or data/.
        digest: the hash of its content.
        shape: of one picture: channels, height, width.
        classes: how many classes the labels have; 0 without labels.
        sigma_data: standard deviation of the training pictures' values.
        flip: whether each sample is mirrored left to right with probability 1/2.
        train: whether the training pictures are meant, or those held out.

    Raises BadFile, when the pictures are first used, if they cannot be found or read.
    """

    path: str = ""
    digest: str = ""
    shape: tuple[Count, ...] = (3, 32, 32)
    classes: Classes = 0
    sigma_data: Positive = 0.5
    flip: bool = True
    train: bool = True

    @classmethod
    def packed(cls, path: str = "") -> "Images":
        """The pictures of a packed file, with its hash and facts in their fields."""
        _, facts = unpacked("images", path, "")
        return cls(
            path,
            facts["digest"],
            tuple(facts["shape"]),
            len(facts["classes"]),
            facts["sigma_data"],
        )

    @classmethod
    def given(cls) -> "Images":
        """The pictures that --data or CMLAB_DATA names; without them a stand-in, to be shown."""
        path = os.environ.get("CMLAB_DATA", "")
        return cls.packed() if Path(path).suffix == ".safetensors" else cls()

    def _tensor(self, name: str) -> Tensor | None:
        half = "train" if self.train else "test"
        return unpacked("images", self.path, self.digest)[0].get(half + name)

    @property
    def images(self) -> Tensor:
        """All pictures of this half as bytes (n, 3, h, w)."""
        found = self._tensor("")
        assert found is not None
        return found

    @property
    def labels(self) -> Tensor | None:
        """The class of each, (n,), or None."""
        return self._tensor("_labels")

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def resident(self) -> ResidentImages:
        """These pictures on the CPU."""
        return self.on("cpu")

    def sample(self, n: int) -> tuple[Data, Tensor | None]:
        """n pictures (n, 3, h, w) in [-1, 1] drawn with replacement, and classes (n,) or None."""
        return self.resident.sample(n)

    def blank(self, n: int) -> tuple[Data, Tensor | None]:
        """The shapes of n samples, for drawing from a model where the pictures are not at hand."""
        classes = torch.zeros(n, dtype=torch.long) if self.classes else None
        return torch.zeros(n, *self.shape), classes

    def on(self, device: torch.device | str) -> ResidentImages:
        """The same data on a device; samples are drawn there, from its random numbers."""
        labels = None if self.labels is None else self.labels.to(device)
        return ResidentImages(self.images.to(device), self.flip, labels, self.sigma_data)


# Points


def pack_points(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Points in the plane as the tensors of a packed file and its record.

    They are moved to the mean 0 and divided by one number so that σ_data = 0.5.

    Args:
        path: a CSV file of two columns of numbers, with a header or without.

    Raises:
        BadFile: for anything else.
    """
    try:
        rows = list(csv.reader(contents(path).decode("utf-8-sig").splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise BadFile(f"{path} is missing or no CSV file in UTF-8") from error
    rows = [row for row in rows if row]
    if rows and not all(map(is_number, rows[0])):
        rows = rows[1:]
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or not all(map(is_number, row)):
            raise BadFile(
                f"{path} has no two numbers in its row {number} of data, {','.join(row)[:40]!r}; "
                f"give two columns with a comma between, and no index"
            )
    if not LEAST <= len(rows) <= MOST_POINTS:
        raise BadFile(f"{path} has {len(rows)} points; give {LEAST} to {MOST_POINTS}")
    points = np.array(rows, dtype=np.float64)
    mean = points.mean(0)
    with np.errstate(over="ignore"):  # it is said below
        scale = float(np.sqrt(points.var(0).mean())) / UNIT
    if not scale > 0 or not np.isfinite(scale):
        raise BadFile(f"{path} has points that are all alike, or too far apart to be measured")
    tensors = {"points": torch.from_numpy((points - mean) / scale)}
    return tensors, pack("points", tensors, {"mean": mean.tolist(), "scale": scale})


def is_number(text: str) -> bool:
    """Whether this is a finite number as a float has it."""
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


@ingredient
@dataclass(frozen=True)
class Points(ToyData):
    """Points in the plane of one's own, packed by `cmlab data points`.

    Their distribution is a point mass at each: the denoiser and consistency function are exact.

    Args:
        path: the packed file, or a folder with it; "" is what CMLAB_DATA names, or data/.
        digest: the hash of its content.
    """

    path: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        """Nothing is read before it is used, so that a model can be loaded without its data."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    @property
    def sigma_data(self) -> float:
        """0.5, by construction."""
        return UNIT

    @classmethod
    def given(cls) -> "Points":
        """The points that --data or CMLAB_DATA names. Raises BadFile where it names none."""
        return cls(digest=unpacked("points", "", "")[1]["digest"])

    @cached_property
    def oracle(self) -> Empirical:
        """The exact distribution."""
        return Empirical(unpacked("points", self.path, self.digest)[0]["points"])
