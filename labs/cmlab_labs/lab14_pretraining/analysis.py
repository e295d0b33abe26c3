"""Analysis for lab 14: a permutation test of two networks' agreement, and momentum descent.

Whether the distance of two networks' answers to the same noise is small depends on the data. The
permutation test pairs the answers at random and measures again. If shared noise had no effect,
the pairs as they are would be one more shuffle, and

    p = (1 + number of shuffles whose distance is no larger) / (1 + number of shuffles)

would be uniform on its values: the pairs as they are belong to the count, above and below.

Gradient descent with momentum is studied on a quadratic loss ½ h θ² with noisy gradients.

    m ← β m + (1 - β) (h θ + noise),  θ ← θ - rate · m          (Adam's average, not its scaling)

Two numbers make up the state, so stability and the spread at rest have formulas.
"""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from cmlab.gaussian_mixture import require

# Permutation test of agreement


@dataclass(frozen=True, eq=False)
class Agreement:
    """A test of two sets of answers to the same noises."""

    distance: float  # mean ‖a_i - b_i‖, in the data's unit
    shuffled: Tensor  # (P,) the same after each shuffle, the pairs as they are not among them
    p: float

    @property
    def ratio(self) -> float:
        """The distance over its mean after shuffling: 0 for the same answers, about 1 for none."""
        return self.distance / float(self.shuffled.mean())


def pairwise_distances(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i - b_j‖ for all i and j, (n, n), in float64."""
    require(a.shape == b.shape and len(a) > 1, f"answers of shapes {tuple(a.shape)} and "
            f"{tuple(b.shape)}: give both networks the same noises, two or more")  # fmt: skip
    return torch.cdist(a.flatten(1).double(), b.flatten(1).double(),
                       compute_mode="donot_use_mm_for_euclid_dist")  # fmt: skip


def shuffle_test(distances: Tensor, orders: Tensor) -> Agreement:
    """From distances (n, n) and the orders (P, n) in which the second side is shuffled."""
    seen = float(distances.diagonal().mean())
    shuffled = distances[torch.arange(len(distances)), orders].mean(1)
    # A shuffle that is no shuffle must count as equal, whatever its sum's last bit says.
    near = int((shuffled <= seen * (1 + 1e-9)).sum())
    return Agreement(seen, shuffled, (1 + near) / (1 + len(orders)))


def agreement(
    a: Tensor, b: Tensor, shuffles: int = 999, seed: int = 0, groups: Tensor | None = None
) -> Agreement:
    """The test on answers a and b (n, *d), with this many random shuffles.

    With groups (n,) only members of one group change places: two networks that were asked for
    the same class agree on it without any help from the noise.
    """
    distances = pairwise_distances(a, b)
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(shuffles, len(a), generator=generator, dtype=torch.float64)
    if groups is None:
        return shuffle_test(distances, u.argsort(1))
    places = groups.argsort(stable=True)
    orders = torch.empty(shuffles, len(a), dtype=torch.long)
    orders[:, places] = (u + groups.double()).argsort(1)  # u < 1: groups stay together
    return shuffle_test(distances, orders)


def label_agreement(a: Tensor, b: Tensor) -> tuple[float, float]:
    """The share of equal labels in pairs (n,), and what shuffled pairs would have on average."""
    kinds = int(max(a.max(), b.max())) + 1
    counts = (torch.bincount(v, minlength=kinds).double() / len(v) for v in (a, b))
    first, second = counts
    return float((a == b).double().mean()), float((first * second).sum())


# Momentum descent on a quadratic loss


def stability_limit(beta: float) -> float:
    """The rate times the curvature beyond which descent diverges, 2 (1 + β) / (1 - β)."""
    return 2 * (1 + beta) / (1 - beta)


def stationary_variance(rate: float, beta: float, h: float, noise: float = 1.0) -> float:
    """The variance of θ at rest for white gradient noise of this standard deviation.

    rate (1 + β) noise² / (h (2 (1 + β) - rate (1 - β) h)); inf where there is no rest.
    """
    room = 2 * (1 + beta) - rate * (1 - beta) * h
    return rate * (1 + beta) * noise**2 / (h * room) if room > 0 else inf
