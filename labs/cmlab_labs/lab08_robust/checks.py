"""Exercise checks of lab 08: the pseudo-Huber loss, and location estimates by IRLS."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from cmlab.methods.ict import PseudoHuber

from ..common.exercise import close, exercise, expect
from .analysis import location_estimates

C = 0.3  # of the losses in the checks, in data units
same = partial(close, rtol=1e-9, atol=1e-14)


@exercise
def pseudo_huber(answer: Callable[..., Tensor]) -> str:
    """(a, b, c) -> (b,): its value, its limits ℓ²/2c and ℓ, and its gradient at a = b."""
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 6, 3, 4, 4, generator=g, dtype=torch.float64)
    said, delta = torch.as_tensor(answer(a, b, C)), a - b
    for slip, wrong in slips(delta, C).items():
        expect(not same(said, wrong), slip)
    expect(said.shape == (6,), f"one number for each sample: shape (6,), not {tuple(said.shape)}")
    u = delta / delta.flatten(1).norm(dim=1)[:, None, None, None]
    for r, limit, words in ((1e-3, 1e-6 / (2 * C), "near 0 it should be ℓ²/(2c)"),
                            (1e3, 1e3 - C, "far out it should be ℓ − c")):  # fmt: skip
        found = answer(r * u, 0 * u, C)
        right = same(found, torch.full_like(found, limit), rtol=1e-4 if r < 1 else 1e-5)
        expect(right, f"{words}: at ℓ = {r:g} yours is {float(found[0]):.6g}, not {limit:.6g}")
    expect(same(said, PseudoHuber(C)(a, b)), "right in both limits, wrong between them: "
           "it is √(‖a − b‖² + c²) − c")  # fmt: skip
    expect(same(answer(a, b, 1.7), PseudoHuber(1.7)(a, b)), "use the argument c")
    at = a.clone().requires_grad_()
    slope = torch.autograd.grad(answer(at, a, C).sum(), at)[0]
    expect(bool(slope.isfinite().all()), "its gradient at a = b is not a number: √ of a sum that "
           "is 0 has no slope, so add c² under the root before you take it")  # fmt: skip
    return "one number per sample, ℓ²/2c near 0, ℓ − c far out, and gradient 0 at a = b"


def slips(delta: Tensor, c: float) -> dict[str, Tensor]:
    """Common mistakes: the message, and the loss of differences (b, *d)."""
    flat = delta.flatten(1)
    s, r, parts = flat.square().sum(1), flat.norm(dim=1), (flat.square() + c * c).sqrt()
    whole = "the norm is that of the whole sample: sum the squares first, then take one root"
    return {
        f"you apply it to each element and sum: {whole}": (parts - c).sum(1),
        f"you apply it to each element and take the mean: {whole}": (parts - c).mean(1),
        "you forgot − c: at a = b the loss should be 0": (s + c * c).sqrt(),
        "you take the mean of the squares: ‖a − b‖² is their sum, and c is made for that": (
            (s / flat.shape[1] + c * c).sqrt() - c
        ),
        "c is not squared under the root, so its unit is not that of ‖a − b‖²": (
            (s + c).sqrt() - c
        ),
        "‖a − b‖ is not squared under the root": (r + c * c).sqrt() - c,
        "you sum over the batch as well: give one number for each sample": (
            ((s + c * c).sqrt() - c).sum()
        ),
        "you take one norm of the whole batch: sum each sample's squares, flatten(1).sum(1)": (
            (s.sum() + c * c).sqrt() - c
        ),
        "you sum over the first axis of a sample only: flatten(1) takes all of them": (
            (delta.square().sum(1) + c * c).sqrt() - c
        ),
    }  # fmt: skip


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
        expect(off < 1e-3, f"your centre is {off:.2g} from the minimum of Σ ρ on seed {seed}: "
               "repeat until it no longer moves, 100 rounds are plenty")  # fmt: skip
        start = points.mean(0) - clean.mean(0)
        moved.append(float((said - clean.mean(0)).norm() / start.norm()))
    other = location_estimates(PseudoHuber(2.0), points).best
    expect(close(answer(points, 2.0), other, atol=1e-3),
           "right for one c, wrong for another: use the argument c")  # fmt: skip
    return f"the minimum of Σ ρ to 1e-3 on 3 seeds; outliers move it {max(moved):.0%} as far as the mean, or less"  # fmt: skip  # noqa: E501


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
        "your weight is ρ, which grows with the distance: it should be ψ / ℓ": (
            reweighted(points, c, lambda d: (squared_norm(d) + c * c).sqrt() - c, 100)
        ),
        "your weight has no root, 1 / (ℓ² + c²): that is a redescending loss like Cauchy's": (
            reweighted(points, c, lambda d: 1 / (squared_norm(d) + c * c), 100)
        ),
        "this is the median of each coordinate, the centre of L1": points.quantile(0.5, 0),
    }
