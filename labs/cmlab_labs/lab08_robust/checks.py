"""Exercise checks of lab 08: losses of whole samples and of elements; location estimates."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cmlab.methods.ict import PseudoHuber

from ..common.exercise import close, exercise, expect
from .analysis import location_estimates

C = 0.3  # of the losses in the checks, in data units


@exercise
def turned(answer: Callable[..., Any]) -> str:
    """(dim, c) -> δ (dim,): where the sum over elements has a gradient 60° or more off δ."""
    angles = []
    for dim, c in ((12, C), (3072, C), (3072, 0.03)):
        said = torch.as_tensor(answer(dim, c)).detach().double()
        expect(said.shape == (dim,), f"one difference of shape ({dim},), not {tuple(said.shape)}")
        expect(bool(said.isfinite().all()), "an element is not finite")
        size = said.abs()
        expect(bool((size > 0).any()), "δ is 0: both gradients are 0, and have no direction")
        expect(float(size.max()) > 0.1 * c, "every element is far below c, where the sum over "
               "elements acts like a square: its gradient is parallel to δ")  # fmt: skip
        expect(int((size > 0).sum()) > 1, "one element only: both gradients lie along its axis")
        expect(not close(size, size.max().expand(dim)), "all elements have the same size: each "
               "pulls alike, and the gradient of the sum points along δ as well")  # fmt: skip
        found = angle_of_sum(said, c)
        expect(found >= 60, f"in {dim} dimensions, with c = {c:g}, the angle is {found:.0f}°: let "
               "all elements pull alike, far above c, and δ point nearly along one "
               "axis")  # fmt: skip
        angles.append(f"{found:.0f}°")
    angle = ", ".join(angles)
    return f"the gradient of the sum is {angle} off δ; that of the whole-sample loss lies along δ"


def angle_of_sum(delta: Tensor, c: float) -> float:
    """Degrees between a difference (dim,) and the gradient of the sum over its elements."""
    slope = delta / (delta.square() + c * c).sqrt()
    cosine = torch.cosine_similarity(slope, delta, dim=0).clamp(-1, 1)
    return float(torch.rad2deg(cosine.acos()))


def contaminated(seed: int) -> tuple[Tensor, Tensor]:
    """A clean cloud (40, 2), and the same with eight outliers far to one side."""
    g = torch.Generator().manual_seed(seed)
    clean = torch.randn(40, 2, generator=g, dtype=torch.float64) * torch.tensor([0.5, 1.0])
    far = torch.tensor([6.0, 1.0]) + torch.randn(8, 2, generator=g, dtype=torch.float64)
    return clean, torch.cat([clean, far])


@exercise
def irls_mean(answer: Callable[..., Tensor]) -> str:
    """(points, c) -> m: against the minimiser and the clean mean on 3 seeds."""
    moved = []
    for seed in range(3):
        clean, points = contaminated(seed)
        said = torch.as_tensor(answer(points, C)).detach().double()
        shape = tuple(said.shape)
        expect(shape == (2,), f"the centre is one point of shape (2,), not {shape}")
        for slip, wrong in wrong_locations(points, C).items():
            expect(not close(said, wrong, atol=1e-6), slip)
        exact = location_estimates(PseudoHuber(C), points, tolerance=1e-12).best
        off = float((said - exact).norm())
        expect(off < 1e-3, f"your centre is {off:.2g} from the minimum of the sum on seed {seed}: "
               "repeat until it no longer moves, 100 rounds are plenty")  # fmt: skip
        start = points.mean(0) - clean.mean(0)
        moved.append(float((said - clean.mean(0)).norm() / start.norm()))
    other = location_estimates(PseudoHuber(2.0), points).best
    expect(close(answer(points, 2.0), other, atol=1e-3),
           "right for one c, wrong for another: use the argument c")  # fmt: skip
    return f"the minimum of the sum of losses to 1e-3 on 3 seeds; outliers move it {100 * max(moved):.0f} % as far as the mean, or less"  # fmt: skip  # noqa: E501


def reweighted(points: Tensor, c: float, weigh: Callable[[Tensor], Tensor], rounds: int) -> Tensor:
    """Reweighted means from the ordinary one; weigh(m - points) is (n, 1) or (n, d)."""
    m = points.mean(0)
    for _ in range(rounds):
        w = weigh(points - m)
        m = (w * points).sum(0) / w.sum(0)
    return m


def squared_norm(delta: Tensor) -> Tensor:
    """r² of differences (n, d), as (n, 1)."""
    return delta.square().sum(1, keepdim=True)


def wrong_locations(points: Tensor, c: float) -> dict[str, Tensor]:
    """Common mistakes: the message, and the location that comes out."""
    return {
        "this is the ordinary mean: every point has the same weight": points.mean(0),
        "this is one round only: weigh again at the new centre, and repeat": (
            reweighted(points, c, lambda d: 1 / (squared_norm(d) + c * c).sqrt(), 1)
        ),
        "each coordinate has a weight of its own: a point has one, from its distance ‖x − m‖": (
            reweighted(points, c, lambda d: 1 / (d.square() + c * c).sqrt(), 100)
        ),
        "your weight is ψ, which grows with the distance: it should be ψ / ℓ": (
            reweighted(
                points, c, lambda d: (squared_norm(d) / (squared_norm(d) + c * c)).sqrt(), 100
            )
        ),
        "your weight is the loss, which grows with the distance: it should be ψ / ℓ": (
            reweighted(points, c, lambda d: (squared_norm(d) + c * c).sqrt() - c, 100)
        ),
        "your weight has no root, 1 / (ℓ² + c²): that is a redescending loss like Cauchy's": (
            reweighted(points, c, lambda d: 1 / (squared_norm(d) + c * c), 100)
        ),
        "this is the median of each coordinate, the centre of L1": points.quantile(0.5, 0),
    }
