"""Exercise checks of lab 18: the residual of a moving start, and the target of a split jump."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..common.exercise import close, exercise, expect

Jump = Callable[[Tensor, Tensor, Tensor], Tensor]
MEAN, STD = 0.5, 0.3  # of the Gaussian data on which answers are tried


def moments(t: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (b, 1) of x_t for the Gaussian data."""
    t = t[:, None]
    return (1 - t) * MEAN, (1 - t) ** 2 * STD**2 + t**2


def gaussian_map(x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """The exact flow map of the Gaussian: a path keeps its distance from the mean in stds."""
    (m_t, V_t), (m_s, V_s) = moments(t), moments(s)
    return m_s + (x_t - m_t) * (V_s / V_t).sqrt()


def gaussian_velocity(x_t: Tensor, t: Tensor) -> Tensor:
    """The exact velocity E[z - x | x_t] of the Gaussian."""
    m, V = moments(t)
    t = t[:, None]
    return -MEAN + (x_t - m) * (t - (1 - t) * STD**2) / V


def wrong_map(x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """A smooth map that is not the flow map, but stays where it is for s = t."""
    return gaussian_map(x_t, t, s) + ((t - s) * s)[:, None] * (1 + x_t**2)


def case(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """x_t (40, 1) and times t > s (40,)."""
    g = torch.Generator().manual_seed(seed)
    s, t = (torch.rand(2, 40, generator=g).double() * 0.8 + 0.1).sort(0).values
    return torch.randn(40, 1, generator=g).double(), t, s


# A: the residual of the moving start


def moved(
    X: Jump, x_t: Tensor, t: Tensor, s: Tensor, dx: Tensor, dt: float = 1.0
) -> tuple[Tensor, Tensor]:
    """X, and its derivative while x_t moves along dx and t at the rate dt."""
    tangents = (dx, torch.full_like(t, dt))
    found = torch.func.jvp(lambda x, time: X(x, time, s), (x_t, t), tangents)
    return found[0], found[1]


def exact_residual(X: Jump, v: Any, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    return moved(X, x_t, t, s, v(x_t, t))[1]


def with_tangent(along: Callable[..., Tensor], dt: float = 1.0) -> Callable[..., Tensor]:
    """A residual in which x_t moves otherwise: along(v, X, x_t, t, s), and t at the rate dt."""

    def wrong(X: Jump, v: Any, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return moved(X, x_t, t, s, along(v, X(x_t, t, s), x_t, t, s), dt)[1]

    return wrong


def by_end(X: Jump, v: Any, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    found = torch.func.jvp(lambda end: X(x_t, t, end), (s,), (torch.ones_like(s),))
    return found[1] - v(found[0], s)


START_SLIPS: dict[str, Callable[..., Tensor]] = {
    "only t moves: x_t follows its path as well, so its tangent is v(x_t, t)": with_tangent(
        lambda v, X, x_t, t, s: torch.zeros_like(x_t)
    ),
    "only x_t moves: t grows as well, at the rate 1": with_tangent(
        lambda v, X, x_t, t, s: v(x_t, t), dt=0.0
    ),
    "x_t moves at the rate 1: it follows its path, so its tangent is v(x_t, t)": with_tangent(
        lambda v, X, x_t, t, s: torch.ones_like(x_t)
    ),
    "the velocity is taken at the landing X: the start moves, so ask v at x_t and at time t":
        with_tangent(lambda v, X, x_t, t, s: v(X, s)),
    "the velocity is taken at time s: the start lies at time t": with_tangent(
        lambda v, X, x_t, t, s: v(x_t, s)
    ),
    "x_t moves backwards: while t grows, x_t moves with +v": with_tangent(
        lambda v, X, x_t, t, s: -v(x_t, t)
    ),
    "this is the other way round: the tangents are v and 1, not −v and −1": lambda *a: (
        -exact_residual(*a)
    ),
    "v is subtracted: here the landing X must stand still, so return the derivative alone":
        lambda X, v, x_t, t, s: exact_residual(X, v, x_t, t, s) - v(X(x_t, t, s), s),
    "this is move the end: hold s, and move the start (x_t, t)": by_end,
    "this is X itself: torch.func.jvp gives X first, and then its derivative":
        lambda X, v, x_t, t, s: X(x_t, t, s),
}  # fmt: skip


@exercise
def start_residual(answer: Callable[..., Any]) -> str:
    """(X, v, x_t, t, s) -> ∂_t X + ∂_x X · v: 0 for the exact map, known for a wrong one."""
    cases = [case(seed) for seed in (0, 1)]
    said = [tensor_like(answer(wrong_map, gaussian_velocity, *c), c[0]) for c in cases]
    truth = [exact_residual(wrong_map, gaussian_velocity, *c) for c in cases]
    if not all(close(a, b, 1e-8, 1e-8) for a, b in zip(said, truth, strict=True)):
        for slip, wrong in START_SLIPS.items():
            rows = [wrong(wrong_map, gaussian_velocity, *c) for c in cases]
            same = all(close(a, b, 1e-8, 1e-8) for a, b in zip(said, rows, strict=True))
            expect(not same, slip)
        near = all(close(a, b, 1e-2, 1e-2) for a, b in zip(said, truth, strict=True))
        expect(not near, "nearly: a difference has an error of its own, torch.func.jvp has none")
        expect(False, "not ∂X/∂t + ∂X/∂x · v: compare each of the two terms with the formula")
    zero = answer(gaussian_map, gaussian_velocity, *cases[0])
    expect(bool(zero.abs().max() < 1e-9), "for the exact map the residual must be 0")
    return "0 for the exact map of a Gaussian to 1e-9, and the right residual for a wrong map"


def tensor_like(found: Any, x_t: Tensor) -> Tensor:
    """The answer as a tensor of x_t's shape."""
    several = isinstance(found, tuple | list)
    expect(not several, "return one tensor: torch.func.jvp gives X and its derivative")
    found = torch.as_tensor(found).detach().double()
    expect(found.shape == x_t.shape, f"the answer has shape {tuple(found.shape)} and must have "
           f"x_t's, {tuple(x_t.shape)}; a factor per sample needs [:, None]")  # fmt: skip
    return found


# B: the target of a split jump


def mean_velocity(X: Jump) -> Jump:
    """u(x_t, t, s) of a map."""
    return lambda x_t, t, s: (x_t - X(x_t, t, s)) / (t - s)[:, None]


def split(
    u: Jump, x_t: Tensor, t: Tensor, s: Tensor, m: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The legs' velocities, their shares of the time, and where the first ends."""
    first = u(x_t, t, m)
    x_m = x_t - (t - m)[:, None] * first
    share = ((m - s) / (t - s))[:, None]
    return first, u(x_m, m, s), 1 - share, share, x_m


def exact_target(u: Jump, x_t: Tensor, t: Tensor, s: Tensor, m: Tensor) -> Tensor:
    first, second, a, b, _ = split(u, x_t, t, s, m)
    return a * first + b * second


def from_legs(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A wrong target from the parts of the right one."""
    return lambda *case: make(*split(*case))


def uphill(u: Jump, x_t: Tensor, t: Tensor, s: Tensor, m: Tensor) -> Tensor:
    first, _, a, b, _ = split(u, x_t, t, s, m)
    return a * first + b * u(x_t + (t - m)[:, None] * first, m, s)


def not_moved(u: Jump, x_t: Tensor, t: Tensor, s: Tensor, m: Tensor) -> Tensor:
    first, _, a, b, _ = split(u, x_t, t, s, m)
    return a * first + b * u(x_t, m, s)


def moved_too_far(u: Jump, x_t: Tensor, t: Tensor, s: Tensor, m: Tensor) -> Tensor:
    first, _, a, b, _ = split(u, x_t, t, s, m)
    return a * first + b * u(x_t - first, m, s)


SPLIT_SLIPS: dict[str, Callable[..., Tensor]] = {
    "the first jump goes the wrong way: t falls, so x_m = x_t − (t − m) u": uphill,
    "the second jump starts at x_t: it has to start where the first one landed, x_m": not_moved,
    "the first jump is too long: its length is (t − m), not 1": moved_too_far,
    "the shares are swapped: the first jump takes (t − m)/(t − s) of the time": from_legs(
        lambda first, second, a, b, x_m: b * first + a * second
    ),
    "this is the plain mean, right only for m half-way: weight each jump with its time":
        from_legs(lambda first, second, a, b, x_m: (first + second) / 2),
    "the velocities are added: take the mean, weighted by the time of each jump": from_legs(
        lambda first, second, a, b, x_m: first + second
    ),
    "this is the second jump alone": from_legs(lambda first, second, a, b, x_m: second),
    "this is the first jump alone": from_legs(lambda first, second, a, b, x_m: first),
}  # fmt: skip


@exercise
def split_target(answer: Callable[..., Any]) -> str:
    """(u, x_t, t, s, m) -> the mean velocity of two jumps, without a gradient."""
    x_t, t, s = case(3)
    m = s + torch.linspace(0.15, 0.9, len(t)).double() * (t - s)
    u, exact = mean_velocity(wrong_map), mean_velocity(gaussian_map)
    found = answer(u, x_t, t, s, m)
    said, truth = tensor_like(found, x_t), exact_target(u, x_t, t, s, m)
    for slip, wrong in SPLIT_SLIPS.items():
        expect(not close(said, wrong(u, x_t, t, s, m), 1e-8, 1e-8), slip)
    right = close(said, truth, 1e-8, 1e-8)
    total = close(said, truth * (t - s)[:, None], 1e-8, 1e-8)
    expect(not total, "this is the displacement of both jumps together: divide it by t − s")
    expect(right, "two exact jumps must give the exact u: check where each begins and ends")
    own = close(answer(exact, x_t, t, s, m), exact(x_t, t, s), 1e-9, 1e-9)
    expect(own, "for the exact u the target must be u(x_t, t, s) itself")
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    held = answer(lambda *a: weight * u(*a), x_t, t, s, m)
    expect(not held.requires_grad, "a target must have no gradient: compute it under "
           "torch.no_grad(), or detach it")  # fmt: skip
    return "for the exact map it is u itself to 1e-9, at every m, and no gradient passes"
