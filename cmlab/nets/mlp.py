"""A small network for points in the plane, or for any data that lie flat as (b, dim)."""

from dataclasses import dataclass

from torch import Tensor, nn

from ..ingredients import ingredient
from ..types import Data, Time
from .embedding import Embed, Fourier, Labels, Waves


class MLP(nn.Module):
    """`depth` hidden layers of SiLU; the noise level (and the class) is added inside each of them.

    h ← SiLU(W_l h + U_l e(c_noise, cond)). The weights come from torch's global generator.
    """

    def __init__(
        self,
        dim: int,
        width: int = 128,
        depth: int = 3,
        embed: Embed = Fourier(),  # noqa: B008 (frozen)
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.dim, self.width, self.depth = dim, width, depth
        self.waves = Waves(embed)
        self.labels = Labels(classes, self.waves.width)
        self.layers = nn.ModuleList(
            nn.Linear(dim if i == 0 else width, width) for i in range(depth)
        )
        self.inject = nn.ModuleList(
            nn.Linear(self.waves.width, width, bias=False) for _ in range(depth)
        )
        self.last = nn.Linear(width, dim)
        self.act = nn.SiLU()

    def forward(self, x: Data, c_noise: Time, cond: Tensor | None = None) -> Data:
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(f"This MLP takes x of shape (b, {self.dim}), not {tuple(x.shape)}.")
        e = self.waves(c_noise) + self.labels(cond)
        h = x
        for layer, inject in zip(self.layers, self.inject, strict=True):
            h = self.act(layer(h) + inject(e))
        return self.last(h).to(x.dtype)


@ingredient
@dataclass(frozen=True)
class MLPShape:
    """What an MLP is built from: the record a recipe keeps. The fields are MLP's arguments."""

    dim: int = 2
    width: int = 128
    depth: int = 3
    embed: Embed = Fourier()
    classes: int = 0

    def build(self) -> MLP:
        """A fresh network. Seed torch first: the weights come from its global generator."""
        return MLP(**vars(self))
