"""Folders in CIFAR-10's published layouts, full size, with pictures made by rule. 0.1 s a batch.

write_binary(folder)    makes folder/cifar-10-batches-bin, 184 MB
write_python(folder)    makes folder/cifar-10-batches-py, 185 MB
"""

import pickle
import struct

import numpy as np

N, SIDE = 10_000, 32
TRAIN, TEST = [f"data_batch_{k}" for k in range(1, 6)], ["test_batch"]
BATCHES = TRAIN + TEST


def pictures(name):
    """Images (10 000, 3072) and labels (10 000,), uint8: tilted planes of colour."""
    rng = np.random.default_rng(BATCHES.index(name))
    colour = rng.integers(0, 256, (N, 3, 1, 1), np.uint8)
    tilt = rng.integers(0, 4, (2, N, 1, 1, 1), np.uint8)
    line = np.arange(SIDE, dtype=np.uint8)
    images = colour + tilt[0] * line[:, None] + tilt[1] * line
    return images.reshape(N, -1), (rng.permutation(N) % 10).astype(np.uint8)


def as_binary(images, labels):
    return np.concatenate([labels[:, None], images], 1).tobytes()


def as_python(images, labels):
    """As a Python 3 that keeps bytes as keys pickles it."""
    return pickle.dumps({b"data": images, b"labels": labels.tolist()}, protocol=4)


def as_python2(images, labels):
    """As the published files are: protocol 2 by Python 2, whose strings are bytes."""
    memo = iter(range(1, 1 << 20))

    def put():
        k = next(memo)
        return b"q" + bytes([k]) if k < 256 else b"r" + struct.pack("<I", k)

    def text(s):
        return b"U" + bytes([len(s)]) + s + put()

    def small(k):
        return b"K" + bytes([k])

    names = [text(b"picture_s_%06d.png" % k) for k in range(N)]
    parts = [b"\x80\x02}", put(), b"("]
    parts += [text(b"batch_label"), text(b"training batch 1 of 5")]
    parts += [text(b"labels"), b"]", put(), b"(", *map(small, labels.tolist()), b"e"]
    parts += [text(b"data"), b"cnumpy.core.multiarray\n_reconstruct\n", put()]
    parts += [b"cnumpy\nndarray\n", put(), small(0), b"\x85", text(b"b"), b"\x87R", put()]
    parts += [b"(", small(1), b"M", struct.pack("<H", N), b"M", struct.pack("<H", 3072), b"\x86"]
    parts += [b"cnumpy\ndtype\n", put(), text(b"u1"), small(0), small(1), b"\x87R", put()]
    parts += [b"(", small(3), text(b"|"), b"NNN", 2 * b"J\xff\xff\xff\xff", small(0), b"tb"]
    parts += [b"\x89T", struct.pack("<i", images.size), images.tobytes(), put(), b"tb"]
    parts += [text(b"filenames"), b"]", put(), b"(", *names, b"eu."]
    return b"".join(parts)


def write_binary(folder, names=BATCHES):
    return _write(folder / "cifar-10-batches-bin", names, ".bin", as_binary)


def write_python(folder, names=BATCHES, form=as_python):
    return _write(folder / "cifar-10-batches-py", names, "", form)


def _write(folder, names, suffix, form):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}{suffix}").write_bytes(form(*pictures(name)))
    return folder
