"""The few tensor operations that every floor shares."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch
from torch import Tensor

from .types import Data, PerSample, Time


def expand(t: Time, x: Data) -> Tensor:
    """t with trailing axes of length one, so that it multiplies x: (b,) -> (b, 1, …, 1)."""
    return t.reshape(-1, *(1,) * (x.ndim - 1))


def on_host(t: Tensor) -> bool:
    """Whether its numbers can be looked at for nothing: on a GPU the host would wait for them."""
    return not t.is_cuda


def sum_squares(x: Data) -> PerSample:
    """‖x‖², summed over a sample and never over the batch."""
    return x.flatten(1).square().sum(1)


@contextmanager
def rewind_rng(device: torch.device) -> Iterator[None]:
    """Leave the random state as it was on entry, so that the next pass draws the same dropout.

    On a GPU the generator that dropout uses is the device's: saving the CPU's alone, as some
    public code does, gives two different masks.
    """
    sources = generators(device)
    states = [source.get_state() for source in sources]
    try:
        yield
    finally:
        for source, state in zip(sources, states, strict=True):
            source.set_state(state)


def generators(device: torch.device) -> list[torch.Generator]:
    """The global random generators that work on this device draws from: the CPU's, and its own."""
    if device.type != "cuda":
        return [torch.default_generator]
    torch.cuda.init()
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.default_generator, torch.cuda.default_generators[index]]


@contextmanager
def seeded(device: torch.device, *keys: int) -> Iterator[None]:
    """Randomness as a function of the keys alone; the caller's random state is left untouched."""
    digest = blake2b(repr(keys).encode(), digest_size=8).digest()
    with rewind_rng(device):
        # torch.manual_seed draws the same numbers, and formats stack traces for devices that are
        # not there: 0.1 to 0.5 ms a call (torch 2.13).
        for generator in generators(device):
            generator.manual_seed(int.from_bytes(digest, "big") >> 1)
        yield


def jvp(
    f: Callable[..., Tensor], primals: tuple[Tensor, ...], tangents: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """f(primals) with its graph, and its derivative along the tangents as a constant.

    Forward-mode differentiation works under no_grad. Running it there, beside an ordinary pass
    for the value, gives the same gradient and keeps a fraction of the activations.
    """
    primals = tuple(p.contiguous() for p in primals)  # forward mode rejects expanded tensors
    with torch.no_grad(), rewind_rng(primals[0].device):
        tangent = torch.func.jvp(f, primals, tangents)[1]
    return f(*primals), tangent


def chord(
    f: Callable[..., Tensor],
    primals: tuple[Tensor, ...],
    tangents: tuple[Tensor, ...],
    step: float,
) -> tuple[Tensor, Tensor]:
    """As `jvp`, by the central difference (f(p + h v) - f(p - h v)) / 2h with h = `step`.

    Its error is of order h², and that of rounding of order 1/h.
    """
    with torch.no_grad():
        ahead, behind = (
            again(f, *(p + h * v for p, v in zip(primals, tangents, strict=True)))
            for h in (step, -step)
        )
    return f(*primals), (ahead - behind) / (2 * step)


def again(f: Callable[..., Tensor], *primals: Tensor) -> Tensor:
    """f(primals), leaving the random state as it was: the next pass drops the same units."""
    with rewind_rng(primals[0].device):
        return f(*primals)
