"""Steps and phases on the ring, with the exact teacher; and phases on digits.

m1 m2 m4 m8   a phased model of so many phases, 4000 steps each; m1 is a consistency model
bad           m1, but a tenth of the steps
m4-critic     m4 with the adversarial term
"""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import nn

from ..adversary import Critic
from ..data.toy import ToyData
from ..evaluate.ends import score_ends
from ..methods import PCM
from ..nets.critic import PointCriticShape
from ..phases import PhasedSteps
from ..presets import phased
from ..recipe import Recipe
from ..train import Trainer
from .base import Study
from .watch import Arrays

STEPS = 4000
COUNTS = (1, 2, 4, 8)
SCORES = ("end", "rms", "same", "sw")
KEEPS = (0.0, 1.0)  # stochastic, as `multistep`; deterministic, as the phased sampler


@dataclass(frozen=True)
class Whereabouts:
    """Where samples end, on the noises of `score_ends`.

    end      (4,) SCORES in as many calls as there are phases, of the weights as they train
    ends     (2, 4, 4) SCORES at the end by KEEPS and by 1, 2, 4, 8 calls, averaged weights
    weights  (weights,) of the first seed's averaged network, float16; 0 for the others
    """

    def look(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        method, model = cast(PCM, recipe.method), trainer.model.eval()
        data, sampler = cast(ToyData, recipe.data), recipe.sampler
        found = score_ends(model, model.process, data, sampler, len(method.phases))
        model.train()
        return {"end": np.array([found[name] for name in SCORES], np.float32)}

    def last(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        model, data = trainer.ema.model, cast(ToyData, recipe.data)
        sampler = cast(PhasedSteps, recipe.sampler)
        ways = [replace(sampler, keep=keep) for keep in KEEPS]
        rows = [[score_ends(model, model.process, data, way, n) for n in COUNTS] for way in ways]
        ends = [[[found[name] for name in SCORES] for found in row] for row in rows]
        kept = weights(model) * (recipe.train.seed == 0)
        return {"ends": np.array(ends, np.float32), "weights": kept}


def weights(model: nn.Module) -> np.ndarray:
    """All parameters in a row, float16."""
    return nn.utils.parameters_to_vector(model.parameters()).detach().half().numpy()


def revived(arm: str, row: np.ndarray) -> nn.Module:
    """The network of the first seed, from the weights that its recording keeps."""
    model = STUDY.arms[arm](0).build().requires_grad_(False).eval()
    nn.utils.vector_to_parameters(torch.from_numpy(row).float(), model.parameters())
    return model


def ring(phases: int, seed: int, steps: int = STEPS, critic: bool = False) -> Recipe:
    """The preset of so many phases."""
    recipe = phased.ring(steps=steps, seed=seed, phases=phases)
    if not critic:
        return recipe
    learned = Critic(PointCriticShape(2, 64), seed=seed)
    return replace(recipe, method=replace(cast(PCM, recipe.method), critic=learned))


STUDY = Study(
    "phases",
    {
        "m1": lambda seed: ring(1, seed),
        "m2": lambda seed: ring(2, seed),
        "m4": lambda seed: ring(4, seed),
        "m8": lambda seed: ring(8, seed),
        "bad": lambda seed: ring(1, seed, STEPS // 10),
        "m4-critic": lambda seed: ring(4, seed, critic=True),
    },
    Whereabouts(),
    looks=10,
)
