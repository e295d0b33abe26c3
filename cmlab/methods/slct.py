"""Improved training of latent consistency models (Dao et al. 2025, sLCT, arXiv:2502.01441).

    iCT on latents: x, z, t > r neighbours on a grid of N(k) levels; then
    z ← the batch's noise, paired with x by optimal transport
    L(θ) = λ(t, r) ln(1 + m / 2c²) + 5 · mean over t ≤ 0.17 of (1/t² + 1/σ_d²) mean (f_t - x)²
    m = mean (f_θ(x_t, t) - f_θ⁻(x_r, r))²,  c = c(N),  λ = 1/(t - r),  θ⁻ = stopgrad(θ)

One convention: m is a mean over the D coordinates, as in the authors' code, and c is that of one
coordinate. The metrics of `losses` sum, so with a c they are given f/√D, whose sum of squares is
m; without one (`c=None`) the metric is left as it is. For Cauchy, c √D with the sum is the same
number; pseudo-Huber would be √D times as large, while the denoising factor 5 stays.

The paper's equations were not at hand. Followed is the authors' development code, github.com/
quandao10/LCT at 34661b9, with which `benchmarks/fidelity.py` compares. What it does otherwise:
- c of the first stage is iCT's 0.00054 √D. `Tightening.first` = 0.03456 is that of their latents,
  D = 4 · 32 · 32; for 4 · 4 · 4 it is 0.00432 (`first_c`). Branch quan_ot multiplies c by √2.
- the denoising term takes the last quarter of the grid's indices, which on all seven grids are
  the levels t ≤ 0.17. Where there are none its mean is NaN; here the term is then 0.
- θ⁻ = θ, but their script copies the average of the weights into θ⁻ from epoch 1350 of 1400 on.
- Geman-McClure is 2 m / (m + 4 c²): `losses.GemanMcClure` with 2 c, times 2.
- the transport permutes x along with its label, over the whole batch. Here z is permuted, within
  each class, which the paper's data do not have: pairing across classes makes the noise carry the
  class, and a network that reads it there ignores the label a user gives (lab 12 measures it).
- the norm whose factor stays 1 is used by the U-Net in branches ot and ssl_ot alone; at 34661b9
  the U-Net has group norms, and the norms of the DiT have no factor with or without the option.

c(N) shrinks as the grid of N(k) levels gets finer: the differences that a loss sees shrink with
the steps of the grid, so a fixed c would turn a redescending loss into squared L2 before training
ends (lab 08 measures that).
"""

from dataclasses import dataclass, field, replace
from math import exp, log, sqrt
from typing import Annotated

import torch
from torch import Tensor

from ..ingredients import ingredient
from ..model import Model
from ..noise_levels import AdjacentLevels
from ..ops import rewind_rng, sum_squares
from ..schedules import GridSchedule
from ..teacher import StopGrad, Target
from ..types import (
    Coupling,
    Data,
    Metric,
    NonNegative,
    Pairs,
    PerSample,
    Positive,
    Range,
    Schedule,
    Weight,
)
from .base import Method
from .edm import EDMWeight
from .ict import Doubling, InverseGap


@ingredient
@dataclass(frozen=True)
class Cauchy:
    """Cauchy metric ln(1 + ‖a - b‖² / (2 c²)), whose gradient decays beyond √2 c.

    sLCT (Dao et al. 2025).
    """

    c: Positive = 0.03

    def __call__(self, a: Data, b: Data) -> PerSample:
        return torch.log1p(sum_squares(a - b) / (2 * self.c**2))


# Couplings: which noise is paired with which data


@ingredient
@dataclass(frozen=True)
class Independent:
    """The independent coupling: the noise as it was drawn."""

    def __call__(self, x: Data, z: Data) -> Data:
        return z


@ingredient
@dataclass(frozen=True)
class MinibatchOT:
    """Minibatch optimal transport coupling: the batch's noise, permuted for least Σ ‖x_i - z_i‖².

    The assignment is exact. Dao et al. 2025 (sLCT) after Pooladian et al. 2023. z is still
    standard normal, but z given x no longer is.
    """

    def __call__(self, x: Data, z: Data) -> Data:
        from scipy.optimize import linear_sum_assignment  # slow to load

        cost = torch.cdist(x.flatten(1).double(), z.flatten(1).double()).square()
        _, order = linear_sum_assignment(cost.cpu().numpy())
        return z[torch.as_tensor(order, device=z.device)]


