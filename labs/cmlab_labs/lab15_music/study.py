"""Studies of lab 15, music: a guided teacher by DDIM steps, and its student in few calls.

music-teacher  teacher    the shipped denoiser, guided (w = 2) and not, by DDIM steps, and by ones
                          with fresh noise; nothing is trained, the seed is that of the noise
music          student    MusicCM from the shipped teacher
               no-critic  the same without the adversarial loss
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from cmlab.methods.posterior_sampling import ancestral
from cmlab.model import Denoiser
from cmlab.nets.pretrained import PretrainedNet
from cmlab.process import Process
from cmlab.sampling import ddim, ode
from cmlab.teacher import Guided, NetworkTeacher
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer
from cmlab.types import Data, Denoise, Solver, Time

from ..common.observers import Arrays
from ..common.study import Study
from . import preset
from .analysis import MusicEvaluator, by_overlap

STEPS = 2400
SOLVER_STEPS = (2, 4, 8, 16, 50)
SCALES = (0.0, 2.0)


def student(seed: int) -> Recipe:
    return preset.cd(STEPS, seed)


def no_critic(seed: int) -> Recipe:
    return preset.cd(STEPS, seed, critic=False)


@dataclass(frozen=True)
class StudentClips:
    """Observer of a student's clips at the end; its scores are the evaluator's.

    pictures (4, bands, columns) clips in 4 calls, one of each loop, of a fixed noise
    seams, long_pitch (ways, overlaps) seam error and pitch accuracy of long clips
    """

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return {}

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, sampler = trainer.ema.model, preset.SAMPLER
        kept: list[torch.Tensor] = []

        def draw(z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            kept.append(sampler(model.process, lambda x_t, t: model(x_t, t, labels), z, 4))
            return kept[0]

        MusicEvaluator(8).score(draw)
        seams, pitch = (table.numpy() for table in by_overlap(model, sampler))
        pictures = kept[0][:4, 0].numpy().astype(np.float16)
        return {"pictures": pictures, "seams": seams, "long_pitch": pitch}


@dataclass(frozen=True)
class TeacherClips:
    """Observer of a denoiser's clips by DDIM steps; the seed of the noise is the run's.

    distance, pitch (scales, solver steps) of clips guided by each of SCALES
    fresh (2,) distance and pitch of unguided clips in 50 steps with fresh noise after each
    pictures (scales, 4, bands, columns) in 50 steps, of the same noise as `StudentClips`'s
    """

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return {}

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, evaluator = trainer.ema.model, MusicEvaluator(seed=recipe.train.seed)
        found = np.array([[evaluator.score(GuidedSteps(model, w, n)) for n in SOLVER_STEPS]
                          for w in SCALES])  # fmt: skip
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            z, labels = torch.randn(8, *preset.DATA.shape), torch.arange(8) % 4
        shown = torch.stack([GuidedSteps(model, w, 50)(z, labels)[:4, 0] for w in SCALES])
        fresh = evaluator.score(GuidedSteps(model, 0.0, 50, fresh_noise))
        return {"distance": found[..., 0], "pitch": found[..., 1], "fresh": np.array(fresh),
                "pictures": shown.numpy().astype(np.float16)}  # fmt: skip


@dataclass(frozen=True, eq=False)
class GuidedSteps:
    """Clips of a guided denoiser by so many steps of a solver: (z, labels) -> x."""

    model: Denoiser
    scale: float
    steps: int
    solver: Solver = ddim

    @torch.no_grad()
    def __call__(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        guided = Guided(NetworkTeacher(self.model), self.scale, preset.DATA.null)(z, labels)
        times = preset.GRID.down(self.steps).to(z)
        *_, x = ode(self.model.process, guided, times[0] * z, times, self.solver)
        return x


def fresh_noise(process: Process, denoise: Denoise, x_t: Data, t: Time, r: Time) -> Data:
    """A step with fresh noise, under x_t = x + t z, in place of the noise of x_t."""
    return ancestral(x_t, denoise(x_t, t), t, r, torch.randn_like(x_t))


def untrained(seed: int) -> Recipe:
    """The shipped teacher as it is."""
    return replace(preset.edm(0, seed), net=PretrainedNet(preset.NET, preset.TEACHER))


STUDENT = Study("music", {"student": student, "no-critic": no_critic}, StudentClips(), 1)
TEACHER = Study("music-teacher", {"teacher": untrained}, TeacherClips(), 1)
