"""cmlab evaluate: a run scored again, by its own judge or in a space for photographs."""

import argparse
import json
import sys
from pathlib import Path

from .. import runs
from ..judge import AgainstTest
from ..scores import SPACES, score, space_of
from .say import say


def add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("run", type=Path)
    evaluate.add_argument("--space", help="against the test split, in " + " or ".join(SPACES))
    evaluate.add_argument("--n", type=int, default=10_000, help="images")
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("--heun", action="store_true", help="the 35-call diffusion sampler too")
    evaluate.add_argument("--data", default="", help="where CIFAR-10 lies")
    evaluate.add_argument("--weights", default="", help="a file with the space's network")
    evaluate.add_argument(
        "--download", action="store_true", help="fetch inception's weights, 96 MB"
    )


def evaluate(given: argparse.Namespace) -> int:
    """One JSON object; in a space one for each number, and the table on standard error."""
    if not given.space:
        model, recipe, record = runs.load(given.run)
        kept = {key: record.get(key) for key in ("preset", "seed", "samples_seen", "seconds")}
        say(kept | runs.judged(model, recipe))
        return 0
    space = space_of(given.space, given.weights, given.download)
    judge = AgainstTest(given.n, given.seed, space, given.heun)
    found = score(given.run, judge, given.data)
    sys.stderr.write("\n".join(found.lines()) + "\n")
    sys.stdout.write("".join(json.dumps(row) + "\n" for row in found.rows()))
    return 0
