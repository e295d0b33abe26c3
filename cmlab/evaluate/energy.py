"""The energy distance of two clouds: 0 for the same law, and no directions to choose."""

import torch
from torch import Tensor


def energy(x: Tensor, y: Tensor) -> float:
    """2 E‖x - y‖ - E‖x - x'‖ - E‖y - y'‖ over clouds (n, *d) and (m, *d), in units of x.

    Székely & Rizzo 2013. Each sample is left out of its own distances, so that the mean over
    draws of the same law is 0, and single draws may be below.
    """
    x, y = x.flatten(1).double(), y.flatten(1).double()
    within = (torch.cdist(v, v).sum() / (len(v) * (len(v) - 1)) for v in (x, y))
    return float(2 * torch.cdist(x, y).mean() - sum(within))
