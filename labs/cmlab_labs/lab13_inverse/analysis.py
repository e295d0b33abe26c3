"""Analysis for lab 13 (inverse problems): posterior sampling with two estimates in A(.).

The estimates are the posterior mean and the endpoint, each with its best strength ζ.

ζ is chosen by the mean score on the tuning seeds, for each task, budget and estimate; what is
reported comes from other seeds. Every sample has a truth of its own, measured without noise, so
that exact posterior samples would be spread like the data, all measurements taken together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

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
    Operator,
    Radius,
    ResidualNorm,
    restore,
)
from cmlab.noise_levels import KarrasGrid
from cmlab.ops import seeded
from cmlab.oracle import Oracle
from cmlab.types import Data, Denoise, Time

from ..common.plots_posterior import (
    POINT_NAMES,
    MixturePosterior,
    PathEnd,
    point_statistics,
    posterior,
    three_points,
)

# Comparison of estimates: the posterior mean or the endpoint in A(.), each with its best ζ

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
        metric: Mismatch = CrossEntropy() if self.classes else ResidualNorm()
        return Measurement(self.operator, y.argmax(1) if self.classes else y, metric)

    def met(self, x: Data, measured: Measurement) -> Tensor:
        """Whether x has the measurement: the class, or a mismatch below 0.1."""
        if self.classes:
            return self.operator(x).argmax(1) == measured.y
        return measured.mismatch(x) < CLOSE


@dataclass(frozen=True, eq=False)
class Trial:
    """One draw of truths, with the denoiser of each and the estimates that A(.) can be given."""

    truth: Data
    denoise: Denoise
    estimates: Mapping[str, Denoise]


@dataclass(frozen=True, eq=False)
class Experiment:
    """A setting in which estimates are compared: data, tasks, scores and noise levels.

    `draw(seed, copies)` draws truths and repeats them; `evaluate(task, trial, measured, x)` gives
    scores, one number a sample, of which `goal` decides, the largest if `rising`.
    """

    draw: Callable[[int, int], Trial]
    tasks: Mapping[str, Task]
    evaluate: Callable[[Task, Trial, Measurement, Tensor], Scores]
    goal: str
    levels: KarrasGrid
    rising: bool = True


def guided_scores(
    experiment: Experiment, task: str, estimate: str, steps: int, zetas: Tensor, seed: int,
    power: float = 1.0,
) -> Scores:  # fmt: skip
    """Scores (ζ, samples) after this many guided steps; all ζ start from the same noise.

    The strength at level t is ζ t^power; 1 is that of `restore`.
    """
    trial, tried = experiment.draw(seed, len(zetas)), experiment.tasks[task]
    measured, n = tried.measure(trial.truth), len(trial.truth) // len(zetas)
    with seeded(torch.device("cpu"), seed, 13):
        z = torch.randn_like(trial.truth[:n]).repeat(len(zetas), *[1] * (trial.truth.ndim - 1))
        down, zeta = experiment.levels.down(steps), zetas.repeat_interleave(n)
        x, estimated = float(down[0]) * z, trial.estimates[estimate]
        for t, r in pairwise(down):
            pair, strength = torch.stack([t, r]), zeta * t ** (power - 1)
            *_, x = restore(trial.denoise, estimated, measured, x, pair, strength)
    found = experiment.evaluate(tried, trial, measured, x)
    return {name: value.double().reshape(len(zetas), n) for name, value in found.items()}


def tuned_zeta(experiment: Experiment, task: str, estimate: str, steps: int, zetas: Tensor,
          seeds: Sequence[int]) -> tuple[float, Tensor]:  # fmt: skip
    """The best ζ on these seeds, and the goal's mean (seeds, ζ)."""
    rows = [
        guided_scores(experiment, task, estimate, steps, zetas, s)[experiment.goal].mean(1)
        for s in seeds
    ]
    table = torch.stack(rows)
    mean = table.mean(0) if experiment.rising else -table.mean(0)
    return float(zetas[mean.argmax()]), table


