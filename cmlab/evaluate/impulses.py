"""How impulsive numbers are: shares beyond the fences of a box plot, and the kurtosis.

Tukey's fences lie 1.5 (inner) and 3 (outer) interquartile ranges beyond the quartiles. Of normal
numbers 0.70 % lie beyond the inner ones and 2.3 in a million beyond the outer ones.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

INNER, OUTER = 1.5, 3.0  # interquartile ranges beyond the quartiles


@dataclass(frozen=True)
class Impulsiveness:
    """Shares beyond the fences, the kurtosis E(x - μ)⁴/σ⁴ (normal: 3), and the reach."""

    inner: float
    outer: float
    kurtosis: float
    reach: float  # the largest distance to the median, in interquartile ranges


def fences(x: Tensor, ranges: float) -> tuple[float, float]:
    """The two fences of all numbers in x together."""
    low, high = np.quantile(x.detach().double().numpy().ravel(), (0.25, 0.75))
    return float(low - ranges * (high - low)), float(high + ranges * (high - low))


def beyond(x: Tensor, ranges: float) -> float:
    """The share of all numbers in x beyond its own fences."""
    low, high = fences(x, ranges)
    return float(((x < low) | (x > high)).double().mean())


def kurtosis(x: Tensor) -> float:
    """E(x - μ)⁴/σ⁴ of all numbers in x together: 3 for normal ones. nan where all are equal."""
    off = x.detach().double() - x.detach().double().mean()
    return float(off.pow(4).mean() / off.square().mean().square())


def impulsiveness(x: Tensor) -> Impulsiveness:
    """Of all numbers in x together: take channels of unlike spread apart, or standardise them."""
    values = x.detach().double()
    low, high = np.quantile(values.numpy().ravel(), (0.25, 0.75))
    spread = max(float(high - low), 1e-30)
    reach = float((values - torch.as_tensor(np.median(values.numpy()))).abs().max()) / spread
    return Impulsiveness(beyond(values, INNER), beyond(values, OUTER), kurtosis(values), reach)
