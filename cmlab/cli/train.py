"""`cmlab train`: train a preset on one or several devices, evaluate it, and write the record."""

import argparse
import hashlib
import os
import re
import shutil
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from ..data.toy import ToyData
from ..discovery import SHIPPED
from ..model import carried
from ..presets import PRESETS
from ..train import checkpoint, cost, runs
from ..train.checkpoint import BadFile
from ..train.control import RunControl, Stopped, stop_on_signal
from ..train.distributed import BF16_MIXED, Engine, device_and_precision, launcher_mismatch
from ..train.lock import hold_folder, is_begun
from ..train.recipe import Recipe, to_dict
from ..train.run_log import LOG, STRIPS
from ..train.trainer import Trainer
from ..types import Range
from .lengthen import lengthen, stretch
from .settings import (
    SEED,
    Refused,
    check_memory,
    dry_run,
    own_points,
    read_from,
    recipe_of,
    say,
    whole,
)
from .ship import trainings

STOPPED = 3  # exit status of a run that was stopped on request
DEVICES = Range("[1, 1024]")


def add_train(train: argparse.ArgumentParser) -> None:
    option = train.add_argument
    option("preset", help=", ".join(PRESETS))
    option("--seed", type=whole(SEED), default=0, help="seed of initial weights, data and noise")
    option("--set", metavar="key=value", action="append", default=[], nargs="+",
           help="change a field of the recipe, such as train.batch=64")  # fmt: skip
    option(
        "--out", type=Path, help="the run's folder; default: runs/PRESET-SEED, and what --set says"
    )
    option("--resume", action="store_true", help="resume from the folder's checkpoint")
    option("--continue", dest="parent", type=Path, metavar="RUN",
           help="go on from a finished run, with more steps, as a new run in another folder: "
                "--set train.steps=8000 --continue runs/toy.ict-0")  # fmt: skip
    option("--start", type=Path, metavar="MODEL",
           help="start from a trained model instead of training the preset's own start: a "
                "finished run's folder or a .safetensors file")  # fmt: skip
    option("--data", type=Path, help="folder or archive of a data set that is read from files")
    option("--devices", type=whole(DEVICES), default=1, help="number of devices on each machine")
    option("--nodes", type=whole(DEVICES), default=1,
           help="number of machines; start this command on each")  # fmt: skip
    option("--accelerator", help="cpu, cuda or auto; default: the preset's")
    option("--compile", action="store_true", help="use torch.compile where it works")
    option("--plan", action="store_true", help="estimate memory and time, and do not train")


