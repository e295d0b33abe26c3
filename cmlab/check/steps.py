"""One step of a solver, as a learner writes it: step(denoise, x, t, r) -> x at level r < t."""

from collections.abc import Callable

from torch import Tensor

from ..times import KarrasGrid

Denoise = Callable[[Tensor, float], Tensor]
Step = Callable[[Denoise, Tensor, float, float], Tensor]


def slips(denoise: Denoise, x: Tensor, t: float, r: float) -> list[tuple[str, Tensor]]:
    """What the common slips make of one step, and what to say."""
    h, slope = r - t, lambda x, t: (x - denoise(x, t)) / t
    d = slope(x, t)
    euler, up = x + h * d, x - h * d
    new, middle = slope(euler, r), (x + euler) / 2
    sign = "the sign is wrong: r < t, so r − t is negative and the step goes towards the data"
    mean = "positions are averaged here: keep x, and average the two slopes"
    return [
        ("this is Euler's step, order one: measure a second slope at its end", euler),
        ("only the second slope is used: average it with the first", x + h * new),
        ("the second slope is measured at level t, but Euler's end lies at level r",
         x + h * (d + slope(euler, t)) / 2),
        ("the second slope is measured at the old x: measure it at Euler's end",
         x + h * (d + slope(x, r)) / 2),
        ("the slopes are added and not averaged: divide their sum by 2", x + h * (d + new)),
        (sign, up), (sign, x - h * (d + new) / 2), (sign, x - h * (d + slope(up, r)) / 2),
        (mean, middle), (mean, x + h * slope(middle, r))
    ]  # fmt: skip


def walk(step: Step, denoise: Denoise, x: Tensor, steps: int) -> Tensor:
    levels = KarrasGrid(0.3, 3.0).up(steps + 1).flip(0).tolist()
    for t, r in zip(levels[:-1], levels[1:], strict=True):
        x = step(denoise, x, t, r)
    return x
