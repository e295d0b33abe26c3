"""NaN and infinity: a run stops before they can reach the weights, and says where they began.

Each step sets a flag on the device if its loss or gradient is not finite. Once the flag is up, the
optimizer makes no update. Weights and data are then looked at, and the step is repeated with a
hook on every layer, to name the weight, the sample, the layer, the noise level or the parameter
where the first bad number came up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..types import Data, PerSample, Time

if TYPE_CHECKING:
    from .trainer import Trainer

WEIGHTS_KEPT = "the weights are still those of that step"


class NotFinite(ArithmeticError):
    """A number was NaN or infinite: in the loss, a gradient, the data, the rate or the weights."""


# Detecting it, without making the host wait for a GPU


class NonFiniteFlag:
    """A flag on the device that goes up with the first non-finite number, and that step.

    A fused optimizer that is given `found_inf`, as by a gradient scaler, makes no update once it
    is 1: the host need check only now and then, and never waits in between.
    """

    def __init__(self, device: torch.device) -> None:
        self.found_inf = torch.zeros((), device=device)
        self.step = torch.zeros((), dtype=torch.int64, device=device)

    def update(self, bad: Tensor, step: int) -> None:
        """Raise the flag if `bad`, a truth value on the device, holds at this step."""
        fresh = bad & (self.found_inf == 0)
        self.step.copy_(torch.where(fresh, step, self.step))
        self.found_inf.copy_(torch.maximum(self.found_inf, bad.to(self.found_inf)))

    def first_step(self) -> int | None:
        """The step of the first bad number, None if there was none. Waits for the device."""
        return int(self.step) if bool(self.found_inf) else None

    def reset(self) -> None:
        self.found_inf.zero_()


def clip_gradient(weights: list[nn.Parameter], largest: float) -> Tensor:
    """Clip the norm of the gradient in place; returns the norm before, left on the device."""
    gradients = [p.grad for p in weights if p.grad is not None]
    norms = torch._foreach_norm(gradients)  # pyright: ignore[reportPrivateImportUsage]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    if largest < inf:
        torch.nn.utils.clip_grads_with_norm_(weights, largest, norm)
    return norm


_DIAGNOSING = [False]  # whether a step is being repeated to find where a bad number began


@contextmanager
def diagnosing() -> Iterator[None]:
    """A context in which `finite_tangent` raises."""
    _DIAGNOSING[0] = True
    try:
        yield
    finally:
        _DIAGNOSING[0] = False


def finite_tangent(g: Data, level: Time, step: int) -> Data:
    """sCM's tangent; all NaN for a sample with any non-finite entry.

    Otherwise a bound on the tangent would hide it: clipping turns infinity into 1.

    Args:
        g: the tangent cos(t) df/dt, (batch, …).
        level: the noise level sigma of each sample.
        step: the training step, for the message.

    Raises:
        NotFinite: while a step is repeated to find the cause.
    """
    bad = ~torch.isfinite(g).flatten(1).all(1)
    if _DIAGNOSING[0] and bool(bad.any()):
        raise NotFinite(
            f"the tangent cos(t) df/dt is not finite at step {step} for {int(bad.sum())} of "
            f"{len(g)} samples, first at noise level {float(level[bad][0]):.4g}; try a smaller "
            f"Fourier scale or learning rate; {WEIGHTS_KEPT}"
        )
    return g.masked_fill(bad.reshape(-1, *(1,) * (g.ndim - 1)), torch.nan)


# Diagnosing it: the step is repeated


def nonfinite_error(trainer: "Trainer") -> NotFinite:
    """The error for the trainer's step, whichever process its cause lies in.

    All processes have to call this.
    """
    own, fabric = nonfinite_weights(trainer) or find_nonfinite(trainer), trainer.fabric
    errors = [fabric.broadcast(own, src=i) for i in range(fabric.world_size)]
    return next((e for e in errors if e), gradient_error(trainer.bare, trainer.step))


def nonfinite_weights(trainer: "Trainer") -> NotFinite | None:
    """The error for weights that are not finite themselves, None if all are. Waits for a GPU."""
    named = trainer.bare.named_parameters()
    bad = [name for name, weight in named if not bool(torch.isfinite(weight).all())]
    if not bad:
        return None
    return NotFinite(
        f"the weights are not finite at step {trainer.step}, first {bad[0].removeprefix('model.')}"
        f": an update before this step has spoilt them; take a smaller learning rate, and go on "
        f"from an earlier checkpoint"
    )


def nonfinite_data(trainer: "Trainer", part: int) -> NotFinite | None:
    """The error for a part of the batch that is not finite as it is drawn, None if it is."""
    with trainer.batches.seeded(part, trainer.step):
        x, _ = trainer.batches.draw()
    bad = ~torch.isfinite(x).flatten(1).all(1)
    if not bool(bad.any()):
        return None
    return NotFinite(
        f"the data are not finite at step {trainer.step}: {int(bad.sum())} of {len(x)} samples "
        f"hold NaN or infinity, first sample {int(bad.nonzero()[0])} of the batch; leave them "
        f"out; {WEIGHTS_KEPT}"
    )


def find_nonfinite(trainer: "Trainer") -> NotFinite | None:
    """Repeat this process's part of the step; what was not finite in it, None if nothing was."""
    trainer.optimizer.zero_grad(set_to_none=True)
    bare, step = trainer.bare, trainer.step
    try:
        for part in range(trainer.batches.local_parts):
            if error := nonfinite_data(trainer, part):
                return error
            with nonfinite_layers(bare) as layers, diagnosing(), trainer.fabric.autocast():
                loss = trainer.loss(bare, part)
            if not bool(torch.isfinite(loss).all()):
                pairs, process = trainer.method.pairs, trainer.model.process
                levels = trainer.batches.levels(pairs, process, part, step)
                return loss_error(loss.detach(), levels, step, "".join(layers[:1]))
            loss.mean().backward()
    except NotFinite as error:
        return error
    return gradient_error(bare, step) if nonfinite_gradients(bare) else None


