"""Tensor operations that several modules share: broadcasting, norms, seeds, derivatives."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch
from torch import Tensor

from .types import Data, PerSample, Time


def expand(t: Time, x: Data) -> Tensor:
    """Broadcast t over the axes of x: (b,) -> (b, 1, …, 1)."""
    return t.reshape(-1, *(1,) * (x.ndim - 1))


def on_host(t: Tensor) -> bool:
    """Whether reading the values is free: for a GPU the host waits, and meta tensors have none."""
    return t.device.type == "cpu"


def sum_squares(x: Data) -> PerSample:
    """‖x‖² of each sample: the squared norm over all axes but the first."""
    return x.flatten(1).square().sum(1)


@contextmanager
def rewind_rng(device: torch.device) -> Iterator[None]:
    """Restore the random state on exit, so that the next pass draws the same dropout masks.

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
    """Seed the generators by a hash of the keys; the caller's random state is restored on exit."""
    digest = blake2b(repr(keys).encode(), digest_size=8).digest()
    with rewind_rng(device):
        # torch.manual_seed draws the same numbers, and formats stack traces for devices that are
        # not there: 0.1 to 0.5 ms a call (torch 2.13).
        for generator in generators(device):
            generator.manual_seed(int.from_bytes(digest, "big") >> 1)
        yield


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run modules that torch.compile has compiled by their original code.

    In forward mode they run so anyway; but without this so do all their later ordinary passes,
    without a word (torch 2.13).
    """
    if "torch._dynamo" not in sys.modules or torch.compiler.is_compiling():
        yield  # nothing is compiled, or everything around is
    else:
        with torch.compiler.set_stance("force_eager"):
            yield


def jvp(
    f: Callable[..., Tensor], primals: tuple[Tensor, ...], tangents: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """Jacobian-vector product: f(primals) with its graph, and its derivative as a constant.

    Forward-mode differentiation works under no_grad. Running it there, beside an ordinary pass
    for the value, gives the same gradient and keeps a fraction of the activations.

    Args:
        f: a function of several tensors.
        primals: where it is evaluated.
        tangents: the direction of the derivative, one tensor for each of `primals`.

    Returns:
        f(primals), and the derivative along `tangents`, through which no gradient passes.
    """
    primals = tuple(p.contiguous() for p in primals)  # forward mode rejects expanded tensors
    with torch.no_grad(), rewind_rng(primals[0].device), uncompiled():
        tangent = torch.func.jvp(f, primals, tangents)[1]
    return f(*primals), tangent


def chord(
    f: Callable[..., Tensor],
    primals: tuple[Tensor, ...],
    tangents: tuple[Tensor, ...],
    step: float,
) -> tuple[Tensor, Tensor]:
    """The Jacobian-vector product of `jvp` by finite differences, (f(p + hv) - f(p - hv)) / 2h.

    h is `step`. The truncation error is of order h², the rounding error of order 1/h.
    """
    with torch.no_grad():
        ahead, behind = (
            again(f, *(p + h * v for p, v in zip(primals, tangents, strict=True)))
            for h in (step, -step)
        )
    return f(*primals), (ahead - behind) / (2 * step)


def again(f: Callable[..., Tensor], *primals: Tensor) -> Tensor:
    """f(primals), with the random state restored: the next pass draws the same dropout."""
    with rewind_rng(primals[0].device):
        return f(*primals)
