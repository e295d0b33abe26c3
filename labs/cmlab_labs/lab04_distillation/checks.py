"""Exercise checks of lab 04: the distillation loss, and the endpoint of a teacher's steps."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from cmlab.data.toy import Bumps
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Gaussian

from ..common.exercise import exercise, expect

# Common mistakes in the distillation loss, and in solving the ODE down a grid

Student = Callable[[Tensor, Tensor], Tensor]  # f(x, level), levels (b,)
Denoise = Callable[[Tensor, Tensor], Tensor]  # the teacher's D(x, level), levels (b,)


class Probe:
    """A small f with one parameter, to distinguish values and gradients."""

    def __init__(self) -> None:
        self.theta = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)

    def __call__(self, x: Tensor, level: Tensor) -> Tensor:
        return (self.theta * x + level[:, None]).sin() + 0.1 * self.theta**2 * x

    def loss(
        self, denoise: Denoise, x: Tensor, z: Tensor, t: Tensor, r: Tensor, hold: str = "r"
    ) -> Tensor:
        """The loss itself, holding the answer at r, at t, or none."""
        x_t = x + t[:, None] * z
        f_t, f_r = self(x_t, t), self(euler(denoise, x_t, t, r), r)
        f_t, f_r = f_t.detach() if hold == "t" else f_t, f_r.detach() if hold == "r" else f_r
        return (f_t - f_r).square().sum(1)

    def gradient(self, losses: Tensor) -> Tensor:
        """Of the sum of the losses, with respect to θ."""
        return torch.autograd.grad(losses.sum(), self.theta, retain_graph=True)[0]


def euler(denoise: Denoise, x_t: Tensor, t: Tensor, r: Tensor) -> Tensor:
    """The teacher's step from t to r."""
    return x_t + ((r - t) / t)[:, None] * (x_t - denoise(x_t, t))


def slips(
    f: Student, denoise: Denoise, x: Tensor, z: Tensor, t: Tensor, r: Tensor
) -> dict[str, Tensor]:
    """Common mistakes: the message, and the losses that they give."""
    x_t = x + t[:, None] * z
    x_r = euler(denoise, x_t, t, r)
    right, to_D = (
        squared_distance(f, x_t, t, x_r, r),
        (f(x_t, t) - denoise(x_t, t)).square().sum(1),
    )
    return misplaced_points(f, denoise, x, z, t, r) | {
        "the target is asked about level t, but x_r lies at level r": squared_distance(
            f, x_t, t, x_r, t
        ),
        "both answers are taken at x_t: the target answers at x_r": squared_distance(
            f, x_t, t, x_t, r
        ),
        "the answer is compared with D: the student follows the teacher's step, not its output": (
            to_D
        ),
        "this is the distance: the loss is its square": right.sqrt(),
        "the squares are averaged over the coordinates: sum them": right / x.shape[1],
    }


def misplaced_points(
    f: Student, denoise: Denoise, x: Tensor, z: Tensor, t: Tensor, r: Tensor
) -> dict[str, Tensor]:
    """Mistakes in computing x_t or x_r: the message, and the losses."""
    x_t, low = x + t[:, None] * z, x + r[:, None] * z
    away, up = 2 * x_t - euler(denoise, x_t, t, r), euler(denoise, low, r, t)
    late = x_t + ((r - t) / r)[:, None] * (x_t - denoise(x_t, r))
    return {
        "t and r are swapped: x_t carries the larger noise t, and the step goes down to r": (
            squared_distance(f, low, r, up, t)
        ),
        "the teacher's step starts at the clean x: it starts at x_t, the noisy point": (
            squared_distance(f, x_t, t, euler(denoise, x, t, r), r)
        ),
        "x_r is x + r z here: that is consistency training, which never asks the teacher": (
            squared_distance(f, x_t, t, low, r)
        ),
        "the sign of the step is wrong: r < t, so r − t is negative and x_r moves towards D": (
            squared_distance(f, x_t, t, away, r)
        ),
        "the slope is measured at level r, but x_t lies at level t": squared_distance(
            f, x_t, t, late, r
        ),
    }


