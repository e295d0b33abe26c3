"""A race to a measurement: the posterior mean against the path's end, the best ζ for each.

ζ is chosen by the mean score on the tuning seeds, for each task, budget and estimate; what is
reported comes from other seeds. Every sample has a truth of its own, measured without noise, so
that exact posterior samples would be spread like the data, all measurements taken together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.rings import TwoRings
from ..inverse import CrossEntropy, Measurement, Mismatch, Norm, restore
from ..operators import Absolute, Classifier, Mask, Operator, Radius
from ..ops import seeded
from ..oracle import Oracle
from ..times import KarrasGrid
from ..vocabulary import Data, Denoise
from .posterior import PathEnd

Scores = dict[str, Tensor]
CALLS = {"mean": 1, "cm": 2}  # network calls a step: the mean's serves the sampler as well
NEAR, CLOSE = 3.0, 0.1  # standard deviations from a mode; ‖y - A(x)‖


@dataclass(frozen=True)
class Task:
    """An operator; with `classes`, all that is measured is which logit is the largest."""

    operator: Operator
    classes: bool = False

    def measure(self, x: Data) -> Measurement:
        y = self.operator(x)
        metric: Mismatch = CrossEntropy() if self.classes else Norm()
        return Measurement(self.operator, y.argmax(1) if self.classes else y, metric)

    def met(self, x: Data, measured: Measurement) -> Tensor:
        """Whether x has the measurement: the class, or a mismatch below 0.1."""
        if self.classes:
            return self.operator(x).argmax(1) == measured.y
        return measured.mismatch(x) < CLOSE


@dataclass(frozen=True, eq=False)
class Heat:
    """One start: truths, the denoiser for each, and what may stand in A(.)."""

    truth: Data
    denoise: Denoise
    estimates: Mapping[str, Denoise]


@dataclass(frozen=True, eq=False)
class Course:
    """Where a race is run.

    `heat(seed, copies)` draws truths and repeats them; `judge(task, heat, measured, x)` answers
    scores, one number a sample, of which `goal` decides, the largest if `rising`.
    """

    heat: Callable[[int, int], Heat]
    tasks: Mapping[str, Task]
    judge: Callable[[Task, Heat, Measurement, Tensor], Scores]
    goal: str
    levels: KarrasGrid
    rising: bool = True


def finish(
    course: Course, task: str, estimate: str, steps: int, zetas: Tensor, seed: int
) -> Scores:
    """Scores (ζ, samples) after this many guided steps; all ζ start from the same noise."""
    heat, tried = course.heat(seed, len(zetas)), course.tasks[task]
    measured, n = tried.measure(heat.truth), len(heat.truth) // len(zetas)
    with seeded(torch.device("cpu"), seed, 13):
        z = torch.randn_like(heat.truth[:n]).repeat(len(zetas), *[1] * (heat.truth.ndim - 1))
        down, zeta = course.levels.down(steps), zetas.repeat_interleave(n)
        start, estimated = float(down[0]) * z, heat.estimates[estimate]
        *_, x = restore(heat.denoise, estimated, measured, start, down, zeta)
    found = course.judge(tried, heat, measured, x)
    return {name: value.double().reshape(len(zetas), n) for name, value in found.items()}


def tuned(course: Course, task: str, estimate: str, steps: int, zetas: Tensor,
          seeds: Sequence[int]) -> tuple[float, Tensor]:  # fmt: skip
    """The best ζ on these seeds, and the goal's mean (seeds, ζ)."""
    rows = [finish(course, task, estimate, steps, zetas, s)[course.goal].mean(1) for s in seeds]
    table = torch.stack(rows)
    mean = table.mean(0) if course.rising else -table.mean(0)
    return float(zetas[mean.argmax()]), table


def parity(law: Oracle, std: float = 0.1) -> Callable[[Tensor], Tensor]:
    """Logits (b, 2) of whether a point is of an even or an odd mode, as if modes had this std."""
    places = torch.arange(len(law.components.means))
    odd = (places + places // (len(places) // 2)) % 2

    def logits(x: Tensor) -> Tensor:
        away = -torch.cdist(x, law.components.means.to(x)).square() / (2 * std**2)
        return torch.stack([away[:, odd == k].logsumexp(1) for k in (0, 1)], 1)

    return logits


def on_mode(law: Oracle, x: Data) -> Tensor:
    """Whether x is within three standard deviations of a mode."""
    away = torch.cdist(x.double(), law.components.means) / law.components.stds
    return away.amin(1) < NEAR


def rings(samples: int = 512, path_steps: int = 10) -> Course:
    """The race in the plane, with the exact D and the exact path's end."""
    law = TwoRings().oracle
    end = PathEnd(law, path_steps)
    tasks = {
        "one coordinate": Task(Mask(torch.tensor([1.0, 0.0]))),
        "|x|": Task(Absolute()),
        "radius": Task(Radius()),
        "class": Task(Classifier(parity(law)), classes=True),
    }

    def heat(seed: int, copies: int) -> Heat:
        truth = law.sample(samples, torch.Generator().manual_seed(seed)).double()
        return Heat(truth.repeat(copies, 1), law.denoise, {"mean": law.denoise, "cm": end})

    def judge(task: Task, heat: Heat, measured: Measurement, x: Tensor) -> Scores:
        on, met = on_mode(law, x), task.met(x, measured)
        return {"success": on & met, "on": on, "met": met}

    return Course(heat, tasks, judge, "success", KarrasGrid(0.02, 10.0))
