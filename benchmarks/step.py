"""What a step of sCT costs beside a step of iCT on the same network.

    python benchmarks/step.py [--threads 1] [--steps 40]

Prints one JSON line for each network. The two take turns, step by step, so that whatever else the
machine does falls on both; the seconds are medians of CPU time.
"""

import argparse
import json
from dataclasses import replace
from statistics import median
from time import process_time

import torch

from cmlab.methods import SCM
from cmlab.methods.scm import JVP, BackwardDifference, CentralDifference, TimeDerivative
from cmlab.presets import digits, toy
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer

SLOPES: dict[str, TimeDerivative] = {
    "sct": JVP(),
    "difference": CentralDifference(),
    "secant": BackwardDifference(),
}


def arms(ict: Recipe, sct: Recipe) -> dict[str, Trainer]:
    """A trainer each; iCT gets sCT's network."""
    made = {"ict": replace(ict, net=sct.net).trainer()}
    for name, slope in SLOPES.items():
        made[name] = replace(sct, start=None, method=SCM(derivative=slope)).trainer()
    return made


def seconds(trainers: dict[str, Trainer], steps: int) -> dict[str, float]:
    """The median seconds of a step."""
    taken: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in range(steps):
        for name, trainer in trainers.items():
            start = process_time()
            trainer.advance()
            taken[name].append(process_time() - start)
    return {name: median(row[len(row) // 5 :]) for name, row in taken.items()}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--steps", type=int, default=40)
    given = words.parse_args()
    torch.set_num_threads(given.threads)
    for name, pair in {
        "toy": (toy.ict(), toy.sct()),
        "digits": (digits.ict(), digits.sct()),
    }.items():
        found = seconds(arms(*pair), given.steps)
        ratio = {f"{arm}/ict": round(s / found["ict"], 2) for arm, s in found.items()}
        line = {"network": name, "batch": pair[0].train.batch, "threads": given.threads}
        line |= {"torch": torch.__version__, "steps": given.steps}
        print(json.dumps(line | {f"{arm} s": round(s, 5) for arm, s in found.items()} | ratio))


if __name__ == "__main__":
    main()