def squared_distance(f: Student, a: Tensor, s: Tensor, b: Tensor, u: Tensor) -> Tensor:
    """The squared distance of f at two points."""
    return (f(a, s) - f(b, u)).square().sum(1)


def wrong_solutions(
    x: Tensor, levels: Tensor, denoise: Callable[[Tensor, float], Tensor]
) -> list[tuple[str, Tensor]]:
    """Common mistakes in solving: the message, and the endpoint. Levels rise, as in the paper."""
    down, D = levels.flip(0).tolist(), denoise
    once = D(x, down[0])

    def step(x: Tensor, t: float, r: float) -> Tensor:
        return x + (r - t) * (x - D(x, t)) / t

    late = "the slope is measured at level r, where the step ends: x still lies at level t"
    return [
        ("you walk up the grid: x lies at the last level, so start there and go down",
         solve(x, down[::-1], step)),
        ("the first step is missing: x lies at the last of the levels", solve(x, down[1:], step)),
        ("the last step is missing: the walk ends at ε, the first of the levels",
         solve(x, down[:-1], step)),
        (late, solve(x, down, lambda x, t, r: x + (r - t) * (x - D(x, r)) / r)),
        (late, solve(x, down, lambda x, t, r: x + (r - t) * (x - D(x, r)) / t)),
        ("the sign is wrong: r < t, so r − t is negative and the step goes towards D",
         solve(x, down, lambda x, t, r: x - (r - t) * (x - D(x, t)) / t)),
        ("D is asked only once, which makes one step over the whole grid: ask again at each level",
         solve(x, down, lambda x, t, r: x + (r - t) * (x - once) / t)),
        ("this is D, the teacher's answer at the highest level: a student learns where its "
         "steps end", once),
    ]  # fmt: skip


def solve(
    x: Tensor, levels: list[float], step: Callable[[Tensor, float, float], Tensor]
) -> Tensor:
    """Solve from level to level with this step."""
    for t, r in pairwise(levels):
        x = step(x, t, r)
    return x


Loss = Callable[[Student, Denoise, Tensor, Tensor, Tensor, Tensor], Tensor]
Solve = Callable[[Tensor, Tensor, Callable[[Tensor, float], Tensor]], Tensor]


@exercise
def cd_loss(answer: Loss) -> str:
    """(f, D, x, z, t, r) -> one loss per sample: values, gradient, and zero for the exact f."""
    oracle, g = Gaussian(torch.tensor([0.7, -0.3], dtype=torch.float64), 0.5), torch.Generator()
    x, z = (torch.randn(6, 2, generator=g.manual_seed(seed)).double() for seed in (1, 2))
    t = torch.tensor([0.3, 0.6, 1.0, 1.5, 2.0, 4.0]).double()
    r = t * torch.tensor([0.2, 0.9, 0.5, 0.4, 0.7, 0.3]).double()
    probe = Probe()
    said = answer(probe, oracle.denoise, x, z, t, r)
    expect(isinstance(said, Tensor) and said.shape == (6,), "return one number for each sample: "
           "give t the shape (b, 1) to match x, and sum the squares of each sample")  # fmt: skip
    again = answer(probe, oracle.denoise, x, z, t, r)
    expect(torch.equal(said, again), "two calls with the same x and z differ: draw no noise here, "
           "x_r is the end of the teacher's step from x_t")  # fmt: skip
    for slip, wrong in slips(probe, oracle.denoise, x, z, t, r).items():
        expect(not torch.allclose(said.detach(), wrong.detach(), rtol=1e-6), slip)
    check_values(answer, oracle, x, z, t, r)
    check_gradient(said, probe, oracle, x, z, t, r)
    return "0 for the exact f on exact steps, right elsewhere, gradient through f(x_t, t) alone"


