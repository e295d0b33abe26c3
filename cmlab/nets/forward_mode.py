"""Forward-mode differentiation (JVP): check before training that a network supports it."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..ops import rewind_rng
from ..types import Data, Times

FUSED = ("scaled_dot_product", "multi_head_attention", "transformer_encoder")  # torch's kernels


def check_forward(
    net: nn.Module, x: Data, c_noise: Times, cond: Tensor | None = None, otherwise: str = ""
) -> None:
    """Check that forward mode works through net(x, c_noise, cond).

    Two samples are tried in train mode, on copies of weights and buffers, so that network and
    random state stay as they are. What fails without any derivative is raised as it is.

    Args:
        net: the network.
        x: samples (b, *d).
        c_noise: its time input (b,), or (b, 2) for two times.
        cond: labels (b,), or None.
        otherwise: what a user of this loss can do instead of changing the network.

    Raises:
        TypeError: naming the module without a forward-mode derivative, and the remedy.
    """
    two = torch.arange(2, device=x.device) % len(x)
    x, c_noise, cond = x[two], c_noise[two], None if cond is None else cond[two]
    with torch.no_grad(), rewind_rng(x.device), in_train_mode(net), innermost(net) as inside:
        state = {name: a.clone() for name, a in chain(net.named_parameters(), net.named_buffers())}

        def f(x: Tensor, c_noise: Tensor) -> Tensor:
            return torch.func.functional_call(net, state, (x, c_noise, cond))

        f(x, c_noise)
        try:
            torch.func.jvp(f, (x, c_noise), (torch.ones_like(x), torch.ones_like(c_noise)))
        except RuntimeError as error:
            raise TypeError(verdict(*inside[-1], error, otherwise)) from error


def verdict(name: str, module: nn.Module, error: RuntimeError, otherwise: str) -> str:
    """The error message: which module it was, and the remedy."""
    if any(word in str(error) for word in FUSED):
        remedy = "write its attention with cmlab.nets.attention, wrap it in sdpa_kernel("
        remedy += "SDPBackend.MATH)"
    elif isinstance(module, _BatchNorm):
        remedy = "put group normalisation in its place"
    elif "in-place" in str(error):
        remedy = "move its update of a buffer or a weight out of forward"
    else:
        remedy = "write it in operations that have a forward derivative"
    where = f"{name!r} ({type(module).__name__})" if name else type(module).__name__
    remedy += f", or {otherwise}" if otherwise else ""
    return f"{where} has no forward-mode derivative: {remedy}."


@contextmanager
def in_train_mode(net: nn.Module) -> Iterator[None]:
    """Train mode within the context; afterwards each module is in the mode in which it was."""
    before = {module: module.training for module in net.modules()}
    net.train()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


@contextmanager
def innermost(net: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    """The modules whose forward is running, outermost first; kept as they were at a failure."""
    inside = [("", net)]
    hooks = []
    for part in net.named_modules():

        def enter(*_: Any, part: tuple[str, nn.Module] = part) -> None:
            inside.append(part)

        def leave(*_: Any, part: tuple[str, nn.Module] = part) -> None:
            while inside.pop() is not part:  # a module that failed, and whose caller went on
                pass

        hooks += [part[1].register_forward_pre_hook(enter), part[1].register_forward_hook(leave)]
    try:
        yield inside
    finally:
        for hook in hooks:
            hook.remove()
