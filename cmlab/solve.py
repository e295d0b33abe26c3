"""How an exact path is followed: an ODE whose samples step alone, and the root of a rising curve.

Both work in float64 on a batch, and every sample goes on until it meets the tolerance itself.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

# Dormand & Prince 1980, order 5(4): where the slopes are taken, how they mix into the next
# position (the last row is the step itself), and the distance to the result of order 4.
NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
ROWS = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
MIX = [torch.tensor(row, dtype=torch.float64) for row in (*ROWS, ERROR)]

Slope = Callable[[Tensor, Tensor], Tensor]  # x (b, D), u (b, 1) -> dx/du
Curve = Callable[[Tensor], tuple[Tensor, Tensor]]  # y -> height and slope there


def ode(slope: Slope, x: Tensor, start: Tensor, stop: Tensor, tolerance: float) -> Tensor:
    """x (b, D) carried along dx/du from u = start to stop, both (b, 1), up or down.

    A step stands when its error, root mean square over D, is at most tolerance · eᵘ: relative
    to the scale of things where u is the logarithm of a length. Raises ArithmeticError where
    2000 steps do not suffice.
    """
    end, live = x.clone(), torch.arange(len(x), device=x.device)
    u, h, k = start, (stop - start).clamp(-0.5, 0.5), slope(x, start)
    for _ in range(2000):
        x_new, k_new, error = step(slope, x, u, h, k)
        error = error / (tolerance * (u + h).exp())
        good = error <= 1
        x, k, u = (torch.where(good, *new) for new in ((x_new, x), (k_new, k), (u + h, u)))
        h, rest = h * (0.9 * error.clamp_min(1e-10) ** -0.2).clamp(0.2, 5.0), stop - u
        h = torch.where(h.abs() > rest.abs(), rest, h)
        end[live], busy = x, rest.squeeze(1).abs() > 1e-12
        if not busy.any():
            return end
        if not busy.all():  # slopes are the cost, so those who have arrived leave
            live, x, k, u, h, stop = (v[busy] for v in (live, x, k, u, h, stop))
    raise ArithmeticError("a path does not end; start nearer to the data or loosen the tolerance")


def step(
    slope: Slope, x: Tensor, u: Tensor, h: Tensor, k: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One step from u to u + h, k the slope at u: the new x, its slope, and the error (b, 1)."""
    slopes = x.new_empty(len(MIX), x.numel())
    slopes[0] = k.flatten()
    y = x
    for i, node in enumerate(NODES):
        y = x + h * (MIX[i].to(x.device) @ slopes[: i + 1]).view_as(x)
        slopes[i + 1] = slope(y, u + node * h).flatten()
    gap = h * (MIX[-1].to(x.device) @ slopes).view_as(x)
    return y, slopes[-1].view_as(x), gap.norm(dim=1, keepdim=True) / math.sqrt(x.shape[1])


def root(curve: Curve, low: Tensor, high: Tensor) -> Tensor:
    """Where a rising curve crosses 0 between low and high, to 1e-12 of 1 + |y|.

    Newton's steps, and a bisection wherever one would leave the bracket.
    """
    y = (low + high) / 2
    for _ in range(200):
        height, slope = curve(y)
        low, high = torch.where(height <= 0, y, low), torch.where(height >= 0, y, high)
        newton, last = y - height / slope, y
        inside = (newton >= low) & (newton <= high)
        y = torch.where(inside, newton, (low + high) / 2)
        if bool(((y - last).abs() <= 1e-12 * (1 + y.abs())).all()):
            break
    return y
