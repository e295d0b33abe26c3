"""Observers: what a study measures while a run trains, and once at its end."""

from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from cmlab.data.toy import ToyData
from cmlab.methods import SCM
from cmlab.metrics.toy import answers, rmse_by_level, truth
from cmlab.model import Denoiser, conditioned
from cmlab.ops import seeded
from cmlab.train.recipe import Recipe
from cmlab.train.runs import evaluate_model
from cmlab.train.trainer import Trainer

Arrays = dict[str, np.ndarray]


@runtime_checkable
class Observer(Protocol):
    """Measures a run: repeatedly during training (these are stacked), and at its end."""

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays: ...

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays: ...


@dataclass(frozen=True)
class NothingObserver:
    """Nothing beside the evaluator's scores and the loss."""

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return {}

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return {}


@dataclass(frozen=True)
class ErrorObserver:
    """The error of a toy run to the exact consistency function, and one-step samples.

    `data` has the exact function to compare with; it defaults to the data of the run.

    error  (levels,) √(mean ‖f_θ - f*‖²) of the weights as they train, by noise level
    levels (levels,) those levels, once
    cloud  (points, d) one-step samples of the averaged weights, from noise of a fixed seed
    """

    data: ToyData | None = None
    points: int = 512

    def exact(self, recipe: Recipe) -> ToyData:
        return self.data or recipe.data  # type: ignore[return-value]

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        exact = truth(self.exact(recipe))
        error = rmse_by_level(trainer.model.eval(), trainer.model.process, exact)
        trainer.model.train()
        return {"error": error.numpy().astype(np.float32)}

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        exact, model = truth(self.exact(recipe)), trainer.ema.model
        with seeded(torch.device("cpu"), 0):
            z = torch.randn_like(recipe.data.sample(self.points)[0])
        with torch.no_grad():
            cloud = recipe.sampler(model.process, model, z, 1)
        error = rmse_by_level(model, model.process, exact)
        return {
            "cloud": cloud.numpy().astype(np.float16),
            "levels": exact.levels.numpy(),
            "average_error": error.numpy().astype(np.float32),
        }


@dataclass(frozen=True)
class LineMapObserver:
    """A run on the line: the arrays of `ErrorObserver`, and the whole function at its end.

    map  (levels, places) f_θ(x, σ) of the averaged weights at x = place · √(σ² + σ_d²)
    """

    data: ToyData
    places: int = 121
    reach: float = 3.0  # in standard deviations of the noisy data

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return ErrorObserver().observe(trainer, recipe)

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        base = ErrorObserver().observe_end(trainer, recipe)
        level = torch.from_numpy(base["levels"])
        place = torch.linspace(-self.reach, self.reach, self.places, dtype=torch.float64)
        x = place * (level[:, None] ** 2 + self.data.sigma_data**2).sqrt()
        model, flat = trainer.ema.model, level.repeat_interleave(self.places)
        f = answers(model, model.process, x.reshape(-1, 1), flat).reshape(x.shape)
        return base | {"place": place.numpy(), "map": f.numpy().astype(np.float32)}


@dataclass(frozen=True)
class TangentObserver:
    """An sCM run: the arrays of `ErrorObserver`, and the norm of the tangent.

    tangent (levels, 3) median, 99th percentile and maximum of ‖cos(t) df/dt‖ before it is bounded,
                        from 256 samples a level, the warm-up taken as done
    weight  (levels,)   the learned w_φ(t) at the end; 0 where there is none
    """

    points: int = 256

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        base = ErrorObserver().observe(trainer, recipe)
        lengths = tangent_lengths(trainer.model, cast(SCM, trainer.method), recipe, self.points)
        q = torch.tensor([0.5, 0.99, 1.0])
        return base | {"tangent": lengths.quantile(q, dim=1).T.float().numpy()}

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        base = ErrorObserver().observe_end(trainer, recipe)
        level = torch.from_numpy(base["levels"]).float()
        t, balance = trainer.model.process.time(level), cast(SCM, trainer.method).loss_weighting
        with torch.no_grad():  # e^w · 0 - w
            w = -balance(t, torch.zeros_like(t))
        return base | {"weight": w.numpy()}


def tangent_lengths(model: Denoiser, method: SCM, recipe: Recipe, points: int) -> Tensor:
    """Tangent norms ‖cos(t) df/dt‖ (levels, points) at the exact answers' levels; fixed x, z."""
    levels = truth(cast(ToyData, recipe.data)).levels.float()
    with seeded(torch.device("cpu"), 1):
        x, _ = recipe.data.sample(len(levels) * points)
        z = torch.randn_like(x)
    process, t = model.process, model.process.time(levels).repeat_interleave(points)
    x_t = process.perturb(x, z, t)
    dx_t = process.velocity(x_t, method.teacher(x, None)(x_t, t), t)
    with torch.no_grad():
        _, g = method.tangent(model, x_t, t, dx_t, 10**9)
    return g.norm(dim=1).reshape(len(levels), points)


@dataclass(frozen=True)
class ImageObserver:
    """A run on images: evaluation scores during training, and samples from a fixed noise.

    scores   (names,) the evaluator's numbers for the averaged weights, at each observation
    pictures (n, *d) one-step samples of the averaged weights at the end, uint8
    """

    n: int = 40

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        scores = evaluate_model(trainer.ema.model, recipe).values()
        return {"scores": np.array([np.nan if s is None else s for s in scores])}

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, classes = trainer.ema.model, getattr(recipe.net, "classes", 0)
        with seeded(torch.device("cpu"), 0):
            z = torch.randn_like(recipe.data.sample(self.n)[0])
        cond = torch.arange(self.n) % classes if classes else None
        with torch.no_grad():
            x = recipe.sampler(model.process, conditioned(model, cond), z, 1)
        grey = (x.clamp(-1, 1) + 1) * 127.5
        return {"pictures": grey.round().to(torch.uint8).numpy()}