def first_process() -> bool:
    """Whether this is the process that starts the others, of all that share the run."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(rank, "0") == "0" for rank in ranks)


def train(args: argparse.Namespace) -> int:
    """Check the command, then train and evaluate. Raises Refused before anything is written."""
    if args.data:
        os.environ["CMLAB_DATA"] = str(args.data.resolve())
    engine = Engine(args.devices, args.nodes)
    if fault := "" if args.plan else launcher_mismatch(engine):
        raise Refused(fault)
    settings = [word for words in args.set for word in words]
    points = own_points(args.preset) if args.data else None
    recipe = recipe_of(args.preset, args.seed, settings, points)
    if args.data and not points:
        read_from(recipe.data, str(args.data))
    if not SHIPPED.is_dir() and not isinstance(recipe.data, ToyData):
        raise Refused(
            f"{SHIPPED} is missing, and with it what evaluates {args.preset}: cmlab was "
            f"installed without its data; install it from its repository or its wheel"
        )
    if args.accelerator:
        recipe = with_accelerator(recipe, args.accelerator)
    words = [*settings, *([f"start={args.start.stem}"] if args.start else [])]
    folder = args.out or default_folder(args.preset, args.seed, words)
    to_train = recipe  # here: with its start, unless that is given
    if source := runs.given(folder) or args.start:
        recipe = started(recipe, source)
        to_train = replace(recipe, start=None)
    if args.plan:
        check_memory(to_train, cost.FEW)
        say(cost.table(cost.forecast(to_train, engine.processes)))
        return 0
    if folder.exists() and not folder.is_dir():
        raise Refused(f"{folder} is a file; choose another --out")
    first = first_process()
    with stop_on_signal(), hold_folder(folder) if first else nullcontext():
        if first:
            check_folder(folder, args.resume, args.parent, args.start)
            dry_run(to_train)
            if args.start and not (args.parent or (folder / runs.CHECKPOINT).exists()):
                copy_start(args.start, folder / "start")
        recipe = with_parts(stretch(recipe, args.parent, folder), engine, args.parent or folder)
        if first and args.parent and not (folder / runs.CHECKPOINT).exists():
            sys.stderr.write(f"{lengthen(recipe, args.parent, folder)}.\n")
        return train_and_evaluate(args, settings, recipe, folder, engine)


def started(recipe: Recipe, path: Path) -> Recipe:
    """The recipe with a trained model as its start. Raises Refused if that has another network."""
    model, start, _ = runs.load(path)
    try:
        recipe.build().net.load_state_dict(carried(model, recipe.precond).net.state_dict())
    except (ValueError, RuntimeError) as error:
        other = runs.difference(to_dict(start.net), to_dict(recipe.net), "net")
        why = f"it has a model {other}" if other else error
        raise Refused(f"{path} is no start for this run: {why}") from error
    return replace(recipe, start=start)


def copy_start(source: Path, start: Path) -> None:
    """Copy a trained model into a run's folder: weights, log and sheets, its start's too."""
    if (start / runs.MODEL).exists():
        return
    files = {start / runs.MODEL: source}
    if source.is_dir():
        parts = [(f / LOG, *(f / STRIPS).glob("*.png"), f / runs.MODEL) for f in trainings(source)]
        files = {start / p.relative_to(source): p for part in parts for p in part if p.exists()}
    for path, old in files.items():  # the weights last: without them it is not there
        checkpoint.replace(path, lambda part, old=old: shutil.copyfile(old, part))


def default_folder(preset: str, seed: int, settings: list[str]) -> Path:
    """The folder of a run that names none: other settings are another run, in another folder."""
    words = "-".join((preset, str(seed), *settings))
    name = re.sub(r"[^A-Za-z0-9._=+-]", "_", words)
    if name != words or len(name) > 80:  # a file system may not take it as it is
        name = f"{name[:60]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
    return Path("runs") / name


def with_accelerator(recipe: Recipe, accelerator: str) -> Recipe:
    """The recipe and its start on another kind of device."""
    if accelerator not in ("cpu", "cuda", "auto"):
        raise Refused(f"--accelerator takes cpu, cuda or auto, not {accelerator}")
    start = recipe.start and with_accelerator(recipe.start, accelerator)
    return replace(recipe, train=replace(recipe.train, accelerator=accelerator), start=start)


def check_folder(
    folder: Path, resume: bool, parent: Path | None = None, start: Path | None = None
) -> None:
    """Raise Refused if the run may not be written into this folder."""
    if folder.resolve() in {place.resolve() for place in (parent, start) if place}:
        raise Refused(f"{folder} is the run to go on from; give the new one another --out")
    if (folder / runs.PARENT).exists() and not (folder / runs.CHECKPOINT).exists() and not parent:
        raise Refused(f"{folder} was to continue another run and has not begun; give --continue")
    if folder.exists() and is_begun(folder) and not resume:
        raise Refused(f"{folder} is not empty; add --resume to go on, or choose another --out")


def with_parts(recipe: Recipe, engine: Engine, folder: Path) -> Recipe:
    """The recipe with its batch shared among all processes. Raises Refused if it cannot be."""
    try:
        return runs.with_parts(recipe, engine.processes, folder)
    except ValueError as error:
        raise error if isinstance(error, BadFile) else Refused(str(error)) from error


def train_and_evaluate(
    args: argparse.Namespace, settings: list[str], recipe: Recipe, folder: Path, engine: Engine
) -> int:
    """Train, evaluate, write model and record, and print the facts."""
    bar = sys.stderr.isatty()
    with engine.launched(recipe.train) as fabric:
        if recipe.train.precision == BF16_MIXED and fabric.is_global_zero:
            sys.stderr.write(device_and_precision(recipe.train) + "\n")
        trainer = runs.fit(recipe, folder, bar=bar, fabric=fabric, compiled=args.compile)
    if not fabric.is_global_zero:
        return 0
    control = RunControl(folder, runs.stage_of(recipe, folder))
    control.write_state("scoring", trainer)
    try:
        found = scores(trainer, recipe)
    except Stopped:
        with suppress(BadFile):
            control.write_state("stopped", trainer)
        raise
    facts = {
        "preset": args.preset,
        "settings": settings,
        "seed": args.seed,
        **machine(engine, fabric, args.compile),
        **budget(trainer, recipe, folder),
        "scores": found,
    }
    runs.finish(trainer, recipe, folder, facts)
    control.write_state("finished", trainer)
    say({key: facts[key] for key in facts if key != "scores"} | facts["scores"])
    return 0


def scores(trainer: Trainer, recipe: Recipe) -> dict[str, float | None]:
    """The scores; none, and a sentence, if the evaluator's settings make none: the run is kept."""
    try:
        return runs.evaluate_model(trainer.ema.model, recipe)
    except BadFile:
        raise
    except ValueError as error:
        sys.stderr.write(f"cmlab: the run is trained and has no scores: {error}\n")
        return {}


def machine(engine: Engine, fabric: Fabric, compiled: bool) -> dict[str, Any]:
    """The hardware that the run used, for the record."""
    return {
        "processes": engine.processes,
        "device": engine.device_name(fabric),
        "compile": compiled,
    }


def budget(trainer: Trainer, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """The training budget that was spent, that of the start included, for the record."""
    return {
        "steps": trainer.step,
        "batch": recipe.train.batch,
        "samples_seen": runs.samples_seen(trainer, recipe),
        "seconds": round(runs.seconds(trainer, recipe, folder), 2),
        "cpu_hours": round(runs.cpu_hours(trainer, recipe, folder), 3),
    }
