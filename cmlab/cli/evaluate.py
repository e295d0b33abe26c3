"""`cmlab evaluate`: scores of a finished run, and its Fréchet distance to the test split.

Without --space the recipe's evaluator runs again; with --space the samples are compared with the
test split in the features of the CIFAR-10 classifier or of Inception.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from ..metrics.evaluators import CIFAR10Evaluator
from ..metrics.feature_extractors import CifarSpace, InceptionSpace, Space
from ..metrics.report import Table
from ..train import runs
from ..train.checkpoint import BadFile
from .settings import COUNT, SEED, Refused, read_from, say, whole

SPACES = (CifarSpace.name, InceptionSpace.name)


def space_of(name: str, weights: str = "", download: bool = False) -> Space:
    """The feature space of this name. Raises Refused for an unknown one, naming those allowed."""
    spaces: Mapping[str, Space] = {
        CifarSpace.name: CifarSpace(weights),
        InceptionSpace.name: InceptionSpace(weights, download),
    }
    if name not in spaces:
        raise Refused(f"there is no space {name!r}; allowed: {', '.join(spaces)}")
    if download and name != InceptionSpace.name:
        raise Refused(f"the space {name} comes with the repository; leave out --download")
    return spaces[name]


@contextmanager
def fitting(run: Path, done: str = "evaluated") -> Iterator[None]:
    """A context in which a record whose ingredients do not go together is refused as such.

    Its fields are of the right types, or it would not have been loaded; what is left is, say, an
    evaluator of images beside data in the plane, or more calls than a sampler has.
    """
    try:
        yield
    except (BadFile, Refused, torch.OutOfMemoryError):
        raise
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise Refused(f"{run} cannot be {done}: {why}") from error


def score(
    run: Path, evaluator: CIFAR10Evaluator, path: str = "", device: torch.device | None = None
) -> Table:
    """The scores of a run against the test split.

    Args:
        run: a run's folder or a shipped file.
        evaluator: the evaluator.
        path: where the data set lies, if not where the run had it.
        device: by default a GPU if there is one.

    Raises:
        Refused, BadFile: in one sentence, if the run cannot be evaluated.
    """
    model, recipe, _ = runs.load(run)
    best = "cuda" if torch.cuda.is_available() else "cpu"
    with fitting(run, "measured"):
        data = read_from(recipe.data, path) if path else recipe.data
        return evaluator.table(model.to(device or best), data, recipe.sampler)


def add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("run", type=Path, help="a run's folder or a .safetensors file")
    evaluate.add_argument("--space", help="compare with the test split in " + " or ".join(SPACES))
    evaluate.add_argument("--n", type=whole(COUNT), default=10_000, help="number of samples")
    evaluate.add_argument("--seed", type=whole(SEED), default=0, help="seed of the samples")
    evaluate.add_argument(
        "--heun",
        action="store_true",
        help="also score 35 calls of Heun's method",
    )
    evaluate.add_argument(
        "--data", default="", help="where the data set lies, if not where the run had it"
    )
    evaluate.add_argument("--weights", default="", help="file of the feature extractor's weights")
    evaluate.add_argument(
        "--download", action="store_true", help="download Inception's weights, 96 MB"
    )


def evaluate(args: argparse.Namespace) -> int:
    """Print the scores as one JSON object; with --space one for each score, and a table.

    The table, for people, goes to standard error.
    """
    if not args.space:
        only = {
            "n": 10_000,
            "seed": 0,
            "heun": False,
            "weights": "",
            "download": False,
        }
        if given := [f"--{name}" for name, value in only.items() if getattr(args, name) != value]:
            raise Refused(f"{given[0]} goes with --space: {' or '.join(SPACES)}")
        model, recipe, record = runs.load(args.run)
        if args.data:
            recipe = replace(recipe, data=read_from(recipe.data, args.data))
        kept = {key: record.get(key) for key in ("preset", "seed", "samples_seen", "seconds")}
        with fitting(args.run):
            scores = runs.evaluate_model(model, recipe)
        say(kept | scores)
        return 0
    space = space_of(args.space, args.weights, args.download)
    evaluator = CIFAR10Evaluator(args.n, args.seed, space, args.heun)
    found = score(args.run, evaluator, args.data)
    sys.stderr.write("\n".join(found.lines()) + "\n")
    sys.stdout.write("".join(json.dumps(row) + "\n" for row in found.rows()))
    return 0
