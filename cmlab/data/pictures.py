"""Pictures in files: folders of PNG and JPEG, EDM's zip, NumPy arrays, Hugging Face's parquet.

    folder, or a zip of one    PNG and JPEG files; folders in it are classes
    with dataset.json          EDM's form: {"labels": [[name, label], …]}, or null without classes
    .npy, .npz                 (n, h, w), (n, h, w, 1 or 3) or (n, 1 or 3, h, w), bytes or floats
    folder of .parquet         a column of {bytes, path} and one of labels; needs pyarrow

Every picture becomes 8-bit RGB as a viewer shows it: turned as its EXIF says, 16 bits scaled to 8
(Pillow alone clips grey ones), transparency on white. No pickle is read, and no archive unpacked.
"""

import json
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..train.checkpoint import BadFile, parse_json

SUFFIXES = (".png", ".jpg", ".jpeg")
LARGEST = 2**28  # bytes of one file in an archive
INDEX = "dataset.json"
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, zlib.error, zipfile.BadZipFile,
    NotImplementedError, RuntimeError, MemoryError, Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)  # fmt: skip

Read = Callable[[str], bytes]


@dataclass(frozen=True)
class Pictures:
    """Pictures as they were found, each read when its turn comes.

    Args:
        images: their names and the pictures, RGB.
        count: how many.
        labels: the class of each, or None.
        classes: names of the classes, by label.
        skipped: files beside them that are no pictures.
    """

    images: Iterable[tuple[str, Image.Image]]
    count: int
    labels: list[int] | None = None
    classes: tuple[str, ...] = ()
    skipped: int = 0


def find(path: Path) -> Pictures:
    """The pictures at a path, in the order of their names.

    Raises:
        BadFile: in one sentence, now or when a picture is read, for what is none.
    """
    if path.is_dir():
        return in_tables(path) if any(path.rglob("*.parquet")) else in_folder(path)
    if not path.is_file():
        raise BadFile(f"{path} does not exist; give a folder of pictures, a zip, .npz or .npy")
    if path.suffix.lower() in (".npz", ".npy"):
        return in_arrays(path)
    if path.suffix.lower() == ".zip":
        return in_zip(path)
    kinds = "a folder of PNG and JPEG files, a zip of one, .npz, .npy, or a folder of .parquet"
    raise BadFile(f"{path} is none of the forms that are read: {kinds}")


# Folders and zips: the same names, read in two ways


def in_folder(root: Path) -> Pictures:
    names = []
    for file in sorted(root.rglob("*")):
        name = file.relative_to(root).as_posix()
        if file.is_symlink():
            raise BadFile(f"{file} is a link; copy into {root} what it leads to")
        if file.is_file() and not any(part.startswith(".") for part in Path(name).parts):
            names.append(name)
    return named(root, names, lambda name: (root / name).read_bytes())


def in_zip(path: Path) -> Pictures:
    def read(name: str) -> bytes:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(name).file_size > LARGEST:
                raise BadFile(f"{name} in {path} is larger than any picture here; leave it out")
            return archive.read(name)

    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except UNREADABLE as error:
        raise BadFile(f"{path} is a truncated or damaged zip; get it again") from error
    return named(path, names, read)


def named(where: Path, names: list[str], read: Read) -> Pictures:
    """The pictures among these names, with their classes."""
    chosen = [name for name in names if name.lower().endswith(SUFFIXES)]
    if not chosen:
        tables = any(name.endswith(".arrow") for name in names)
        hint = ", but Arrow tables: write them anew with `to_parquet`" if tables else ""
        raise BadFile(f"{where} holds no PNG or JPEG picture{hint}")
    skipped = len(names) - len(chosen) - (INDEX in names)
    if INDEX in names:
        labels, classes = indexed(where, chosen, read)
    else:
        labels, classes = by_folder(where, chosen)
    images = ((name, opened(f"{name} in {where}", partial(read, name))) for name in chosen)
    return Pictures(images, len(chosen), labels, classes, skipped)


