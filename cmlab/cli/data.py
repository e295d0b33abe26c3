"""`cmlab data`: check, describe or download CIFAR-10; pack pictures or points of one's own.

`cmlab data images --path DIR --size 32` and `cmlab data points --path FILE.csv` write one file,
named after a hash of its content, for `--data`, and a picture to look at beside it.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data import pictures
from ..data.cifar10 import CIFAR10, CLASSES
from ..data.cifar10_files import DATA, LAYOUTS, TEST, TRAIN, Missing, find
from ..data.download import download
from ..data.own import pack_images, pack_points
from ..train import checkpoint
from ..train.checkpoint import BadFile
from ..types import Range
from .settings import Refused, whole

ARCHIVES = {layout.name: layout.archive for layout in LAYOUTS}
SIZES, SHOWN = Range("[8, 256]"), 64  # pixels a side of packed pictures; pictures in the grid


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "set",
        choices=("cifar10", "images", "points"),
        help="cifar10; or what to pack: images or points of your own",
    )
    parser.add_argument("--path", default="", help="the folder, archive or file; default: data/")
    parser.add_argument(
        "--size", type=whole(SIZES), default=32, help="images: pixels a side, a multiple of 8"
    )
    parser.add_argument(
        "--out", type=Path, help="images, points: where the file goes; default: data/SET-HASH"
    )
    parser.add_argument("--download", action="store_true", help="download the archive, 170 MB")
    parser.add_argument("--layout", choices=ARCHIVES, default="binary", help="archive to download")


def main(args: argparse.Namespace) -> int:
    """Describe the data set on standard output. Raises BadFile if it is missing or damaged."""
    if args.set != "cifar10":
        return pack_own(args)
    if args.out:
        raise Refused("--out goes with images and points; CIFAR-10 stays where it is")
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


def pack_own(args: argparse.Namespace) -> int:
    """Look at pictures or points, and pack them into one file; a picture of them beside it."""
    if args.download or not args.path:
        raise Refused(f"`cmlab data {args.set}` packs what is at --path, and downloads nothing")
    if args.size % 8:
        raise Refused(f"--size takes a multiple of 8, not {args.size}")
    path = Path(os.path.expanduser(args.path))
    pack = packed_images if args.set == "images" else packed_points
    tensors, record, lines, picture = pack(path, args.size)
    out = args.out or DATA / f"{args.set}-{record['digest']}.safetensors"
    if out.suffix != ".safetensors":
        raise Refused(f"--out takes a .safetensors file, not {out}")
    checkpoint.write(out, tensors, record)
    checkpoint.replace(out.with_suffix(".png"), lambda part: part.write_bytes(picture()))
    megabytes = out.stat().st_size / 1e6
    lines += [f"wrote {out} ({megabytes:.1f} MB), and a picture of them beside it"]
    preset = "images.ect-small" if args.set == "images" else "toy.ict --out runs/points"
    lines += [f"next: cmlab train {preset} --data {out}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


Packed = tuple[dict[str, Tensor], dict[str, Any], list[str], Any]


def packed_images(path: Path, size: int) -> Packed:
    """Tensors, record, report and a grid of pictures."""
    found = pictures.find(path)
    tensors, record = pack_images(found, size)
    train, test = tensors["train"], tensors["test"]
    lines = [f"{found.count} pictures in {path}, each as its central square, {size} × {size}"]
    if found.skipped:
        lines += [f"{found.skipped} other files were left out"]
    lines += [f"{len(train)} to train on, {len(test)} held out"]
    if found.labels:
        counts = torch.tensor(found.labels).bincount(minlength=len(found.classes)).tolist()
        lines += [
            "classes: " + listed([f"{c} {n}" for c, n in zip(found.classes, counts, strict=True)])
        ]
    mean, deviation = moments(train)
    lines += [
        f"mean of red, green, blue {decimals(mean)}, standard deviation {decimals(deviation)}",
        f"sigma_data {record['sigma_data']}",
    ]
    whole = torch.cat([train, test]).flatten(1)
    if twice := len(whole) - len(whole.unique(dim=0)):
        lines += [f"{twice} stand there more than once, some of them perhaps in both halves"]

    def grid() -> bytes:
        from ..metrics.plots import image_sheets, png  # matplotlib is slow to load

        halves = [x[:: -(-len(x) // SHOWN)].float() / 127.5 - 1 for x in (train, test)]
        return png(image_sheets(halves, ["to train on", "held out"]))

    return tensors, record, lines, grid


def packed_points(path: Path, size: int) -> Packed:
    """Tensors, record, report and a scatter plot of points."""
    tensors, record = pack_points(path)
    points, (a, b) = tensors["points"], record["mean"]
    lines = [
        f"{len(points)} points in {path}",
        f"mean ({a:.5g}, {b:.5g}) moved to 0, all divided by {record['scale']:.5g}",
        "sigma_data 0.5",
    ]

    def plot() -> bytes:
        from ..metrics.plots import png, point_sheets

        return png(point_sheets([points], [path.name], points))

    return tensors, record, lines, plot


def listed(words: Sequence[str], most: int = 12) -> str:
    """Words with commas between; of many the first."""
    rest = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + rest
