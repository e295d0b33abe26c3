"""The rescaled gradient of the point mass, as the common slips have it."""

from collections.abc import Callable

from torch import Tensor

from ..data.point_mass import PointMass
from ..times import KarrasGrid


def parts(theta: float, target: float, xi: float, points: int) -> tuple[Tensor, ...]:
    """a_t, a_r, the gaps t - r, and the difference of the two answers."""
    levels = KarrasGrid().up(points)
    a = 1 - levels[0] / levels
    return a[1:], a[:-1], levels.diff(), a[1:] * (theta - xi) - a[:-1] * (target - xi)


def slip_of(make: Callable[..., Tensor]) -> Callable[..., float]:
    """A wrong answer, as a number, from the parts of the right one."""
    return lambda *case: float(make(*parts(*case)))


def lagless(theta: float, target: float, xi: float, points: int) -> float:
    return PointMass(points).gradient(theta, theta, xi)


def both(theta: float, target: float, xi: float, points: int) -> float:
    """Student and target at the wrong levels."""
    a_t, a_r, gap, _ = parts(theta, target, xi, points)
    return float((2 * a_r * (a_r * (theta - xi) - a_t * (target - xi)) / gap).mean())


WRONG: dict[str, Callable[..., float]] = {
    "the lag is missing: the second answer is the target's, so use θ⁻ there": lagless,
    "the outer factor is a_r, and should be a_t: θ stands at the noisier level t": slip_of(
        lambda a_t, a_r, gap, d: (2 * a_r * d / gap).mean()
    ),
    "the levels are swapped: θ answers at t, the noisier of the two, and θ⁻ at r": both,
    "it is not rescaled: divide each interval's gradient by its gap t − r": slip_of(
        lambda a_t, a_r, gap, d: (2 * a_t * d).mean()
    ),
    "you divide by the mean gap: each interval has a gap of its own": slip_of(
        lambda a_t, a_r, gap, d: (2 * a_t * d).mean() / gap.mean()
    ),
    "the gradient also runs through the target: θ⁻ is held fixed, so only a_t (θ − ξ) moves":
        slip_of(lambda a_t, a_r, gap, d: (2 * (a_t - a_r) * d / gap).mean()),
    "the 2 of the square's derivative is missing": slip_of(
        lambda a_t, a_r, gap, d: (a_t * d / gap).mean()
    ),
    "this is the loss, not its derivative by θ": slip_of(
        lambda a_t, a_r, gap, d: (d**2 / gap).mean()
    ),
    "the intervals are added: take their mean": slip_of(
        lambda a_t, a_r, gap, d: (2 * a_t * d / gap).sum()
    ),
    "the sign is turned: this is the step of descent, not the gradient": slip_of(
        lambda a_t, a_r, gap, d: -(2 * a_t * d / gap).mean()
    ),
}  # fmt: skip