def parity_logits(oracle: Oracle, std: float = 0.1) -> Callable[[Tensor], Tensor]:
    """Logits (b, 2) of whether a point is of an even or an odd mode, as if modes had this std."""
    places = torch.arange(len(oracle.components.means))
    odd = (places + places // (len(places) // 2)) % 2

    def logits(x: Tensor) -> Tensor:
        distance = -torch.cdist(x, oracle.components.means.to(x)).square() / (2 * std**2)
        return torch.stack([distance[:, odd == k].logsumexp(1) for k in (0, 1)], 1)

    return logits


def on_mode(oracle: Oracle, x: Data) -> Tensor:
    """Whether x is within three standard deviations of a mode."""
    distance = torch.cdist(x.double(), oracle.components.means) / oracle.components.stds
    return distance.amin(1) < NEAR


def rings_experiment(samples: int = 512, path_steps: int = 10) -> Experiment:
    """The comparison in the plane, with the exact D and the exact endpoint."""
    oracle = TwoRings().oracle
    end = PathEnd(oracle, path_steps)
    tasks = {
        "one coordinate": Task(Mask(torch.tensor([1.0, 0.0]))),
        "|x|": Task(Absolute()),
        "radius": Task(Radius()),
        "class": Task(Classifier(parity_logits(oracle)), classes=True),
    }

    def draw(seed: int, copies: int) -> Trial:
        truth = oracle.sample(samples, torch.Generator().manual_seed(seed)).double()
        return Trial(truth.repeat(copies, 1), oracle.denoise, {"mean": oracle.denoise, "cm": end})

    def evaluate(task: Task, trial: Trial, measured: Measurement, x: Tensor) -> Scores:
        on, met = on_mode(oracle, x), task.met(x, measured)
        return {"success": on & met, "on": on, "met": met}

    return Experiment(draw, tasks, evaluate, "success", KarrasGrid(0.02, 10.0))


def given_coordinate(oracle: Oracle, y: Tensor) -> Denoise:
    """E[x | x_t, x₁ = y], y (b,), for a mixture in the plane.

    It is D + t² ∇ ln p(y | x_t): the denoiser with the exact guidance.
    """

    def denoise(x_t: Data, t: Time) -> Data:
        below = posterior(oracle, x_t, t)
        spread = torch.distributions.Normal(below.means[..., 0], below.stds)
        terms = oracle.components.log_terms(x_t.double(), t.double()[:, None]).T
        weights = (terms + spread.log_prob(y[:, None])).softmax(1)
        return torch.stack([y, (weights * below.means[..., 1]).sum(1)], 1)

    return denoise


def exactly_guided(steps: int, seed: int, samples: int = 512) -> float:
    """Success at *one coordinate* with the exact p(y | x_t), with the sampler of the others."""
    base = rings_experiment(samples)

    def draw(seed: int, copies: int) -> Trial:
        truth = base.draw(seed, copies).truth
        exact = given_coordinate(TwoRings().oracle, truth[:, 0])
        return Trial(truth, exact, {"exact": exact})

    free = replace(base, draw=draw)
    found = guided_scores(free, "one coordinate", "exact", steps, torch.zeros(1), seed)
    return float(found["success"].mean())


# Sensitivity of an estimate to x_t, and its error as an argument of A(.)


def gradient_norms(estimate: Denoise, x_t: Data, t: Time, u: Tensor) -> Tensor:
    """‖Jᵀ u‖ for each sample, J the estimate's derivative by x_t and u of length 1."""
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_()
        (gradient,) = torch.autograd.grad((estimate(x_t, t) * u).sum(), x_t)
    return gradient.flatten(1).norm(dim=1)


def noisy_samples(
    oracle: Oracle, level: Tensor, n: int, seed: int
) -> tuple[Data, Time, torch.Generator]:
    """n noisy samples at one level, in float64, and the generator that goes on."""
    g = torch.Generator().manual_seed(seed)
    x = oracle.sample(n, g).double()
    z = torch.randn(x.shape, generator=g, dtype=torch.float64)
    return x + level * z, level.double().expand(n), g


def gradient_quantiles(oracle: Oracle, estimate: Denoise, levels: Tensor, n: int = 1000) -> Tensor:
    """Median and 99th percentile of `gradient_norms`, at random x_t and in random directions."""
    rows = []
    for level in levels:
        x_t, t, g = noisy_samples(oracle, level, n, 0)
        u = torch.randn(x_t.shape, generator=g, dtype=torch.float64)
        found = gradient_norms(estimate, x_t, t, u / u.norm(dim=1, keepdim=True))
        rows.append(found.quantile(torch.tensor([0.5, 0.99], dtype=torch.float64)))
    return torch.stack(rows)


def statistics_by_level(
    oracle: Oracle, levels: Tensor, operator: Operator, n: int = 1000
) -> dict[str, Tensor]:
    """By point (levels, 3): mean radius, median ln p(x), mean of A(x)'s first number."""
    rows: dict[str, list[Tensor]] = {name: [] for name in POINT_NAMES}
    for level in levels:
        x_t, t, g = noisy_samples(oracle, level, n, 1)
        for name, x in three_points(oracle, x_t, t, g).items():
            found = point_statistics(oracle, x, operator)
            means = (found.radius.mean(), found.log_density.median(), found.measured[:, 0].mean())
            rows[name].append(torch.stack(means))
    return {name: torch.stack(row) for name, row in rows.items()}


def measurement_errors(
    oracle: Oracle, level: Tensor, operators: Mapping[str, Operator], n: int = 1000
) -> dict[str, dict[str, tuple[float, float]]]:
    """By operator and point: the mean of A(h) - E[A(x) | x_t], and its root mean square."""
    x_t, t, g = noisy_samples(oracle, level, n, 2)
    below: MixturePosterior = posterior(oracle, x_t, t)
    points, found = three_points(oracle, x_t, t, g), {}
    for title, operator in operators.items():
        right = below.expect(operator, 400, g)
        off = {name: operator(x) - right for name, x in points.items()}
        found[title] = {
            name: (float(v[:, 0].mean()), float(v.square().sum(1).mean().sqrt()))
            for name, v in off.items()
        }
    return found
