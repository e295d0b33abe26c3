"""Record lab 13's comparison of posterior mean and consistency model in posterior sampling.

In the plane and on digits: about three minutes on one core. The argument `rings` or `digits` runs
one of them.
"""

import sys

import torch
from cmlab_labs.common.generators import GENERATOR, exact_denoiser
from cmlab_labs.common.study import write
from cmlab_labs.lab13_inverse.analysis import (
    CALLS,
    Experiment,
    Scores,
    Task,
    Trial,
    rings_experiment,
)
from cmlab_labs.lab13_inverse.study import compare_estimate

from cmlab.data.digits import Digits
from cmlab.methods.posterior_sampling import (
    Absolute,
    Blur,
    Classifier,
    DownSample,
    Mask,
    Measurement,
)
from cmlab.metrics.digits import distance_to_nearest
from cmlab.metrics.feature_extractors import load_classifier
from cmlab.noise_levels import KarrasGrid
from cmlab.train import runs

ZETAS = {
    "rings": (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    "digits": (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
}
BUDGETS = {"rings": (4, 8, 16, 32, 64, 128), "digits": (20,)}
EACH = 60  # digits a seed


def digits() -> Experiment:
    """Held-out scans from their measurements: D of the training scans, and the shipped network."""
    model, _, _ = runs.load(GENERATOR)
    model.requires_grad_(False)
    eye, held_out = load_classifier(), Digits(train=False)
    top = torch.zeros(1, 8, 8)
    top[:, :4] = 1
    tasks = {
        "mask": Task(Mask(top)),
        "blur": Task(Blur(1.0)),
        "down-sample": Task(DownSample(4)),
        "|x|": Task(Absolute()),
        "features": Task(Classifier(eye.body)),
    }

    def draw(seed: int, copies: int) -> Trial:
        g = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(held_out.images), generator=g)[:EACH].repeat(copies)
        asked = held_out.labels[chosen]
        D = exact_denoiser(asked)
        f = lambda x_t, t: model(x_t, t, asked)  # noqa: E731
        return Trial(held_out.images[chosen], D, {"mean": D, "cm": f})

    def evaluate(task: Task, trial: Trial, measured: Measurement, x: torch.Tensor) -> Scores:
        distance = (x - trial.truth).flatten(1).norm(dim=1)
        return {
            "error": distance,
            "mismatch": measured.mismatch(x),
            "nearest": distance_to_nearest(x, Digits().images),
        }

    return Experiment(draw, tasks, evaluate, "error", KarrasGrid(0.02, 80.0), rising=False)


def main(wanted: list[str]) -> None:
    torch.set_num_threads(1)
    for name, build in (("rings", rings_experiment), ("digits", digits)):
        if wanted and name not in wanted:
            continue
        experiment = build()
        for estimate in CALLS:
            found = compare_estimate(
                f"race-{name}", experiment, estimate, BUDGETS[name], ZETAS[name]
            )
            sys.stdout.write(f"{write(found)}: {found.record['seconds']} s\n")


if __name__ == "__main__":
    main(sys.argv[1:])
