"""One run of one method: its networks are trained, asked, and accounted for."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from time import process_time

from .. import checkpoint
from ..evaluate.consistency import rmse_by_level, truth
from ..forecast import forecast
from ..guide import Exact
from ..model import Denoiser
from ..recipe import Recipe, canonical, canonical_repr, to_dict
from ..runs import begin, versions
from ..train import NotFinite
from .asked import Networks
from .entries import STEPS, Entry
from .ledger import LEDGER, Row, weights_of

SIGMA_MIN = 0.002


def fingerprint(recipes: Mapping[str, Recipe], entry: Entry) -> str:
    """A hash of what a run is asked to do: a row with another one is stale. The code is not in it.

    Recipes name their law; where nothing is trained the law is named instead. Classes and fields
    stand under their earliest recorded names, so that moving or renaming one makes no row stale.
    """
    kept = {role: canonical(recipe) for role, recipe in recipes.items()}
    text = json.dumps(kept or canonical_repr(entry.data), sort_keys=True)
    return hashlib.sha256(f"{text} {canonical_repr(entry.asked)}".encode()).hexdigest()[:12]


def recipes_of(entry: Entry, seed: int, steps: int = STEPS) -> dict[str, Recipe]:
    """The recipes of an entry's networks, by role."""
    return {role: make(steps, seed) for role, make in entry.parts.items()}


def measured(arm: str, entry: Entry, seed: int, steps: int = STEPS, table: Path = LEDGER) -> Row:
    """Train, ask, and answer with the row; seed 0 leaves its networks beside the table.

    seconds  of this process's CPU, for training alone; bytes of memory are counted, not measured.
    A run whose loss is not finite leaves "failed", the reason, in place of answers.
    """
    recipes, start = recipes_of(entry, seed, steps), process_time()
    row: Row = {"arm": arm, "seed": seed, "key": fingerprint(recipes, entry)}
    try:
        models = {role: trained(recipe) for role, recipe in recipes.items()}
    except NotFinite as error:
        return row | {"failed": str(error)}
    row |= {"seconds": round(process_time() - start, 2)} | costs(recipes)
    if seed == 0:
        for role, model in models.items():
            keep(model, recipes[role], weights_of(arm, role, table))
    if "f" in models:
        row |= map_errors(models["f"], entry)
    answers = entry.asked(networks(models, entry), entry.data, seed)
    return row | {"answers": [rounded(a) for a in answers], "versions": versions()}


def trained(recipe: Recipe) -> Denoiser:
    """The averaged network at the end of a run."""
    trainer = recipe.trainer(begin(recipe, None, recipe.train.steps, False)).fit()
    return trainer.ema.model.eval().requires_grad_(False)


def networks(models: Mapping[str, Denoiser], entry: Entry) -> Networks:
    """What is asked, by role; the exact denoiser stands in where nothing was trained."""
    exact = Exact(entry.data)
    found = {role: (model.process, model) for role, model in models.items()}
    return found or {"f": (exact.process, exact.denoise)}


def costs(recipes: Mapping[str, Recipe]) -> Row:
    """Samples of all trainings, those before the last one apart, and the most bytes at once."""
    plans = [forecast(recipe) for recipe in recipes.values()]
    before = sum(r.start.samples for r in recipes.values() if r.start)
    return {
        "samples": sum(r.samples for r in recipes.values()),
        "pretraining": before,
        "bytes": max((f.memory for plan in plans for f in plan), default=0),
    }


def map_errors(model: Denoiser, entry: Entry) -> Row:
    """RMS distance to f*: over 32 noise levels, at the top one, and at each."""
    levels = truth(entry.data, SIGMA_MIN, seed=0)
    error = rmse_by_level(model, model.process, levels)
    return {
        "rmse": round(float(error.square().mean().sqrt()), 5),
        "rmse_max": round(float(error[-1]), 5),
        "rmse_by_level": [round(e, 5) for e in error.tolist()],
    }


def keep(model: Denoiser, recipe: Recipe, path: Path) -> None:
    """The weights in half precision, with the recipe in the header."""
    half = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    checkpoint.write(path, half, {"recipe": to_dict(recipe), "dtype": "float16"})


def rounded(answer: Row) -> Row:
    """Five digits are more than the seeds share."""
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in answer.items()}
