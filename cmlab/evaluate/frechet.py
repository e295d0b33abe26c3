"""The Fréchet distance between two sets of features, each summed up as a Gaussian.

    d² = ‖μ_a - μ_b‖² + tr(Σ_a + Σ_b - 2 (Σ_a^½ Σ_b Σ_a^½)^½)

(Dowson & Landau 1982; on the features of an Inception network it is the FID of Heusel et al.
2017.) It is a squared distance, in the features' unit squared, and it is biased upwards for small
sets: compare numbers only at equal set sizes.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def root(cov: Tensor) -> Tensor:
    """Σ^½ of a symmetric matrix, eigenvalues below 0 by rounding taken as 0."""
    values, vectors = torch.linalg.eigh(cov)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def frechet_gaussians(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """d² between N(μ_a, Σ_a) and N(μ_b, Σ_b); singular covariances are fine."""
    half = root(cov_a)
    # The square root of a symmetric product: Σ_a Σ_b itself is not symmetric, and its Schur
    # root turns complex when a covariance is singular.
    cross = torch.linalg.eigvalsh(half @ cov_b @ half).clamp_min(0).sqrt().sum()
    apart = (mean_a - mean_b).square().sum()
    return max(float(apart + cov_a.trace() + cov_b.trace() - 2 * cross), 0.0)


def frechet(a: Float[Tensor, "n d"], b: Float[Tensor, "m e"]) -> float:
    """d² between two sets of samples in d = e features, in float64.

    Raises ValueError when a set has no more samples than features: its covariance says nothing
    about some directions, and the distance would be mostly bias.
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"Both sets need the same features, but one has {a.shape[1]} and one {b.shape[1]}."
        )
    for side in (a, b):
        if len(side) <= side.shape[1]:
            raise ValueError(
                f"A set of {len(side)} samples is too small for {side.shape[1]} features: "
                f"give at least {side.shape[1] + 1}."
            )
    a, b = a.double(), b.double()
    return frechet_gaussians(a.mean(0), a.T.cov(), b.mean(0), b.T.cov())
