"""Exercise checks of lab 19: MeanFlow's residual, and the noise of its target."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..common.exercise import close, exercise, expect

MEAN, STD = 0.5, 0.3  # of the Gaussian data on which answers are tried


def moments(t: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (b, 1) of x_t for the Gaussian data."""
    t = t[:, None]
    return (1 - t) * MEAN, (1 - t) ** 2 * STD**2 + t**2


def gaussian_velocity(x_t: Tensor, t: Tensor) -> Tensor:
    """The exact velocity E[z - x | x_t] of the Gaussian."""
    m, V = moments(t)
    t = t[:, None]
    return -MEAN + (x_t - m) * (t - (1 - t) * STD**2) / V


def gaussian_u(x_t: Tensor, t: Tensor, r: Tensor) -> Tensor:
    """The exact mean velocity of the Gaussian's jumps."""
    (m_t, V_t), (m_r, V_r) = moments(t), moments(r)
    X = m_r + (x_t - m_t) * (V_r / V_t).sqrt()
    return (x_t - X) / (t - r)[:, None]


def told_the_gap(x_t: Tensor, t: Tensor, h: Tensor) -> Tensor:
    """The same, told t and h = t - r as MeanFlow's networks are."""
    return gaussian_u(x_t, t, t - h)


class Student:
    """A wrong u(x_t, t, h) with one weight, which has a gradient."""

    def __init__(self) -> None:
        self.weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def __call__(self, x_t: Tensor, t: Tensor, h: Tensor) -> Tensor:
        bent = (self.weight * x_t).sin() * (1 + t[:, None] ** 2)
        return bent + self.weight * h[:, None] ** 2 * x_t


