"""Where NaN began: a run stops before a bad number can reach the weights, and says where."""

from typing import cast

import torch
from torch import Tensor, nn

from .vocabulary import Data, PerSample, Time


class NotFinite(ArithmeticError):
    """A loss or a gradient was NaN or infinite; the weights are those of the step before."""


def blame_loss(loss: PerSample, level: Time, step: int) -> NotFinite:
    """The error for a loss with bad entries, naming the noise level of the first."""
    bad = ~torch.isfinite(loss)
    first = float(level[bad][0])
    return NotFinite(
        f"the loss is not finite at step {step} for {int(bad.sum())} of {len(loss)} samples, "
        f"first at noise level {first:.4g}; the weights are still those of that step"
    )


def finite_tangent(g: Data, level: Time, step: int) -> Data:
    """The tangent itself. Raises NotFinite before a bound or a norm can hide what is in it."""
    bad = ~torch.isfinite(g).flatten(1).all(1)
    if bool(bad.any()):
        raise NotFinite(
            f"the tangent cos(t) df/dt is not finite at step {step} for {int(bad.sum())} of "
            f"{len(g)} samples, first at noise level {float(level[bad][0]):.4g}; try a smaller "
            f"Fourier scale or learning rate; the weights are still those of that step"
        )
    return g


def clip_gradient(model: nn.Module, largest: float, step: int) -> None:
    """Clip the gradient's norm. Raises NotFinite, naming the layer, when it is not finite."""
    parameters = [p for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([cast(Tensor, p.grad) for p in parameters])
    if not bool(torch.isfinite(norm)):  # before clipping, which would spread the NaN
        raise NotFinite(
            f"the gradient is not finite at step {step}, first in {first_bad(model)}; "
            f"the weights are still those of that step"
        )
    torch.nn.utils.clip_grads_with_norm_(parameters, largest, norm)


def first_bad(model: nn.Module) -> str:
    """The first parameter whose gradient is not finite."""
    for name, p in model.named_parameters():
        if p.grad is not None and not bool(torch.isfinite(p.grad).all()):
            return name.removeprefix("model.")
    return "its norm"
