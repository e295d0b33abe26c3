"""Training configuration: steps, batch, learning rate, optimizer, EMA, data source."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Annotated, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..ingredients import ingredient
from ..schedules import Constant, EarlyAverage
from ..types import (
    BelowOne,
    Count,
    MomentumSchedule,
    Natural,
    NonNegative,
    Positive,
    Range,
    Schedule,
    Seed,
    ShareSchedule,
)
from .nonfinite import WEIGHTS_KEPT, NotFinite

# Optimizers as ingredients: frozen records that build a torch optimizer


@runtime_checkable
class Optimizer(Protocol):
    """A record of an optimizer: called with parameters, it builds the torch optimizer."""

    @property
    def lr(self) -> float: ...

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...


@ingredient
@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015); lr is the peak learning rate."""

    lr: NonNegative = 1e-3
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    eps: Positive = 1e-8

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(parameters, self.lr, betas, self.eps, fused=True)


@ingredient
@dataclass(frozen=True)
class RAdam:
    """Rectified Adam (Liu et al., 2020), the optimizer of CM, iCT, ECT and sCM.

    Its rectifier acts as a warm-up of the learning rate.
    """

    lr: NonNegative = 1e-4
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    eps: Positive = 1e-8

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.RAdam(parameters, self.lr, betas, self.eps, foreach=True)


@runtime_checkable
class Source(Protocol):
    """Training data: `sample(n)` draws n samples (n, …), and their classes (n,) or None."""

    def sample(self, n: int) -> tuple[Tensor, Tensor | None]: ...


FIRST = 64  # samples of own data that are looked at before the first step


def first_samples(data: object, n: int, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """n samples and their labels, if a training can use them.

    Raises:
        TypeError, ValueError: in one sentence that says what was found and what to do.
    """
    name = type(data).__name__
    if not isinstance(data, Source):
        raise TypeError(
            f"the data are a {name}, from which nothing can be drawn: give an object whose "
            f"sample(n) returns n random samples (n, …) in {dtype}, and their labels (n,) or None"
        )
    try:
        found = data.sample(n)
    except (RuntimeError, IndexError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(
            f"{name}.sample({n}) drew nothing, is it empty? It said: {said}"
        ) from error
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(
            f"{name}.sample({n}) returned a {type(found).__name__}: return a pair, samples "
            f"and their labels or None"
        )
    x, cond = found
    x = check_samples(name, x, n, dtype)
    if cond is not None and (not isinstance(cond, Tensor) or len(cond) != n):
        got = f"{len(cond)} of them" if isinstance(cond, Tensor) else f"a {type(cond).__name__}"
        raise ValueError(f"the labels of {n} samples are {got}: give a tensor ({n},) or None")
    return x, cond


def check_samples(name: str, x: object, n: int, dtype: torch.dtype) -> Tensor:
    """x, if they are n finite samples (n, …) of this type; else raise as `first_samples`."""
    if not isinstance(x, Tensor):
        raise TypeError(f"the samples of {name} are a {type(x).__name__}: give a torch tensor")
    if x.dtype != dtype:
        whole = " / 127.5 - 1, if they are bytes" * (not x.is_floating_point())
        raise TypeError(
            f"the samples of {name} are {x.dtype} and the weights {dtype}: return "
            f"x.to({dtype}){whole}"
        )
    if x.ndim < 2 or len(x) != n or not x.numel():
        raise ValueError(
            f"the samples of {name} have shape {tuple(x.shape)} for n = {n}: return (n, …), the "
            f"batch first and at least one number for each sample"
        )
    bad = int((~torch.isfinite(x).flatten(1).all(1)).sum())
    if bad:
        raise ValueError(
            f"{bad} of {n} samples of {name} hold NaN or infinity: leave them out of the data"
        )
    return x


@runtime_checkable
class MovableSource(Protocol):
    """Data that can be moved to the device and draw samples there."""

    def on(self, device: torch.device) -> Source: ...


@runtime_checkable
class HasSigmaData(Protocol):
    """Data with a known standard deviation sigma_data, root mean square over coordinates."""

    @property
    def sigma_data(self) -> float: ...


@ingredient
@dataclass(frozen=True)
class TrainConfig:
    """Training configuration: steps, batch size, optimizer and their schedules.

    `precision` and `accelerator` take Lightning Fabric's values, such as "32-true" and "cpu".

    Raises:
        ValueError: if the batch is not a multiple of its parts.
    """

    steps: Natural = 4000  # optimizer steps
    batch: Count = 256  # samples a step, over all processes
    optimizer: Optimizer = Adam()
    rate: Annotated[Schedule, Range("[0, 1e9]")] = Constant(1.0)  # factor on the optimizer's lr
    momentum: MomentumSchedule | None = None  # replaces the optimizer's beta1
    ema: ShareSchedule = Constant(0.999)  # decay of the average of the weights
    ema_ramp: ShareSchedule = EarlyAverage()  # upper bound of that decay, below it early on
    clip: Annotated[float, Range("(0, inf]")] = inf  # largest norm of the gradient
    parts: Count = 1  # of a batch, each with its own random state; shared among the processes
    precision: str = "32-true"
    accelerator: str = "cpu"
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.batch % self.parts:
            raise ValueError(
                f"batch must be a multiple of parts, not {self.batch} and {self.parts}; give a "
                f"batch such as {self.parts} or {2 * self.parts}"
            )

    def set_lr(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Set the learning rate of this step, and β₁ where it follows a schedule.

        Raises:
            NotFinite: if one is NaN or infinite, before it can reach the weights.
        """
        lr = self.optimizer.lr * self.rate(step)
        beta1 = self.momentum(step) if self.momentum else 0.0
        if not (isfinite(lr) and isfinite(beta1)):
            raise NotFinite(
                f"the learning rate is {lr} at step {step}, and the momentum {beta1}: mend the "
                f"schedule train.{'momentum' if isfinite(lr) else 'rate'}; {WEIGHTS_KEPT}"
            )
        for group in optimizer.param_groups:
            group["lr"] = lr
            if self.momentum:
                group["betas"] = (beta1, group["betas"][1])
