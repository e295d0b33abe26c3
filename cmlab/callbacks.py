"""Callables on the trainer: a callback is anything that takes it, `every` the one combinator."""

import json
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from .train import Trainer

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


class JsonLog:
    """One line a call, {"step", "loss", "seconds"}, appended to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, trainer: Trainer) -> None:
        row = {
            "step": trainer.step,
            "loss": round(trainer.average, 6),
            "seconds": round(trainer.seconds, 3),
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


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
