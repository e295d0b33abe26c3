"""One batch of CIFAR-10 from the bytes of its file, in each of the two published layouts."""

from typing import Any

import numpy as np

from .inert_pickle import Note, Refused, contents

IMAGES = 10_000  # in every batch
PIXELS = 3 * 32 * 32  # bytes of an image: all red, all green, all blue, each row by row
RECORD = 1 + PIXELS  # in the binary layout: the label, then the image

# Two names of one function: numpy 2 moved it.
ARRAY = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
DTYPE, CLASS = "numpy dtype", "numpy ndarray"

Batch = tuple[np.ndarray, np.ndarray]  # images (10 000, 3072) and labels (10 000,), uint8


def from_binary(payload: bytes) -> Batch:
    """Records of one label byte and 3072 pixel bytes. Raises Refused for labels above 9."""
    if len(payload) != IMAGES * RECORD:
        raise Refused(f"has {len(payload)} bytes where a batch has {IMAGES * RECORD}")
    records = np.frombuffer(payload, np.uint8).reshape(IMAGES, RECORD)
    return records[:, 1:], checked(records[:, 0])


def from_python(payload: bytes) -> Batch:
    """A pickled dictionary with `data` and `labels`. Raises Refused for anything else."""
    record = contents(payload, {*ARRAY, DTYPE, CLASS})
    if type(record) is dict and b"fine_labels" in record:
        raise Refused("holds CIFAR-100")
    if type(record) is not dict or not {b"data", b"labels"} <= record.keys():
        raise Refused("holds no images and labels")
    labels = record[b"labels"]
    if type(labels) is not list or any(type(label) is not int for label in labels):
        raise Refused("has labels that are no list of whole numbers")
    if len(labels) != IMAGES or not all(0 <= label <= 255 for label in labels):
        raise Refused(f"does not have {IMAGES} labels from 0 to 9")
    return pixels(record[b"data"]), checked(np.array(labels, np.uint8))


def pixels(note: Any) -> np.ndarray:
    """The array that numpy would make of its own note: (10 000, 3072) uint8, or Refused."""
    state = note.state if type(note) is Note and note.name in ARRAY else None
    if type(state) is not tuple or len(state) != 5:
        raise Refused("has images that are no array")
    _, shape, dtype, by_column, raw = state
    described = type(dtype) is Note and dtype.name == DTYPE and type(dtype.arguments) is tuple
    unit = dtype.arguments[:1] if described else ()
    whole = type(raw) is bytes and len(raw) == IMAGES * PIXELS
    if unit != (b"u1",) or shape != (IMAGES, PIXELS) or not whole:
        raise Refused(f"has an array of images that is not {IMAGES} × {PIXELS} bytes")
    return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if by_column is True else "C")


def checked(labels: np.ndarray) -> np.ndarray:
    if labels.max() > 9:
        raise Refused(f"has the label {labels.max()}, and CIFAR-10's are 0 to 9")
    return labels
