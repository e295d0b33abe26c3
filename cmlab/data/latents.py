"""Latents: images encoded by an autoencoder, as data for latent consistency models.

Images are encoded once and standardised; samples are decoded only to be seen or scored.

    x = σ_d (h - mean) / std,  mean and std of each channel over all latents h

so that every channel has standard deviation σ_d = 0.5, as pixels nearly have. sLCT (Dao et al.
2025), as reported from the authors' code.

Here are also `Impulses`, latents with outliers of known share and size, and `PublicCoder`, an
autoencoder of the library diffusers read from a folder on this machine. Nothing is downloaded, and
only safetensors are read.
"""

import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor

from ..ingredients import first_kind, ingredient
from ..nets.autoencoder import Autoencoder, AutoencoderShape
from ..nets.pretrained import CHECKPOINTS
from ..ops import rewind_rng, seeded
from ..train.checkpoint import BadFile, read, write
from ..types import BelowOne, Data, NonNegative, Range
from .digits import Digits

REMAKE = "python scripts/train_autoencoders.py"

# Autoencoders by name


@runtime_checkable
class Codec(Protocol):
    """An autoencoder: images (b, c, n, n) in [-1, 1] to latents and back, without a gradient."""

    def encode(self, x: Tensor) -> Tensor: ...

    def decode(self, h: Tensor) -> Tensor: ...


@runtime_checkable
class Coder(Protocol):
    """The record of an autoencoder, which loads it."""

    def open(self) -> "FrozenCoder": ...


