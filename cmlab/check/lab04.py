"""Lab 04: the distillation loss with its stop-gradient, and what a teacher's steps make of x."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..data.line import Bumps
from ..oracle import Gaussian
from ..times import KarrasGrid
from .base import exercise, expect
from .distil import Denoise, Probe, Student, slips, wrong_walks

Loss = Callable[[Student, Denoise, Tensor, Tensor, Tensor, Tensor], Tensor]
Walk = Callable[[Tensor, Tensor, Callable[[Tensor, float], Tensor]], Tensor]


@exercise
def cd_loss(answer: Loss) -> str:
    """(f, D, x, z, t, r) -> one loss a sample: values, gradient, and zero for the exact f."""
    law, g = Gaussian(torch.tensor([0.7, -0.3], dtype=torch.float64), 0.5), torch.Generator()
    x, z = (torch.randn(6, 2, generator=g.manual_seed(seed)).double() for seed in (1, 2))
    t = torch.tensor([0.3, 0.6, 1.0, 1.5, 2.0, 4.0]).double()
    r = t * torch.tensor([0.2, 0.9, 0.5, 0.4, 0.7, 0.3]).double()
    probe = Probe()
    said = answer(probe, law.denoise, x, z, t, r)
    expect(isinstance(said, Tensor) and said.shape == (6,), "return one number for each sample: "
           "give t the shape (b, 1) beside x, and sum the squares of each sample")  # fmt: skip
    again = answer(probe, law.denoise, x, z, t, r)
    expect(torch.equal(said, again), "two calls with the same x and z differ: draw no noise here, "
           "x_r is where the teacher's step from x_t leads")  # fmt: skip
    for slip, wrong in slips(probe, law.denoise, x, z, t, r).items():
        expect(not torch.allclose(said.detach(), wrong.detach(), rtol=1e-6), slip)
    valued(answer, law, x, z, t, r)
    pulled(said, probe, law, x, z, t, r)
    return "0 for the exact f on exact steps, the right value elsewhere, one branch of gradient"


def valued(answer: Loss, law: Gaussian, *draw: Tensor) -> None:
    """The loss of the exact f when each step ends on the path, and that of another f."""
    x, z, t, r = draw

    def secant(x: Tensor, level: Tensor) -> Tensor:
        """A teacher whose Euler step from t to r ends on the exact path."""
        h = ((r - t) / t)[:, None]
        return x - (law.flow(x, t, r) - x) / h

    zero = answer(law.consistency, secant, x, z, t, r)
    expect(bool(zero.abs().max() < 1e-12), f"the exact f has loss {float(zero.max()):.2g} with a "
           "teacher whose steps stay on the path, and should have 0")  # fmt: skip
    probe = Probe()
    right = probe.loss(law.denoise, x, z, t, r)
    same = torch.allclose(answer(probe, law.denoise, x, z, t, r), right, rtol=1e-6)
    expect(same, "not the squared distance between f(x_t, t) and f(x_r, r), with x_r one Euler "
           "step of the teacher from x_t")  # fmt: skip


def pulled(said: Tensor, probe: Probe, law: Gaussian, *draw: Tensor) -> None:
    """Gradient reaches the online answer and no other."""
    expect(said.requires_grad, "no gradient reaches the network: hold only the target fixed, "
           "not f(x_t, t)")  # fmt: skip
    got = probe.gradient(said)
    both, online, target = (
        probe.gradient(probe.loss(law.denoise, *draw, hold=hold)) for hold in ("", "r", "t")
    )
    expect(not torch.allclose(got, both), "the gradient flows through both answers: the target is "
           "θ⁻, so hold f(x_r, r) fixed with detach() or torch.no_grad()")  # fmt: skip
    expect(not torch.allclose(got, target), "the wrong answer is held fixed: f(x_t, t) learns, "
           "and f(x_r, r), nearer to the data, is its target")  # fmt: skip
    expect(torch.allclose(got, online), "the value is right, but its gradient is not that of "
           "f(x_t, t) alone")  # fmt: skip


@exercise
def ideal_student(answer: Walk) -> str:
    """(x, levels, D) -> where the teacher's steps end: order one or two, against the exact f."""
    law, calls = Bumps().oracle, [0]

    def denoise(x: Tensor, level: float) -> Tensor:
        calls[0] += 1
        return law.denoise(x, torch.full((len(x),), float(level), dtype=torch.float64))

    x = torch.linspace(-6, 6, 33, dtype=torch.float64)[:, None]
    levels = KarrasGrid(0.002, 3.0).up(9)
    said = torch.as_tensor(answer(x, levels, denoise))
    used = calls[0]
    expect(said.shape == x.shape, f"x of shape {tuple(x.shape)} came back as {tuple(said.shape)}")
    for slip, wrong in wrong_walks(x, levels, denoise):
        expect(not torch.allclose(said.double(), wrong, atol=1e-7), slip)
    errors = [off(answer, law.consistency, denoise, points) for points in (33, 65)]
    expect(errors[1] < 0.1, f"with 65 levels you are {errors[1]:.2g} from the exact ends on "
           "average; from each t to the next r: x ← x + (r − t) (x − D(x, t)) / t")  # fmt: skip
    ratio = errors[0] / errors[1]
    expect(ratio > 1.7, f"half the step divides the error by {ratio:.2f}, and an order-one solver "
           "divides it by 2: is each step taken, and from where the last one ended?")  # fmt: skip
    order = "two (Heun)" if ratio > 3 else "one (Euler)"
    return f"half the step divides the error by {ratio:.1f}: order {order}, {used} calls for N = 9"


def off(answer: Walk, exact: Student, denoise: Callable[[Tensor, float], Tensor], n: int) -> float:
    """The mean error over a grid of n levels up to t = 3."""
    x, levels = torch.linspace(-6, 6, 201).double()[:, None], KarrasGrid(0.002, 3.0).up(n)
    truth = exact(x, levels[-1:].expand(201))
    return float((torch.as_tensor(answer(x, levels, denoise)) - truth).abs().mean())
