"""A callback for tests: a curve of a training, kept in memory."""

from collections.abc import Callable

from cmlab.train.trainer import Trainer


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
