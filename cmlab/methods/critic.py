"""Critic (discriminator): the adversarial loss terms of PCM and MusicCM.

    L_critic = relu(1 - D(real)) + relu(1 + D(fake)) + γ/2 ‖∇ D(real)‖²   trains D alone
    L_generator = relu(1 - D(fake)) or -D(fake)                           trains the fake alone

Hinge losses. Of the generator's two, the first is that of PCM's code, the second MusicCM's: with
the first a fake with D > 1 has no gradient, with the second every fake has one. In the papers
critic and generator take turns, each with an optimizer of its own; here they step at once and
share the run's, which leaves nothing more to save or to schedule. A method adds
weight · L_generator + L_critic to its loss: the weight of L_critic is free, since nothing else
trains D.
"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ..ingredients import ingredient
from ..model import quarter_log
from ..ops import seeded, sum_squares
from ..teacher import Stateful
from ..types import Data, NonNegative, PerSample, Seed, Time


@runtime_checkable
class CriticShape(Protocol):
    """The record of a critic's network, (x, c_noise, cond) -> D, one number per sample."""

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
class Critic(Stateful):
    """A critic D(x, level, cond), trained along with the student, and its two losses.

    Args:
        net: the record of D's network.
        gamma: γ, the weight of the gradient penalty at real samples; 0 leaves it out.
        seed: of D's initial weights.
    """

    net: CriticShape
    gamma: NonNegative = 0.0
    seed: Seed = 0
    network: nn.Module | None = field(default=None, init=False, repr=False)

    def __call__(
        self, real: Data, fake: Data, level: Time, cond: Tensor | None = None
    ) -> tuple[PerSample, PerSample]:
        """D(fake), whose gradient reaches the fake alone, and the critic's loss, per sample.

        Args:
            real: samples that D should rate high.
            fake: the student's, of the same shape.
            level: the noise level of both, 0 for clean samples.
            cond: conditioning of both.
        """
        net, c_noise = self.attached(), quarter_log(level)
        weights = {name: weight.detach() for name, weight in net.named_parameters()}
        on_fake = torch.func.functional_call(net, weights, (fake, c_noise, cond))

        real = real.detach().requires_grad_(self.gamma > 0)
        on_real = net(real, c_noise, cond)
        critic = relu(1 - on_real) + relu(1 + net(fake.detach(), c_noise, cond))
        if self.gamma > 0:
            (gradient,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            critic = critic + self.gamma / 2 * sum_squares(gradient)
        return on_fake, critic

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
