"""The command line: cmlab train | sample | evaluate | ship | record | bench | data | …

`train` and `evaluate` print one JSON object last. What cannot be done is said in one sentence
on standard error, with exit status 2, before anything is written.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NoReturn

import torch

from ..discovery import LabsMissing, late_import
from ..metrics.plots import save_grid
from ..ops import seeded
from ..train import runs
from ..train.checkpoint import BadFile
from ..train.control import Stopped
from ..train.nonfinite import NotFinite
from . import data, doctor
from . import ship as shipping
from .evaluate import add_evaluate, evaluate
from .settings import Refused, say
from .train import STOPPED, add_train, train

NO_ROOM = (
    "the device has too little memory for this; the same batch in twice as many parts needs less: "
    "begin a new run with --set train.parts=2 (and start.train.parts=2), or take a smaller network"
)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"cmlab: {message}; see {self.prog} --help\n")


LATE = {
    "record": "make a recording that the labs replay",
    "bench": "all methods on one law, one budget",
    "gallery": "the labs as web pages",
}


def parser(verb: str = "") -> argparse.ArgumentParser:
    """The parser of the whole command; of the labs' commands only `verb` is loaded."""
    top = Parser("cmlab", description="A lab on consistency models.")
    verbs = top.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train", help="train a preset and score it")
    add_train(train)
    sample = verbs.add_parser("sample", help="draw a grid of samples")
    sample.add_argument("run", type=Path, help="a run's folder or a .safetensors file")
    sample.add_argument("--n", type=int, default=64)
    sample.add_argument("--steps", default="1,2", help="network calls, as in 1,2,4")
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--out", type=Path, required=True, help="a .png file")
    evaluate = verbs.add_parser("evaluate", help="score a run again")
    add_evaluate(evaluate)
    ships = verbs.add_parser("ship", help="a finished run in four small files")
    ships.add_argument("run", type=Path, help="a run's folder")
    ships.add_argument("--out", type=Path, required=True, help="without a suffix")
    for name in ("record", "bench"):
        add_late(verbs, name, verb)
    data.add_arguments(verbs.add_parser("data", help="is CIFAR-10 here? get it if asked"))
    add_late(verbs, "gallery", verb)
    verbs.add_parser("doctor", help="is everything here that the labs need?")
    lab = verbs.add_parser("labs", help="pair, run and check the notebooks", add_help=False)
    lab.add_argument("words", nargs=argparse.REMAINDER)
    return top


def add_late(verbs: Any, name: str, verb: str) -> None:
    """A command of the labs, with its arguments if it is the one that was called."""
    command = verbs.add_parser(name, help=LATE[name])
    if name == verb:
        late_import(name).add_arguments(command)


def main(words: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 failed, 2 refused, 3 stopped as asked."""
    words = sys.argv[1:] if words is None else words
    try:
        given = parser(next((word for word in words if not word.startswith("-")), ""))
        given = given.parse_args(words)
        if given.verb in LATE:
            return late_import(given.verb).main(given)
        return VERBS[given.verb](given)
    except (Refused, BadFile, LabsMissing) as error:
        sys.stderr.write(f"cmlab: {error}\n")
        return 2
    except NotFinite as error:
        sys.stderr.write(f"cmlab: {error}\n")
        return 1
    except torch.OutOfMemoryError:
        sys.stderr.write(f"cmlab: {NO_ROOM}\n")
        return 1
    except Stopped as error:
        sys.stderr.write(f"cmlab: {error}\n")
        return STOPPED


def sample(given: argparse.Namespace) -> int:
    calls = [int(c) for c in given.steps.split(",") if c.strip().isdigit() and int(c) > 0]
    if not calls or len(calls) != len(given.steps.split(",")) or given.n < 1:
        raise Refused(f"--steps takes whole numbers such as 1,2,4 and --n one above 0, "
                      f"not {given.steps} and {given.n}")  # fmt: skip
    if given.out.suffix != ".png":
        raise Refused(f"--out takes a .png file, not {given.out}")
    model, recipe, _ = runs.load(given.run)
    with seeded(torch.device("cpu"), given.seed):
        save_grid(model, recipe, given.n, calls, given.out)
    return 0


def ship(given: argparse.Namespace) -> int:
    record = shipping.ship(given.run, given.out)
    size = shipping.with_suffix(given.out, ".safetensors").stat().st_size
    say({"wrote": str(given.out), "bytes": size, "samples_seen": record.get("samples_seen")})
    return 0


VERBS = {
    "train": train,
    "sample": sample,
    "evaluate": evaluate,
    "ship": ship,
    "data": data.main,
    "doctor": lambda given: doctor.main(),
    "labs": lambda given: late_import("labs").main(given.words),
}
