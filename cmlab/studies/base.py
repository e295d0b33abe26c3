"""A study: arms that differ in one thing, each trained on several seeds and watched."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..recipe import Recipe
from ..runs import begin, judged, versions
from ..train import NotFinite, Trainer
from .recording import Recording
from .watch import AgainstLaw, Arrays, Watch

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Study:
    """Arms by name: seed -> recipe. Looks are evenly spaced over a run, its beginning included."""

    name: str
    arms: Mapping[str, Callable[[int], Recipe]]
    watch: Watch = AgainstLaw()
    looks: int = 40

    def record(self, arm: str, seeds: Sequence[int] = SEEDS) -> Recording:
        """Train this arm on each seed, and keep what was seen."""
        recipes = (self.arms[arm](seed) for seed in seeds)
        runs = [(recipe, *self.watched(recipe)) for recipe in recipes]
        record = {
            "command": f"cmlab record {self.name} {arm} --seeds {','.join(map(str, seeds))}",
            "study": self.name,
            "arm": arm,
            "seeds": list(seeds),
            "samples": runs[0][0].samples,
            "seconds": [round(trainer.seconds, 2) for _, trainer, _, _ in runs],
            "scores": [scores for _, _, scores, _ in runs],
            "versions": versions(),
        }
        seen = [arrays for *_, arrays in runs]
        return Recording({name: np.stack([a[name] for a in seen]) for name in seen[0]}, record)

    def watched(self, recipe: Recipe) -> tuple[Trainer, dict[str, float | None], Arrays]:
        """One run: the trainer at its end, the judge's scores, and the arrays.

        steps (looks + 1,) the moments; loss (looks + 1,) the running mean of the loss, nan at 0.
        A run whose loss is not finite keeps the weights that it had, and is looked at as it was.
        """
        trainer = recipe.trainer(begin(recipe, None, recipe.train.steps, False))
        rows = list(self.moments(trainer, recipe))
        seen = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        seen |= self.watch.last(trainer, recipe)
        return trainer, judged(trainer.ema.model, recipe), seen

    def moments(self, trainer: Trainer, recipe: Recipe) -> Iterator[Arrays]:
        """What is seen at each moment."""
        whole, run, alive = recipe.train.steps, trainer.run(), True
        for look in range(self.looks + 1):
            moment = round(look * whole / self.looks)
            try:
                while alive and trainer.step < moment:
                    next(run)
            except NotFinite:
                alive = False
            here = {"steps": np.array(trainer.step), "loss": np.float32(trainer.average)}
            yield {k: np.asarray(v) for k, v in here.items()} | self.watch.look(trainer, recipe)
