"""Networks (x, c_noise, cond) -> an array shaped like x, without process or preconditioning."""

from .ddpmpp import LEAN, PAPER, DDPMpp, DDPMppShape
from .embedding import Embed, Fourier, Positional, TwoTimes
from .forward_mode import check_forward
from .mlp import MLP, MLPShape
from .norm import DoubleNorm, Modulation, ScaleShift, Shift
from .unet import UNet, UNetShape

__all__ = [
    "LEAN",
    "MLP",
    "PAPER",
    "DDPMpp",
    "DDPMppShape",
    "DoubleNorm",
    "Embed",
    "Fourier",
    "MLPShape",
    "Modulation",
    "Positional",
    "ScaleShift",
    "Shift",
    "TwoTimes",
    "UNet",
    "UNetShape",
    "check_forward",
]
