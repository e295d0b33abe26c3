"""MLP: a multilayer perceptron for points in the plane, or for any data of shape (b, dim)."""

from dataclasses import dataclass

from torch import Tensor, nn

from ..ingredients import ingredient
from ..types import Classes, Data, Depth, Times, Width
from .embedding import Embed, Fourier, Labels, Waves


class MLP(nn.Module):
    """An MLP x (b, dim) -> (b, dim); noise level and class enter every hidden layer.

    h ← SiLU(W_l h + U_l e(c_noise, cond)). The weights come from torch's global generator.

    Args:
        dim: coordinates of a sample.
        width: of the hidden layers.
        depth: number of hidden layers.
        embed: embedding of the noise level.
        classes: how many; 0 for an unconditional network.
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

    def forward(self, x: Data, c_noise: Times, cond: Tensor | None = None) -> Data:
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
    """The record of an `MLP`, for recipes: its arguments."""

    dim: Width = 2
    width: Width = 128
    depth: Depth = 3
    embed: Embed = Fourier()
    classes: Classes = 0

    def build(self) -> MLP:
        """A fresh network. Seed torch first: the weights come from its global generator."""
        return MLP(**vars(self))
