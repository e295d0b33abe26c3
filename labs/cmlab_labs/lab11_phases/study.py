"""Study of lab 11: PCM with four phases on digits, one variant.

1500 steps in all, 600 of them for the denoiser that is then the teacher.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from cmlab.data.digits import Digits
from cmlab.methods import PCM
from cmlab.methods.pcm import PhasedSteps
from cmlab.metrics.digits import digits_by_calls
from cmlab.ops import seeded
from cmlab.presets import phased
from cmlab.process import Process
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer
from cmlab.types import Denoise

from ..common.observers import Arrays
from ..common.study import Study

STEPS, SHOWN = 1500, 20
COUNTS = (1, 2, 4)
WAYS = ("phased", "stochastic", "teacher")

Conditioned = Callable[[Tensor], Denoise]  # labels -> a denoiser of pictures with these labels


@dataclass(frozen=True)
class PhasedDigits:
    """Observer of digits by the number of calls, the same noises for all samplers.

    fd        (3, 3) Fréchet distance of the WAYS in 1, 2, 4 calls: the student's jumps, the
              student with fresh noise between its calls, and its teacher's jumps (DDIM)
    pictures  (3, 3, n, *d) of the same, uint8
    """

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        return {}  # an observation takes as long as a tenth of the run

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, method = trainer.ema.model, cast(PCM, trainer.method)
        sampler = cast(PhasedSteps, recipe.sampler)

        def student(labels: Tensor) -> Denoise:
            return lambda x_t, t: model(x_t, t, labels)

        def teacher(labels: Tensor) -> Denoise:
            return method.teacher(labels, labels)

        ways = ((student, sampler), (student, replace(sampler, keep=0.0)), (teacher, sampler))
        makers = [partial(generate, model.process, denoise, steps) for denoise, steps in ways]
        found = [digits_by_calls(maker, COUNTS) for maker in makers]
        return {
            "fd": np.array([[row[f"fd{n}"] for n in COUNTS] for row in found], np.float32),
            "pictures": np.array([[pictures(maker, n) for n in COUNTS] for maker in makers]),
        }


@torch.no_grad()
def generate(
    process: Process,
    denoise: Conditioned,
    sampler: PhasedSteps,
    z: Tensor,
    labels: Tensor,
    calls: int,
) -> Tensor:
    """Pictures with these labels from these noises."""
    return sampler(process, denoise(labels), z, calls)


def pictures(maker: Callable[[Tensor, Tensor, int], Tensor], calls: int) -> np.ndarray:
    """The first digits of a fixed noise, the classes in turn; uint8."""
    labels = torch.arange(SHOWN) % 10
    with seeded(torch.device("cpu"), 0):
        x = maker(torch.randn(SHOWN, *Digits().shape), labels, calls)
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()


STUDY = Study(
    "phased-digits",
    {"pcm": lambda seed: phased.digit(STEPS, seed)},
    PhasedDigits(),
    observations=5,
)
