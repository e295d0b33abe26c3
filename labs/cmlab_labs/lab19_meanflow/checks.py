"""Exercise checks of lab 19: MeanFlow's residual, and the tangent with the least noise."""

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


def told_the_ratio(x_t: Tensor, kappa: Tensor, q: Tensor) -> Tensor:
    """The same, told κ = ln t/(1 - t) and q = r/t."""
    t = kappa.sigmoid()
    return gaussian_u(x_t, t, q * t)


class Student:
    """A wrong u(x_t, two numbers) with one weight, which has a gradient."""

    def __init__(self) -> None:
        self.weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def __call__(self, x_t: Tensor, a: Tensor, b: Tensor) -> Tensor:
        bent = (self.weight * x_t).sin() * (1 + a[:, None] ** 2)
        return bent + self.weight * b[:, None] ** 2 * x_t


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
    """A residual from the tangents (x_t, κ, q) that `along` gives; `join` puts it together."""

    def residual(u: Any, x_t: Tensor, t: Tensor, r: Tensor, v: Tensor) -> Tensor:
        inputs = x_t, (t / (1 - t)).log(), r / t
        value, du = torch.func.jvp(u, inputs, along(v, t, r))[:2]
        return join(value, v, (t - r)[:, None], du)

    return residual


def right(v: Tensor, t: Tensor, r: Tensor) -> tuple[Tensor, ...]:
    return v, 1 / (t * (1 - t)), -r / t**2


def told_the_times(u: Any, x_t: Tensor, t: Tensor, r: Tensor, v: Tensor) -> Tensor:
    value, du = torch.func.jvp(u, (x_t, t, r), (v, torch.ones_like(t), torch.zeros_like(t)))[:2]
    return value - (v - (t - r)[:, None] * du).detach()


