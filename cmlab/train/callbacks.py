"""Callables on the trainer: a callback is anything that takes it, `every` the one combinator."""

import math
from collections.abc import Callable

import torch
from tqdm import tqdm

from .trainer import Trainer

Callback = Callable[[Trainer], None]


def every(n: int, callback: Callback) -> Callback:
    """Call after every n-th step, and after the last."""

    def call(trainer: Trainer) -> None:
        if trainer.step % n == 0 or trainer.step == trainer.config.steps:
            callback(trainer)

    return call


class Progress:
    """A progress bar on standard error, with the averaged loss and the seconds left."""

    def __init__(self, title: str = "") -> None:
        self.title = title
        self.bar: tqdm | None = None

    def __call__(self, trainer: Trainer) -> None:
        if self.bar is None:
            self.bar = tqdm(total=trainer.config.steps, desc=self.title, unit="step")
        self.bar.update(trainer.step - self.bar.n)
        self.bar.set_postfix_str(f"loss {trainer.average:.4g}", refresh=False)
        if trainer.step == trainer.config.steps:
            self.bar.close()


# Twelve bins of noise levels, each 2.4 times as wide as the one before; named by their middles.
EDGES = torch.logspace(math.log10(0.002), math.log10(80), 13, dtype=torch.float64)
LEVELS = tuple((EDGES[1:] * EDGES[:-1]).sqrt().tolist())


def by_level(trainer: Trainer) -> list[float | None]:
    """The mean loss of the last step in each bin of noise levels; None for an empty bin."""
    batches, part = trainer.batches, trainer.batches.mine - 1
    levels = batches.levels(trainer.method.pairs, trainer.model.process, part, trainer.step - 1)
    place = torch.bucketize(levels.double().cpu(), EDGES[1:-1])
    losses = trainer.losses.double().cpu()
    bins = [losses[place == i] for i in range(len(LEVELS))]
    return [float(f"{bin.mean():.4g}") if len(bin) else None for bin in bins]


class History:
    """Keeps (step, value) pairs in memory: the curve of a notebook's plot."""

    def __init__(
        self, measure: Callable[[Trainer], float] = lambda trainer: trainer.average
    ) -> None:
        self.measure = measure
        self.steps: list[int] = []
        self.values: list[float] = []

    def __call__(self, trainer: Trainer) -> None:
        self.steps.append(trainer.step)
        self.values.append(self.measure(trainer))