# The schedule c(N), which shrinks as the grid of N(k) levels gets finer


@ingredient
@dataclass(frozen=True)
class Tightening(GridSchedule):
    """sLCT's schedule c(N) = exp(slope · ln N + intercept), N the grid's number of intervals.

    Numbers and `first` are those of the authors' code. N is N(k) - 1 of the method's pairs. The
    unit is that of one coordinate, see the head of this file.

    Args:
        slope: of ln c against ln N.
        intercept: ln c at N = 1.
        first: c in the first stage, whatever N is; with None the formula holds there as well.
            0.03456 is for latents of 4 · 32 · 32 numbers, see `first_c`.
    """

    points: Schedule | None = field(default=None, init=False)
    slope: Annotated[float, Range("[-2, 2]")] = -1.15
    intercept: Annotated[float, Range("[-10, 10]")] = -0.85
    first: Positive | None = 0.03456

    def value(self, points: Schedule, step: int) -> float:
        if self.first is not None and points(step) == points(0):
            return self.first
        return exp(self.slope * log(points(step) - 1) + self.intercept)


def first_c(numbers: int) -> float:
    """c of the first stage by the authors' script, for samples of so many numbers: 0.00054 √D."""
    return 0.00054 * sqrt(numbers)


@ingredient
@dataclass(eq=False)
class SLCT(Method):
    """Consistency training with a robust metric, for data with outliers such as latents.

    Args:
        pairs: draws the times t > r of each sample.
        metric: the distance d, with a field c.
        c: the schedule of c, for one coordinate; None leaves the metric as it is.
        weight: the weight λ.
        coupling: pairs the batch's noise with its data.
        by_class: couple within each class alone, where there are labels.
        denoising: the weight of the denoising term.
        small: the noise level up to which a sample counts in the denoising term.
        clean: the weight inside the denoising term.
        target: f_θ⁻.
    """

    pairs: Pairs = AdjacentLevels(Doubling(10, 640))
    metric: Metric = Cauchy()
    c: Annotated[Schedule, Range("(0, inf)")] | None = Tightening()
    weight: Weight = InverseGap()
    coupling: Coupling = MinibatchOT()
    by_class: bool = True
    denoising: NonNegative = 5.0
    small: NonNegative = 0.17
    clean: Weight = EDMWeight()
    target: Target = field(default_factory=StopGrad)

    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        t, r = self.pairs(process, x, step)
        z = self.paired(x, torch.randn_like(x), cond)
        x_t, x_r = process.perturb(x, z, t), process.perturb(x, z, r)

        with rewind_rng(x.device):  # both passes drop the same units
            f_t = model(x_t, t, cond)
        f_r = self.target(model, cond)(x_r, r)
        consistency = self.weight(t, r) * self.distance(f_t, f_r, step)
        error = self.clean(t, r) * sum_squares(f_t - x) / x[0].numel()
        return consistency + self.denoising * averaged(error, process.level(t) <= self.small)

    def paired(self, x: Data, z: Data, cond: Tensor | None) -> Data:
        """z as it is paired with x: permuted within each class, if there are classes."""
        if cond is None or not self.by_class:
            return self.coupling(x, z)
        z = z.clone()
        for label in cond.unique():
            z[cond == label] = self.coupling(x[cond == label], z[cond == label])
        return z

    def distance(self, a: Data, b: Data, step: int) -> PerSample:
        """The metric of the mean over coordinates, with this step's c; as it is where c is None.

        Raises:
            TypeError: for a metric without a field c.
        """
        if self.c is None:
            return self.metric(a, b)
        root = sqrt(a[0].numel())
        metric = replace(self.metric, c=self.c(step))  # type: ignore[type-var]
        return metric(a / root, b / root)


def averaged(loss: PerSample, chosen: Tensor) -> PerSample:
    """Mask and rescale a loss so that its batch mean is the mean over the chosen samples.

    Args:
        loss: one number per sample.
        chosen: (b,), true or false; where none is true the result is 0.
    """
    masked = torch.where(chosen, loss, torch.zeros_like(loss))
    return masked * (len(loss) / chosen.sum().clamp_min(1))
