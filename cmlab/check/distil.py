"""What the common slips make of one distillation loss, and of a teacher's walk down a grid."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Student = Callable[[Tensor, Tensor], Tensor]  # f(x, level), levels (b,)
Denoise = Callable[[Tensor, Tensor], Tensor]  # the teacher's D(x, level), levels (b,)


class Probe:
    """A small f with one parameter, so that values and gradients can be told apart."""

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
    """What to say about the values of the common slips."""
    x_t = x + t[:, None] * z
    x_r = euler(denoise, x_t, t, r)
    right, to_D = apart(f, x_t, t, x_r, r), (f(x_t, t) - denoise(x_t, t)).square().sum(1)
    return misplaced(f, denoise, x, z, t, r) | {
        "the target is asked about level t, but x_r lies at level r": apart(f, x_t, t, x_r, t),
        "both answers are taken at x_t: the target answers at x_r": apart(f, x_t, t, x_t, r),
        "the answer is compared with D: the student follows the teacher's step, not its output": (
            to_D
        ),
        "this is the distance: the loss is its square": right.sqrt(),
        "the squares are averaged over the coordinates: sum them": right / x.shape[1],
    }


def misplaced(
    f: Student, denoise: Denoise, x: Tensor, z: Tensor, t: Tensor, r: Tensor
) -> dict[str, Tensor]:
    """Slips that put x_t or x_r in the wrong place."""
    x_t, low = x + t[:, None] * z, x + r[:, None] * z
    away, up = 2 * x_t - euler(denoise, x_t, t, r), euler(denoise, low, r, t)
    late = x_t + ((r - t) / r)[:, None] * (x_t - denoise(x_t, r))
    return {
        "t and r are swapped: x_t carries the larger noise t, and the step goes down to r": (
            apart(f, low, r, up, t)
        ),
        "the teacher's step starts at the clean x: it starts at x_t, the noisy point": (
            apart(f, x_t, t, euler(denoise, x, t, r), r)
        ),
        "x_r is x + r z here: that is consistency training, which never asks the teacher": (
            apart(f, x_t, t, low, r)
        ),
        "the sign of the step is wrong: r < t, so r − t is negative and x_r moves towards D": (
            apart(f, x_t, t, away, r)
        ),
        "the slope is measured at level r, but x_t lies at level t": apart(f, x_t, t, late, r),
    }


def apart(f: Student, a: Tensor, s: Tensor, b: Tensor, u: Tensor) -> Tensor:
    """The squared distance of two answers."""
    return (f(a, s) - f(b, u)).square().sum(1)


def wrong_walks(
    x: Tensor, levels: Tensor, denoise: Callable[[Tensor, float], Tensor]
) -> list[tuple[str, Tensor]]:
    """What to say, and where the slip ends. The levels rise, as the paper counts them."""
    down, D = levels.flip(0).tolist(), denoise
    once = D(x, down[0])

    def step(x: Tensor, t: float, r: float) -> Tensor:
        return x + (r - t) * (x - D(x, t)) / t

    late = "the slope is measured at level r, where the step ends: x still lies at level t"
    return [
        ("you walk up the grid: x lies at the last level, so start there and go down",
         walk(x, down[::-1], step)),
        ("the first step is missing: x lies at the last of the levels", walk(x, down[1:], step)),
        ("the last step is missing: the walk ends at ε, the first of the levels",
         walk(x, down[:-1], step)),
        (late, walk(x, down, lambda x, t, r: x + (r - t) * (x - D(x, r)) / r)),
        (late, walk(x, down, lambda x, t, r: x + (r - t) * (x - D(x, r)) / t)),
        ("the sign is wrong: r < t, so r − t is negative and the step goes towards D",
         walk(x, down, lambda x, t, r: x - (r - t) * (x - D(x, t)) / t)),
        ("D is asked only once, which makes one step over the whole grid: ask again at each level",
         walk(x, down, lambda x, t, r: x + (r - t) * (x - once) / t)),
        ("this is D, the teacher's answer at the top: a student learns where its steps end", once),
    ]  # fmt: skip


def walk(x: Tensor, levels: list[float], step: Callable[[Tensor, float, float], Tensor]) -> Tensor:
    """From level to level with this step."""
    for t, r in pairwise(levels):
        x = step(x, t, r)
    return x
