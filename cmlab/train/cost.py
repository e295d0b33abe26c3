"""Cost estimate of a training before it starts: memory, floating-point operations, time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.utils.flop_counter import FlopCounterMode

from ..nets.pretrained import PretrainedNet
from .config import MovableSource
from .recipe import Recipe, Shape
from .trainer import Trainer

FEW = 2  # samples that memory and operations are counted on
TIMED = 3  # steps that are timed, after one that is not
LONG = 2.0  # seconds: a longer step is timed on few samples and scaled up


@dataclass(frozen=True)
class CostEstimate:
    """The cost estimate of one training of a recipe, without its start, on one device here."""

    parameters: int
    memory: int  # bytes: weights, gradients, Adam's moments, averages, activations, data
    flops: int  # of one step
    seconds: float  # of one step
    steps: int
    samples: int

    @property
    def hours(self) -> float:
        return self.seconds * self.steps / 3600


def forecast(recipe: Recipe, processes: int = 1) -> list[CostEstimate]:
    """Estimate the cost of a recipe's trainings, its start first; takes the time of few steps."""
    before = forecast(recipe.start, processes) if recipe.start else []
    few = replace(recipe.train, batch=FEW, parts=1)
    trainer = replace(recipe, train=few, start=None).trainer()
    part = recipe.train.batch // max(recipe.train.parts, processes)
    per_sample, flops = bytes_and_flops(trainer)
    counts = {
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "memory": resident_bytes(trainer) + per_sample * part,
        "flops": flops * recipe.train.batch,
    }
    seconds = step_seconds(recipe, trainer) / processes
    steps, samples = recipe.train.steps, recipe.train.steps * recipe.train.batch
    return [*before, CostEstimate(**counts, seconds=seconds, steps=steps, samples=samples)]


def least_memory(recipe: Recipe, samples: int) -> int:
    """Bytes that a step on so many samples takes at least, found without allocating any.

    They are those of weights, gradient, two moments and average, and of what one pass through the
    network keeps for its gradient, whatever the method adds. 0 for data that cannot be drawn
    or a network that cannot be called so: the rehearsal says what is wrong.
    """
    shape = recipe.net.net if isinstance(recipe.net, PretrainedNet) else recipe.net
    try:
        x, cond = recipe.data.sample(1)
        with torch.device("meta"):
            net = shape.build()
            with saved_bytes(net) as saved:
                meta = None if cond is None else torch.empty_like(cond, device="meta")
                net(torch.empty_like(x, device="meta"), torch.empty(1), meta)
    except (RuntimeError, ValueError, TypeError, LookupError):
        return 0
    return 5 * sum(map(tensor_bytes, net.parameters())) + samples * sum(saved.values())


def resident_bytes(trainer: Trainer) -> int:
    """Bytes that stay: networks, a gradient and two moments of each trained weight, data."""
    networks = sum(
        tensor_bytes(t) for m in trainer.networks().values() for t in m.state_dict().values()
    )
    trained = sum(tensor_bytes(p) for p in trainer.bare.parameters() if p.requires_grad)
    data = trainer.batches.data
    images = getattr(data, "images", None) if isinstance(data, MovableSource) else None
    return networks + 3 * trained + (tensor_bytes(images) if isinstance(images, Tensor) else 0)


def bytes_and_flops(trainer: Trainer) -> tuple[int, int]:
    """Bytes that a loss saves for its gradient, and operations of loss and gradient, a sample."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = OneModule()  # pyright: ignore[reportAttributeAccessIssue]
    with counter as flops:
        networks = nn.ModuleList(trainer.networks().values())
        with saved_bytes(networks) as saved, trainer.fabric.autocast():
            loss = trainer.loss(trainer.bare, 0)
        loss.mean().backward()
    trainer.optimizer.zero_grad(set_to_none=True)
    return sum(saved.values()) // FEW, int(flops.get_total_flops()) // FEW


class OneModule:
    """A module tracker that counts everything as one module.

    torch's own forbids a gradient within a loss, such as a critic's gradient penalty.
    """

    parents = frozenset({"Global"})

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


@contextmanager
def saved_bytes(owner: nn.Module) -> Iterator[dict[int, int]]:
    """Bytes of each storage that a forward pass saves for its gradient, without the weights."""
    found: dict[int, int] = {}
    alive = [p.untyped_storage() for p in owner.parameters()]  # an address is used only once
    own = {storage._cdata for storage in alive}

    def pack(tensor: Tensor) -> Tensor:
        if tensor._is_zerotensor():  # the tangent of a weight in forward mode: it has no memory
            return tensor
        storage = tensor.untyped_storage()
        if storage._cdata not in own and storage._cdata not in found:
            alive.append(storage)
            found[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found


def step_seconds(recipe: Recipe, few: Trainer) -> float:
    """Seconds of a step, measured; on a CPU a long one is scaled up from a few samples.

    Short ones are not: a small network's step costs nearly the same for two samples as for
    hundreds.
    """
    if few.fabric.device.type != "cuda":
        scaled = timed_step(few) * recipe.train.batch / few.config.batch
        if scaled > LONG:
            return scaled
    return timed_step(replace(recipe, start=None).trainer())


def timed_step(trainer: Trainer) -> float:
    """Seconds of a step: the mean of a few, after one to warm up."""
    trainer.advance()
    float(trainer.losses[0])  # waits for the GPU
    start = perf_counter()
    for _ in range(TIMED):
        trainer.advance()
    float(trainer.losses[0])
    return (perf_counter() - start) / TIMED


def tensor_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


# A bound on the networks of records from elsewhere, far above any that is trained here

MOST_MODULES, MOST_WEIGHTS = 5_000, 4_000_000_000


def check_size(net: Shape) -> None:
    """Refuse a network that is too large, before it takes any memory.

    Each field has a range of its own; together they may still ask for too much. It is built on
    torch's meta device, where tensors have no values, and given up at the module or weight that
    is one too many.

    Raises:
        ValueError: if it is too large.
    """
    while isinstance(net, PretrainedNet):  # its weights are those of a shipped file
        net = net.net
    too_large = ValueError(
        f"its network has more than {MOST_MODULES} modules or {MOST_WEIGHTS} weights"
    )
    count = {"modules": 0, "weights": 0}

    def add(name: str, number: int) -> None:
        count[name] += number
        if count["modules"] > MOST_MODULES or count["weights"] > MOST_WEIGHTS:
            raise too_large

    hooks = (
        register_module_module_registration_hook(lambda *given: add("modules", 1)),
        register_module_parameter_registration_hook(
            lambda module, name, weight: add("weights", 0 if weight is None else weight.numel())
        ),
    )
    try:
        with torch.device("meta"):
            net.build()
    finally:
        for hook in hooks:
            hook.remove()


def table(forecasts: list[CostEstimate]) -> dict[str, Any]:
    """The estimates as JSON: the trainings one by one, and their totals."""
    return {
        "trainings": [asdict(f) for f in forecasts],
        "memory_gb": round(max(f.memory for f in forecasts) / 1e9, 3),
        "hours": round(sum(f.hours for f in forecasts), 4),
        "samples": sum(f.samples for f in forecasts),
    }
