"""A critic that is trained along: the adversarial terms of PCM and MusicCM.

    critic     relu(1 - D(real)) + relu(1 + D(fake)) + γ/2 ‖∇ D(real)‖²    moves D alone
    generator  relu(1 - D(fake)) or -D(fake)                               moves the fake alone

Hinge losses. Of the generator's two, the first is that of PCM's code, the second MusicCM's: with
the first a fake with D > 1 is left alone, with the second none is. In the papers critic and
generator take turns, each with an optimizer of its own; here they step at once and share the
run's, which leaves nothing more to save or to schedule. A method adds w · generator + critic to
its loss: the weight of the critic's own loss is free, since nothing else moves D.
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
@dataclass(frozen=True)
class HingeGenerator:
    """relu(1 - D(fake)): no pull on a fake that the critic takes for real by its margin."""

    def __call__(self, score: PerSample) -> PerSample:
        return relu(1 - score)


@ingredient
@dataclass(frozen=True)
class LinearGenerator:
    """-D(fake): the same pull on every fake."""

    def __call__(self, score: PerSample) -> PerSample:
        return -score


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
        """D(fake), whose gradient reaches the fake alone, and the critic's own loss.

        `level` is the noise level of both, 0 for clean samples.
        """
        net, told = self.attached(), quarter_log(level)
        held = {name: weight.detach() for name, weight in net.named_parameters()}
        score = torch.func.functional_call(net, held, (fake, told, cond))

        real = real.detach().requires_grad_(self.gamma > 0)
        on_real = net(real, told, cond)
        loss = relu(1 - on_real) + relu(1 + net(fake.detach(), told, cond))
        if self.gamma > 0:
            (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            loss = loss + self.gamma / 2 * sum_squares(slope)
        return score, loss

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
