"""The command `cmlab`: parser and exit status of train, sample, evaluate, ship, data and others.

`train` and `evaluate` print one JSON object last. What cannot be done is refused in one
sentence on standard error, with exit status 2, before anything is written.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NoReturn

import torch

from ..discovery import LabsMissing, late_import
from ..ingredients import allow
from ..ops import seeded
from ..train import checkpoint, runs
from ..train.checkpoint import BadFile
from ..train.control import NotSaved, Stopped
from ..train.nonfinite import NotFinite
from ..types import Range
from . import data, doctor, expanded
from . import ship as shipping
from .evaluate import add_evaluate, evaluate, fitting
from .settings import SEED, Refused, add_allow, read_from, say, whole, whole_numbers
from .train import STOPPED, add_train, train
from .weights import add_weights, weights

GRID, CALLS = Range("[1, 10000]"), Range("[1, 1000]")  # samples in a picture; calls for each
NO_ROOM = (
    "the device has too little memory for this; the same batch in twice as many parts needs less: "
    "begin a new run with --set train.parts=2 (and start.train.parts=2), or take a smaller network"
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message}; see {self.prog} --help")


LATE = {
    "record": "train the runs that the labs replay",
    "bench": "compare all methods on the same data with the same training budget",
    "gallery": "build the labs as web pages",
    "export": "write a trained network as a web page that runs it, or as ONNX",
    "contest": "hold a contest: new, submit, judge, board",
}


def parser(verb: str = "") -> argparse.ArgumentParser:
    """The parser of the whole command; of the labs' commands only `verb` is loaded."""
    top = Parser("cmlab", description="Train, sample and evaluate consistency models.")
    verbs = top.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train", help="train a preset and evaluate it")
    add_train(train)
    sample = verbs.add_parser("sample", help="draw a grid of samples")
    sample.add_argument("run", type=Path, help="a run's folder or a .safetensors file")
    sample.add_argument("--n", type=whole(GRID), default=64, help="number of samples")
    sample.add_argument("--steps", type=whole_numbers(CALLS), default=[1, 2],
                        help="numbers of network calls, such as 1,2,4")  # fmt: skip
    sample.add_argument("--seed", type=whole(SEED), default=0, help="seed of the noise")
    sample.add_argument("--nearest", metavar="DATA", default="",
                        help="beside them the training pictures nearest to those of most calls, "
                        "from this packed file or folder")  # fmt: skip
    sample.add_argument("--out", type=Path, required=True, help="the .png file to write")
    evaluate = verbs.add_parser("evaluate", help="evaluate a finished run again")
    add_evaluate(evaluate)
    ships = verbs.add_parser("ship", help="export a finished run as four small files")
    ships.add_argument("run", type=Path, help="a run's folder")
    ships.add_argument("--out", type=Path, required=True, help="path without a suffix")
    add_weights(verbs.add_parser("weights", help="take published weights out of a pickle"))
    for own in (train, sample, evaluate, ships):
        add_allow(own)
    for name in ("export", "contest", "record", "bench"):
        add_late(verbs, name, verb)
    data.add_arguments(
        verbs.add_parser("data", help="check CIFAR-10, or pack pictures or points of your own")
    )
    add_late(verbs, "gallery", verb)
    verbs.add_parser("doctor", help="check that this machine can run the labs")
    lab = verbs.add_parser("labs", help="build, run and check the notebooks", add_help=False)
    lab.add_argument("words", nargs=argparse.REMAINDER)
    return top


def add_late(verbs: Any, name: str, verb: str) -> None:
    """Add a command of the labs; its arguments, which load the labs, only if it was called."""
    command = verbs.add_parser(name, help=LATE[name])
    if name == verb:
        late_import(name).add_arguments(command)


def main(words: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0 done, 1 failed, 2 refused, 3 stopped on request.
    """
    words = expanded(sys.argv[1:] if words is None else words)
    try:
        args = parser(next((word for word in words if not word.startswith("-")), ""))
        args = args.parse_args(words)
        allow_all(getattr(args, "allow", []))
        if args.verb in LATE:
            return late_import(args.verb).main(args)
        return VERBS[args.verb](args)
    except (Refused, BadFile, LabsMissing) as error:
        sys.stderr.write(f"cmlab: {error}\n")
        return 2
    except (NotFinite, NotSaved) as error:
        sys.stderr.write(f"cmlab: {error}\n")
        return 1
    except torch.OutOfMemoryError:
        sys.stderr.write(f"cmlab: {NO_ROOM}\n")
        return 1
    except Stopped as error:
        sys.stderr.write(f"cmlab: {error}\n")
        return STOPPED


def allow_all(names: list[str]) -> None:
    """Import the modules of --allow. Raises Refused for one that cannot be used."""
    for name in names:
        try:
            allow(name)
        except ValueError as error:
            raise Refused(str(error)) from error


def sample(args: argparse.Namespace) -> int:
    """Write a grid of samples, one row block for each number of network calls."""
    if args.out.suffix != ".png":
        raise Refused(f"--out takes a .png file, not {args.out}")
    from ..metrics.plots import draw, png  # matplotlib is slow to load

    model, recipe, _ = runs.load(args.run)
    known = read_from(recipe.data, args.nearest) if args.nearest else None
    known = getattr(known, "data", known)  # with its labels, or without
    if args.nearest and not hasattr(known, "images"):
        raise Refused(f"--nearest compares pictures, and {args.run} draws none")
    with fitting(args.run, "sampled so"), seeded(torch.device("cpu"), args.seed):
        payload = png(draw(model, recipe, args.n, args.steps, known))
    checkpoint.replace(args.out, lambda part: part.write_bytes(payload))
    return 0


def ship(args: argparse.Namespace) -> int:
    """Export a finished run, and print what was written."""
    record = shipping.ship(args.run, args.out)
    size = shipping.with_suffix(args.out, ".safetensors").stat().st_size
    say({"wrote": str(args.out), "bytes": size, "samples_seen": record.get("samples_seen")})
    return 0


VERBS = {
    "train": train,
    "sample": sample,
    "evaluate": evaluate,
    "ship": ship,
    "data": data.main,
    "weights": weights,
    "doctor": lambda args: doctor.main(),
    "labs": lambda args: late_import("labs").main(args.words),
}
