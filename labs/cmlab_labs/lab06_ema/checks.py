"""Exercise checks of lab 06: the EMA update, and the rescaled gradient on a point mass."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cmlab.noise_levels import KarrasGrid

from ..common.exercise import NotAttempted, close, exercise, expect
from .analysis import PointMass

GRIDS = (11, 21, 41, 81, 161, 321, 641, 1281)
same = partial(close, rtol=1e-6, atol=1e-6)

# The rescaled gradient of the point mass, and common mistakes in it


def parts(theta: float, target: float, xi: float, points: int) -> tuple[Tensor, ...]:
    """a_t, a_r, the gaps t - r, and the difference of the two answers."""
    levels = KarrasGrid().up(points)
    a = 1 - levels[0] / levels
    return a[1:], a[:-1], levels.diff(), a[1:] * (theta - xi) - a[:-1] * (target - xi)


def slip_of(make: Callable[..., Tensor]) -> Callable[..., float]:
    """A wrong answer, as a number, from the parts of the right one."""
    return lambda *case: float(make(*parts(*case)))


def without_lag(theta: float, target: float, xi: float, points: int) -> float:
    return PointMass(points).gradient(theta, theta, xi)


def swapped_levels(theta: float, target: float, xi: float, points: int) -> float:
    """Student and target at the wrong levels."""
    a_t, a_r, gap, _ = parts(theta, target, xi, points)
    return float((2 * a_r * (a_r * (theta - xi) - a_t * (target - xi)) / gap).mean())


WRONG: dict[str, Callable[..., float]] = {
    "the lag is missing: the second answer is the target's, so use θ⁻ there": without_lag,
    "the outer factor is a_r, and should be a_t: θ stands at the noisier level t": slip_of(
        lambda a_t, a_r, gap, d: (2 * a_r * d / gap).mean()
    ),
    "the levels are swapped: θ answers at t, the noisier of the two, and θ⁻ at r": swapped_levels,
    "it is not rescaled: divide each interval's gradient by its gap t − r": slip_of(
        lambda a_t, a_r, gap, d: (2 * a_t * d).mean()
    ),
    "you divide by the mean gap: each interval has a gap of its own": slip_of(
        lambda a_t, a_r, gap, d: (2 * a_t * d).mean() / gap.mean()
    ),
    "the gradient also runs through the target: θ⁻ is held fixed, so only a_t (θ − ξ) varies":
        slip_of(lambda a_t, a_r, gap, d: (2 * (a_t - a_r) * d / gap).mean()),
    "the 2 of the square's derivative is missing": slip_of(
        lambda a_t, a_r, gap, d: (a_t * d / gap).mean()
    ),
    "this is the loss, not its derivative with respect to θ": slip_of(
        lambda a_t, a_r, gap, d: (d**2 / gap).mean()
    ),
    "the intervals are summed: take their mean": slip_of(
        lambda a_t, a_r, gap, d: (2 * a_t * d / gap).sum()
    ),
    "the sign is wrong: this is the step of descent, not the gradient": slip_of(
        lambda a_t, a_r, gap, d: -(2 * a_t * d / gap).mean()
    ),
}  # fmt: skip


class TinyNetwork(nn.Module):
    """A network of two parameters and two buffers, one of them an integer."""

    scale: Tensor
    seen: Tensor

    def __init__(self, weight: float, bias: float, scale: float, seen: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight], dtype=torch.float64))
        self.bias = nn.Parameter(torch.tensor([bias], dtype=torch.float64))
        self.register_buffer("scale", torch.tensor([scale], dtype=torch.float64))
        self.register_buffer("seen", torch.tensor(seen))


def networks() -> tuple[TinyNetwork, TinyNetwork]:
    """A target, frozen as training leaves it, and the network it follows."""
    return TinyNetwork(1.0, -2.0, 4.0, 3).requires_grad_(False), TinyNetwork(3.0, 6.0, 8.0, 11)


def values(net: TinyNetwork) -> list[float]:
    return [float(v.item()) for v in (net.weight, net.bias, net.scale, net.seen)]


@exercise
def ema_update(answer: Callable[..., Any]) -> str:
    """(target, online, μ) -> the target, moved in place; exact on two parameters."""
    target, online = networks()
    held, mu = dict(target.named_parameters()), 0.75
    try:
        returned = answer(target, online, mu)
    except NotAttempted:
        moved = values(target) != values(networks()[0])
        expect(not moved, "the target moves, but nothing is returned: end with `return target`")
        raise
    check_in_place(returned, target, online, held)
    expect(values(target) == [1.5, 0.0, 8.0, 11], update_mistake(values(target)))
    check_independence(target, answer)
    target, online = networks()
    for _ in range(20):
        answer(target, online, 0.9)
    gap, right = online.weight.item() - target.weight.item(), 2 * 0.9**20
    expect(abs(gap - right) < 1e-9, "right once, but not for 20 updates with another μ: the "
           f"distance should be μ^20 of the first, {right:.4f}, not {gap:.4f}")  # fmt: skip
    return "exact on two parameters, in place, buffers copied, no history; μ^k is left after k"


def check_in_place(
    returned: Any, target: TinyNetwork, online: TinyNetwork, held: dict[str, nn.Parameter]
) -> None:
    """Check that the target was updated in place, and nothing else."""
    expect(values(online) == values(networks()[1]), "the roles are swapped: the network that "
           "trains has moved. The target follows it, never the other way round")  # fmt: skip
    same = all(p is held.get(name) for name, p in target.named_parameters())
    new = "these are new tensors, and code that holds the target's own does not see them: write "
    expect(same and returned is target, new + "into those, with lerp_, copy_, or mul_ and add_")
    still = values(target) == values(networks()[0])
    expect(not still, "nothing moves: `p = …` only gives the name p to a new tensor. Write into "
           "the target's own, with lerp_, copy_, or mul_ and add_")  # fmt: skip


def update_mistake(found: list[float]) -> str:
    """The likely mistake in 1, -2 → 3, 6 with μ = 3/4, and in the buffers 4, 3 → 8, 11."""
    weights, buffers = found[:2], found[2:]
    if weights == [2.5, 4.0]:
        return "μ and 1 − μ are exchanged: μ near 1 must mean that the target hardly moves"
    if weights == [3.0, 6.0]:
        return "the network is copied as a whole: keep a fraction μ of the old target"
    if weights == [1.5, -2.0]:
        return "only the first parameter moves: go through all of them"
    if weights != [1.5, 0.0]:
        return f"the parameters are {weights} and should be μ θ⁻ + (1 − μ) θ = [1.5, 0.0]"
    if buffers == [4.0, 3.0]:
        return "buffers are left behind: they are part of the network, so copy them"
    if buffers[0] == 5.0:
        return "buffers are averaged: they are not trained, so copy them as they are"
    return f"the buffers are {buffers} and should be the network's own, [8.0, 11.0]"


def check_independence(target: TinyNetwork, answer: Callable[..., Any]) -> None:
    """Check that the target shares neither graph nor memory with the online network."""
    history = any(p.requires_grad for p in target.parameters())
    expect(not history, "the target keeps a gradient history, which grows with every step: put "
           "the update under torch.no_grad()")  # fmt: skip
    target, online = networks()
    answer(target, online, 0.0)
    before = deepcopy(values(target))
    with torch.no_grad():
        for tensor in (*online.parameters(), *online.buffers()):
            tensor.add_(1)
    expect(values(target) == before, "after your update the target shares memory with the "
           "network, and moves when it trains: copy values, not references")  # fmt: skip


@exercise
def rescaled_gradient(answer: Callable[..., Any]) -> str:
    """(θ, θ⁻, ξ, levels) -> dL/dθ with λ = 1/(t - r): where its sign changes, and its limit."""

    def said(theta: float, target: float, xi: float, points: int) -> float:
        found = torch.as_tensor(answer(theta, target, xi, KarrasGrid().up(points))).detach()
        expect(found.numel() == 1, "return one number, the mean over all intervals")
        return float(found)

    for slip, wrong in WRONG.items():
        cases = ((3.0, 3.4, 1.0, 41), (-0.5, -0.4, 2.0, 161))
        agree = all(same(said(*case), wrong(*case)) for case in cases)
        expect(not agree, slip)
    for case in ((3.0, 3.4, 1.0, 41), (1.0, 1.05, 0.0, 321), (0.2, 0.2, 0.7, 11)):
        found, right = said(*case), PointMass(case[3]).gradient(*case[:3])
        expect(same(found, right), f"at θ, θ⁻, ξ = {case[:3]} and N = {case[3]} you find "
               f"{found:.4g}, and the gradient is {right:.4g}")  # fmt: skip
    turn = next(n for n in GRIDS if said(1.0, 1.05, 0.0, n) < 0)
    limit = said(1.0, 1.0, 0.0, 10_241)
    return f"5 % behind, the sign changes at N = {turn}; without a lag the limit is {limit:.1f}"
