"""Autoencoders by name: what opens one, and a digest that tells one from another."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..checkpoint import BadFile, read
from ..ingredients import ingredient
from ..nets.autoencoder import Autoencoder, AutoencoderShape
from ..ops import rewind_rng

CHECKPOINTS = Path(__file__).parents[2] / "data" / "checkpoints"
REMAKE = "python scripts/train_autoencoders.py"


@runtime_checkable
class Codec(Protocol):
    """Pictures (b, c, n, n) in [-1, 1] to latents and back; without a gradient."""

    def encode(self, x: Tensor) -> Tensor: ...

    def decode(self, h: Tensor) -> Tensor: ...


@runtime_checkable
class Coder(Protocol):
    """The record of an autoencoder, which opens it."""

    def open(self) -> "Opened": ...


class Opened:
    """A frozen autoencoder, and the digest of its weights."""

    def __init__(self, codec: Codec, weights: dict[str, Tensor], batch: int = 250) -> None:
        self.codec, self.digest, self.batch = codec, digest(weights), batch

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Latents, `batch` pictures at a time."""
        return torch.cat([self.codec.encode(part) for part in x.split(self.batch)])

    @torch.no_grad()
    def decode(self, h: Tensor) -> Tensor:
        """Pictures, `batch` latents at a time."""
        return torch.cat([self.codec.decode(part) for part in h.split(self.batch)])


def digest(weights: dict[str, Tensor]) -> str:
    """16 hexadecimal digits that change with any bit of the weights."""
    found = blake2b(digest_size=8)
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        found.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


@ingredient
@dataclass(frozen=True)
class Shipped:
    """An autoencoder that comes with the repository, or one of the same kind at `path`.

    Names are digits, shapes and cifar10.
    """

    name: str = "digits"
    path: str = ""

    def open(self) -> Opened:
        """Raises BadFile when the file is missing, damaged or none of these."""
        file = self.path or CHECKPOINTS / f"{self.name}-autoencoder.safetensors"
        return load(Path(file), self.name)


@lru_cache(maxsize=4)
def load(path: Path, name: str) -> Opened:
    """The autoencoder in a file, frozen."""
    weights, record = read(path)
    try:
        shape = AutoencoderShape(**record["shape"] | {"widths": tuple(record["shape"]["widths"])})
        with rewind_rng(torch.device("cpu")):  # its initial weights are drawn, then overwritten
            network: Autoencoder = shape.build()
        network.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError) as error:
        remake = f"{REMAKE} {name}"
        raise BadFile(f"{path} holds no autoencoder of cmlab; remake it with {remake}") from error
    return Opened(frozen(network), weights)


def frozen(network: Autoencoder) -> Autoencoder:
    network.eval().requires_grad_(False)
    return network


class Same:
    """Nothing is encoded."""

    def encode(self, x: Tensor) -> Tensor:
        return x

    def decode(self, h: Tensor) -> Tensor:
        return h


@ingredient
@dataclass(frozen=True)
class Pixels:
    """No autoencoder: pictures are their own latents, to compare with."""

    def open(self) -> Opened:
        return Opened(Same(), {})