def case(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x_t (30, 1), times t > r (30,) and data velocities (30, 1)."""
    g = torch.Generator().manual_seed(seed)
    r, t = (torch.rand(2, 30, generator=g).double() * 0.8 + 0.1).sort(0).values
    x_t, v = torch.randn(2, 30, 1, generator=g).double()
    return x_t, t, r, v


# A: the residual


def made(
    along: Callable[..., tuple[Tensor, ...]],
    join: Callable[..., Tensor] = lambda u, v, gap, du: u - (v - gap * du).detach(),
) -> Callable[..., Tensor]:
    """A residual from the tangents (x_t, t, h) that `along` gives; `join` puts it together."""

    def residual(u: Any, x_t: Tensor, t: Tensor, r: Tensor, v: Tensor) -> Tensor:
        tangents = along(v, torch.ones_like(t))
        value, du = torch.func.jvp(u, (x_t, t, t - r), tangents)[:2]
        return join(value, v, (t - r)[:, None], du)

    return residual


def right(v: Tensor, one: Tensor) -> tuple[Tensor, ...]:
    return v, one, one


exact_residual = made(right)
RESIDUAL_SLIPS: dict[str, Callable[..., Tensor]] = {
    "t − r is held fixed: r stays where it is, so h = t − r grows as fast as t, and its "
    "tangent is 1": made(lambda v, one: (v, one, 0 * one)),
    "the tangent of h is −1: h = t − r grows with t": made(lambda v, one: (v, one, -one)),
    "x_t is held fixed: along the path it moves with the velocity v": made(
        lambda v, one: (0 * v, one, one)
    ),
    "time is held fixed: along the path t moves too, with tangent 1": made(
        lambda v, one: (v, 0 * one, 0 * one)
    ),
    "the sign of the derivative is wrong: the target is v − (t − r) du/dt": made(
        right, lambda u, v, gap, du: u - (v + gap * du).detach()
    ),
    "the factor t − r is missing before du/dt": made(
        right, lambda u, v, gap, du: u - (v - du).detach()
    ),
    "this is the target: subtract it from u": made(
        right, lambda u, v, gap, du: (v - gap * du).detach()
    ),
    "this is u − v: the derivative is missing": made(
        right, lambda u, v, gap, du: u - v
    ),
}  # fmt: skip


@exercise
def meanflow_residual(answer: Callable[..., Any]) -> str:
    """(u, x_t, t, r, v) -> u - stopgrad(v - (t - r) du/dt), u told t and t - r."""
    cases = [case(seed) for seed in (0, 1)]
    said = [tensor_like(answer(Student(), *c), c[0]) for c in cases]
    truth = [exact_residual(Student(), *c).detach() for c in cases]
    if not all(close(a, b, 1e-8, 1e-8) for a, b in zip(said, truth, strict=True)):
        for slip, wrong in RESIDUAL_SLIPS.items():
            rows = [wrong(Student(), *c) for c in cases]
            same = all(close(a, b, 1e-8, 1e-8) for a, b in zip(said, rows, strict=True))
            expect(not same, slip)
        expect(False, "not u − (v − (t − r) du/dt): look at the tangents, then at the target")
    x_t, t, r, _ = cases[0]
    zero = answer(told_the_gap, x_t, t, r, gaussian_velocity(x_t, t))
    expect(bool(zero.abs().max() < 1e-9), "for the exact u and the exact v it must be 0")
    given, wanted = (pull(make, cases[1]) for make in (answer, exact_residual))
    expect(given is not None, "no gradient reaches u: only the target is held fixed")
    expect(close(given, wanted, 1e-7), "a gradient runs through the target too: detach it")
    return "0 for the exact u of a Gaussian to 1e-9, and the gradient passes through u alone"


def pull(make: Callable[..., Tensor], given: tuple[Tensor, ...]) -> Tensor | None:
    """The gradient of the summed squares by the student's weight."""
    student = Student()
    loss = make(student, *given).square().sum()
    return torch.autograd.grad(loss, student.weight)[0] if loss.requires_grad else None


def tensor_like(found: Any, x_t: Tensor) -> Tensor:
    """The answer as a tensor of x_t's shape."""
    several = isinstance(found, tuple | list)
    expect(not several, "return one tensor: torch.func.jvp gives the value and the derivative")
    found = torch.as_tensor(found).detach().double()
    expect(found.shape == x_t.shape, f"the answer has shape {tuple(found.shape)} and must have "
           f"x_t's, {tuple(x_t.shape)}; a factor per sample needs [:, None]")  # fmt: skip
    return found


# B: the noise of the target


def across(u: Any, x_t: Tensor, t: Tensor, r: Tensor, xi: Tensor) -> Tensor:
    """∂_x u · ξ."""
    return torch.func.jvp(lambda x: u(x, t, r), (x_t,), (xi,))[1]


def from_parts(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """An answer from ξ, the gap t - r and ∂_x u · ξ."""

    def noise(u: Any, x_t: Tensor, t: Tensor, r: Tensor, xi: Tensor) -> Tensor:
        return make(xi, (t - r)[:, None], across(u, x_t, t, r, xi))

    return noise


def in_time_too(u: Any, x_t: Tensor, t: Tensor, r: Tensor, xi: Tensor) -> Tensor:
    one = torch.ones_like(t)
    moved = torch.func.jvp(lambda x, t: u(x, t, r), (x_t, t), (xi, one))[1]
    return -xi + (t - r)[:, None] * moved


exact_noise = from_parts(lambda xi, gap, moved: -xi + gap * moved)
NOISE_SLIPS: dict[str, Callable[..., Tensor]] = {
    "the sign is wrong: u − (v + ξ) contains −ξ": from_parts(
        lambda xi, gap, moved: xi - gap * moved
    ),
    "this is improved MeanFlow's −ξ: MeanFlow's tangent contains ξ as well": from_parts(
        lambda xi, gap, moved: -xi
    ),
    "the two parts have opposite signs: −ξ, and + (t − r) ∂u/∂x ξ": from_parts(
        lambda xi, gap, moved: -xi - gap * moved
    ),
    "this is the part from the tangent alone: v + ξ itself contributes −ξ": from_parts(
        lambda xi, gap, moved: gap * moved
    ),
    "the factor t − r is missing": from_parts(lambda xi, gap, moved: -xi + moved),
    "ξ is in the tangent of x_t only: the times have no noise": in_time_too,
}


@exercise
def target_noise(answer: Callable[..., Any]) -> str:
    """(u, x_t, t, r, ξ) -> what ξ adds to MeanFlow's residual: -∂X/∂x ξ for the exact u."""
    cases = [case(seed) for seed in (4, 5)]

    def bent(x_t: Tensor, t: Tensor, r: Tensor) -> Tensor:
        return Student()(x_t, t, t - r)

    said = [tensor_like(answer(bent, *c), c[0]) for c in cases]
    truth = [exact_noise(bent, *c).detach() for c in cases]
    if not all(close(a, b, 1e-8, 1e-8) for a, b in zip(said, truth, strict=True)):
        for slip, wrong in NOISE_SLIPS.items():
            rows = [wrong(bent, *c).detach() for c in cases]
            same = all(close(a, b, 1e-8, 1e-8) for a, b in zip(said, rows, strict=True))
            expect(not same, slip)
        expect(False, "take the residual with v + ξ and with v, and subtract the two")
    x_t, t, r, xi = cases[0]
    slope = (moments(r)[1] / moments(t)[1]).sqrt()
    same = close(answer(gaussian_u, x_t, t, r, xi), -slope * xi, 1e-9, 1e-9)
    expect(same, "for the exact u of a Gaussian it must be −√(V_r/V_t) ξ")
    return "for the exact u it is −∂X/∂x ξ: the noise shrinks as the paths draw together"
