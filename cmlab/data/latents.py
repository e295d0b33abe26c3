"""Pictures as latents: encoded once, standardised, and decoded when one wants to see them.

    x = σ_d (h - mean) / std,  mean and std of each channel over all latents h

so that every channel has standard deviation σ_d = 0.5, as pixels nearly have. sLCT (Dao et al.
2025), as reported from the authors' code.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Generator, Tensor

from ..checkpoint import BadFile, read, write
from ..ingredients import first_kind, ingredient
from ..ops import seeded
from ..vocabulary import Data
from .coder import Coder, Shipped
from .digits import Digits


@runtime_checkable
class Pictures(Protocol):
    """Anything that can be sampled: n pictures, and their labels or None."""

    def sample(self, n: int) -> tuple[Tensor, Tensor | None]: ...


@runtime_checkable
class Finite(Protocol):
    """A set of so many images, floats in [-1, 1] or bytes, with labels."""

    images: Tensor
    labels: Tensor


@runtime_checkable
class Labelled(Protocol):
    """Data of which a generator is told the class."""

    @property
    def classes(self) -> int: ...


@ingredient
@dataclass(frozen=True)
class Latents:
    """A Source of standardised latents. `n` pictures are drawn once; 0 takes all of a finite set.

    `cache` names a file in which the encoded pictures are kept; "" keeps them in memory only.
    Raises BadFile for a cache that another encoder, or other data, made.
    """

    data: Pictures = Digits()
    coder: Coder = Shipped("digits")
    n: int = 0
    cache: str = ""

    @property
    def sigma_data(self) -> float:
        """Of every channel, by construction."""
        return 0.5

    @property
    def clean(self) -> "Latents":
        """These, without any impulses."""
        return self

    @cached_property
    def raw(self) -> Tensor:
        """What the encoder says (n, c, m, m), before it is standardised."""
        return stored(self.data, self.coder, self.n, self.cache)[0]

    @cached_property
    def labels(self) -> Tensor | None:
        """(n,), or None for data without classes."""
        labels = stored(self.data, self.coder, self.n, self.cache)[1]
        return labels if isinstance(self.data, Labelled) else None

    @cached_property
    def mean(self) -> Tensor:
        """Of each channel: (c, 1, 1)."""
        return self.raw.double().mean((0, 2, 3)).float()[:, None, None]

    @cached_property
    def std(self) -> Tensor:
        """Of each channel: (c, 1, 1)."""
        return self.raw.double().std((0, 2, 3), correction=0).float()[:, None, None]

    @cached_property
    def latents(self) -> Tensor:
        """All of them, standardised: (n, c, m, m)."""
        return self.standardise(self.raw)

    def standardise(self, h: Data) -> Data:
        return self.sigma_data * (h - self.mean) / self.std

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (b, …) in [-1, 1] to standardised latents."""
        return self.standardise(self.coder.open().encode(pictures))

    def decode(self, x: Tensor) -> Tensor:
        """Standardised latents to pictures, which may lie a little outside [-1, 1]."""
        return self.coder.open().decode(x / self.sigma_data * self.std + self.mean)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: channels, height, width."""
        return tuple(self.raw.shape[1:])

    @property
    def classes(self) -> int:
        return self.data.classes if isinstance(self.data, Labelled) else 0

    def __len__(self) -> int:
        return len(self.raw)

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Data, Tensor | None]:
        """n latents and their labels, drawn uniformly with replacement."""
        index = torch.randint(len(self), (n,), generator=generator)
        return self.latents[index], None if self.labels is None else self.labels[index]


def pictures(data: Pictures, n: int) -> tuple[Tensor, Tensor]:
    """n pictures in [-1, 1] drawn with seed 0, or all of a finite set, and labels or zeros."""
    if n:
        with seeded(torch.device("cpu"), 0):
            x, labels = data.sample(n)
        return x, torch.zeros(n, dtype=torch.long) if labels is None else labels
    if not isinstance(data, Finite):
        raise ValueError(f"{type(data).__name__} has no end: say with n how many to encode")
    x = data.images
    return x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x, data.labels


@lru_cache(maxsize=4)
def stored(data: Pictures, coder: Coder, n: int, cache: str) -> tuple[Tensor, Tensor]:
    """Latents and labels, from the cache file if there is one."""
    opened, path = coder.open(), Path(cache)
    name = first_kind(type(data)).rpartition(".")[2]
    made_by = {"encoder": opened.digest, "data": name, "n": n}
    if cache and path.exists():
        held, record = read(path)
        if record != made_by or set(held) != {"latents", "labels"}:
            raise BadFile(f"{path} was made by another encoder or from other data; delete it")
        return held["latents"], held["labels"]
    x, labels = pictures(data, n)
    found = {"latents": opened.encode(x), "labels": labels}
    if cache:
        write(path, found, made_by)
    return found["latents"], found["labels"]
