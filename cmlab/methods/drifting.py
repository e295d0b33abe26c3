"""Drifting models (Deng et al. 2026, arXiv:2602.04770): a generator without time or flow.

    sample a batch x and noise z;  y = f_θ(z)
    A_ij = sqrt(softmax_i(l) softmax_j(l)),  l = -‖y_i - y_j‖ / R over data and generated samples
    V_i = Σ_data A_ij (Σ_gen A_ik) x_j - Σ_gen A_ik (Σ_data A_ij) y_k,  summed over the radii R
    L(θ) = ‖y - stopgrad(y + V)‖²

Each sample is drawn to the data and pushed off by other generated ones, until both have one
distribution, where V = 0. Nothing asks that f be the flow map: it is a control, to be judged by
distributions alone. In the family of flow maps f is the jump from t = 1 to s = 0, all that is
trained.

Paper against the authors' code: the paper's V is 0 at equilibrium; the code divides that of each R
by its own root mean square, so that it never is, and the loss does not fall. The toy notebook of
the authors does not divide, nor does this. Their V is taken in features of a masked autoencoder,
for each class by itself, with distances over their mean, and other classes' samples among those
that repel; here in the data's own space, without labels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..model import Model
from ..noise_levels import At
from ..ops import expand, sum_squares
from ..types import Data, Pairs, PerSample, Positive
from .base import Method


@ingredient
@dataclass(eq=False)
class Drifting(Method):
    """Drifting: generated samples move along a field of attraction and repulsion.

    Args:
        radii: R, in units of the data.
        pairs: gives the noise level at which the generator is asked.
    """

    radii: tuple[Positive, ...] = (0.1, 0.3, 1.0)
    pairs: Pairs = At(1e4)

    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        t, _ = self.pairs(model.process, x, step)
        _, sigma = model.process(t)
        y = model(expand(sigma, x) * torch.randn_like(x), t, cond)
        with torch.no_grad():
            V = torch.zeros_like(y)
            for radius in self.radii:
                V += field(y.flatten(1), x.flatten(1), radius).reshape(y.shape)
        return sum_squares(y - (y.detach() + V))


def field(y: Tensor, x: Tensor, radius: float) -> Tensor:
    """V at generated samples y (n, D), for data x (m, D)."""
    apart = torch.cdist(y, torch.cat([x, y]))
    apart[:, len(x) :] += 100 * radius * torch.eye(len(y)).to(y)  # no sample repels itself
    near = -apart / radius
    A = (near.softmax(0) * near.softmax(1)).clamp_min(1e-6).sqrt()
    data, generated = A[:, : len(x)], A[:, len(x) :]
    pull = data * generated.sum(1, keepdim=True)
    push = generated * data.sum(1, keepdim=True)
    return pull @ x - push @ y
