"""What a redraw of an explorer costs: quick, as while a slider is dragged, and in full.

    python benchmarks/redraw.py [--redraws 40]

Prints one JSON line for each of six labs: milliseconds of CPU time on one thread, lowest and
median. "new" draws as if nothing were kept: a new figure, as PNG at 90 dots per inch.
"""

import argparse
import json
from collections.abc import Callable
from importlib import import_module
from statistics import median
from time import process_time
from typing import Any

import torch
from cmlab_labs.common.explorer import Explorer
from cmlab_labs.common.generators import GENERATOR

from cmlab.data.toy import Bumps
from cmlab.metrics.plots import png
from cmlab.train import runs


def generator() -> tuple[Any, ...]:
    model, recipe, _ = runs.load(GENERATOR)
    return model.requires_grad_(False), recipe.sampler


LINE = (Bumps().oracle,)
DRAGGED: dict[str, tuple[Callable[[], tuple[Any, ...]], str]] = {  # and the slider that is dragged
    "lab00_start": (generator, "seed"),
    "lab01_flow": (tuple, "start"),
    "lab02_consistency": (lambda: LINE, "offset"),
    "lab05_training": (lambda: LINE, "ratio"),
    "lab06_ema": (tuple, "step"),
    "lab10_scm": (tuple, "r"),
}


def new(one: Explorer) -> None:
    """A redraw that keeps nothing."""
    png(one.draw(**{name: knob.value for name, knob in one.knobs.items()}).figure, dpi=90)


WAYS = {
    "quick": Explorer.glance,
    "new": new,
    "full": Explorer.refresh,
    "sharpen": Explorer.sharpen,
}


def milliseconds(one: Explorer, knob: str, redraws: int) -> dict[str, str]:
    """Lowest and median CPU time of each way, without the first redraws, which fill caches."""
    slider, found = one.knobs[knob], {}
    one.turning = True  # it draws when it is told to
    for name, way in WAYS.items():
        taken = []
        for number in range(redraws + 8):
            share = number / (redraws + 8)
            slider.value = type(slider.value)(slider.min + share * (slider.max - slider.min))
            start = process_time()
            way(one)
            taken.append(1000 * (process_time() - start))
        found[name] = f"{min(taken[8:]):.0f}, {median(taken[8:]):.0f}"
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--redraws", type=int, default=40)
    given = words.parse_args()
    torch.set_num_threads(1)
    for lab, (make, knob) in DRAGGED.items():
        one = import_module(f"cmlab_labs.{lab}.explorer").explorer(*make())
        print(json.dumps({"lab": lab, **milliseconds(one, knob, given.redraws)}), flush=True)


if __name__ == "__main__":
    main()
