"""cmlab train: one process, or as many as there are devices; in a terminal or under a notebook."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from ..presets import PRESETS
from ..train import cost, runs
from ..train.checkpoint import BadFile
from ..train.control import Sitting, stoppable
from ..train.distributed import Engine
from ..train.recipe import Recipe
from ..train.trainer import Trainer
from .settings import Refused, recipe_of, rehearse, say

STOPPED = 3  # exit status of a run that was asked to stop


def add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument("preset", help=", ".join(PRESETS))
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--set", metavar="key=value", action="append", default=[], nargs="+")
    train.add_argument("--out", type=Path, help="the run's folder; default runs/PRESET-SEED")
    train.add_argument("--resume", action="store_true", help="go on where the folder ends")
    train.add_argument("--data", type=Path, help="where the data lie, for presets that read files")
    train.add_argument("--devices", type=int, default=1, help="on each machine")
    train.add_argument("--nodes", type=int, default=1, help="machines; start this on each")
    train.add_argument("--accelerator", help="cpu, cuda or auto; default: the preset's")
    train.add_argument("--compile", action="store_true", help="torch.compile, where it works")
    train.add_argument("--plan", action="store_true", help="say what it will cost, and end")


def first_process() -> bool:
    """Whether this is the process that the command was given to, of all that share the run."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(rank, "0") == "0" for rank in ranks)


def train(given: argparse.Namespace) -> int:
    if given.devices < 1 or given.nodes < 1:
        raise Refused(f"--devices and --nodes take 1 or more, not {given.devices}, {given.nodes}")
    if given.data:
        os.environ["CMLAB_DATA"] = str(given.data.resolve())
    settings = [word for words in given.set for word in words]
    recipe = recipe_of(given.preset, given.seed, settings)
    if given.accelerator:
        recipe = on(given.accelerator, recipe)
    folder = given.out or Path("runs") / f"{given.preset}-{given.seed}"
    engine = Engine(given.devices, given.nodes)
    if given.plan:
        say(cost.table(cost.forecast(recipe, engine.processes)))
        return 0
    if first_process():
        check(folder, given.resume)
        rehearse(recipe)
    recipe = cut(recipe, engine, folder)
    with stoppable(Sitting(folder)):
        return run(given, settings, recipe, folder, engine)


def on(accelerator: str, recipe: Recipe) -> Recipe:
    """The recipe and its start on another sort of device."""
    if accelerator not in ("cpu", "cuda", "auto"):
        raise Refused(f"--accelerator takes cpu, cuda or auto, not {accelerator}")
    start = recipe.start and on(accelerator, recipe.start)
    return replace(recipe, train=replace(recipe.train, accelerator=accelerator), start=start)


def check(folder: Path, resume: bool) -> None:
    """Raise Refused for a folder that a run may not go into."""
    if folder.exists() and not folder.is_dir():
        raise Refused(f"{folder} is a file; choose another --out")
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise Refused(f"{folder} is not empty; add --resume to go on, or choose another --out")


def cut(recipe: Recipe, engine: Engine, folder: Path) -> Recipe:
    """The recipe in parts for all processes. Raises Refused where that cannot be."""
    try:
        return runs.shared(recipe, engine.processes, folder)
    except ValueError as error:
        raise error if isinstance(error, BadFile) else Refused(str(error)) from error


def run(
    given: argparse.Namespace, settings: list[str], recipe: Recipe, folder: Path, engine: Engine
) -> int:
    bar = sys.stderr.isatty()
    with engine.together(recipe.train) as fabric:
        trainer = runs.fit(recipe, folder, bar=bar, fabric=fabric, compiled=given.compile)
    if not fabric.is_global_zero:
        return 0
    sitting = Sitting(folder, (2, 2) if recipe.start else (1, 1))
    sitting.tell("scoring", trainer)
    facts = {
        "preset": given.preset,
        "settings": settings,
        "seed": given.seed,
        **given_to(engine, fabric, given.compile),
        **spent(trainer, recipe, folder),
        "scores": runs.judged(trainer.ema.model, recipe),
    }
    runs.finish(trainer, recipe, folder, facts)
    sitting.tell("finished", trainer)
    say({key: facts[key] for key in facts if key != "scores"} | facts["scores"])
    return 0


def given_to(engine: Engine, fabric: Fabric, compiled: bool) -> dict[str, Any]:
    """The machine that the run was given."""
    return {
        "processes": engine.processes,
        "device": engine.device(fabric),
        "compile": compiled,
    }


def spent(trainer: Trainer, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """The budget, that of the start counted."""
    return {
        "steps": trainer.step,
        "batch": recipe.train.batch,
        "samples_seen": runs.samples_seen(trainer, recipe),
        "seconds": round(runs.seconds(trainer, recipe, folder), 2),
        "cpu_hours": round(runs.cpu_hours(trainer, recipe, folder), 3),
    }