exact_residual = made(right)
RESIDUAL_SLIPS: dict[str, Callable[..., Tensor]] = {
    "q is held fixed: r stays where it is and t grows, so q = r/t falls, by r/t² per unit of t":
        made(lambda v, t, r: (v, 1 / (t * (1 - t)), 0 * t)),
    "the tangent of q has the wrong sign: r is fixed and t grows, so q = r/t falls": made(
        lambda v, t, r: (v, 1 / (t * (1 - t)), r / t**2)
    ),
    "the tangent of κ is not 1: differentiate ln t − ln(1 − t) with respect to t": made(
        lambda v, t, r: (v, torch.ones_like(t), -r / t**2)
    ),
    "(v, 1, 1) is for a network that is told t and t − r; this one is told κ and q": made(
        lambda v, t, r: (v, torch.ones_like(t), torch.ones_like(t))
    ),
    "(v, 1, 0) is for a network that is told t and r; this one is told κ and q": made(
        lambda v, t, r: (v, torch.ones_like(t), 0 * t)
    ),
    "the network was told t and r: give it κ = ln t/(1 − t) and q = r/t": told_the_times,
    "x_t is held fixed: along the path it moves with the velocity v": made(
        lambda v, t, r: (0 * v, *right(v, t, r)[1:])
    ),
    "time is held fixed: along the path t moves too, and with it κ and q": made(
        lambda v, t, r: (v, 0 * t, 0 * t)
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
    """(u, x_t, t, r, v) -> u - stopgrad(v - (t - r) du/dt), u told κ and q."""
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
    zero = answer(told_the_ratio, x_t, t, r, gaussian_velocity(x_t, t))
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


# B: the share of the noise in the tangent


def across(u: Any, x_t: Tensor, t: Tensor, r: Tensor, xi: Tensor) -> Tensor:
    """(t - r) ∂_x u · ξ: what the noise of the tangent adds to the residual."""
    return (t - r)[:, None] * torch.func.jvp(lambda x: u(x, t, r), (x_t,), (xi,))[1]


Share = Callable[[Tensor, Tensor], Tensor]  # ξ and what the tangent adds -> a


def shared(
    share: Share, left: Callable[..., Tensor] = lambda xi, w, a: a * w - xi
) -> Callable[..., Any]:
    """An answer from a share a and the noise that it leaves."""

    def answer(u: Any, x_t: Tensor, t: Tensor, r: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
        w = across(u, x_t, t, r, xi).detach()
        a = share(xi, w)
        return a, left(xi, w, a)

    return answer


def least(xi: Tensor, w: Tensor) -> Tensor:
    return (xi * w).sum() / (w * w).sum()


def without_gap(u: Any, x_t: Tensor, t: Tensor, r: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
    moved = (across(u, x_t, t, r, xi) / (t - r)[:, None]).detach()
    return least(xi, moved), least(xi, moved) * moved - xi


exact_share = shared(least)
SHARE_SLIPS: dict[str, Callable[..., Any]] = {
    "a = 1 is MeanFlow: the least noise is asked for": shared(lambda xi, w: torch.ones(())),
    "a = 0 is improved MeanFlow: the least noise is asked for": shared(
        lambda xi, w: torch.zeros(())
    ),
    "one a for the whole batch: sum over the pairs before you divide": shared(
        lambda xi, w: xi / w
    ),
    "the mean of the best a of each pair is not the best a of all: sum before you divide": shared(
        lambda xi, w: (xi / w).mean()
    ),
    "the fraction is upside down: the parabola has its lowest point at ⟨ξ, w⟩ / ⟨w, w⟩": shared(
        lambda xi, w: (w * w).sum() / (xi * w).sum()
    ),
    "divide by ⟨w, w⟩: a multiplies w, and not ξ": shared(
        lambda xi, w: (xi * w).sum() / (xi * xi).sum()
    ),
    "the sign of a is wrong: the noise is −ξ + a w": shared(lambda xi, w: -least(xi, w)),
    "the factor t − r is missing in w": without_gap,
    "a is right; the noise is still MeanFlow's, with a = 1": shared(
        least, lambda xi, w, a: w - xi
    ),
    "a is right; the sign of the noise is wrong: it begins with −ξ": shared(
        least, lambda xi, w, a: xi - a * w
    ),
}


@exercise
def best_share(answer: Callable[..., Any]) -> str:
    """(u, x_t, t, r, ξ) -> the a of least noise with the tangent v + aξ, and that noise."""
    cases = [case(seed) for seed in (4, 5)]

    def bent(x_t: Tensor, t: Tensor, r: Tensor) -> Tensor:
        return Student()(x_t, t, t - r)

    said = [two_parts(answer(bent, *c), c[0]) for c in cases]
    if not same_parts(said, [exact_share(bent, *c) for c in cases]):
        for slip, wrong in SHARE_SLIPS.items():
            expect(not same_parts(said, [wrong(bent, *c) for c in cases]), slip)
        expect(False, "write the noise as −ξ + a w, and find the lowest point of its square")
    x_t, t, r, xi = cases[0]
    t, r = torch.full_like(t, 0.9), torch.full_like(r, 0.1)
    _, noise = two_parts(answer(gaussian_u, x_t, t, r, xi), x_t)
    expect(bool(noise.abs().max() < 1e-9), "for one jump of a Gaussian no noise must be left")
    return "of all a yours leaves the least noise; for one jump of a Gaussian, none at all"


def two_parts(found: Any, x_t: Tensor) -> tuple[Tensor, Tensor]:
    """The answer as a, and a noise of x_t's shape."""
    two = isinstance(found, tuple | list) and len(found) == 2
    expect(two, "return two things: a, and the noise")
    a = torch.as_tensor(found[0], dtype=torch.float64).detach()
    return a.reshape(()) if a.numel() == 1 else a, tensor_like(found[1], x_t)


def same_parts(said: list[tuple[Tensor, Tensor]], wanted: list[tuple[Tensor, Tensor]]) -> bool:
    """Whether every share and every noise agree."""
    pairs = [(a, b.detach()) for one, two in zip(said, wanted, strict=True)
             for a, b in zip(one, two, strict=True)]  # fmt: skip
    return all(a.shape == b.shape and close(a, b.double(), 1e-8, 1e-8) for a, b in pairs)
