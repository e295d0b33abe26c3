"""What a run is set to: how long, how large, how fast, and where its data come from."""

from dataclasses import dataclass
from math import inf
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .ingredients import ingredient
from .optimizer import Adam, Optimizer
from .schedule import Constant
from .vocabulary import Schedule


@runtime_checkable
class Source(Protocol):
    """Training data: n samples, and their classes or None."""

    def sample(self, n: int) -> tuple[Tensor, Tensor | None]: ...


@runtime_checkable
class Resident(Protocol):
    """Data that can lie on the device itself, and draw there."""

    def on(self, device: torch.device) -> Source: ...


@runtime_checkable
class Measured(Protocol):
    """Data whose standard deviation is known, root mean square over coordinates."""

    @property
    def sigma_data(self) -> float: ...


@ingredient
@dataclass(frozen=True)
class TrainConfig:
    """How long, how large, how fast. `precision` and `accelerator` are Fabric's words."""

    steps: int = 4000  # optimizer steps
    batch: int = 256  # samples a step, all processes together
    optimizer: Optimizer = Adam()
    rate: Schedule = Constant(1.0)  # times the optimizer's lr
    momentum: Schedule | None = None  # in place of the optimizer's beta1
    ema: Schedule = Constant(0.999)
    clip: float = inf  # largest gradient norm
    parts: int = 1  # of a batch, each with noise of its own; processes share them out
    precision: str = "32-true"
    accelerator: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        enough = self.steps >= 0 and self.batch >= 1 and self.parts >= 1
        if not enough or self.batch % self.parts:
            raise ValueError(
                f"steps must be 0 or more and batch a multiple of parts, both at least 1, "
                f"not {self.steps}, {self.batch} and {self.parts}"
            )

    def steer(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Set the learning rate of this step, and β₁ where it follows a schedule."""
        for group in optimizer.param_groups:
            group["lr"] = self.optimizer.lr * self.rate(step)
            if self.momentum:
                group["betas"] = (self.momentum(step), group["betas"][1])
