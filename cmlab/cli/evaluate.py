"""`cmlab evaluate`: scores of a finished run, of samples from anywhere, of a network of yours.

Without --space the recipe's evaluator runs again; with --space the samples are compared with the
test split in the features of the CIFAR-10 classifier or of Inception. `--samples FILE` and
`--model module:function` are judged on the data that --data names; of a model the network calls
are counted.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.cifar10 import CIFAR10
from ..data.digits import Digits
from ..data.own import Images, Points
from ..data.toy import TOYS
from ..ingredients import ALLOWED
from ..metrics.evaluators import CIFAR10Evaluator
from ..metrics.feature_extractors import CifarSpace, InceptionSpace, Space
from ..metrics.judge import CallCounter, judge, read_samples
from ..metrics.report import Table
from ..ops import seeded
from ..train import checkpoint, runs
from ..train.checkpoint import BadFile
from .settings import COUNT, SEED, Refused, preset_of, read_from, say, whole

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
    evaluate.add_argument(
        "run", type=Path, nargs="?", help="a run's folder or a .safetensors file"
    )
    evaluate.add_argument(
        "--samples", type=Path, help="judge samples: .npz, .npy, .safetensors, a folder or a zip"
    )
    evaluate.add_argument(
        "--model", metavar="module:function", help="judge a network of yours, and count its calls"
    )
    evaluate.add_argument("--space", help="compare with the test split in " + " or ".join(SPACES))
    evaluate.add_argument("--n", type=whole(COUNT), default=10_000, help="number of samples")
    evaluate.add_argument("--seed", type=whole(SEED), default=0, help="seed of the samples")
    evaluate.add_argument(
        "--heun", action="store_true", help="also score 35 calls of Heun's method"
    )
    evaluate.add_argument(
        "--data",
        default="",
        help="where the data set lies, if not where the run had it; for --samples and --model "
        f"the data: {', '.join(TOYS)}, digits, cifar10, a packed file or a run's folder",
    )
    evaluate.add_argument("--weights", default="", help="file of the feature extractor's weights")
    evaluate.add_argument(
        "--download", action="store_true", help="download Inception's weights, 96 MB"
    )


def evaluate(args: argparse.Namespace) -> int:
    """Print the scores as one JSON object; with --space one for each score, and a table.

    The table, for people, goes to standard error.
    """
    if sum(what is not None for what in (args.run, args.samples, args.model)) != 1:
        raise Refused("give a run, or --samples, or --model, and one of them only")
    if not args.run:
        return evaluate_own(args)
    if not args.space:
        only = {"n": 10_000, "seed": 0, "heun": False, "weights": "", "download": False}
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


# Samples and networks from elsewhere

BATCH = 500  # samples that a network of one's own is asked for at a time


def evaluate_own(args: argparse.Namespace) -> int:
    """Judge samples from a file, or from a network whose calls are counted."""
    if args.heun or not args.data:
        raise Refused(
            f"--samples and --model are judged on --data: {', '.join(TOYS)}, digits, cifar10, a "
            f"packed file or a run's folder"
        )
    data = data_of(args.data)
    space = space_of(args.space, args.weights, args.download) if args.space else None
    if space is None and isinstance(data, CIFAR10):
        space = CifarSpace()
    facts: dict[str, Any] = {}
    if args.samples:
        x = read_samples(args.samples, tuple(data.shape))
    else:
        x, facts = own_samples(args.model, data, args.n, args.seed)
    with fitting(args.samples or Path(args.model), "judged"):
        scores = judge(x, data, space, args.seed)
    say({"samples": len(x), **facts, **scores})
    return 0


def data_of(name: str) -> Any:
    """The data of this name, in this packed file or of this run. Raises Refused for others."""
    path = Path(name)
    if name in TOYS or name in ("digits", "cifar10"):
        return TOYS[name] if name in TOYS else Digits() if name == "digits" else CIFAR10()
    if path.is_dir() and any((path / part).exists() for part in (runs.MODEL, runs.RECORD)):
        return runs.load(path)[1].data
    if path.suffix != ".safetensors":
        raise Refused(f"--data {name} is no data set, no packed file and no run's folder")
    kind = checkpoint.read(path)[1].get("data")
    if kind not in ("images", "points"):
        raise Refused(f"{name} was not written by `cmlab data images` or `cmlab data points`")
    return Images.packed(name) if kind == "images" else Points(name)


def own_samples(name: str, data: Any, n: int, seed: int) -> tuple[Tensor, dict[str, Any]]:
    """n samples of a network of one's own, and what they cost.

    Args:
        name: module:function; called without arguments, the function returns the network and
            sample(z, cond), which turns standard normal noise (b, *d) into samples.
        data: gives the shape and the classes, which are asked for in turn.
        n: how many samples.
        seed: of the noise.

    Raises:
        Refused: in one sentence, for whatever goes wrong in that code.
    """
    place, classes = name.partition(":")[0], getattr(data, "classes", 0)
    if ":" not in name:
        raise Refused(f"--model takes module:function, not {name}")
    if place not in ALLOWED:
        raise Refused(f"--model {name} runs {place}.py: allow it, by --allow {place}")
    build: Any = preset_of(name)
    with seeded(torch.device("cpu"), seed, 7), torch.no_grad():
        z = torch.randn(n, *data.shape)
        cond = torch.arange(n) % classes if classes else None
        try:
            net, sample = build()
            if not isinstance(net, nn.Module):
                raise TypeError("the first of the two that it returns is no torch module")
            with CallCounter(net.eval()) as counter:
                rows = torch.arange(n).split(BATCH)
                parts = [sample(z[i], None if cond is None else cond[i]) for i in rows]
            x = torch.cat(parts).float()
        except Exception as error:  # whatever that code does
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise Refused(f"{name} gave no samples: {said}") from error
    if x.shape != z.shape or not bool(x.isfinite().all()):
        raise Refused(f"{name} gave samples {tuple(x.shape)} for noise {tuple(z.shape)}, or NaN")
    facts = {"calls": counter.calls(n), "gflop_per_sample": counter.gflop(n)}
    return x, facts | {"parameters": sum(p.numel() for p in net.parameters())}
