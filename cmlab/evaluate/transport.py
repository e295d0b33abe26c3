"""What pairing noise with data does: the share of the cost that is left, and the target's spread.

At a given x_t many data points may lie below. Their variance, the mean over x_t of Var(x | x_t),
is the noise that the target of consistency training has: pairing can lower it.
"""

import torch
from torch import Generator, Tensor

from ..coupling import Independent, MinibatchOT
from ..data.toy import ToyData
from ..ops import sum_squares
from ..vocabulary import Coupling


def cost_ratio(x: Tensor, z: Tensor) -> float:
    """Σ ‖x - z‖² after optimal transport, as a share of that of the pairs as drawn."""
    return float(sum_squares(x - MinibatchOT()(x, z)).sum() / sum_squares(x - z).sum())


def spread_of_target(x: Tensor, x_t: Tensor, near: int = 16) -> float:
    """The mean over x_t of the variance of x (n, D), summed over D, among the nearest x_t.

    An estimate from n samples: the neighbours lie a little apart, which adds to it.
    """
    close = torch.cdist(x_t, x_t).topk(near, largest=False).indices
    return float(x[close].var(1).sum(1).mean())


def paired(
    data: ToyData, coupling: Coupling, batch: int, batches: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Data and noise, paired batch by batch: (batches · batch, D) each."""
    found = []
    for _ in range(batches):
        x = data.sample(batch, generator)[0]
        z = torch.randn(x.shape, generator=generator)
        found.append((x, coupling(x, z)))
    return torch.cat([x for x, _ in found]), torch.cat([z for _, z in found])


COUPLINGS = {"as drawn": Independent(), "optimal transport": MinibatchOT()}