def check_values(answer: Loss, oracle: Gaussian, *draw: Tensor) -> None:
    """Check the loss of the exact f, 0 if each step ends on the path, and that of another f."""
    x, z, t, r = draw

    def secant(x: Tensor, level: Tensor) -> Tensor:
        """A teacher whose Euler step from t to r ends on the exact path."""
        h = ((r - t) / t)[:, None]
        return x - (oracle.flow(x, t, r) - x) / h

    zero = answer(oracle.consistency, secant, x, z, t, r)
    expect(bool(zero.abs().max() < 1e-12), f"the exact f has loss {float(zero.max()):.2g} with a "
           "teacher whose steps stay on the path, and should have 0")  # fmt: skip
    probe = Probe()
    right = probe.loss(oracle.denoise, x, z, t, r)
    same = torch.allclose(answer(probe, oracle.denoise, x, z, t, r), right, rtol=1e-6)
    expect(same, "not the squared distance between f(x_t, t) and f(x_r, r), with x_r one Euler "
           "step of the teacher from x_t")  # fmt: skip


def check_gradient(said: Tensor, probe: Probe, oracle: Gaussian, *draw: Tensor) -> None:
    """Check that the gradient is that of the online answer alone."""
    expect(said.requires_grad, "no gradient reaches the network: hold only the target fixed, "
           "not f(x_t, t)")  # fmt: skip
    got = probe.gradient(said)
    both, online, target = (
        probe.gradient(probe.loss(oracle.denoise, *draw, hold=hold)) for hold in ("", "r", "t")
    )
    expect(not torch.allclose(got, both), "the gradient flows through both answers: the target is "
           "θ⁻, so hold f(x_r, r) fixed with detach() or torch.no_grad()")  # fmt: skip
    expect(not torch.allclose(got, target), "the wrong answer is held fixed: f(x_t, t) learns, "
           "and f(x_r, r), nearer to the data, is its target")  # fmt: skip
    expect(torch.allclose(got, online), "the value is right, but its gradient is not that of "
           "f(x_t, t) alone")  # fmt: skip


@exercise
def ideal_student(answer: Solve) -> str:
    """(x, levels, D) -> where the teacher's steps end: order one or two, against the exact f."""
    oracle, calls = Bumps().oracle, [0]

    def denoise(x: Tensor, level: float) -> Tensor:
        calls[0] += 1
        return oracle.denoise(x, torch.full((len(x),), float(level), dtype=torch.float64))

    x = torch.linspace(-6, 6, 33, dtype=torch.float64)[:, None]
    levels = KarrasGrid(0.002, 3.0).up(9)
    said = torch.as_tensor(answer(x, levels, denoise))
    used = calls[0]
    expect(said.shape == x.shape, f"x of shape {tuple(x.shape)} came back as {tuple(said.shape)}")
    for slip, wrong in wrong_solutions(x, levels, denoise):
        expect(not torch.allclose(said.double(), wrong, atol=1e-7), slip)
    errors = [mean_error(answer, oracle.consistency, denoise, points) for points in (33, 65)]
    expect(errors[1] < 0.1, f"with 65 levels you are {errors[1]:.2g} from the exact ends on "
           "average; from each t to the next r: x ← x + (r − t) (x − D(x, t)) / t")  # fmt: skip
    ratio = errors[0] / errors[1]
    expect(ratio > 1.7, f"halving the step divides the error by {ratio:.2f}, and an order-one "
           "solver divides it by 2: is each step taken, and from where the last one "
           "ended?")  # fmt: skip
    order = "two (Heun)" if ratio > 3 else "one (Euler)"
    return f"halving the step divides the error by {ratio:.1f}: order {order}, {used} calls; N = 9"


def mean_error(
    answer: Solve, exact: Student, denoise: Callable[[Tensor, float], Tensor], n: int
) -> float:
    """The mean error over a grid of n levels up to t = 3."""
    x, levels = torch.linspace(-6, 6, 201).double()[:, None], KarrasGrid(0.002, 3.0).up(n)
    truth = exact(x, levels[-1:].expand(201))
    return float((torch.as_tensor(answer(x, levels, denoise)) - truth).abs().mean())
