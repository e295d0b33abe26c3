"""A public image autoencoder, read from a folder on this machine through the library diffusers.

Nothing is downloaded, and only safetensors are read. The library is optional.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checkpoint import BadFile
from .coder import Opened

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class PublicCoder:
    """An AutoencoderKL as diffusers saves it: a folder with config.json and safetensors.

    The latent is the mean; the model's own scaling factor is not used, since latents are
    standardised. Raises ValueError where diffusers is not installed, and BadFile for a folder
    that holds no such autoencoder.
    """

    path: str

    def open(self) -> Opened:
        return load(Path(self.path).expanduser())


class MeanOf:
    """diffusers' autoencoder as a codec."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def encode(self, x: Tensor) -> Tensor:
        return self.network.encode(x).latent_dist.mode()

    def decode(self, h: Tensor) -> Tensor:
        return self.network.decode(h).sample


@lru_cache(maxsize=1)
def load(folder: Path) -> Opened:
    """The autoencoder in a folder, frozen; pictures are encoded 16 at a time."""
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
    return Opened(MeanOf(network), network.state_dict(), batch=16)