def loss_error(loss: PerSample, level: Time, step: int, layer: str) -> NotFinite:
    """The error for a loss with bad entries, naming the noise level of the first and a layer."""
    bad = ~torch.isfinite(loss)
    where = f", in {layer}" if layer else ""
    return NotFinite(
        f"the loss is not finite at step {step} for {int(bad.sum())} of {len(loss)} samples, "
        f"first at noise level {float(level[bad][0]):.4g}{where}; {WEIGHTS_KEPT}"
    )


def gradient_error(model: nn.Module, step: int) -> NotFinite:
    """The error for a bad gradient, naming the first parameter that has one."""
    where = (nonfinite_gradients(model) or ["its norm"])[0]
    return NotFinite(
        f"the gradient is not finite at step {step}, first in {where}; {WEIGHTS_KEPT}"
    )


def nonfinite_gradients(model: nn.Module) -> list[str]:
    """The parameters whose gradient is not finite, in the model's order."""
    return [
        name.removeprefix("model.")
        for name, p in model.named_parameters()
        if p.grad is not None and not bool(torch.isfinite(p.grad).all())
    ]


@contextmanager
def nonfinite_layers(model: nn.Module) -> Iterator[list[str]]:
    """A list that fills with the layers whose output is not finite, in the order of the pass."""
    names: list[str] = []

    def watch(name: str, layer: nn.Module) -> RemovableHandle:
        def hook(layer: nn.Module, inputs: object, out: object) -> None:
            if isinstance(out, Tensor) and not bool(torch.isfinite(out).all()):
                names.append(name)

        return layer.register_forward_hook(hook)

    leaves = [(name, layer) for name, layer in model.named_modules() if not list(layer.children())]
    handles = [watch(name.removeprefix("model."), layer) for name, layer in leaves]
    try:
        yield names
    finally:
        for handle in handles:
            handle.remove()
