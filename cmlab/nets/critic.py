"""Critic (discriminator) networks for points and for images: one real number per sample.

The adversarial losses that use them are in `methods.critic`.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from ..ingredients import ingredient
from ..types import Classes, Data, PerSample, Time, Width
from .embedding import Embed, Fourier
from .mlp import MLP
from .unet import Conditioning, conv


class PointCritic(nn.Module):
    """Critic of points: x (b, dim), c_noise (b,), cond (b,) -> (b,), an MLP and a linear layer."""

    def __init__(self, dim: int, width: int, embed: Embed, classes: int) -> None:
        super().__init__()
        self.body = MLP(dim, width, 2, embed, classes)
        self.last = nn.Linear(dim, 1)

    def forward(self, x: Data, c_noise: Time, cond: Tensor | None = None) -> PerSample:
        return self.last(self.body(x, c_noise, cond))[:, 0]


@ingredient
@dataclass(frozen=True)
class PointCriticShape:
    """The record of a `PointCritic`.

    Args:
        dim: coordinates of a point.
        width: of the MLP's hidden layers.
        embed: embedding of the noise level.
        classes: how many; 0 for data without labels.
    """

    dim: Width = 2
    width: Width = 64
    embed: Embed = Fourier(16, 0.3)
    classes: Classes = 0

    def build(self) -> PointCritic:
        """A fresh network from torch's global generator."""
        return PointCritic(self.dim, self.width, self.embed, self.classes)


class ImageCritic(nn.Module):
    """Critic of images: x (b, channels, n, m), c_noise (b,), cond (b,) -> (b,).

    Three convolutions that halve the image twice; noise level and class are added to the middle
    one. The score is a mean over places, each of which sees its own neighbourhood, as the heads of
    the papers' critics do.
    """

    def __init__(self, channels: int, width: int, embed: Embed, classes: int) -> None:
        super().__init__()
        self.first, self.second = conv(channels, width), conv(width, 2 * width)
        self.told, self.last = Conditioning(embed, classes, 2 * width), conv(2 * width, 1)
        self.act, self.pool = nn.LeakyReLU(0.2), nn.AvgPool2d(2)

    def forward(self, x: Data, c_noise: Time, cond: Tensor | None = None) -> PerSample:
        h = self.pool(self.act(self.first(x)))
        h = self.pool(self.act(self.second(h) + self.told(c_noise, cond)[:, :, None, None]))
        return self.last(h).flatten(1).mean(1)


@ingredient
@dataclass(frozen=True)
class ImageCriticShape:
    """The record of an `ImageCritic`.

    Args:
        channels: of the images.
        width: channels of the first convolution.
        embed: embedding of the noise level.
        classes: how many; 0 for data without labels.
    """

    channels: Width = 1
    width: Width = 16
    embed: Embed = Fourier(16, 0.06)
    classes: Classes = 0

    def build(self) -> ImageCritic:
        """A fresh network from torch's global generator."""
        return ImageCritic(self.channels, self.width, self.embed, self.classes)
