"""Recordings of lab 13: posterior sampling with posterior mean or endpoint, ζ tuned for each.

Nothing is trained, so there is no `Study`; `python scripts/posterior_race.py` makes the
recordings, one for each estimate. Beside the scores on the reported seeds they hold the whole
tuning.
"""

from collections.abc import Sequence
from time import process_time

import numpy as np
import torch

from cmlab.train.runs import versions

from ..common.study import SEEDS, Recording
from .analysis import CALLS, Experiment, guided_scores, tuned_zeta

TUNING = (10, 11)


def compare_estimate(
    name: str,
    experiment: Experiment,
    estimate: str,
    budgets: Sequence[int],
    zetas: Sequence[float],
) -> Recording:
    """One estimate over all tasks and numbers of steps.

    score     (seeds, tasks, budgets) for each score of the experiment, means over samples
    zeta      (tasks, budgets) the best on the tuning seeds
    tuning    (tuning seeds, tasks, budgets, zetas) the goal there
    steps, zetas   the axes
    """
    start = process_time()
    rows = [
        [tune_and_score(experiment, task, estimate, n, zetas) for n in budgets]
        for task in experiment.tasks
    ]
    stacked = {k: np.array([[cell[k] for cell in row] for row in rows]) for k in rows[0][0]}
    fixed = {"zeta": stacked.pop("zeta"), "steps": np.array(budgets), "zetas": np.array(zetas)}
    arrays = {k: np.moveaxis(values, 2, 0) for k, values in stacked.items()}
    record = {
        "command": "python scripts/posterior_race.py",
        "study": name,
        "arm": estimate,
        "seeds": list(SEEDS),
        "tuning seeds": list(TUNING),
        "tasks": list(experiment.tasks),
        "samples": len(experiment.draw(0, 1).truth), "calls a step": CALLS[estimate],
        "seconds": round(process_time() - start, 1),
        "versions": versions(),
    }  # fmt: skip
    return Recording(arrays | fixed, record)


def tune_and_score(
    experiment: Experiment, task: str, estimate: str, steps: int, zetas: Sequence[float]
) -> dict[str, np.ndarray]:
    """One task and budget: the best ζ, the tuning (seeds, ζ), and each score (seeds,)."""
    tried = torch.tensor(zetas, dtype=torch.float64)
    best, table = tuned_zeta(experiment, task, estimate, steps, tried, TUNING)
    alone = torch.tensor([best], dtype=torch.float64)
    found = [guided_scores(experiment, task, estimate, steps, alone, seed) for seed in SEEDS]
    scores = {name: np.array([float(f[name].mean()) for f in found]) for name in found[0]}
    return scores | {"zeta": np.array(best), "tuning": table.numpy()}
