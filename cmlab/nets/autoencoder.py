"""Autoencoder: a small convolutional VAE between images and latents of a half or quarter side.

    pixels ─ space to depth 2×2 ─ conv ─ residual ─ … ─ mean and log-variance
    latents ─ conv ─ residual ─ depth to space 2×2 ─ … ─ pixels

It is a variational autoencoder with a tiny weight on its KL term, as latent diffusion uses it
(Rombach et al. 2022, as reported): the mean is the latent, and the variance serves training only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..types import PerSample
from .norm import Norm


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Residual(nn.Module):
    """A residual block h + conv(act(norm(conv(act(norm(h)))))) of this many channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            Norm(channels), nn.SiLU(), conv(channels, channels),
            Norm(channels), nn.SiLU(), conv(channels, channels),
        )  # fmt: skip

    def forward(self, h: Tensor) -> Tensor:
        return h + self.inner(h)


def down(channels: int, widths: tuple[int, ...], outputs: int) -> nn.Sequential:
    """The encoder's layers; each width halves the side."""
    layers, inputs = [], channels
    for width in widths:
        layers += [nn.PixelUnshuffle(2), conv(4 * inputs, width), Residual(width)]
        inputs = width
    return nn.Sequential(*layers, Norm(inputs), nn.SiLU(), conv(inputs, outputs))


def up(inputs: int, widths: tuple[int, ...], channels: int) -> nn.Sequential:
    """The decoder's layers; each width, finest first as in `down`, doubles the side."""
    layers: list[nn.Module] = [conv(inputs, widths[-1])]
    for width, after in zip(reversed(widths), (*reversed(widths[:-1]), channels), strict=True):
        layers += [Residual(width), Norm(width), nn.SiLU(), conv(width, 4 * after)]
        layers += [nn.PixelShuffle(2)]
    return nn.Sequential(*layers)


class Autoencoder(nn.Module):
    """Autoencoder: x (b, channels, n, n) <-> latents (b, latent, m, m), m = n / 2 ** len(widths).

    Images are in [-1, 1]; decoded values may lie a little outside.

    Args:
        channels: of the images.
        widths: channels of each level, finest first.
        latent: channels of the latents.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], latent: int) -> None:
        super().__init__()
        self.encoder = down(channels, widths, 2 * latent)
        self.decoder = up(latent, widths, channels)

    def encode(self, x: Tensor) -> Tensor:
        """The mean of the latents."""
        return self.moments(x)[0]

    def decode(self, h: Tensor) -> Tensor:
        """Images from latents."""
        return self.decoder(h)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latents, the latter clamped to ±20."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance.clamp(-20, 20)

    def forward(self, x: Tensor) -> tuple[Tensor, PerSample]:
        """For training: x reconstructed from sampled latents, and KL(q(h | x) ‖ N(0, I)), (b,)."""
        mean, log_variance = self.moments(x)
        h = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        kl = (mean.square() + log_variance.exp() - 1 - log_variance) / 2
        return self.decode(h), kl.flatten(1).sum(1)


@dataclass(frozen=True)
class AutoencoderShape:
    """The record of an `Autoencoder`: its arguments."""

    channels: int = 1
    widths: tuple[int, ...] = (32,)
    latent: int = 4

    def build(self) -> Autoencoder:
        """A fresh network. Seed torch first: the weights come from its global generator."""
        return Autoencoder(self.channels, self.widths, self.latent)
