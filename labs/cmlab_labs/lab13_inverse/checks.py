"""Exercise checks of lab 13, inverse problems."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cmlab.methods.editing import orthogonal
from cmlab.ops import expand
from cmlab.types import Denoise

from ..common.exercise import Slip, close, exercise, expect

Named = dict[str, Tensor]  # the message, and the answer that the mistake gives


@exercise
def noisy_edit(answer: Callable[..., Any]) -> str:
    """(f, x_t, t, r, y, missing, B, back, z, σ_y) -> x_r, the input of the next call."""
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
    return "everything has noise of level r, and y counts only where it is given and clean enough"


def edit_case(missing: Tensor) -> tuple[Any, ...]:
    """A batch of 4 in six dimensions, a basis that is not the pixels, a curved f, σ_y amid r."""
    g = torch.Generator().manual_seed(13)
    x_t, y, z = (torch.randn(4, 6, generator=g, dtype=torch.float64) for _ in range(3))
    Q = orthogonal(torch.arange(1.0, 7.0), range(5))
    t, r = torch.tensor([[2.0, 1.0, 0.6, 0.4], [0.8, 0.5, 0.2, 0.1]], dtype=torch.float64)

    def f(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(x_t) / (1 + expand(t, x_t) ** 2)

    return f, x_t, t, r, y, missing, lambda x: x @ Q, lambda a: a @ Q.T, z, 0.3


def exact_edit(f: Denoise, x_t: Tensor, t: Tensor, r: Tensor, y: Tensor, missing: Tensor, A: Any,
           back: Any, z: Tensor, sigma_y: float) -> Tensor:  # fmt: skip
    level = expand(r, x_t)
    keep = (missing == 0) & (level >= sigma_y)
    more = (level**2 - sigma_y**2).clamp(min=0).sqrt()
    return back(torch.where(keep, A(y) + more * A(z), A(f(x_t, t)) + level * A(z)))


def editing_slips(f: Denoise, x_t: Tensor, t: Tensor, r: Tensor, y: Tensor, missing: Tensor,
                  A: Any, back: Any, z: Tensor, sigma_y: float) -> Named:  # fmt: skip
    x, level, given = f(x_t, t), expand(r, x_t), missing == 0
    more, clean = (level**2 - sigma_y**2).clamp(min=0).sqrt(), level >= sigma_y
    made, mine, keep = A(x) + level * A(z), A(y) + more * A(z), given & clean
    joined = torch.where(keep, mine, made)
    return {
        "the mask is inverted: Ω is 1 where something is missing, and there f's answer counts":
            back(torch.where(~given & clean, mine, made)),
        "the given part gets noise of level r on top of its own σ_y: variances add":
            back(torch.where(keep, A(y), A(x)) + level * A(z)),
        "noise levels were subtracted: variances add, so √(r² − σ_y²) is missing":
            back(torch.where(keep, A(y) + (level - sigma_y) * A(z), made)),
        "below σ_y the given part is still y's: it is too noisy for its level, so f answers":
            back(torch.where(given, mine, made)),
        "the given part gets no noise: it has σ_y, and needs r":
            back(torch.where(keep, A(y), made)),
        "the missing part gets √(r² − σ_y²) too: only y brings noise of its own":
            back(torch.where(keep, A(y), A(x)) + torch.where(clean, more, level) * A(z)),
        "the two noises were chosen in the pixels: which part is given is known in the basis only":
            back(torch.where(keep, A(y), A(x))) + torch.where(keep, more, level) * z,
        "you are still in the basis: go back through B⁻¹": joined,
        "Ω is applied to the pixels: it belongs to the basis, so go through B, and back":
            torch.where(keep, y + more * z, x + level * z),
        "y never counts: this is plain multistep sampling": x + level * z,
        "f was never called: x_t itself fills the missing part":
            back(torch.where(keep, mine, A(x_t) + level * A(z))),
    }  # fmt: skip


@exercise
def guidance(answer: Callable[..., Any]) -> str:
    """(D, C, A, y, t, σ_y) -> ∇ ln p(y | x_t) by x_t, one row a sample."""
    for m in (2, 3):
        bell = LinearCase(m)
        found = answer(*bell.given)
        expect(isinstance(found, Tensor) and found.shape == bell.x_t.shape,
               "return one vector for each sample, in the shape of D")  # fmt: skip
        right = bell.by_differences()
        if not close(found, right, 1e-6, 1e-6):
            raise_matching_slip(found, guidance_slips(*bell.given),
                  f"off by {float((found - right).abs().max()):.2g}", 1e-6)  # fmt: skip
    return "for Gaussian data it is the true gradient of ln p(y | x_t), and no ζ is left to tune"


class LinearCase:
    """Gaussian data in three dimensions, five noisy points, and m noisy linear measurements."""

    def __init__(self, m: int) -> None:
        g = torch.Generator().manual_seed(m)
        draw = partial(torch.randn, generator=g, dtype=torch.float64)
        root, self.mean, self.A, self.sigma_y = draw(3, 3), draw(3), draw(m, 3), 0.4
        self.cov = root @ root.T + 0.1 * torch.eye(3).double()
        self.t = torch.tensor([0.3, 0.5, 0.8, 1.5, 3.0], dtype=torch.float64)
        self.x_t, self.y = self.mean + draw(5, 3), self.mean @ self.A.T + draw(5, m)

    @property
    def gain(self) -> Tensor:
        """Σ (Σ + t² I)⁻¹ of each sample (b, 3, 3)."""
        noise = self.t[:, None, None] ** 2 * torch.eye(3).double()
        return self.cov @ torch.linalg.inv(self.cov + noise)

    @property
    def given(self) -> tuple[Any, ...]:
        """D, C, A, y, t and σ_y, as the exercise gets them."""
        D = self.mean + ((self.x_t - self.mean)[:, None] @ self.gain.mT)[:, 0]
        C = self.cov - self.gain @ self.cov
        return D, C, self.A, self.y, self.t, self.sigma_y

    def log_density(self, x_t: Tensor) -> Tensor:
        """ln p(y | x_t) (b,), from the joint Gaussian of y and x_t."""
        A, noise = self.A, self.sigma_y**2 * torch.eye(len(self.A)).double()
        mean = (self.mean + ((x_t - self.mean)[:, None] @ self.gain.mT)[:, 0]) @ A.T
        cov = A @ self.cov @ A.T + noise - A @ self.gain @ self.cov @ A.T
        return torch.distributions.MultivariateNormal(mean, (cov + cov.mT) / 2).log_prob(self.y)

    def by_differences(self) -> Tensor:
        """∇ ln p(y | x_t) by x_t (b, 3), by central differences."""
        columns = []
        for axis in torch.eye(3, dtype=torch.float64) * 1e-5:
            ahead, behind = (self.log_density(self.x_t + s * axis) for s in (1, -1))
            columns.append((ahead - behind) / 2e-5)
        return torch.stack(columns, 1)


def guidance_slips(D: Tensor, C: Tensor, A: Tensor, y: Tensor, t: Tensor, sigma_y: float) -> Named:
    e, noise, level = (y - D @ A.T)[..., None], torch.eye(len(A)).to(A), t[:, None]
    spread = A @ C @ A.T

    def pulled(S: Tensor, J: Tensor = C) -> Tensor:
        return (J @ A.T @ torch.linalg.solve(S, e))[..., 0] / level**2

    right = pulled(spread + sigma_y**2 * noise)
    return {
        "the sign is wrong: this leads away from the measurement": -right,
        "this is the point estimate: y is uncertain by A C Aᵀ as well, since x is not known":
            pulled((sigma_y**2 * noise).expand_as(spread)),
        "σ_y² is missing: y has noise of its own, beside A C Aᵀ": pulled(spread),
        "σ_y is a standard deviation: add its square": pulled(spread + sigma_y * noise),
        "the gradient is taken with respect to D: go on to x_t, by ∂D/∂x_t = C/t²":
            pulled(spread + sigma_y**2 * noise, torch.eye(3).to(C)) * level**2,
        "t is missing: ∂D/∂x_t is C/t²": right * level**2,
        "t is not squared: ∂D/∂x_t is C/t²": right * level,
        "multiplied by the covariance of y: divide by it, with torch.linalg.solve":
            (C @ A.T @ (spread + sigma_y**2 * noise) @ e)[..., 0] / level**2,
        "a factor of 2 is left: the 1/2 in the exponent cancels it": 2 * right,
        "a factor of 1/2 is left: the derivative of the square cancels it": right / 2,
    }  # fmt: skip


def raise_matching_slip(found: Tensor, slips: Named, off: str, tolerance: float = 1e-8) -> None:
    """Raise the mistake that gives what was found."""
    for message, wrong in slips.items():
        expect(not close(found, wrong, tolerance, tolerance), message)
    raise Slip(f"not the right answer ({off}), and none of the usual mistakes")
