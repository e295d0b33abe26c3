"""Method: a training loss; and the consistency training loss that CT, iCT and ECT share."""

from abc import ABC, abstractmethod
from typing import TypeGuard

import torch
from torch import Tensor

from ..model import Denoiser, Model
from ..ops import rewind_rng
from ..schedules import GridSchedule
from ..teacher import EMATarget, Target
from ..types import Data, Metric, Pairs, PerSample, Schedule, Weight


class Method(ABC):
    """A paper's training loss, and the ingredients that it is made of.

    `loss` draws its pair of times first: the trainer replays that draw to name the noise level
    at which a loss was not finite.

    Args:
        pairs: draws the times t > r of each sample.
    """

    pairs: Pairs

    def __post_init__(self) -> None:
        """Give N(k) of `pairs` to the schedules that follow it, such as CT's μ(k).

        Raises:
            ValueError: if there is such a schedule and `pairs` have no N(k).
        """
        points = getattr(self.pairs, "points", None)
        for name, part in vars(self).items():
            if not follows_grid(part):
                continue
            if points is not None:
                setattr(self, name, part.on_grid(points))
            elif grid_of(part) is None:
                raise ValueError(
                    f"{part} follows the number of grid points of the method's pairs, and "
                    f"{self.pairs} have none; use AdjacentLevels, or a Constant in its place"
                )

    @abstractmethod
    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        """The loss of each sample; the trainer averages over the batch.

        Args:
            model: the student f_θ.
            x: clean data.
            step: optimizer steps taken so far, the papers' k.
            cond: class labels (b,) or other conditioning.
        """

    def check(  # noqa: B027 (most losses take any model)
        self, model: Denoiser, x: Data, cond: Tensor | None, spread: float | None
    ) -> None:
        """Refuse, before training, a model or data that the loss was not written for.

        Args:
            model: the student.
            x: two samples of the data, with their conditioning.
            spread: the data's standard deviation, root mean square over coordinates, if known.

        Raises:
            TypeError, ValueError: in one sentence that says what to change.
        """


def follows_grid(part: object) -> TypeGuard[GridSchedule | EMATarget]:
    """Whether an ingredient is, or holds, a schedule that reads N(k) from the method's pairs."""
    return isinstance(part.decay if isinstance(part, EMATarget) else part, GridSchedule)


def grid_of(part: object) -> Schedule | None:
    """N(k) that such an ingredient has been given; None if it has none or needs none."""
    schedule = part.decay if isinstance(part, EMATarget) else part
    return schedule.points if isinstance(schedule, GridSchedule) else None


class ConsistencyTraining(Method):
    """The consistency training loss, λ(t, r) d(f_θ(x_t, t), f_θ⁻(x_r, r)).

    x_t = x + t z and x_r = x + r z are one sample with one noise at two times. CT, iCT and ECT
    differ in their ingredients alone.

    Args:
        pairs: draws the times t > r of each sample.
        metric: the distance d.
        weight: the weight λ.
        target: f_θ⁻, through which no gradient passes.
    """

    metric: Metric
    weight: Weight
    target: Target

    def loss(self, model: Model, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        process = model.process
        t, r = self.pairs(process, x, step)
        z = torch.randn_like(x)
        x_t, x_r = process.perturb(x, z, t), process.perturb(x, z, r)

        with rewind_rng(x.device):  # both passes drop the same units
            f_t = model(x_t, t, cond)
        f_r = self.target(model, cond)(x_r, r)
        return self.weight(t, r) * self.metric(f_t, f_r)
