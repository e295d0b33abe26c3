"""`cmlab evaluate`: score a finished run again, on a test split or in other feature spaces."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from ..metrics.evaluators import AgainstTest
from ..metrics.feature_extractors import CifarSpace, InceptionSpace, Space
from ..metrics.report import Table
from ..train import runs
from ..train.checkpoint import BadFile
from ..train.recipe import change
from .settings import Refused, say

# A finished run against the test split: the long table behind `cmlab evaluate RUN --space`

SPACES = (CifarSpace.name, InceptionSpace.name)


def space_of(name: str, weights: str = "", download: bool = False) -> Space:
    """The space of a name. Raises Refused, saying what is allowed."""
    spaces: Mapping[str, Space] = {
        CifarSpace.name: CifarSpace(weights),
        InceptionSpace.name: InceptionSpace(weights, download),
    }
    if name not in spaces:
        raise Refused(f"there is no space {name!r}; allowed: {', '.join(spaces)}")
    if download and name != InceptionSpace.name:
        raise Refused(f"the space {name} comes with the repository; leave out --download")
    return spaces[name]


def score(
    run: Path, judge: AgainstTest, path: str = "", device: torch.device | None = None
) -> Table:
    """The table of a run's folder or shipped file; `path` is where its photographs lie now.

    Raises Refused or BadFile in one sentence for what cannot be measured.
    """
    model, recipe, _ = runs.load(run)
    best = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        data = change(recipe.data, "path", path) if path else recipe.data
        return judge.table(model.to(device or best), data, recipe.sampler)
    except BadFile:
        raise
    except ValueError as error:
        raise Refused(f"{run} cannot be measured: {error}") from error


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
