"""Which noise meets which data."""

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment

from .ingredients import ingredient
from .vocabulary import Data


@ingredient
@dataclass(frozen=True)
class Independent:
    """The noise as it was drawn."""

    def __call__(self, x: Data, z: Data) -> Data:
        return z


@ingredient
@dataclass(frozen=True)
class MinibatchOT:
    """The noise of the batch, permuted so that Σ ‖x_i - z_i‖² is least (exact assignment).

    Dao et al. 2025 (sLCT) after Pooladian et al. 2023. The law of z given x is no longer the
    standard normal, though the law of z is.
    """

    def __call__(self, x: Data, z: Data) -> Data:
        cost = torch.cdist(x.flatten(1).double(), z.flatten(1).double()).square()
        _, order = linear_sum_assignment(cost.cpu().numpy())
        return z[torch.as_tensor(order, device=z.device)]
