"""Exercise checks of lab 06: the EMA update, and how slow it makes the point mass."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from math import log, log10
from typing import Any

import torch
from torch import Tensor, nn

from ..common.exercise import NotAttempted, close, exercise, expect
from .analysis import PointMass

GRIDS = (41, 161, 641)
same = partial(close, rtol=1e-6, atol=1e-6)

# The number of steps of the point mass, and common mistakes in it

TWENTY = log(20)
WRONG: dict[str, Callable[[float, float, float], float]] = {
    "this target moves all the way to θ at once: it closes only the share 1 − μ": (
        lambda a, b, mu: TWENTY * (a + b) / b
    ),
    "μ and 1 − μ are exchanged: μ near 1 must mean that the target hardly moves": (
        lambda a, b, mu: TWENTY * (a + b) / (mu * b)
    ),
    "this target moves towards ξ itself: it follows θ, which is only a little nearer": (
        lambda a, b, mu: TWENTY / (1 - mu)
    ),
    "A and B are exchanged: B pulls towards ξ, and the finer the grid, the larger A/B": (
        lambda a, b, mu: TWENTY * (a + b) / ((1 - mu) * a)
    ),
    "B/A is the lag as a share of θ − ξ: here it is wanted as a share of θ⁻ − ξ": (
        lambda a, b, mu: TWENTY * a / ((1 - mu) * b)
    ),
    "the first step's length is not kept: each step is the same share of what is left": (
        lambda a, b, mu: 0.95 * (a + b) / ((1 - mu) * b)
    ),
    "after so many steps 1/e of the way is left: a twentieth needs ln 20 times as many": (
        lambda a, b, mu: (a + b) / ((1 - mu) * b)
    ),
    "this is when 5 % of the way is done: ask when 5 % of it is left": (
        lambda a, b, mu: log(1 / 0.95) * (a + b) / ((1 - mu) * b)
    ),
    "this logarithm has another base: the exponential needs the natural one": (
        lambda a, b, mu: log10(20) * (a + b) / ((1 - mu) * b)
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
def steps_to_go(answer: Callable[..., Any]) -> str:
    """(A, B, μ) -> steps until 5 % of the way is left, against the descent on three grids."""
    cases = [(n, *PointMass(n).pulls, mu) for n in GRIDS for mu in (0.99, 0.999)]
    said = [float(answer(a, b, mu)) for _, a, b, mu in cases]
    for slip, wrong in WRONG.items():
        agree = all(same(x, wrong(*case[1:])) for x, case in zip(said, cases, strict=True))
        expect(not agree, slip)
    shares = []
    for found, (n, _, _, mu) in zip(said, cases, strict=True):
        counted = PointMass(n).steps_to_reach(mu)
        shares.append(found / counted)
        expect(abs(shares[-1] - 1) < 0.12, f"at N = {n} and μ = {mu:g} you say {found:.0f} steps, "
               f"and the descent takes {counted}")  # fmt: skip
    worst = 100 * max(abs(share - 1) for share in shares)
    return f"within {worst:.0f} % of the descent, for two μ on the grids {GRIDS}"
