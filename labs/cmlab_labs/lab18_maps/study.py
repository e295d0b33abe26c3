"""Studies of lab 18: flow maps trained by the conditions that tie a jump to its neighbours.

maps       on the ring: LSD, ESD, PSD, IMM, MeanFlow and others, nothing tuned for any of them
maps-line  LSD on the lab's two modes, a small network whose weights are kept
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from cmlab.data.toy import Bumps, ToyData
from cmlab.methods import IMM, MeanFlow, SelfDistillation
from cmlab.methods.alpha_flow import AlphaFlow, SigmoidDecay
from cmlab.methods.base import Method
from cmlab.methods.flow_map import Jumps, jump, mean_velocity
from cmlab.methods.imm import GroupedTimes
from cmlab.methods.meanflow import AdaptiveWeight
from cmlab.methods.self_distillation import Condition, Eulerian, Progressive
from cmlab.methods.shortcut import DyadicSteps, Shortcut
from cmlab.metrics.toy import exact_ends
from cmlab.model import Denoiser
from cmlab.nets.embedding import TwoTimes
from cmlab.nets.mlp import MLPShape
from cmlab.ops import sum_squares
from cmlab.schedules import Constant
from cmlab.teacher import BatchTeacher, EMATarget
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer
from cmlab.types import Data, Time

from ..common.observers import Arrays
from ..common.studies_shared import FLOW_STEPS, HALF, plain_flow_map
from ..common.study import Fact, Study, read

LINE = Bumps((0.4, 0.6), (-1.2, 1.0), (0.2, 0.2))
NOISE_LEVEL = 1e4 - 1  # t = 0.9999 in rectified flow


@dataclass(frozen=True)
class JumpObserver:
    """A flow map's jump from noise to data, beside the exact one from the same noise.

    one_call  √(mean ‖X_θ - X‖²) of 1024 noises, of the averaged weights, at each observation
    cloud     (1024, d) those jumps at the end, float16
    weights   the averaged network's weights in a row, float16, where `keep` is set
    """

    keep: bool = False

    def observe(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        ends = exact_ends(cast(ToyData, recipe.data), NOISE_LEVEL, 1024)
        error = sum_squares(self.jumps(trainer, recipe).double() - ends.exact).mean().sqrt()
        return {"one_call": error.float().numpy()}

    def observe_end(self, trainer: Trainer, recipe: Recipe) -> Arrays:
        arrays = {"cloud": self.jumps(trainer, recipe).numpy().astype(np.float16)}
        if self.keep:
            row = nn.utils.parameters_to_vector(trainer.ema.model.parameters())
            buffers = [b.flatten() for b in trainer.ema.model.buffers()]
            arrays["weights"] = torch.cat([row, *buffers]).detach().numpy().astype(np.float16)
        return arrays

    def jumps(self, trainer: Trainer, recipe: Recipe) -> torch.Tensor:
        z = exact_ends(cast(ToyData, recipe.data), NOISE_LEVEL, 1024).z
        model = trainer.ema.model
        with torch.no_grad():
            return Jumps()(model.process, model, z, 1)


def line_lsd(seed: int) -> Recipe:
    """LSD on the line, with a network of 15,000 weights."""
    recipe = plain_flow_map(SelfDistillation(), seed, LINE)
    return replace(recipe, net=MLPShape(dim=1, width=64, embed=TwoTimes()))


@dataclass(frozen=True)
class WholeEulerian(Condition):
    """The Eulerian condition without a stop-gradient."""

    def __call__(
        self, model: Denoiser, x_t: Data, t: Time, s: Time, cond: Tensor | None = None
    ) -> Data:
        def start(x_t: Tensor, t: Tensor) -> Tensor:
            return jump(model, x_t, t, s, cond)

        v = mean_velocity(model, x_t, t, t, cond)
        return cast(Data, torch.func.jvp(start, (x_t, t), (v, torch.ones_like(t)))[1])


METHODS: dict[str, Method] = {
    "lsd": SelfDistillation(), "esd": SelfDistillation(condition=Eulerian()),
    "psd": SelfDistillation(condition=Progressive()), "imm": IMM(),
    "meanflow": MeanFlow(weight=AdaptiveWeight(p=0.0)),
    "esd-whole": SelfDistillation(condition=WholeEulerian()),
    "imm-16": IMM(GroupedTimes(group=16)), "imm-batch": IMM(teacher=BatchTeacher()),
    "shortcut": Shortcut(DyadicSteps(longer=0.25), EMATarget(Constant(0.9)), clip=inf),
    "alpha-flow": AlphaFlow(SigmoidDecay(FLOW_STEPS), HALF, AdaptiveWeight(p=0.0)),
}  # fmt: skip
VARIANTS = {name: partial(plain_flow_map, method) for name, method in METHODS.items()}

STUDY = Study("maps", VARIANTS, JumpObserver())
LINE_STUDY = Study("maps-line", {"lsd": line_lsd}, JumpObserver(keep=True))


def trained_map(seed: int = 0) -> Callable[..., torch.Tensor]:
    """The recorded LSD model on the line as X(x_t, t, s), in float64."""
    model: Denoiser = line_lsd(seed).build()
    row = torch.from_numpy(read("maps-line", "lsd")["weights"][seed])
    model = model.double().eval().requires_grad_(False)
    count = sum(p.numel() for p in model.parameters())
    nn.utils.vector_to_parameters(row[:count].double(), model.parameters())
    for buffer in model.buffers():
        buffer.copy_(row[count : count + buffer.numel()].reshape(buffer.shape))
        count += buffer.numel()
    return lambda x, t, s: jump(model, x, t, s)


# Statements on methods of these labs that were made on other seeds first; see also lab 19

TITLES = {
    "lsd": "LSD", "esd": "ESD", "psd": "PSD", "imm": "IMM", "meanflow": "MeanFlow",
    "esd-whole": "without", "imm-16": "groups of 16", "shortcut": "Shortcut",
    "alpha-flow": "α-Flow", "imm sw1": "1 call", "imm sw4": "4 calls",
}  # fmt: skip
FINDINGS = (
    Fact(
        "of these four, one call of LSD ends nearest to the exact map, and one of MeanFlow almost "
        "twice as far away",
        "lsd rmse1", ("esd rmse1", "psd rmse1", "meanflow rmse1"), 1.6,
    ),
    Fact(
        "one call of IMM ends about as near to the exact map as one call of LSD",
        "imm rmse1", ("lsd rmse1",), 0,
    ),
    Fact(
        "… but the velocity of IMM is several times as far from the exact one",
        "lsd rmse_velocity", ("imm rmse_velocity",), 2.0,
    ),
    Fact(
        "… and groups of 16 do as well as groups of 4",
        "imm-16 rmse1", ("imm rmse1",), 0,
    ),
    Fact(
        "ESD without a stop-gradient trains like ESD",
        "esd-whole rmse1", ("esd rmse1",), 0,
    ),
    Fact(
        "α-Flow, with a schedule as long as the run, ends farther away than MeanFlow",
        "meanflow rmse1", ("alpha-flow rmse1",),
    ),
    Fact(
        "PSD and Shortcut are alike in one call",
        "psd rmse1", ("shortcut rmse1",), 0,
    ),
    Fact(
        "… and Shortcut is worse in jumps off its grid",
        "psd rmse_jump", ("shortcut rmse_jump",),
    ),
    Fact(
        "four calls do not bring IMM nearer to the distribution",
        "imm sw1", ("imm sw4",), 0,
    ),
)  # fmt: skip
