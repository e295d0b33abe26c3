"""Exercise checks of lab 02: the consistency function of a Gaussian, and two-time maps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cmlab.oracle import Gaussian, Mixture1D

from ..common.exercise import close, exercise, expect


@dataclass(frozen=True)
class GaussianCase:
    """One call of `f_gaussian`: x and t (200,), the distribution's m and σ_d, and ε."""

    x: Tensor
    t: Tensor
    mu: float
    s: float
    eps: float

    def likely(self) -> dict[str, Tensor]:
        """What common mistakes compute, by the message for each."""
        d, down, up = self.x - self.mu, self.s**2 + self.eps**2, self.s**2 + self.t**2
        return {
            "the ratio is of variances. Take the root: x - m shrinks as standard deviations do": (
                self.mu + d * down / up
            ),
            "you forgot ε: the path ends at noise level ε, where the spread is √(σ_d² + ε²)": (
                self.mu + d * self.s / up.sqrt()
            ),
            "you forgot the mean: subtract m from x, scale, and add m again": (
                self.x * (down / up).sqrt()
            ),
            "add m again after scaling: now the path ends around 0": d * (down / up).sqrt(),
            "the ratio is upside down: from t down to ε the distance to m shrinks": (
                self.mu + d * (up / down).sqrt()
            ),
            "this is D, the posterior mean: the end of the tangent, not of the path": (
                self.mu + d * self.s**2 / up
            ),
        }


@exercise
def f_gaussian(answer: Callable[..., Tensor]) -> str:
    """f(x, t, m, σ_d, ε) of N(m, σ_d²): its boundary, its paths, and the oracle."""
    mu, s, eps = 0.7, 0.5, 0.2
    oracle = Gaussian(torch.tensor([mu], dtype=torch.float64), s)
    t = torch.linspace(eps, 20, 200).double()
    path = oracle.path(torch.tensor([[6.0]]).double(), t.flip(0))[:, 0, 0].flip(0)
    ask = GaussianCase(path, t, mu, s, eps)
    said = answer(path, t, mu, s, eps)
    truth = torch.full_like(t, float(path[0]))
    for slip, wrong in ask.likely().items():
        expect(close(truth, wrong, 1e-9, 1e-9) or not close(said, wrong, 1e-9, 1e-9), slip)
    x = torch.linspace(-3, 3, 50).double()
    boundary = close(answer(x, torch.full_like(x, eps), mu, s, eps), x, 1e-9, 1e-9)
    expect(boundary, "at t = ε there is nothing left to do: f(x, ε) must be x")
    expect(
        close(said, truth, 1e-9, 1e-9),
        "f must be the same at all points of one path, and yours moves",
    )
    other = GaussianCase(x, torch.full_like(x, 3.0), -2.0, 1.5, 0.01)
    exact = Gaussian(torch.tensor([other.mu], dtype=torch.float64), other.s)
    end = exact.consistency(x[:, None], other.t, other.eps)[:, 0]
    same = close(answer(x, other.t, other.mu, other.s, other.eps), end, 1e-9, 1e-9)
    expect(
        same,
        "right for one distribution, wrong for another: "
        "use the arguments mean, sigma_data and eps",
    )
    return "f(x, ε) = x, and f is constant on 200 exact points of a path, to 1e-9"


@dataclass(frozen=True)
class TwoTimeCase:
    """The exact two-time map of a distribution on the line, and an answer to compare with it."""

    oracle: Mixture1D
    x: Tensor
    answer: Callable[..., Tensor]

    def said(self, x: Tensor, t: float, s: float) -> Tensor:
        return torch.as_tensor(self.answer(x, self.at(t), self.at(s), self.oracle.cdf)).double()

    def truth(self, x: Tensor, t: float, s: float) -> Tensor:
        return self.oracle.flow(x, self.at(t), self.at(s))

    def at(self, level: float) -> Tensor:
        return torch.full_like(self.x, level)

    def right(self, x: Tensor, t: float, s: float) -> bool:
        return close(self.said(x, t, s), self.truth(x, t, s), 1e-6, 1e-6)


@exercise
def two_time(answer: Callable[..., Tensor]) -> str:
    """f(x, t, s) from a distribution function alone: identity, both directions, composition."""
    rows = ((0.3, 0.5, 0.2), (-1.5, 0.2, 1.4), (0.2, 0.3, 0.1))
    oracle = Mixture1D(*(torch.tensor(row, dtype=torch.float64) for row in rows))
    x = torch.linspace(-4, 4, 41).double()
    legs = TwoTimeCase(oracle, x, answer)
    check_downward(legs)
    expect(legs.right(x, 0.7, 0.7), "f(x, t, t) must be x")
    wide = legs.right(20 * x, 80.0, 40.0)
    expect(wide, "at high noise the points leave your bracket: make it wider, ±1000 say")
    expect(legs.right(x, 0.5, 2.0), "it must also work upwards, for s > t")
    two = legs.said(legs.said(x, 2.0, 0.9), 0.9, 0.5)
    expect(
        close(two, legs.said(x, 2.0, 0.5), 1e-6, 1e-6), "t → 0.9 → s must give the same as t → s"
    )
    return "f(x, t, t) = x, f(f(x, t, s), s, r) = f(x, t, r), and it is the exact flow, to 1e-6"


def check_downward(legs: TwoTimeCase) -> None:
    """Check the map from level 2 to 0.5, naming the likely mistake."""
    down, truth = legs.said(legs.x, 2.0, 0.5), legs.truth(legs.x, 2.0, 0.5)
    swapped = close(down, legs.truth(legs.x, 0.5, 2.0), 1e-4, 1e-4)
    expect(not swapped, "the times are swapped: take the rank at t, then look for it at s")
    ends = close(down, legs.truth(legs.x, 2.0, 0.002), 1e-4, 1e-4)
    expect(not ends, "this always ends at the data. Look for the rank at level s, not at ε")
    expect(
        not close(down, legs.x, 1e-4, 1e-4), "this never moves: look for the rank at s, not at t"
    )
    stuck = down.unique().numel() <= 2
    expect(not stuck, "all answers are the ends of your bracket: keep the other half each time")
    nearly = close(down, truth, 0.02, 0.02) and not close(down, truth, 1e-6, 1e-6)
    expect(not nearly, "nearly: halve the bracket more often, 60 times say, to be right to 1e-6")
    same = close(down, truth, 1e-6, 1e-6)
    expect(same, "not the point with the same rank: cdf(answer, s) must equal cdf(x, t)")