def by_folder(where: Path, names: list[str]) -> tuple[list[int] | None, tuple[str, ...]]:
    """Labels and classes by the folder that each picture is in; None if all are at the top."""
    folders = [name.rpartition("/")[0] for name in names]
    classes = sorted(set(folders))
    if classes == [""]:
        return None, ()
    if "" in classes:
        raise BadFile(f"{where} has pictures beside folders of pictures; put each into a folder")
    if len(classes) == 1:
        raise BadFile(
            f"{where} has pictures of one class only, {classes[0]}; without classes, have them "
            f"in no folder: give {where / classes[0]}"
        )
    return [classes.index(folder) for folder in folders], tuple(classes)


def indexed(where: Path, names: list[str], read: Read) -> tuple[list[int] | None, tuple[str, ...]]:
    """Labels and classes by EDM's dataset.json, whose labels may be null."""
    try:
        rows = parse_json(read(INDEX))["labels"]
        if rows is None:
            return None, ()
        by_name = {str(name): label for name, label in rows}
        labels = [by_name[name] for name in names]
    except KeyError as error:
        raise BadFile(f"{INDEX} in {where} says no label of {error.args[0]!r}") from error
    except (TypeError, *UNREADABLE) as error:
        raise BadFile(f"{INDEX} in {where} is not EDM's; its form is {{'labels': …}}") from error
    return checked(f"{INDEX} in {where}", labels)


def checked(
    where: str, labels: list[Any], names: tuple[str, ...] = ()
) -> tuple[list[int], tuple[str, ...]]:
    """The labels, if they are whole numbers from 0 of more than one class, and the classes."""
    if not all(type(label) is int and 0 <= label < 10_000 for label in labels):
        raise BadFile(f"{where} has labels that are no whole numbers below 10000; leave them out")
    if len(set(labels)) < 2:
        raise BadFile(f"{where} has pictures of one class only; leave the labels out")
    known = names if len(names) > max(labels) else tuple(map(str, range(max(labels) + 1)))
    return labels, known


def opened(where: str, read: Callable[[], bytes]) -> Image.Image:
    """A picture as 8-bit RGB. Raises BadFile, naming it, for a file that is no single picture."""
    try:
        payload = read()
    except BadFile:
        raise
    except UNREADABLE as error:
        raise BadFile(f"{where} cannot be read ({error}); restore it or leave it out") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(BytesIO(payload), formats=("PNG", "JPEG"))
            if picture.format == "PNG" and getattr(picture, "n_frames", 1) > 1:
                raise BadFile(f"{where} is an animation; leave it out, or give its frames")
            picture.load()
            return flattened(ImageOps.exif_transpose(picture))
    except BadFile:
        raise
    except UNREADABLE as error:
        what = described(payload, error)
        raise BadFile(f"{where} is {what}; restore it or leave it out") from error


def described(payload: bytes, error: Exception) -> str:
    """What a file is that is no PNG or JPEG picture, in words."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "larger than 89 million pixels"
    if isinstance(error, UnidentifiedImageError):
        try:
            return f"a {Image.open(BytesIO(payload)).format} picture and no PNG or JPEG"
        except UNREADABLE:
            return "no PNG or JPEG picture" if payload else "empty"
    return "truncated or damaged"


def flattened(picture: Image.Image) -> Image.Image:
    """The picture in RGB, 8 bits a channel."""
    if picture.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion clips it at 255
        grey = np.asarray(picture).astype(np.float64) / 257
        picture = Image.fromarray(grey.round().clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def resized(picture: Image.Image, size: int) -> np.ndarray:
    """The central square, resized by Lanczos's filter: (3, size, size), bytes."""
    if picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture).transpose(2, 0, 1)


def in_arrays(path: Path) -> Pictures:
    """The pictures of a .npy or .npz file: one array of pictures, and one of labels at most."""
    try:
        held = np.load(path, allow_pickle=False)
        arrays = [held] if isinstance(held, np.ndarray) else [held[name] for name in held.files]
    except UNREADABLE as error:
        raise BadFile(f"{path} is damaged, or holds objects where arrays are read") from error
    found = [x for x in arrays if x.ndim in (3, 4)]
    labels = [x for x in arrays if x.ndim in (1, 2)]
    if len(found) != 1 or not len(found[0]):
        shapes = ", ".join(str(x.shape) for x in arrays) or "nothing"
        raise BadFile(f"{path} holds {shapes}; give one array of pictures, such as (n, h, w, 3)")
    x = as_bytes(path, found[0])
    pictures = ((f"picture {i} in {path}", Image.fromarray(row)) for i, row in enumerate(x))
    if not labels:
        return Pictures(pictures, len(x))
    if len(labels) > 1 or labels[0].size != len(x) or labels[0].dtype.kind not in "iu":
        raise BadFile(f"{path} has labels that do not fit; give one whole number a picture")
    return Pictures(pictures, len(x), *checked(str(path), labels[0].ravel().tolist()))


