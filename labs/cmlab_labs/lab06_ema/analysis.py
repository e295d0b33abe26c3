"""Analysis of lab 06: the gradient of consistency training with an EMA target on a point mass ξ.

Song & Dhariwal 2024, Section 3.2, as reported; the algebra is done here and tested by autograd.

    f_θ(x, σ) = (σ_min/σ) x + (1 - σ_min/σ) θ

holds the boundary for every number θ and is the exact consistency function when θ = ξ. On
x_t = ξ + t z and x_r = ξ + r z the noise cancels: with a_t = 1 - σ_min/t,

    f_θ(x_t, t) - f_θ⁻(x_r, r) = a_r (θ - θ⁻) + (a_t - a_r)(θ - ξ)
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log

import numpy as np

from cmlab.methods.ict import InverseGap
from cmlab.noise_levels import KarrasGrid, Proposal
from cmlab.presets import toy
from cmlab.types import Schedule, Weight


@dataclass(frozen=True)
class PointMass:
    """The loss E[λ (f_θ(x_t, t) - f_θ⁻(x_r, r))²], t and r neighbours on a grid of N levels.

    Weight, levels and grid are by default those of iCT on the ring. Distances to ξ start at 1.
    If not `squared`, the loss is E[λ |…|], which iCT's is but for a tiny c; its balance is known.
    """

    points: int
    weight: Weight = InverseGap()
    proposal: Proposal = toy.LEVELS
    grid: KarrasGrid = toy.GRID
    squared: bool = True

    @property
    def pulls(self) -> tuple[float, float]:
        """A = 2 E[λ a_t a_r] towards the target, B = 2 E[λ a_t (a_t - a_r)] towards ξ."""
        levels = self.grid.up(self.points)
        a = 1 - self.grid.sigma_min / levels
        each = 2 * self.proposal.masses(levels) * self.weight(levels[1:], levels[:-1]) * a[1:]
        return float((each * a[:-1]).sum()), float((each * a.diff()).sum())

    def gradient(self, theta: float, target: float, xi: float) -> float:
        """dL/dθ = A (θ - θ⁻) + B (θ - ξ); the target is held fixed."""
        to_target, to_truth = self.pulls
        return to_target * (theta - target) + to_truth * (theta - xi)

    @property
    def balance(self) -> float:
        """(θ - ξ)/(θ⁻ - ξ) where the loss is lowest: A/(A + B), or a weighted median."""
        if self.squared:
            to_target, to_truth = self.pulls
            return to_target / (to_target + to_truth)
        levels = self.grid.up(self.points)
        a = 1 - self.grid.sigma_min / levels
        share, order = (a[:-1] / a[1:]).sort()  # |a_t θ - a_r θ⁻| = a_t |θ - (a_r/a_t) θ⁻|
        mass = self.proposal.masses(levels) * self.weight(levels[1:], levels[:-1]) * a[1:]
        below = mass[order].cumsum(0)
        return float(share[(below < below[-1] / 2).sum()])

    def left(self, mu: float, steps: int) -> float:
        """θ - ξ after so many steps with θ at the balance, one at least."""
        return float(self.balance * (mu + (1 - mu) * self.balance) ** (steps - 1))

    def steps_to_reach(self, mu: float, near: float = 0.05) -> int:
        """Steps until what is `left` is near or less."""
        share = mu + (1 - mu) * self.balance
        return 1 + max(0, ceil(log(near / self.balance) / log(share)))


def course(
    mu: Schedule, points: Schedule, steps: int, model: Callable[[int], PointMass] = PointMass
) -> np.ndarray:
    """θ - ξ and θ⁻ - ξ after 0, 1, … steps, on a grid that may grow: (steps + 1, 2).

    A step puts θ at the balance, where the loss is smallest for the present target; then
    θ⁻ ← μ θ⁻ + (1 - μ) θ.
    """
    rows, balance = [(1.0, 1.0)], dict[int, float]()
    for k in range(steps):
        n, target = int(points(k)), rows[-1][1]
        if n not in balance:
            balance[n] = model(n).balance
        theta = balance[n] * target
        rows.append((theta, mu(k) * target + (1 - mu(k)) * theta))
    return np.array(rows)
