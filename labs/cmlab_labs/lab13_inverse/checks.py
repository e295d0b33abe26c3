"""Exercise checks of lab 13, inverse problems."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cmlab.data.toy import TwoRings
from cmlab.methods.editing import orthogonal
from cmlab.methods.posterior_sampling import Absolute, Mask, Measurement, Operator, Radius
from cmlab.ops import expand
from cmlab.types import Denoise

from ..common.exercise import Slip, close, exercise, expect

Named = dict[str, Tensor]  # the message, and the answer that the mistake gives


@exercise
def edit_step(answer: Callable[..., Any]) -> str:
    """(f, x_t, t, r, y, missing, B, back, z) -> x_r, the input of the next call."""
    for missing in ((1, 1, 0, 1, 0, 0), (0, 1, 1, 1, 1, 1)):
        given = edit_case(torch.tensor(missing, dtype=torch.float64))
        found = answer(*given)
        expect(isinstance(found, Tensor), "return one tensor: the input of the next call")
        shapes = tuple(found.shape), tuple(given[1].shape)
        expect(shapes[0] == shapes[1], f"your answer has shape {shapes[0]}, and x_t {shapes[1]}")
        right = exact_edit(*given)
        if not close(found, right, 1e-8, 1e-8):
            raise_matching_slip(
                found, editing_slips(*given), f"off by {float((found - right).abs().max()):.2g}"
            )
    return "the given part is y's up to rounding, the rest is f's, and the noise has level r"


def edit_case(missing: Tensor) -> tuple[Any, ...]:
    """A batch of 4 in six dimensions, a basis that is not the pixels, and a curved f."""
    g = torch.Generator().manual_seed(13)
    x_t, y, z = (torch.randn(4, 6, generator=g, dtype=torch.float64) for _ in range(3))
    Q = orthogonal(torch.arange(1.0, 7.0), range(5))
    level = torch.ones(4, dtype=torch.float64)

    def f(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(x_t) / (1 + expand(t, x_t) ** 2)

    return f, x_t, 2.0 * level, 0.5 * level, y, missing, lambda x: x @ Q, lambda a: a @ Q.T, z


def exact_edit(f: Denoise, x_t: Tensor, t: Tensor, r: Tensor, y: Tensor, missing: Tensor, A: Any,
           back: Any, z: Tensor) -> Tensor:  # fmt: skip
    x = back(torch.where(missing > 0, A(f(x_t, t)), A(y)))
    return x + expand(r, x) * z


def editing_slips(f: Denoise, x_t: Tensor, t: Tensor, r: Tensor, y: Tensor, missing: Tensor,
                  A: Any, back: Any, z: Tensor) -> Named:  # fmt: skip
    x, on, noise = f(x_t, t), missing > 0, expand(r, z) * z
    mixed = torch.where(on, A(x), A(y))
    before = back(torch.where(on, A(x + noise), A(y)))
    return {
        "the mask is inverted: Ω is 1 where something is missing, and there f's answer counts":
            back(torch.where(on, A(y), A(x))) + noise,
        "you are still in the basis: go back through B⁻¹ before the noise": mixed + noise,
        "noise is added before the given part is put back, so that part has none at level r":
            before,
        "Ω is applied to the pixels: it belongs to the basis, so go through B, and back":
            torch.where(on, x, y) + noise,
        "y is taken as it is: bring it into the basis as well, B(y)":
            back(torch.where(on, A(x), y)) + noise,
        "the noise has level t: the next call is at level r": back(mixed) + expand(t, z) * z,
        "no noise is added: the next call needs an input of level r": back(mixed),
        "the given part is not put back: this is plain multistep sampling": x + noise,
        "f was never called: x_t itself fills the missing part":
            back(torch.where(on, A(x_t), A(y))) + noise,
        "the noise is not scaled: multiply it by r": back(mixed) + z,
    }  # fmt: skip


@exercise
def push(answer: Callable[..., Any]) -> str:
    """(estimate, A, y, x_t, t, zeta) -> -ζ t ∇ ‖y - A(h)‖, by x_t, one row a sample."""
    oracle = TwoRings().oracle
    g = torch.Generator().manual_seed(5)
    t = torch.tensor([0.3, 0.5, 0.8, 1.5, 0.4], dtype=torch.float64)
    x_t = oracle.sample(5, g).double() + t[:, None] * torch.randn(5, 2, generator=g).double()
    operators: tuple[Operator, ...] = (Radius(), Absolute(), Mask(torch.tensor([1.0, 0.0])))
    for A in operators:
        y = A(oracle.sample(5, g).double())
        found = answer(oracle.denoise, A, y, x_t.clone(), t, 0.7)
        expect(isinstance(found, Tensor) and found.shape == x_t.shape,
               "return one vector for each sample, in the shape of x_t")  # fmt: skip
        found = found.detach()
        right = -0.7 * t[:, None] * by_differences(oracle.denoise, Measurement(A, y), x_t, t)
        if not close(found, right, 1e-5, 1e-5):
            raise_matching_slip(found, pushing_slips(oracle.denoise, A, y, x_t, t, right),
                  f"off by {float((found - right).abs().max()):.2g}", 1e-5)  # fmt: skip
    return "for three operators the push agrees with finite differences of ‖y − A(h)‖"


def by_differences(f: Denoise, measured: Measurement, x_t: Tensor, t: Tensor) -> Tensor:
    """∇ of the mismatch by x_t (b, D), by central differences."""
    columns = []
    for axis in torch.eye(x_t.shape[1], dtype=x_t.dtype) * 1e-5:
        ahead, behind = (measured.mismatch(f(x_t + s * axis, t)) for s in (1, -1))
        columns.append((ahead - behind) / 2e-5)
    return torch.stack(columns, 1)


def pushing_slips(
    f: Denoise, A: Operator, y: Tensor, x_t: Tensor, t: Tensor, right: Tensor
) -> Named:
    h = f(x_t, t).requires_grad_()
    distance = (y - A(h)).flatten(1).norm(dim=1)
    (at_h,) = torch.autograd.grad(distance.sum(), h)
    distance, level = distance.detach()[:, None], t[:, None]
    return {
        "the sign is wrong: this pushes away from the measurement": -right,
        "the norm is squared: ‖·‖₂, whose pull does not fade with the distance": 2
        * distance
        * right,
        "the norm is squared and halved: ‖·‖₂, whose pull does not fade": distance * right,
        "t is missing: the step is ζ t, small near the data": right / level,
        "t is squared: the step is ζ t": right * level,
        "ζ is missing": right / 0.7,
        "the gradient is taken with respect to h: go on through the estimate, to x_t": -0.7
        * level
        * at_h,
        "one norm was taken over the whole batch: samples must not pull at each other": (
            right * distance / distance.norm()
        ),
        "the mean over the batch divides each pull by the batch: take the sum": right / len(t),
    }


def raise_matching_slip(found: Tensor, slips: Named, off: str, tolerance: float = 1e-8) -> None:
    """Raise the mistake that gives what was found."""
    for message, wrong in slips.items():
        expect(not close(found, wrong, tolerance, tolerance), message)
    raise Slip(f"not the right answer ({off}), and none of the usual mistakes")