class FrozenCoder:
    """A frozen autoencoder and the digest of its weights.

    Args:
        codec: the autoencoder.
        weights: its tensors by name, for the digest.
        batch: images or latents that go through it at a time.
    """

    def __init__(self, codec: Codec, weights: dict[str, Tensor], batch: int = 250) -> None:
        self.codec, self.digest, self.batch = codec, digest(weights), batch

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Latents (n, latent, m, m) of images (n, c, h, w) in [-1, 1], in batches."""
        return torch.cat([self.codec.encode(part) for part in x.split(self.batch)])

    @torch.no_grad()
    def decode(self, h: Tensor) -> Tensor:
        """Images (n, c, h, w) of latents, in batches; values may lie a little outside [-1, 1]."""
        return torch.cat([self.codec.decode(part) for part in h.split(self.batch)])


def digest(weights: dict[str, Tensor]) -> str:
    """A hash of the weights: 16 hexadecimal digits that change with any bit of them."""
    found = blake2b(digest_size=8)
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        found.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


@ingredient
@dataclass(frozen=True)
class ShippedCoder:
    """An autoencoder that comes with the repository, or one of the same kind at `path`.

    Args:
        name: digits, shapes or cifar10.
        path: a file that `scripts/train_autoencoders.py` wrote; "" is the shipped one.
    """

    name: str = "digits"
    path: str = ""

    def open(self) -> FrozenCoder:
        """The autoencoder. Raises BadFile when the file is missing, damaged or another network."""
        file = self.path or CHECKPOINTS / f"{self.name}-autoencoder.safetensors"
        return load_coder(Path(file), self.name)


@lru_cache(maxsize=4)
def load_coder(path: Path, name: str) -> FrozenCoder:
    """The autoencoder in a checkpoint, frozen. Raises BadFile for a file that is not one."""
    weights, record = read(path)
    try:
        shape = AutoencoderShape(**record["shape"] | {"widths": tuple(record["shape"]["widths"])})
        with rewind_rng(torch.device("cpu")):  # its initial weights are drawn, then overwritten
            network: Autoencoder = shape.build()
        network.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError) as error:
        remake = f"{REMAKE} {name}"
        raise BadFile(f"{path} holds no autoencoder of cmlab; remake it with {remake}") from error
    return FrozenCoder(network.eval().requires_grad_(False), weights)


class IdentityCodec:
    """No encoding at all: latents are the images."""

    def encode(self, x: Tensor) -> Tensor:
        return x

    def decode(self, h: Tensor) -> Tensor:
        return h


@ingredient
@dataclass(frozen=True)
class IdentityCoder:
    """No autoencoder: images are their own latents, as a baseline for latent models."""

    def open(self) -> FrozenCoder:
        return FrozenCoder(IdentityCodec(), {})


# Latents as training data


@runtime_checkable
class ImageSource(Protocol):
    """Anything that gives n images (n, c, h, w) and their labels, or None."""

    def sample(self, n: int) -> tuple[Tensor, Tensor | None]: ...


@runtime_checkable
class Finite(Protocol):
    """A finite set of images, floats in [-1, 1] or bytes, with labels."""

    images: Tensor
    labels: Tensor


@ingredient
@dataclass(frozen=True)
class Latents:
    """Standardised latents of images, as a Source.

    Args:
        data: the images to encode.
        coder: the autoencoder.
        n: how many images are drawn and encoded, once; 0 takes all of a finite set.
        cache: a file in which the encoded images are kept; "" keeps them in memory only.

    Raises BadFile, when first used, for a cache made by another encoder or from other data.
    """

    data: ImageSource = Digits()
    coder: Coder = ShippedCoder("digits")
    n: Annotated[int, Range("[0, 1e6]")] = 0
    cache: str = ""

    @property
    def sigma_data(self) -> float:
        """Standard deviation of every channel, by construction."""
        return 0.5

    @property
    def clean(self) -> "Latents":
        """The latents without impulses: these themselves."""
        return self

    @cached_property
    def raw(self) -> Tensor:
        """The encoder's output (n, c, m, m), before it is standardised."""
        return stored(self.data, self.coder, self.n, self.cache)[0]

    @cached_property
    def labels(self) -> Tensor | None:
        """(n,), or None for data without classes."""
        if not self.classes:
            return None
        return stored(self.data, self.coder, self.n, self.cache)[1]

    @cached_property
    def mean(self) -> Tensor:
        """Mean of each channel: (c, 1, 1)."""
        return self.raw.double().mean((0, 2, 3)).float()[:, None, None]

    @cached_property
    def std(self) -> Tensor:
        """Standard deviation of each channel: (c, 1, 1)."""
        return self.raw.double().std((0, 2, 3), correction=0).float()[:, None, None]

    @cached_property
    def latents(self) -> Tensor:
        """All latents, standardised: (n, c, m, m)."""
        return self.standardise(self.raw)

    def standardise(self, h: Data) -> Data:
        """σ_d (h - mean) / std, channel by channel."""
        return self.sigma_data * (h - self.mean) / self.std

    def encode(self, pictures: Tensor) -> Tensor:
        """Standardised latents of images (b, …) in [-1, 1]."""
        return self.standardise(self.coder.open().encode(pictures))

    def decode(self, x: Tensor) -> Tensor:
        """Images of standardised latents; values may lie a little outside [-1, 1]."""
        return self.coder.open().decode(x / self.sigma_data * self.std + self.mean)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: channels, height, width."""
        return tuple(self.raw.shape[1:])

    @property
    def classes(self) -> int:
        """How many classes the labels have; 0 for data without classes."""
        return getattr(self.data, "classes", 0)

    def __len__(self) -> int:
        return len(self.raw)

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Data, Tensor | None]:
        """n latents and their labels, drawn uniformly with replacement."""
        index = torch.randint(len(self), (n,), generator=generator)
        return self.latents[index], None if self.labels is None else self.labels[index]


def images_to_encode(data: ImageSource, n: int) -> tuple[Tensor, Tensor]:
    """n images in [-1, 1] drawn with seed 0, or all of a finite set, and labels or zeros."""
    if n:
        with seeded(torch.device("cpu"), 0):
            x, labels = data.sample(n)
        return x, torch.zeros(n, dtype=torch.long) if labels is None else labels
    if not isinstance(data, Finite):
        raise ValueError(f"{type(data).__name__} has no end: say with n how many to encode")
    x = data.images
    return x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x, data.labels


@lru_cache(maxsize=4)
def stored(data: ImageSource, coder: Coder, n: int, cache: str) -> tuple[Tensor, Tensor]:
    """Latents and labels, from the cache file if there is one.

    Raises:
        BadFile: for a cache made by another encoder, from other data or with another n.
    """
    opened, path = coder.open(), Path(cache)
    name = first_kind(type(data)).rpartition(".")[2]
    made_by = {"encoder": opened.digest, "data": name, "n": n}
    if cache and path.exists():
        held, record = read(path)
        if record != made_by or set(held) != {"latents", "labels"}:
            raise BadFile(f"{path} was made by another encoder or from other data; delete it")
        return held["latents"], held["labels"]
    x, labels = images_to_encode(data, n)
    found = {"latents": opened.encode(x), "labels": labels}
    if cache:
        write(path, found, made_by)
    return found["latents"], found["labels"]


@ingredient
@dataclass(frozen=True)
class Impulses:
    """Latents with impulsive outliers: rare elements are multiplied by a large factor.

    The elements are drawn afresh at each sample.

    Args:
        data: the clean latents.
        share: probability of each element to be multiplied, in [0, 1).
        factor: what it is multiplied by.

    Raises ValueError for a share outside [0, 1).
    """

    data: Latents = Latents()
    share: BelowOne = 0.001
    factor: NonNegative = 50.0

    @property
    def classes(self) -> int:
        return self.clean.classes

    @property
    def sigma_data(self) -> float:
        """The clean data's, so that the impulses change nothing but the samples."""
        return self.data.sigma_data

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def clean(self) -> Latents:
        """The latents without impulses."""
        return self.data

    def decode(self, x: Tensor) -> Tensor:
        """Images of latents, as `Latents.decode`."""
        return self.data.decode(x)

    def sample(self, n: int) -> tuple[Data, Tensor | None]:
        """n latents with impulses, and their labels."""
        x, labels = self.data.sample(n)
        hit = torch.rand_like(x) < self.share
        return torch.where(hit, self.factor * x, x), labels


