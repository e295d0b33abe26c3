"""Bare networks: (x, c_noise, cond) -> an array shaped like x. They know nothing of diffusion."""

from .embedding import Embed, Fourier, Positional
from .forward import check_forward
from .mlp import MLP, MLPShape
from .norm import DoubleNorm, Modulation, ScaleShift
from .unet import UNet, UNetShape

__all__ = [
    "MLP",
    "DoubleNorm",
    "Embed",
    "Fourier",
    "MLPShape",
    "Modulation",
    "Positional",
    "ScaleShift",
    "UNet",
    "UNetShape",
    "check_forward",
]
