"""How much each time counts in sCM's loss: alike, or by a weight that is learned along."""

from dataclasses import dataclass, field

import torch
from torch import nn

from .guide import Memory
from .ingredients import ingredient
from .nets.embedding import Embed, Positional, Waves
from .vocabulary import PerSample, Time


@ingredient
@dataclass(frozen=True)
class Even:
    """The loss as it is."""

    def __call__(self, t: Time, loss: PerSample) -> PerSample:
        return loss


class LogWeight(nn.Module):
    """w_φ(t): one linear layer on features of the time; 0 before training."""

    def __init__(self, embed: Embed) -> None:
        super().__init__()
        self.waves = Waves(embed)
        self.linear = nn.Linear(self.waves.width, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, t: Time) -> PerSample:
        return self.linear(self.waves(t))[:, 0]


@ingredient
@dataclass(eq=False)
class Adaptive(Memory):
    """e^{w_φ(t)} loss - w_φ(t): the best w_φ(t) is -ln E[loss | t], so each time counts alike.

    Karras et al. 2024 (EDM2) for diffusion; Lu & Song 2025, Sec. 4.2. In the paper w_φ reads the
    network's own time embedding; here it has features of its own.
    """

    embed: Embed = Positional(16)
    network: nn.Module | None = field(default=None, init=False, repr=False)

    def __call__(self, t: Time, loss: PerSample) -> PerSample:
        if self.network is None:
            raise RuntimeError("the weight has no network yet; call balance.attach(model) first")
        w = self.network(t).to(loss.dtype)
        return w.exp() * loss - w

    def attach(self, model: nn.Module) -> None:
        like = next(model.parameters())
        with torch.random.fork_rng([]):  # the layer is zeroed: what it drew must not count
            self.network = LogWeight(self.embed).to(like.device, like.dtype)

    def update(self, model: nn.Module, step: int) -> None:
        pass

    def networks(self) -> dict[str, nn.Module]:
        return {} if self.network is None else {"weight": self.network}
