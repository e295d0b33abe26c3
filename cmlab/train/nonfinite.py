"""Where NaN began: a run stops before a bad number can reach the weights, and says where."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

import torch
from torch import Tensor, nn

from ..types import Data, Time

KEPT = "the weights are still those of that step"


class NotFinite(ArithmeticError):
    """A loss or a gradient was NaN or infinite; the weights are those of the step before."""


class Guard:
    """A flag that goes up with the first bad number and stays up, and the step of that number.

    It lives on the device. A fused optimizer that is given `bad` as its `found_inf` makes no
    update once it is up, so that the host need look only now and then, and never waits in between.
    """

    def __init__(self, device: torch.device) -> None:
        self.bad = torch.zeros((), device=device)
        self.since = torch.zeros((), dtype=torch.int64, device=device)

    def see(self, bad: Tensor, step: int) -> None:
        """Take in whether this step brought a bad number: a truth value on the device."""
        fresh = bad & (self.bad == 0)
        self.since.copy_(torch.where(fresh, step, self.since))
        self.bad.copy_(torch.maximum(self.bad, bad.to(self.bad)))

    def look(self) -> int | None:
        """The step of the first bad number, if there was one. The host waits for the device."""
        return int(self.since) if bool(self.bad) else None

    def lower(self) -> None:
        self.bad.zero_()


BLAMING = [False]  # whether a step is being repeated to find out where its bad number began


@contextmanager
def blaming() -> Iterator[None]:
    """In here `finite_tangent` raises."""
    BLAMING[0] = True
    try:
        yield
    finally:
        BLAMING[0] = False


def finite_tangent(g: Data, level: Time, step: int) -> Data:
    """The tangent itself; NaN throughout for a sample with a bad entry.

    Otherwise a bound would hide it: clipping turns infinity into 1. Raises NotFinite while a step
    is repeated to find the cause.
    """
    bad = ~torch.isfinite(g).flatten(1).all(1)
    if BLAMING[0] and bool(bad.any()):
        raise NotFinite(
            f"the tangent cos(t) df/dt is not finite at step {step} for {int(bad.sum())} of "
            f"{len(g)} samples, first at noise level {float(level[bad][0]):.4g}; try a smaller "
            f"Fourier scale or learning rate; {KEPT}"
        )
    return g.masked_fill(bad.reshape(-1, *(1,) * (g.ndim - 1)), torch.nan)


def gradient_norm(weights: list[nn.Parameter], largest: float) -> Tensor:
    """The norm of the gradient, which is then clipped to the largest; a number on the device."""
    gradients = [p.grad for p in weights if p.grad is not None]
    norms = torch._foreach_norm(gradients)  # pyright: ignore[reportPrivateImportUsage]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    if largest < inf:
        torch.nn.utils.clip_grads_with_norm_(weights, largest, norm)
    return norm
