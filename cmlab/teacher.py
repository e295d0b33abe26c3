"""Teachers and targets: what the student is taught by, guidance, and the EMA of its weights.

Two guides: the teacher moves x_t to x_r, the target labels what it finds there.

Both answer with a denoiser, so solvers and samplers take either. The words are kept apart on
purpose: the teacher φ is a fixed truth from outside, the target θ⁻ is the student's own shadow.

Classifier-free guidance of a teacher: away from its answer without a label, Ho & Salimans 2022.

    D_w(x_t, t, c) = D(x_t, t, c) + w (D(x_t, t, c) - D(x_t, t, ∅))

The student distils the guided teacher, so it needs no guidance of its own when it samples. w
counts as in MusicCM and in the code of PCM: with w = 0 there is no guidance.
"""

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from .ingredients import ingredient
from .model import Model
from .ops import expand
from .oracle import Oracle
from .process import EDM, Process
from .schedules import Constant, EarlyAverage
from .types import Data, Denoise, Schedule, Teacher, Time


@runtime_checkable
class HasOracle(Protocol):
    """A data set whose law is known."""

    @property
    def oracle(self) -> Oracle: ...


@ingredient
@dataclass(frozen=True)
class OneSample:
    """Answers with the data point itself. It turns distillation into training."""

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        return lambda x_t, t: x


@ingredient
@dataclass(eq=False)
class Pretrained:
    """Answers with a frozen denoiser."""

    network: nn.Module = field(repr=False)

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        return torch.no_grad()(lambda x_t, t: self.network(x_t, t, cond))


@ingredient
@dataclass(frozen=True)
class Exact:
    """Answers with E[x | x_t] in closed form, for data whose law is known."""

    data: HasOracle
    process: Process = EDM()

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        return self.denoise

    def denoise(self, x_t: Data, t: Time) -> Data:
        alpha, sigma = self.process(t)
        return self.data.oracle.denoise(x_t / expand(alpha, x_t), sigma / alpha)


class Memory(ABC):
    """An ingredient with networks of its own: made in `attach`, moved by `update` each step."""

    @abstractmethod
    def attach(self, model: nn.Module) -> None: ...

    @abstractmethod
    def update(self, model: nn.Module, step: int) -> None: ...

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """What a checkpoint must keep; weights that require a gradient are trained."""


@ingredient
@dataclass(eq=False)
class AsBegun(Memory):
    """Answers with the denoiser that the student began as: for a student that starts from one."""

    network: nn.Module | None = field(default=None, init=False, repr=False)

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        if self.network is None:
            raise RuntimeError("the teacher has no network yet; call teacher.attach(model) first")
        network = self.network
        return torch.no_grad()(lambda x_t, t: network(x_t, t, cond))

    def attach(self, model: nn.Module) -> None:
        self.network = deepcopy(model).eval().requires_grad_(False)

    def update(self, model: nn.Module, step: int) -> None:
        pass

    def networks(self) -> dict[str, nn.Module]:
        return {}  # a run that goes on finds it where it began


class Target(Memory):
    """f_θ⁻. A target with a memory takes its copy in `attach` and moves it in `update`."""

    @abstractmethod
    def __call__(self, model: Model, cond: Tensor | None = None) -> Denoise: ...


@ingredient
@dataclass(eq=False)
class StopGrad(Target):
    """θ⁻ = θ."""

    def __call__(self, model: Model, cond: Tensor | None = None) -> Denoise:
        return torch.no_grad()(lambda x_r, r: model(x_r, r, cond))

    def attach(self, model: nn.Module) -> None:
        pass

    def update(self, model: nn.Module, step: int) -> None:
        pass

    def networks(self) -> dict[str, nn.Module]:
        return {}


@ingredient
@dataclass(eq=False)
class MovingAverage(Target):
    """θ⁻ ← μ(k) θ⁻ + (1 - μ(k)) θ after each step; buffers are copied."""

    decay: Schedule = Constant(0.95)
    network: nn.Module | None = field(default=None, init=False, repr=False)

    def __call__(self, model: Model, cond: Tensor | None = None) -> Denoise:
        network = self.attached()
        return torch.no_grad()(lambda x_r, r: network(x_r, r, cond))

    def attached(self) -> nn.Module:
        if self.network is None:
            raise RuntimeError("the target has no network yet; call target.attach(model) first")
        return self.network

    def attach(self, model: nn.Module) -> None:
        # In training mode even if the model was loaded for sampling: both drop the same units.
        self.network = deepcopy(model).requires_grad_(False).train()

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        lerp_networks(self.attached(), model, 1 - self.decay(step))

    def networks(self) -> dict[str, nn.Module]:
        return {"target": self.attached()}


@torch.no_grad()
def lerp_networks(slow: nn.Module, fast: nn.Module, share: float) -> None:
    """slow ← slow + share (fast - slow), parameters in one fused call and buffers copied."""
    torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
        list(slow.parameters()), list(fast.parameters()), share
    )
    for kept, new in zip(slow.buffers(), fast.buffers(), strict=True):
        kept.copy_(new)


# The average of the weights that samples are drawn from. It is not the target network

M = TypeVar("M", bound=nn.Module)
EARLY = EarlyAverage()


class EMA(Generic[M]):
    """A frozen copy of a model: weights ← β(k) weights + (1 - β(k)) the model's, each step.

    β(k) is the decay, but at most the ramp: a copy of random weights is no average, so early on
    the average is young. EDM ramps by `HalfLifeRamp`; ECT's and openai's code have no ramp, which
    is Constant(1.0).
    """

    def __init__(self, model: M, decay: Schedule, ramp: Schedule = EARLY) -> None:
        self.model: M = deepcopy(model).requires_grad_(False).eval()
        self.decay, self.ramp = decay, ramp

    def update(self, model: nn.Module, step: int) -> None:
        lerp_networks(self.model, model, 1 - min(self.decay(step), self.ramp(step)))


# Classifier-free guidance of a teacher: away from its answer without a label, Ho & Salimans 2022


@ingredient
@dataclass(eq=False)
class Guided(Memory):
    """A teacher, guided by w = `scale`. `null` is the label that stands for none.

    The teacher's network has one class more than the data, `null` the last of them, and was
    trained on `data.Unlabelled`. Without labels (cond is None) it answers as it is.
    """

    teacher: Teacher
    scale: float = 2.0
    null: int = 0

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        with_label = self.teacher(x, cond)
        if cond is None or self.scale == 0:
            return with_label
        without = self.teacher(x, torch.full_like(cond, self.null))

        def denoise(x_t: Tensor, t: Tensor) -> Tensor:
            c = with_label(x_t, t)
            return c + self.scale * (c - without(x_t, t))

        return denoise

    def attach(self, model: nn.Module) -> None:
        if isinstance(self.teacher, Memory):
            self.teacher.attach(model)

    def update(self, model: nn.Module, step: int) -> None:
        if isinstance(self.teacher, Memory):
            self.teacher.update(model, step)

    def networks(self) -> dict[str, nn.Module]:
        return self.teacher.networks() if isinstance(self.teacher, Memory) else {}
