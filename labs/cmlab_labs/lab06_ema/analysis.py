"""Analysis of lab 06: the gradient of consistency training with an EMA target on a point mass ξ.

Song & Dhariwal 2024, Section 3.2, as reported; the algebra is done here and tested by autograd.

    f_θ(x, σ) = (σ_min/σ) x + (1 - σ_min/σ) θ

holds the boundary for every number θ and is the exact consistency function when θ = ξ. On
x_t = ξ + t z and x_r = ξ + r z the noise cancels: with a_t = 1 - σ_min/t,

    f_θ(x_t, t) - f_θ⁻(x_r, r) = a_r (θ - θ⁻) + (a_t - a_r)(θ - ξ)
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from cmlab.methods.ict import InverseGap
from cmlab.noise_levels import KarrasGrid, Proposal, UniformIndex
from cmlab.types import Weight

GRID = KarrasGrid()


@dataclass(frozen=True)
class PointMass:
    """The loss E[λ (f_θ(x_t, t) - f_θ⁻(x_r, r))²], t and r neighbours on a grid of N levels.

    Distances to ξ start at 1.
    """

    points: int
    weight: Weight = InverseGap()
    proposal: Proposal = UniformIndex(GRID)
    grid: KarrasGrid = GRID

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

    def after(self, mu: float, steps: int, rate: float = 0.1) -> tuple[float, float]:
        """θ - ξ and θ⁻ - ξ after this many steps of gradient descent from 1, 1.

        Each is θ ← θ - η dL/dθ, then θ⁻ ← μ θ⁻ + (1 - μ) θ. η is `rate` in units of 1/(A + B).
        """
        a, b = self.pulls
        theta = np.array([1 - rate, rate * a / (a + b)])  # the new θ, from the old (θ, θ⁻)
        once = np.stack([theta, mu * np.array([0.0, 1.0]) + (1 - mu) * theta])
        end = np.linalg.matrix_power(once, steps).sum(1)
        return float(end[0]), float(end[1])

    def course(self, mu: float, steps: int, rate: float = 0.1) -> np.ndarray:
        """θ - ξ and θ⁻ - ξ after 0, 1, … steps of the same descent: (steps + 1, 2)."""
        a, b = self.pulls
        rows = [(1.0, 1.0)]
        for _ in range(steps):
            theta, target = rows[-1]
            theta -= rate * (a * (theta - target) + b * theta) / (a + b)
            rows.append((theta, mu * target + (1 - mu) * theta))
        return np.array(rows)

    def steps_to_reach(
        self, mu: float, near: float = 0.05, rate: float = 0.1, most: int = 10**8
    ) -> int:
        """Steps of gradient descent until |θ - ξ| ≤ near. Distances only shrink, so we halve."""
        reached = range(most)
        return bisect_left(reached, True, key=lambda k: self.after(mu, k, rate)[0] <= near)