Decodable = Latents | Impulses  # data whose samples can be decoded to images


# A public autoencoder through the optional library diffusers

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class PublicCoder:
    """An AutoencoderKL as diffusers saves it: a folder with config.json and safetensors.

    The latent is the posterior's mean. The model's own scaling factor is not used, since latents
    are standardised.

    Args:
        path: the folder.
    """

    path: str

    def open(self) -> FrozenCoder:
        """The autoencoder.

        Raises:
            ValueError: where diffusers is not installed.
            BadFile: for a folder that holds no such autoencoder.
        """
        return load_public_coder(Path(os.path.expanduser(self.path)))


class DiffusersCodec:
    """An AutoencoderKL of diffusers with this package's interface."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def encode(self, x: Tensor) -> Tensor:
        return self.network.encode(x).latent_dist.mode()

    def decode(self, h: Tensor) -> Tensor:
        return self.network.decode(h).sample


@lru_cache(maxsize=1)
def load_public_coder(folder: Path) -> FrozenCoder:
    """The autoencoder in a folder, frozen; 16 images are encoded at a time."""
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise BadFile(f"{folder} has no {name}; give the folder of an AutoencoderKL")
    try:
        from diffusers import AutoencoderKL  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            "a public autoencoder is read through diffusers; install it with pip install diffusers"
        ) from error
    try:
        network = AutoencoderKL.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise BadFile(f"{folder} holds no AutoencoderKL that diffusers can read") from error
    network.eval().requires_grad_(False)
    return FrozenCoder(DiffusersCodec(network), network.state_dict(), batch=16)
