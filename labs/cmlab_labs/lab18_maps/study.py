"""Studies of lab 18: flow maps trained by the conditions that tie a jump to its neighbours.

maps       on the ring: LSD, ESD, PSD, IMM and MeanFlow, nothing tuned for any of them
maps-line  LSD on the lab's two modes, a small network whose weights are kept
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import nn

from cmlab.data.toy import Bumps, ToyData
from cmlab.methods import IMM, MeanFlow, SelfDistillation
from cmlab.methods.base import Method
from cmlab.methods.flow_map import Jumps, jump
from cmlab.methods.meanflow import AdaptiveWeight
from cmlab.methods.self_distillation import Eulerian, Progressive
from cmlab.metrics.toy import exact_ends
from cmlab.model import Denoiser
from cmlab.nets.embedding import TwoTimes
from cmlab.nets.mlp import MLPShape
from cmlab.ops import sum_squares
from cmlab.train.recipe import Recipe
from cmlab.train.trainer import Trainer

from ..common.observers import Arrays
from ..common.studies_shared import plain_flow_map
from ..common.study import Study, read

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


METHODS: dict[str, Method] = {
    "lsd": SelfDistillation(), "esd": SelfDistillation(condition=Eulerian()),
    "psd": SelfDistillation(condition=Progressive()), "imm": IMM(),
    "meanflow": MeanFlow(weight=AdaptiveWeight(p=0.0)),
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
