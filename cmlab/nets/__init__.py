"""Bare networks: (x, c_noise, cond) -> an array shaped like x. They know nothing of diffusion."""

from .embedding import Embed, Fourier, Positional
from .mlp import MLP, MLPShape
from .unet import UNet, UNetShape

__all__ = ["MLP", "Embed", "Fourier", "MLPShape", "Positional", "UNet", "UNetShape"]
