"""sCT live: choose time features, bound and warm-up, and watch the error and the tangent."""

from functools import lru_cache
from typing import Any

import ipywidgets as ipw
import numpy as np

from ..checkpoint import BadFile
from ..evaluate.consistency import truth
from ..figures.tangent_course import Course, training
from ..nets.embedding import Embed, Fourier, Positional
from ..presets.toy import RING
from ..recipe import Recipe
from ..schedule import Warmup
from ..studies import read
from ..studies.stabilisers import NONE, STEPS, Arm
from ..studies.watch import Arrays, Tangents
from ..tangent import Clip, Unbounded, UnitNorm, UnitRMS
from ..train import Trainer
from ..vocabulary import Bound, Schedule
from .base import Picture, choice
from .live import LiveTraining

EMBEDS: dict[str, Embed] = {
    "positional": Positional(32),
    "Fourier 0.3": Fourier(32, 0.3),
    "Fourier 16": Fourier(32, 16.0),
}
BOUNDS: dict[str, Bound] = {
    "norm": UnitNorm(0.1), "RMS": UnitRMS(0.1), "clip": Clip(), "none": Unbounded()
}  # fmt: skip
WARMUPS: dict[str, Schedule] = {
    "none": NONE, "250 steps": Warmup(STEPS // 16), "1000 steps": Warmup(STEPS // 4)
}  # fmt: skip
FRESH_SEED = 3  # the recordings have 0, 1 and 2
WATCH = Tangents(points=32)


@lru_cache(maxsize=8)
def recorded(arm: str) -> Course | None:
    """The recorded runs of an arm of the study "stabilisers", in the mean of their seeds.

    None where there is no recording.
    """
    try:
        found = read("stabilisers", arm)
    except BadFile:
        return None
    error = np.sqrt(np.square(found["error"]).mean(0))
    return Course(found["steps"][0], found["levels"][0], error, found["tangent"].mean(0))


class Retrain(ipw.VBox):
    """A fresh run of sCT with these ingredients, while you watch. Nothing runs before Start.

    `knobs` has `embed`, `bound` and `warmup`; turning one stops the run and sets it back to
    step 0. `live` is the training itself.
    """

    def __init__(self) -> None:
        self.knobs: dict[str, Any] = {
            "embed": choice("time features", tuple(EMBEDS), "Fourier 16"),
            "bound": choice("bound", tuple(BOUNDS)),
            "warmup": choice("warm-up", tuple(WARMUPS), "250 steps"),
        }
        self.seen: list[Arrays] = []
        self.live = LiveTraining(self.fresh, self.look)
        for name, knob in self.knobs.items():
            knob.add_class(f"lab-train-{name}")
            knob.observe(lambda change: self.live.reset(), names="value")
        row = ipw.Layout(flex_flow="row wrap", grid_gap="4px 16px")
        super().__init__([ipw.Box(list(self.knobs.values()), layout=row), self.live])

    @property
    def recipe(self) -> Recipe:
        """What the knobs stand on."""
        embed, bound, warmup = (knob.value for knob in self.knobs.values())
        chosen = Arm("chosen", BOUNDS[bound], WARMUPS[warmup], embed=EMBEDS[embed])
        return chosen(FRESH_SEED)

    def fresh(self) -> Trainer:
        """A trainer at step 0, and nothing seen yet."""
        self.seen.clear()
        return self.recipe.trainer()

    def look(self, trainer: Trainer) -> Picture:
        """Add where the trainer stands to the course."""
        here = WATCH.look(trainer, self.recipe)
        self.seen.append(here | {"steps": np.array(trainer.step)})
        run = self.course
        return Picture(training(run, recorded("sct"), trainer.config.steps), self.reading(run))

    @property
    def course(self) -> Course:
        """What has been seen so far."""
        rows = [
            np.stack([one[name] for one in self.seen]) for name in ("steps", "error", "tangent")
        ]
        return Course(rows[0], truth(RING).levels.numpy(), rows[1], rows[2])

    def reading(self, run: Course) -> str:
        """What the picture shows, in three lines."""
        embed, bound, warmup = (knob.value for knob in self.knobs.values())
        says = [
            f"Step {run.steps[-1]}; time features {embed}, bound {bound}, warm-up {warmup}: "
            f"RMS error over all noise levels {run.total[-1]:.3g}.",
            f"Tangents before the bound: median {run.median[-1]:.3g}, longest "
            f"{run.longest[-1]:.3g}. At step 0 they were {run.median[0]:.3g} and "
            f"{run.longest[0]:.3g}.",
        ]
        return "\n".join([*says, *told(recorded("sct"), int(run.steps[-1]))])


def told(old: Course | None, step: int) -> list[str]:
    """The recorded run at the same step."""
    if old is None:
        return []
    at = old.at(step)
    return [
        f"Recorded sCT (positional, norm, warm-up 250; 3 seeds) at step {old.steps[at]}: "
        f"error {old.total[at]:.3g}, longest tangent {old.longest[at]:.3g}."
    ]
