"""Explorers of lab 06: error by noise level and step for EMA decays μ, and two springs."""

from functools import lru_cache

import numpy as np

from cmlab.schedules import Constant

from ..common.explorer import Explorer, Picture, choice, slider
from ..common.studies_shared import DOUBLING
from ..common.study import ranged, read
from .analysis import PointMass, course
from .figures import NEAR, ErrorHistory, mean_front, snapshot, two_springs
from .study import DECAYS, variant_name

GRID_NAMES = (("N = 11", 11), ("N = 161", 161), ("doubling, 11 to 1281", 0))
DECAY_NAMES = tuple((f"{mu:g}", mu) for mu in DECAYS)
SHUFFLED_DECAYS = (0.99, 0.0, 0.999, 0.9)


@lru_cache(maxsize=32)
def recorded(mu: float, variant: str, study: str = "target") -> ErrorHistory:
    """A variant of a study by its name; `mu` is the decay that the figures write beside it."""
    found = read(study, variant)
    return ErrorHistory(mu, found["steps"][0], found["levels"][0], found["error"], found["loss"])


def recorded_run(mu: float, points: int) -> ErrorHistory:
    """The recorded runs of iCT with this decay on a grid of so many points; 0: doubling."""
    return recorded(mu, variant_name(mu, points))


def unlabelled_runs() -> dict[str, ErrorHistory]:
    """The four decays on the doubling grid, under numbers."""
    return {f"Run {k}": recorded_run(mu, 0) for k, mu in enumerate(SHUFFLED_DECAYS, 1)}


def explorer() -> Explorer:
    """An explorer of the recorded runs. Knobs: `mu`, `points` and the training `step`."""
    whole = int(recorded_run(DECAYS[0], 0).steps[-1])
    knobs = {
        "mu": choice("decay μ of the target", DECAY_NAMES, 0.99),
        "points": choice("grid", GRID_NAMES, 161),
        "step": slider("step", 3 * whole // 10, 0, whole, whole // 40),
    }
    return Explorer(replay, knobs)


def replay(mu: float, points: int, step: int) -> Picture:
    """The recorded runs of this variant at this step, beside those with θ⁻ = θ."""
    run, beside = recorded_run(mu, points), recorded_run(0.0, points)
    now = int(np.abs(run.steps - step).argmin())
    figure = snapshot(run, now, beside if mu else None)
    return Picture(figure, reading(run, now, points, beside if mu else None))


def reading(run: ErrorHistory, now: int, points: int, beside: ErrorHistory | None) -> str:
    """The reading of the picture, in three lines."""
    grid = points or int(DOUBLING(int(run.steps[now])))
    says = [
        f"Step {run.steps[now]}, μ = {run.mu:g}, a grid of {grid} points: "
        f"the error is below {NEAR} up to noise level t = {mean_front(run)[now]:.2g}."
    ]
    if beside:
        says.append(
            f"With μ = 0 the front is at t = {mean_front(beside)[now]:.2g} at the same step."
        )
    error = np.sqrt((run.error[:, now] ** 2).mean(1))
    loss = run.loss[:, now]
    mean_loss = "not measured yet" if np.isnan(loss).any() else ranged(loss)
    says.append(f"Error over all noise levels: {ranged(error)}; loss {mean_loss}.")
    return "\n".join(says)


# The point mass: a student between two springs

SPRING_STEPS = 1000


def springs() -> Explorer:
    """A student between its target and the truth. Knobs: `mu`, `points` and the `step`."""
    knobs = {
        "step": slider("step of training", 300, 0, SPRING_STEPS, 20),
        "mu": choice("decay μ of the target", DECAY_NAMES, 0.99),
        "points": choice("grid", (("N = 11", 11), ("N = 161", 161), ("N = 1281", 1281)), 11),
    }
    return Explorer(pulled, knobs, "springs()")


def pulled(step: int, mu: float, points: int) -> Picture:
    """Student and target of the point mass after this many steps."""
    student, target = course(Constant(mu), Constant(points), step).T
    alone = course(Constant(0.0), Constant(points), step)[:, 0]
    a, b = PointMass(points).pulls
    words = (
        f"Step {step}, μ = {mu:g}, N = {points}: the student is {student[-1]:.2f} from the truth "
        f"and the target {target[-1]:.2f}.\n"
        f"The spring to the target is {a / b:.3g} times as stiff as the spring to the truth.\n"
        f"Without a lag (μ = 0) the student would be {alone[-1]:.2f} from the truth by now."
    )
    seen = {"student": student, "target": target, "no lag": alone}
    return Picture(two_springs(seen, step, SPRING_STEPS, (a, b)), words)
