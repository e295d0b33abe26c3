"""Gradient descent with momentum in a bowl, ½ h θ², its gradients noisy: all that can happen.

    m ← β m + (1 - β) (h θ + noise),  θ ← θ - rate · m          (Adam's average, not its scaling)

Two numbers make up the state, so stability and the spread at rest have formulas.
"""

from math import inf

import torch
from torch import Tensor


def limit(beta: float) -> float:
    """The rate times the curvature beyond which the walk runs away, 2 (1 + β) / (1 - β)."""
    return 2 * (1 + beta) / (1 - beta)


def spread(rate: float, beta: float, h: float, noise: float = 1.0) -> float:
    """The variance of θ at rest for white gradient noise of this standard deviation.

    rate (1 + β) noise² / (h (2 (1 + β) - rate (1 - β) h)); inf where there is no rest.
    """
    room = 2 * (1 + beta) - rate * (1 - beta) * h
    return rate * (1 + beta) * noise**2 / (h * room) if room > 0 else inf


def descend(rates: Tensor, betas: Tensor, h: float, noise: Tensor, start: float = 1.0) -> Tensor:
    """θ after each of k steps (k, n), from rates and betas (k,) and gradient noise (k, n)."""
    theta, m, seen = torch.full_like(noise[0], start), torch.zeros_like(noise[0]), []
    for rate, beta, z in zip(rates, betas, noise, strict=True):
        m = beta * m + (1 - beta) * (h * theta + z)
        theta = theta - rate * m
        seen.append(theta)
    return torch.stack(seen)


def remembered(rates: Tensor, betas: Tensor, first: int) -> Tensor:
    """How far the gradient of step `first` has moved θ by each later step: (k - first,).

    A unit gradient at that step, and none at any other; rates and betas (k,).
    """
    m, moved, seen = 1 - betas[first], torch.zeros(()), []
    for k in range(first, len(rates)):
        m = m if k == first else betas[k] * m
        moved = moved + rates[k] * m
        seen.append(moved)
    return torch.stack(seen)
