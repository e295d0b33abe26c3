"""Fréchet distance (FID) and kernel distance (KID) between two sets of features, with error bars.

The Fréchet distance compares the Gaussians with the sets' means and covariances:

    d² = ‖μ_a - μ_b‖² + tr(Σ_a + Σ_b - 2 (Σ_a^½ Σ_b Σ_a^½)^½)

(Dowson & Landau 1982; on the features of an Inception network it is the FID of Heusel et al.
2017.) It is a squared distance, in the features' unit squared, and it is biased upwards for small
sets: compare numbers only at equal set sizes.

The kernel distance is KID (Bińkowski et al. 2018):

    MMD² = E k(a, a') + E k(b, b') - 2 E k(a, b),   k(a, b) = (⟨a, b⟩/d + 1)³

a and a' are two samples of one distribution and never the same sample, so the estimate has no
bias: for equal distributions it is as often below 0 as above, whatever the number of samples. The
kernel has no scale of its own, so the value depends on the features' unit.

Standard errors are made in one of two ways, each from ten random parts of the set:

    scatter    from the value on each part: for metrics whose mean a small part keeps
    jackknife  from the value on all but one part: for the Fréchet distance, whose bias on a tenth
               of the samples would be larger than its spread

Both are errors over fresh draws of generated and of real samples. Against one and the same real
set the difference of two models is known better than their errors say.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..gaussian_mixture import require
from ..types import PerSample


def root(cov: Tensor) -> Tensor:
    """The square root Σ^½ of a symmetric matrix; eigenvalues below 0 by rounding count as 0."""
    values, vectors = torch.linalg.eigh(cov)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def frechet_gaussians(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """Fréchet distance d² of N(μ_a, Σ_a) and N(μ_b, Σ_b); covariances may be singular."""
    half = root(cov_a)
    # The square root of a symmetric product: Σ_a Σ_b itself is not symmetric, and its Schur
    # root turns complex when a covariance is singular.
    cross = torch.linalg.eigvalsh(half @ cov_b @ half).clamp_min(0).sqrt().sum()
    shift = (mean_a - mean_b).square().sum()
    return max(float(shift + cov_a.trace() + cov_b.trace() - 2 * cross), 0.0)


def check_finite(*sets: Tensor) -> None:
    """Raise ValueError unless all features (n, d) are finite: a NaN can pass for a good score."""
    for side in sets:
        bad, n = int((~side.isfinite()).any(1).sum()), len(side)
        which = "has a feature that is" if bad == 1 else "have features that are"
        require(bad == 0, f"{bad} of {n} samples {which} not finite: look at them "
                "and at the run that made them before any score is taken")  # fmt: skip


def frechet(a: Float[Tensor, "n d"], b: Float[Tensor, "m e"]) -> float:
    """Fréchet distance d² between two sets of samples in d = e features, in float64.

    Raises:
        ValueError: for unequal features or some that are not finite, and when a set has no more
            samples than features: its covariance is singular, and the distance mostly bias.
    """
    check_finite(a, b)
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


PARTS = 10


def parts(n: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Random partition of the indices 0 … n - 1 into ten parts. Raises ValueError below 20."""
    require(n >= 2 * PARTS, f"{n} samples give no error bar: give at least {2 * PARTS}")
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(n, generator=generator).tensor_split(PARTS)


def scatter(values: PerSample) -> float:
    """Standard error of the mean of m independent numbers: their standard deviation / √m."""
    return float(values.std() / len(values) ** 0.5)


def jackknife(values: PerSample) -> float:
    """Jackknife error √((m-1)/m Σ (v_j - v̄)²) of values v_j without part j (Tukey 1958)."""
    return float(((len(values) - 1) * values.var(correction=0)).sqrt())


def moments_without(x: Float[Tensor, "n d"], centre: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mean and covariance of x without each of its parts, from the sums of the parts."""
    own = [x[i.to(x.device)].double() - centre for i in parts(len(x))]
    first, second = sum(p.sum(0) for p in own), sum(p.T @ p for p in own)
    found = []
    for part in own:
        count = len(x) - len(part)
        mean = (first - part.sum(0)) / count
        square = (second - part.T @ part) / count
        found.append((mean, (square - mean.outer(mean)) * count / (count - 1)))
    return found


def frechet_error(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """Standard error of `frechet(a, b)`: jackknife, part j left out of both.

    For 32 Gaussian features and 4000 samples it was 1.1 to 1.4 times the spread of repeated
    draws: near it where the distributions differ much, and too large by √2, as theory has it,
    where they are equal. The bias of the distance, which falls as 1/n, is no part of it.
    """
    centre = b.double().mean(0)  # large means would cost digits of the covariances
    without = zip(moments_without(a, centre), moments_without(b, centre), strict=True)
    return jackknife(torch.tensor([frechet_gaussians(*x, *y) for x, y in without]).double())


ROWS = 1024  # rows of the kernel matrix that are in memory at a time


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """The cubic kernel (⟨a_i, b_j⟩/d + 1)³: (n, m)."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def total(a: Tensor, b: Tensor) -> Tensor:
    """The sum of the kernel over all pairs, a block of rows at a time."""
    return torch.stack([kernel(rows, b).sum() for rows in a.split(ROWS)]).sum()


def within(a: Tensor) -> Tensor:
    """The mean of the kernel over pairs of two different samples of one set."""
    same = (a.square().mean(1) + 1) ** 3
    return (total(a, a) - same.sum()) / (len(a) * (len(a) - 1))


def mmd2(a: Float[Tensor, "n d"], b: Float[Tensor, "m e"]) -> float:
    """The unbiased MMD² of two sets of d = e features, in float64, without error bar.

    Raises ValueError for unequal features or some that are not finite, and for sets of fewer than
    two samples.
    """
    check_finite(a, b)
    require(a.shape[1] == b.shape[1], f"one set has {a.shape[1]} features and one {b.shape[1]}: "
            "both need the same features")  # fmt: skip
    require(min(len(a), len(b)) > 1, "a set of one sample holds no pair: give two or more")
    a, b = a.double(), b.double()
    return float(within(a) + within(b) - 2 * total(a, b) / (len(a) * len(b)))


def kernel_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m e"]) -> tuple[float, float]:
    """Kernel distance (KID): MMD² as the mean over ten pairs of subsets, and its standard error.

    The subsets are disjoint, 1000 samples each of 10 000. With a hundred overlapping ones, as is
    common, the standard error becomes as small as one likes with more subsets.
    """
    subsets = zip(parts(len(a)), parts(len(b), seed=1), strict=True)
    found = torch.tensor([mmd2(a[i.to(a.device)], b[j.to(b.device)]) for i, j in subsets]).double()
    return float(found.mean()), scatter(found)
