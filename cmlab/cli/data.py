"""`cmlab data cifar10`: is it here, is it whole, and what is in it; with --download, get it."""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from ..data.cifar10 import CIFAR10, CLASSES
from ..data.cifar10_files import DATA, LAYOUTS, Missing, find
from ..data.download import download
from ..train.checkpoint import BadFile

ARCHIVES = {layout.name: layout.archive for layout in LAYOUTS}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", choices=("cifar10",), help="cifar10")
    parser.add_argument("--path", default="", help="its folder or archive; default data/")
    parser.add_argument("--download", action="store_true", help="get the archive, 170 MB")
    parser.add_argument("--layout", choices=ARCHIVES, default="binary", help="to download")


def main(given: argparse.Namespace) -> int:
    """Says what is there. Raises BadFile when nothing is, or when it is damaged."""
    if given.download:
        folder = Path(given.path).expanduser() if given.path else DATA
        if folder.is_file():
            raise BadFile(f"{folder} is a file; give --path a folder to download into")
        download(ARCHIVES[given.layout], folder)
    sys.stdout.write("\n".join(report(given.path)) + "\n")
    return 0


def report(path: str) -> list[str]:
    """Lines for people. Raises BadFile as CIFAR10 does."""
    place = find(path)
    lines = [f"CIFAR-10 in {place.path}, {place.layout.name} layout{origin(place.path)}"]
    lines += [f"train: {line}" for line in about(CIFAR10(path))]
    try:
        return lines + [f"test: {line}" for line in about(CIFAR10(path, train=False))]
    except Missing:
        return [*lines, "test: not there; training goes without it"]


def origin(path: Path) -> str:
    """Whether an archive is the published one."""
    if not path.is_file():
        return ""
    whole = any(archive.whole(path) for archive in ARCHIVES.values())
    return ", the published archive" if whole else ", not the archive as it was published"


def about(images: CIFAR10) -> list[str]:
    """Counts, and statistics of the three channels in units of a byte."""
    counts = images.labels.bincount(minlength=len(CLASSES)).tolist()
    even = len(set(counts)) == 1
    each = str(counts[0]) if even else ", ".join(map("{} {}".format, counts, CLASSES))
    mean, deviation = moments(images.images)
    return [
        f"{len(images)} images, of each class {each}",
        f"mean of red, green, blue {numbers(mean)}, standard deviation {numbers(deviation)}",
    ]


def moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, from counts of the 256 levels: exact."""
    levels = torch.arange(256, dtype=torch.float64)
    counts = [images[:, k].flatten().bincount(minlength=256) for k in range(3)]
    share = torch.stack(counts).double() / counts[0].sum()
    mean = share @ levels
    return mean, (share @ levels**2 - mean**2).sqrt()


def numbers(values: Tensor) -> str:
    return " ".join(f"{value:.3f}" for value in values.tolist())
