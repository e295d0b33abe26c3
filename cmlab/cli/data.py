"""`cmlab data cifar10`: check that a data set is present and intact, describe or download it."""

import argparse
import os
import sys
from pathlib import Path

import torch
from torch import Tensor

from ..data.cifar10 import CIFAR10, CLASSES
from ..data.cifar10_files import DATA, LAYOUTS, TEST, TRAIN, Missing, find
from ..data.download import download
from ..train.checkpoint import BadFile

ARCHIVES = {layout.name: layout.archive for layout in LAYOUTS}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", choices=("cifar10",), help="the data set: cifar10")
    parser.add_argument("--path", default="", help="its folder or its archive; default: data/")
    parser.add_argument("--download", action="store_true", help="download the archive, 170 MB")
    parser.add_argument(
        "--layout",
        choices=ARCHIVES,
        default="binary",
        help="archive to download",
    )


def main(args: argparse.Namespace) -> int:
    """Describe the data set on standard output. Raises BadFile if it is missing or damaged."""
    if args.download:
        folder = Path(os.path.expanduser(args.path)) if args.path else DATA
        if folder.is_file():
            raise BadFile(f"{folder} is a file; give --path a folder to download into")
        download(ARCHIVES[args.layout], folder)
    sys.stdout.write("\n".join(report(args.path)) + "\n")
    return 0


def report(path: str) -> list[str]:
    """The description, in lines of text. Raises BadFile if the data are missing or damaged."""
    place = find(path, TRAIN)
    lines = [f"CIFAR-10 in {place.path}, {place.layout.name} layout{published(place.path)}"]
    lines += [f"train: {line}" for line in describe(CIFAR10(path))]
    try:
        other = find(path, TEST)
        lines += [f"test: in {other.path}"] if other != place else []
        return lines + [f"test: {line}" for line in describe(CIFAR10(path, train=False))]
    except Missing:
        return [*lines, "test: not there; training goes without it"]


def published(path: Path) -> str:
    """Whether an archive is the one that was published, in words; empty for a folder."""
    if not path.is_file():
        return ""
    same = any(archive.whole(path) for archive in ARCHIVES.values())
    return ", the published archive" if same else ", not the archive as it was published"


def describe(images: CIFAR10) -> list[str]:
    """Counts of the classes, and mean and standard deviation of the channels (0 to 255)."""
    counts = images.labels.bincount(minlength=len(CLASSES)).tolist()
    balanced = len(set(counts)) == 1
    each = str(counts[0]) if balanced else ", ".join(map("{} {}".format, counts, CLASSES))
    mean, deviation = moments(images.images)
    return [
        f"{len(images)} images, of each class {each}",
        f"mean of red, green, blue {decimals(mean)}, standard deviation {decimals(deviation)}",
    ]


def moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, exact: from counts of the 256 values."""
    levels = torch.arange(256, dtype=torch.float64)
    counts = [images[:, k].flatten().bincount(minlength=256) for k in range(3)]
    share = torch.stack(counts).double() / counts[0].sum()
    mean = share @ levels
    return mean, (share @ levels**2 - mean**2).sqrt()


def decimals(values: Tensor) -> str:
    return " ".join(f"{value:.3f}" for value in values.tolist())
