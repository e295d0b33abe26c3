"""Callbacks: progress bar, loss history and loss by noise level, called after each step.

A callback is any callable that takes the trainer; `every` calls one after every n-th step.
"""

import math
from collections.abc import Callable

import torch
from tqdm import tqdm

from .trainer import Trainer

Callback = Callable[[Trainer], None]


def every(n: int, callback: Callback) -> Callback:
    """A callback that calls another after every n-th step, and after the last."""

    def call(trainer: Trainer) -> None:
        if trainer.step % n == 0 or trainer.step == trainer.config.steps:
            callback(trainer)

    return call


class Progress:
    """A callback that shows a progress bar on standard error, with loss and time left."""

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


# Twelve bins of noise levels from 0.002 to 80, evenly spaced in log sigma; LEVELS are their
# geometric means.
EDGES = torch.logspace(math.log10(0.002), math.log10(80), 13, dtype=torch.float64)
LEVELS = tuple((EDGES[1:] * EDGES[:-1]).sqrt().tolist())


def loss_by_level(trainer: Trainer) -> list[float | None]:
    """The mean loss of the last step in each bin of noise levels; None for an empty bin."""
    batches, part = trainer.batches, trainer.batches.local_parts - 1
    levels = batches.levels(trainer.method.pairs, trainer.model.process, part, trainer.step - 1)
    bin_of = torch.bucketize(levels.double().cpu(), EDGES[1:-1])
    losses = trainer.losses.double().cpu()
    bins = [losses[bin_of == i] for i in range(len(LEVELS))]
    return [float(f"{bin.mean():.4g}") if len(bin) else None for bin in bins]


class History:
    """A callback that keeps a curve in memory, by default the running mean of the loss."""

    def __init__(
        self, measure: Callable[[Trainer], float] = lambda trainer: trainer.average
    ) -> None:
        self.measure = measure
        self.steps: list[int] = []
        self.values: list[float] = []

    def __call__(self, trainer: Trainer) -> None:
        self.steps.append(trainer.step)
        self.values.append(self.measure(trainer))
