"""A critic that is trained along: the adversarial terms of PCM and MusicCM.

    judge   relu(1 - D(real)) + relu(1 + D(fake)) + γ/2 ‖∇ D(real)‖²    moves D alone
    player  -D(fake)                                                    moves the fake alone

Hinge losses. In the papers the two take turns, each with an optimizer of its own; here they step
at once and share the run's, which leaves nothing more to save or to schedule. A method adds
weight · player + judge to its loss: the weight of `judge` is free, since nothing else moves D.
"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ..ingredients import ingredient
from ..model import quarter_log
from ..ops import seeded, sum_squares
from ..teacher import Memory
from ..types import Data, PerSample, Time


@runtime_checkable
class CriticShape(Protocol):
    """The record of a critic's network (x, c_noise, cond) -> one number per sample."""

    def build(self) -> nn.Module: ...


@ingredient
@dataclass(eq=False)
class Critic(Memory):
    """D(x, level, cond). γ = 0 leaves the penalty out; the first weights come from `seed`."""

    net: CriticShape
    gamma: float = 0.0
    seed: int = 0
    network: nn.Module | None = field(default=None, init=False, repr=False)

    def __call__(
        self, real: Data, fake: Data, level: Time, cond: Tensor | None = None
    ) -> tuple[PerSample, PerSample]:
        """player and judge; `level` is the noise level of both, 0 for clean samples."""
        net, told = self.attached(), quarter_log(level)
        held = {name: weight.detach() for name, weight in net.named_parameters()}
        player = -torch.func.functional_call(net, held, (fake, told, cond))

        real = real.detach().requires_grad_(self.gamma > 0)
        score = net(real, told, cond)
        judge = relu(1 - score) + relu(1 + net(fake.detach(), told, cond))
        if self.gamma > 0:
            (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
            judge = judge + self.gamma / 2 * sum_squares(slope)
        return player, judge

    def attached(self) -> nn.Module:
        if self.network is None:
            raise RuntimeError("the critic has no network yet; call critic.attach(model) first")
        return self.network

    def attach(self, model: nn.Module) -> None:
        like = next(model.parameters())
        with seeded(torch.device("cpu"), self.seed):
            self.network = self.net.build().to(like.device, like.dtype)

    def update(self, model: nn.Module, step: int) -> None:
        pass

    def networks(self) -> dict[str, nn.Module]:
        return {} if self.network is None else {"critic": self.network}
