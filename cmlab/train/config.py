"""Training configuration: steps, batch, learning rate, optimizer, data source."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..ingredients import ingredient
from ..schedules import Constant, EarlyAverage
from ..types import Schedule

# Optimizers as ingredients: frozen records that build the real thing for some parameters


@runtime_checkable
class Optimizer(Protocol):
    """A record of an optimizer, with its learning rate."""

    @property
    def lr(self) -> float: ...

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...


@ingredient
@dataclass(frozen=True)
class Adam:
    """Adam; lr is the peak learning rate."""

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(parameters, self.lr, betas, self.eps, fused=True)


@ingredient
@dataclass(frozen=True)
class RAdam:
    """Rectified Adam, the choice of CM, iCT, ECT and sCM; its rectifier is a warm-up."""

    lr: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.RAdam(parameters, self.lr, betas, self.eps, foreach=True)


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
    ema_ramp: Schedule = EarlyAverage()  # what that decay is at most, so that it begins young
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
