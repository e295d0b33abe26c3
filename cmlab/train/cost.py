"""What a training will cost, said before it starts: memory, floating-point operations, time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from .config import Resident
from .recipe import Recipe
from .trainer import Trainer

FEW = 2  # samples that the counts are taken on
TIMED = 3  # steps, after one that is not
LONG = 2.0  # seconds of a step


@dataclass(frozen=True)
class Forecast:
    """One training of a recipe, its start apart, on one device of this machine."""

    parameters: int
    memory: int  # bytes: weights, gradients, moments, averages, activations, data
    flops: int  # of one step
    seconds: float  # of one step
    steps: int
    samples: int

    @property
    def hours(self) -> float:
        return self.seconds * self.steps / 3600


def forecast(recipe: Recipe, processes: int = 1) -> list[Forecast]:
    """The forecasts of a recipe's trainings, its start first. Takes the time of a few steps."""
    before = forecast(recipe.start, processes) if recipe.start else []
    few = replace(recipe.train, batch=FEW, parts=1)
    trainer = replace(recipe, train=few, start=None).trainer()
    part = recipe.train.batch // max(recipe.train.parts, processes)
    per_sample, flops = counted(trainer)
    kept = standing(trainer)
    counts = {
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "memory": kept + per_sample * part,
        "flops": flops * recipe.train.batch,
    }
    seconds = timed(recipe, trainer) / processes
    steps, samples = recipe.train.steps, recipe.train.steps * recipe.train.batch
    return [*before, Forecast(**counts, seconds=seconds, steps=steps, samples=samples)]


def standing(trainer: Trainer) -> int:
    """Bytes that stay: networks, a gradient and two moments for each weight trained, data."""
    networks = sum(size(t) for m in trainer.networks().values() for t in m.state_dict().values())
    trained = sum(size(p) for p in trainer.bare.parameters() if p.requires_grad)
    data = trainer.batches.data
    images = getattr(data, "images", None) if isinstance(data, Resident) else None
    return networks + 3 * trained + (size(images) if isinstance(images, Tensor) else 0)


def counted(trainer: Trainer) -> tuple[int, int]:
    """Bytes that a loss keeps for its gradient, and operations of both, for one sample."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = Together()  # pyright: ignore[reportAttributeAccessIssue]
    with counter as flops:
        with kept_bytes(trainer.bare) as kept, trainer.fabric.autocast():
            loss = trainer.loss(trainer.bare, 0)
        loss.mean().backward()
    trainer.optimizer.zero_grad(set_to_none=True)
    return sum(kept.values()) // FEW, int(flops.get_total_flops()) // FEW


class Together:
    """One count for all modules: torch's tracker forbids a gradient within a loss (a critic's)."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


@contextmanager
def kept_bytes(owner: nn.Module) -> Iterator[dict[int, int]]:
    """Bytes of each storage that a pass keeps for its gradient, the owner's weights apart."""
    found: dict[int, int] = {}
    alive = [p.untyped_storage() for p in owner.parameters()]  # an address is used only once
    own = {storage._cdata for storage in alive}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own and storage._cdata not in found:
            alive.append(storage)
            found[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found


def timed(recipe: Recipe, few: Trainer) -> float:
    """Seconds of a step, measured; on a CPU scaled up from a few samples where it takes long.

    A small network's step costs next to the same for two samples as for hundreds.
    """
    if few.fabric.device.type != "cuda":
        scaled = paced(few) * recipe.train.batch / few.config.batch
        if scaled > LONG:
            return scaled
    return paced(replace(recipe, start=None).trainer())


def paced(trainer: Trainer) -> float:
    """Seconds of a step: the mean of a few, after one that is not counted."""
    trainer.advance()
    float(trainer.losses[0])  # which waits for the GPU
    start = perf_counter()
    for _ in range(TIMED):
        trainer.advance()
    float(trainer.losses[0])
    return (perf_counter() - start) / TIMED


def size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def table(forecasts: list[Forecast]) -> dict[str, Any]:
    """The whole in JSON: the trainings one by one, and together."""
    return {
        "trainings": [asdict(f) for f in forecasts],
        "memory_gb": round(max(f.memory for f in forecasts) / 1e9, 3),
        "hours": round(sum(f.hours for f in forecasts), 4),
        "samples": sum(f.samples for f in forecasts),
    }
