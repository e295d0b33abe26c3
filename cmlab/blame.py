"""A step repeated, to see where its bad number began: in which layer, at which noise level."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .finite import KEPT, NotFinite, blaming
from .vocabulary import PerSample, Time

if TYPE_CHECKING:
    from .train import Trainer


def verdict(trainer: "Trainer") -> NotFinite:
    """The error for the trainer's step, whichever process its cause was in. All have to ask."""
    mine, fabric = blame(trainer), trainer.fabric
    found = [fabric.broadcast(mine, src=i) for i in range(fabric.world_size)]
    return next((e for e in found if e), blame_gradient(trainer.bare, trainer.step))


def blame(trainer: "Trainer") -> NotFinite | None:
    """What was wrong with this process's part of the trainer's step; None if nothing was."""
    trainer.optimizer.zero_grad(set_to_none=True)
    try:
        for part in range(trainer.batches.mine):
            with layers_watched(trainer.bare) as layers, blaming(), trainer.fabric.autocast():
                loss = trainer.loss(trainer.bare, part)
            if not bool(torch.isfinite(loss).all()):
                pairs, process = trainer.method.pairs, trainer.model.process
                levels = trainer.batches.levels(pairs, process, part, trainer.step)
                return blame_loss(loss.detach(), levels, trainer.step, "".join(layers[:1]))
            loss.mean().backward()
    except NotFinite as error:
        return error
    return blame_gradient(trainer.bare, trainer.step) if bad_gradients(trainer.bare) else None


def blame_loss(loss: PerSample, level: Time, step: int, layer: str) -> NotFinite:
    """The error for a loss with bad entries, naming the noise level of the first and a layer."""
    bad = ~torch.isfinite(loss)
    where = f", in {layer}" if layer else ""
    return NotFinite(
        f"the loss is not finite at step {step} for {int(bad.sum())} of {len(loss)} samples, "
        f"first at noise level {float(level[bad][0]):.4g}{where}; {KEPT}"
    )


def blame_gradient(model: nn.Module, step: int) -> NotFinite:
    """The error for a bad gradient, naming the first parameter that has one."""
    where = (bad_gradients(model) or ["its norm"])[0]
    return NotFinite(f"the gradient is not finite at step {step}, first in {where}; {KEPT}")


def bad_gradients(model: nn.Module) -> list[str]:
    """The parameters whose gradient is not finite, in the model's order."""
    return [
        name.removeprefix("model.")
        for name, p in model.named_parameters()
        if p.grad is not None and not bool(torch.isfinite(p.grad).all())
    ]


@contextmanager
def layers_watched(model: nn.Module) -> Iterator[list[str]]:
    """A list that fills with the layers whose output is not finite, in the order of the pass."""
    found: list[str] = []

    def watch(name: str, layer: nn.Module) -> RemovableHandle:
        def hook(layer: nn.Module, given: object, out: object) -> None:
            if isinstance(out, Tensor) and not bool(torch.isfinite(out).all()):
                found.append(name)

        return layer.register_forward_hook(hook)

    leaves = [(name, layer) for name, layer in model.named_modules() if not list(layer.children())]
    handles = [watch(name.removeprefix("model."), layer) for name, layer in leaves]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