def as_bytes(path: Path, x: np.ndarray) -> np.ndarray:
    """Pictures (n, h, w, 3) as bytes, from the shapes and the ranges that are usual."""
    if x.ndim == 3:
        x = x[..., None]
    if x.shape[-1] not in (1, 3):
        x = x.transpose(0, 2, 3, 1)
    if x.shape[-1] not in (1, 3):
        raise BadFile(f"{path} holds {x.shape}; pictures have 1 or 3 channels, first or last")
    if x.dtype.kind == "f" and np.isfinite(x).all() and -1 <= x.min() and x.max() <= 1:
        x = ((x + 1) * 127.5 if x.min() < 0 else x * 255).round().astype(np.uint8)
    if x.dtype != np.uint8:
        span = f" from {x.min()} to {x.max()}" if x.dtype.kind in "biuf" else ""
        raise BadFile(f"{path} holds {x.dtype}{span}; give bytes, or floats in [0, 1] or [-1, 1]")
    return np.broadcast_to(x, (*x.shape[:3], 3))


# Hugging Face's parquet


def in_tables(root: Path) -> Pictures:
    """The pictures of a folder of parquet files; of a data set in splits, those of `train`."""
    files = sorted(root.rglob("*.parquet"))
    files = [file for file in files if file.name.startswith("train")] or files
    try:
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise BadFile(
            f"{root} holds parquet files, which pyarrow reads: pip install pyarrow"
        ) from error
    try:
        schema = parquet.ParquetFile(files[0]).schema_arrow
        kinds = {field.name: str(field.type) for field in schema}
        ordered = sorted(kinds, key=lambda name: "bytes:" not in kinds[name])
        image = next(name for name in ordered if "binary" in kinds[name])
        label = next((n for n in ("label", "labels", "fine_label") if n in schema.names), None)
        columns = [image, *([label] if label else [])]
        tables = [parquet.ParquetFile(file) for file in files]
        found = [row for t in tables for row in t.read(columns[1:]).to_pylist()] if label else []
    except StopIteration as error:
        raise BadFile(f"{files[0]} has no column of pictures, such as {{bytes, path}}") from error
    except UNREADABLE as error:
        raise BadFile(f"{files[0]} or one beside it is no whole parquet file") from error

    def found_in() -> Iterator[tuple[str, Image.Image]]:
        for file, table in zip(files, tables, strict=True):
            where = f"a picture in {file}"
            for cell in cells_of(file, table, image):
                yield file.name, opened(where, partial(payload_of, file, cell))

    count = sum(table.metadata.num_rows for table in tables)
    if not count:
        raise BadFile(f"{root} holds no rows")
    if not label:
        return Pictures(found_in(), count)
    labels, names = [row[label] for row in found], class_names(schema, label)
    if all(isinstance(text, str) for text in labels):
        names = tuple(sorted(set(labels)))
        labels = [names.index(text) for text in labels]
    return Pictures(found_in(), count, *checked(str(root), labels, names))


def cells_of(file: Path, table: Any, column: str) -> Iterator[Any]:
    """The cells of a column, some rows at a time. Raises BadFile where the file is damaged."""
    try:
        for batch in table.iter_batches(64, columns=[column]):
            yield from batch.column(0).to_pylist()
    except UNREADABLE as error:
        raise BadFile(f"{file} is truncated or damaged; get it again") from error


def payload_of(file: Path, cell: Any) -> bytes:
    """The bytes of a picture. Raises BadFile for a cell that only names a file, or is a list."""
    payload = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(payload, bytes):
        raise BadFile(
            f"{file} has a row without a picture in it: if it names files, give their folder, or "
            f"embed them (embed_table_storage of `datasets`) and write the table anew"
        )
    return payload


def class_names(schema: Any, label: str) -> tuple[str, ...]:
    """The names of the classes, from the metadata that Hugging Face's library writes."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return tuple(map(str, features[label]["names"]))
    except (KeyError, TypeError, ValueError):
        return ()
