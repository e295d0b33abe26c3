"""Analysis for lab 13, inverse problems: quantities measured there.

A race to a measurement: the posterior mean against the path's end, the best ζ for each.

ζ is chosen by the mean score on the tuning seeds, for each task, budget and estimate; what is
reported comes from other seeds. Every sample has a truth of its own, measured without noise, so
that exact posterior samples would be spread like the data, all measurements taken together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmlab.data.toy import TwoRings
from cmlab.methods.posterior_sampling import (
    Absolute,
    Classifier,
    CrossEntropy,
    Mask,
    Measurement,
    Mismatch,
    Norm,
    Operator,
    Radius,
    restore,
)
from cmlab.noise_levels import KarrasGrid
from cmlab.ops import seeded
from cmlab.oracle import Oracle
from cmlab.types import Data, Denoise, Time

from ..common.plots_posterior import POINTS, PathEnd, Posterior, posterior, seen, three_points

# A race to a measurement: the posterior mean against the path's end, the best ζ for each

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
class Trial:
    """One start: truths, the denoiser for each, and what may stand in A(.)."""

    truth: Data
    denoise: Denoise
    estimates: Mapping[str, Denoise]


@dataclass(frozen=True, eq=False)
class Experiment:
    """Where a race is run.

    `heat(seed, copies)` draws truths and repeats them; `judge(task, heat, measured, x)` answers
    scores, one number a sample, of which `goal` decides, the largest if `rising`.
    """

    heat: Callable[[int, int], Trial]
    tasks: Mapping[str, Task]
    judge: Callable[[Task, Trial, Measurement, Tensor], Scores]
    goal: str
    levels: KarrasGrid
    rising: bool = True


def guided_scores(
    course: Experiment, task: str, estimate: str, steps: int, zetas: Tensor, seed: int
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


def tuned_zeta(course: Experiment, task: str, estimate: str, steps: int, zetas: Tensor,
          seeds: Sequence[int]) -> tuple[float, Tensor]:  # fmt: skip
    """The best ζ on these seeds, and the goal's mean (seeds, ζ)."""
    rows = [
        guided_scores(course, task, estimate, steps, zetas, s)[course.goal].mean(1) for s in seeds
    ]
    table = torch.stack(rows)
    mean = table.mean(0) if course.rising else -table.mean(0)
    return float(zetas[mean.argmax()]), table


def parity_logits(law: Oracle, std: float = 0.1) -> Callable[[Tensor], Tensor]:
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


def rings_experiment(samples: int = 512, path_steps: int = 10) -> Experiment:
    """The race in the plane, with the exact D and the exact path's end."""
    law = TwoRings().oracle
    end = PathEnd(law, path_steps)
    tasks = {
        "one coordinate": Task(Mask(torch.tensor([1.0, 0.0]))),
        "|x|": Task(Absolute()),
        "radius": Task(Radius()),
        "class": Task(Classifier(parity_logits(law)), classes=True),
    }

    def heat(seed: int, copies: int) -> Trial:
        truth = law.sample(samples, torch.Generator().manual_seed(seed)).double()
        return Trial(truth.repeat(copies, 1), law.denoise, {"mean": law.denoise, "cm": end})

    def judge(task: Task, heat: Trial, measured: Measurement, x: Tensor) -> Scores:
        on, met = on_mode(law, x), task.met(x, measured)
        return {"success": on & met, "on": on, "met": met}

    return Experiment(heat, tasks, judge, "success", KarrasGrid(0.02, 10.0))


# How strongly an estimate answers when x_t moves, and how far it is from what A(.) should see


def gradient_norms(estimate: Denoise, x_t: Data, t: Time, u: Tensor) -> Tensor:
    """‖Jᵀ u‖ for each sample, J the estimate's derivative by x_t and u of length 1."""
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_()
        (gradient,) = torch.autograd.grad((estimate(x_t, t) * u).sum(), x_t)
    return gradient.flatten(1).norm(dim=1)


def noisy_samples(
    law: Oracle, level: Tensor, n: int, seed: int
) -> tuple[Data, Time, torch.Generator]:
    """n noisy samples at one level, in float64, and the generator that goes on."""
    g = torch.Generator().manual_seed(seed)
    x = law.sample(n, g).double()
    z = torch.randn(x.shape, generator=g, dtype=torch.float64)
    return x + level * z, level.double().expand(n), g


def gradient_quantiles(law: Oracle, estimate: Denoise, levels: Tensor, n: int = 1000) -> Tensor:
    """Median and 99th percentile of `gradient_norms`, at random x_t and in random directions."""
    rows = []
    for level in levels:
        x_t, t, g = noisy_samples(law, level, n, 0)
        u = torch.randn(x_t.shape, generator=g, dtype=torch.float64)
        found = gradient_norms(estimate, x_t, t, u / u.norm(dim=1, keepdim=True))
        rows.append(found.quantile(torch.tensor([0.5, 0.99], dtype=torch.float64)))
    return torch.stack(rows)


def point_statistics(
    law: Oracle, levels: Tensor, operator: Operator, n: int = 1000
) -> dict[str, Tensor]:
    """By point (levels, 3): mean radius, median ln p(x), mean of A(x)'s first number."""
    rows: dict[str, list[Tensor]] = {name: [] for name in POINTS}
    for level in levels:
        x_t, t, g = noisy_samples(law, level, n, 1)
        for name, x in three_points(law, x_t, t, g).items():
            found = seen(law, x, operator)
            means = (found.radius.mean(), found.log_density.median(), found.measured[:, 0].mean())
            rows[name].append(torch.stack(means))
    return {name: torch.stack(row) for name, row in rows.items()}


def measurement_errors(
    law: Oracle, level: Tensor, operators: Mapping[str, Operator], n: int = 1000
) -> dict[str, dict[str, tuple[float, float]]]:
    """By operator and point: the mean of A(h) - E[A(x) | x_t], and its root mean square."""
    x_t, t, g = noisy_samples(law, level, n, 2)
    below: Posterior = posterior(law, x_t, t)
    points, found = three_points(law, x_t, t, g), {}
    for title, operator in operators.items():
        right = below.expect(operator, 400, g)
        off = {name: operator(x) - right for name, x in points.items()}
        found[title] = {
            name: (float(v[:, 0].mean()), float(v.square().sum(1).mean().sqrt()))
            for name, v in off.items()
        }
    return found
