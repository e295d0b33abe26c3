"""The noise from which the recordings' one-call samples were made, and where it should end."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.line import Bumps
from ..studies.teacher import start


@dataclass(frozen=True, eq=False)
class Starts:
    """Noise x (n, 1) at one level, its ranks (n,) under the noisy law, and the exact ends (n, 1).

    `weight` (n,) is the share of all ranks that lie nearest to each: a mean with these weights is
    a mean over even ranks, and the luck of the draw all but drops out.
    """

    x: Tensor
    rank: Tensor
    weight: Tensor
    ends: Tensor

    def off(self, answers: Tensor, goal: Tensor | None = None) -> Tensor:
        """Mean distance of answers (…, n, 1) from a goal, the exact ends by default: (…)."""
        gap = (answers.double() - (self.ends if goal is None else goal)).abs().squeeze(-1)
        return (gap * self.weight).sum(-1)


def starts(data: Bumps, level: float = 10.0) -> Starts:
    """The noises behind every `cloud` on the line."""
    x = start(data).double()
    t = torch.full((len(x),), level, dtype=torch.float64)
    rank = data.oracle.cdf(x, t).flatten()
    order, edge = rank.argsort(), torch.tensor([0.0, 1.0]).double()
    middle = (rank[order][1:] + rank[order][:-1]) / 2
    weight = torch.empty_like(rank)
    weight[order] = torch.cat([edge[:1], middle, edge[1:]]).diff()
    return Starts(x, rank, weight, data.oracle.consistency(x, t))
