"""Optimizers as ingredients: frozen records that build the real thing for some parameters."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from .ingredients import ingredient


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
