"""Teachers φ and targets θ⁻, classifier-free guidance, and the EMA of the weights.

The teacher φ is fixed and comes from outside; a solver uses it to move x_t to x_r. The target θ⁻
is made from the student's own weights; its output at x_r is what the student is trained towards.
Both give a denoiser, so solvers and samplers take either.
"""

from abc import ABC, abstractmethod
from copy import copy, deepcopy
from dataclasses import dataclass, field
from math import inf
from typing import Generic, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor, nn

from .ingredients import ingredient
from .model import Model, conditioned
from .ops import expand
from .oracle import Oracle
from .process import Process, RectifiedFlow, VarianceExploding
from .schedules import Constant, EarlyAverage, GridSchedule
from .types import Classes, Data, Denoise, Real, Schedule, ShareSchedule, Teacher, Time


@runtime_checkable
class HasOracle(Protocol):
    """A data set whose distribution is known in closed form."""

    @property
    def oracle(self) -> Oracle: ...


@ingredient
@dataclass(frozen=True)
class SampleTeacher:
    """The teacher D(x_t, t) = x, the data point itself: it turns distillation into training."""

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        return lambda x_t, t: x


@ingredient
@dataclass(eq=False)
class NetworkTeacher:
    """A trained denoiser as the teacher, frozen and in evaluation mode.

    Args:
        network: the denoiser, called with (x_t, t, cond).
    """

    network: nn.Module = field(repr=False)

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        return torch.no_grad()(conditioned(cast(Model, self.network), cond))


@ingredient
@dataclass(frozen=True)
class OracleTeacher:
    """The exact teacher E[x | x_t], for data whose distribution is known in closed form.

    Args:
        data: the data set, with its `oracle`.
        process: the process that x_t and t belong to, which must be the student's.
    """

    data: HasOracle
    process: Process = VarianceExploding()

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        return self.denoise

    def denoise(self, x_t: Data, t: Time) -> Data:
        alpha, sigma = self.process(t)
        return self.data.oracle.denoise(x_t / expand(alpha, x_t), sigma / alpha)


@ingredient
@dataclass(frozen=True)
class BatchTeacher:
    """The posterior mean E[x | x_t] over the batch, between the sample itself and the exact one.

    Every x_i of the batch, of the same label, could have become x_t; their mean, weighted by how
    likely, is a target with far less noise than x, and a bias of the order of 1 / b. It is the
    stable target field of Xu, Tong & Jaakkola 2023, arXiv:2302.00670. In many dimensions it is x
    except for high noise.

    Args:
        process: the process that x_t and t belong to, which must be the student's.
    """

    process: Process = RectifiedFlow()

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        flat, other = x.flatten(1).double(), None if cond is None else cond[:, None] != cond

        def denoise(x_t: Tensor, t: Tensor) -> Tensor:
            alpha, sigma = (a[:, None] for a in self.process(t.double()))
            log = alpha * (x_t.flatten(1).double() @ flat.T) - alpha**2 * flat.square().sum(1) / 2
            log = log / sigma.clamp_min(1e-12) ** 2
            share = (log if other is None else log.masked_fill(other, -inf)).softmax(1)
            return (share @ flat).reshape(x_t.shape).to(x_t.dtype)

        return denoise


class Stateful(ABC):
    """A stateful ingredient, with networks of its own that a checkpoint may have to keep."""

    @abstractmethod
    def attach(self, model: nn.Module) -> None:
        """Make the networks, for this student. Called once, before training."""

    @abstractmethod
    def update(self, model: nn.Module, step: int) -> None:
        """Update them after an optimizer step; `step` counts from 0."""

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """The networks that a checkpoint must keep, by name; the trainer trains their weights
        that require a gradient.
        """


@ingredient
@dataclass(eq=False)
class InitialModelTeacher(Stateful):
    """The student's initial weights as the teacher, for a student that starts as a denoiser."""

    network: nn.Module | None = field(default=None, init=False, repr=False)

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        if self.network is None:
            raise RuntimeError("the teacher has no network yet; call teacher.attach(model) first")
        return torch.no_grad()(conditioned(cast(Model, self.network), cond))

    def attach(self, model: nn.Module) -> None:
        self.network = deepcopy(model).eval().requires_grad_(False)

    def update(self, model: nn.Module, step: int) -> None:
        pass

    def networks(self) -> dict[str, nn.Module]:
        return {}  # a resumed run finds it in its start


class Target(Stateful):
    """The target f_θ⁻: (model, cond) -> a denoiser through which no gradient passes.

    That of a flow map takes the end time of a jump too.
    """

    @abstractmethod
    def __call__(self, model: Model, cond: Tensor | None = None) -> Denoise: ...


@ingredient
@dataclass(eq=False)
class StopGrad(Target):
    """The target with stop-gradient, θ⁻ = stopgrad(θ)."""

    def __call__(self, model: Model, cond: Tensor | None = None) -> Denoise:
        return torch.no_grad()(conditioned(model, cond))

    def attach(self, model: nn.Module) -> None:
        pass

    def update(self, model: nn.Module, step: int) -> None:
        pass

    def networks(self) -> dict[str, nn.Module]:
        return {}


@ingredient
@dataclass(eq=False)
class EMATarget(Target):
    """The EMA target, θ⁻ ← μ(k) θ⁻ + (1 - μ(k)) θ after each step; buffers are copied.

    Args:
        decay: the schedule μ(k).
    """

    decay: ShareSchedule = Constant(0.95)
    network: nn.Module | None = field(default=None, init=False, repr=False)

    def __call__(self, model: Model, cond: Tensor | None = None) -> Denoise:
        return torch.no_grad()(conditioned(cast(Model, self.attached()), cond))

    def attached(self) -> nn.Module:
        if self.network is None:
            raise RuntimeError("the target has no network yet; call target.attach(model) first")
        return self.network

    def attach(self, model: nn.Module) -> None:
        # In training mode even if the model was loaded for sampling: both use the same dropout.
        self.network = deepcopy(model).requires_grad_(False).train()
        self.slow, self.fast = Weights.of(self.network), Weights.of(model)

    def update(self, model: nn.Module, step: int) -> None:
        self.attached()
        lerp_networks(self.slow, self.fast, 1 - self.decay(step))

    def networks(self) -> dict[str, nn.Module]:
        return {"target": self.attached()}

    def on_grid(self, points: Schedule) -> "EMATarget":
        """A copy whose decay reads N(k) from `points`; itself, if its decay follows no grid."""
        if not isinstance(self.decay, GridSchedule):
            return self
        bound = copy(self)
        bound.decay = self.decay.on_grid(points)
        return bound


class Weights(NamedTuple):
    """A network's parameters and buffers, walked through once and not at each step."""

    parameters: list[Tensor]
    buffers: list[Tensor]

    @classmethod
    def of(cls, network: nn.Module) -> "Weights":
        return cls(list(network.parameters()), list(network.buffers()))


@torch.no_grad()
def lerp_networks(slow: Weights, fast: Weights, share: float) -> None:
    """Move one network's weights towards another's: slow ← slow + share (fast - slow).

    Parameters are moved in one fused call; buffers are copied.
    """
    torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
        slow.parameters, fast.parameters, share
    )
    for kept, new in zip(slow.buffers, fast.buffers, strict=True):
        kept.copy_(new)


# The average of the weights that samples are drawn from. It is not the target

M = TypeVar("M", bound=nn.Module)
EARLY = EarlyAverage()


class EMA(Generic[M]):
    """The exponential moving average (EMA) of a model's weights, which samples are drawn from.

    After each step weights ← β(k) weights + (1 - β(k)) θ. It is not the target θ⁻. The initial
    weights are random, so early on the average must forget them fast: β(k) is at most the ramp.

    Args:
        model: the model that is trained; `self.model` is the frozen copy that holds the average.
        decay: the schedule of the decay.
        ramp: the schedule of its upper bound. EDM has `HalfLifeRamp`; ECT's code and openai's CM
            have none, which is Constant(1.0).
    """

    def __init__(self, model: M, decay: Schedule, ramp: Schedule = EARLY) -> None:
        self.model: M = deepcopy(model).requires_grad_(False).eval()
        self.slow, self.fast = Weights.of(self.model), Weights.of(model)
        self.decay, self.ramp = decay, ramp

    def update(self, step: int) -> None:
        """Move towards the model that this is the average of, after an optimizer step."""
        lerp_networks(self.slow, self.fast, 1 - min(self.decay(step), self.ramp(step)))


# Classifier-free guidance of a teacher, Ho & Salimans 2022


@ingredient
@dataclass(eq=False)
class Guided(Stateful):
    """A teacher with classifier-free guidance. Ho & Salimans 2022.

        D_w(x_t, t, c) = D(x_t, t, c) + w (D(x_t, t, c) - D(x_t, t, ∅))

    The student distils the guided teacher, so it needs no guidance of its own when it samples.
    The teacher's network has one class more than the data, `null` the last of them, and was
    trained on `data.digits.Unlabelled`. Without labels (cond is None) there is no guidance.

    Args:
        teacher: the teacher D.
        scale: w, counted as in MusicCM and in PCM's code: 0 is no guidance.
        null: the label ∅ that stands for none.
    """

    teacher: Teacher
    scale: Real = 2.0
    null: Classes = 0

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
        if isinstance(self.teacher, Stateful):
            self.teacher.attach(model)

    def update(self, model: nn.Module, step: int) -> None:
        if isinstance(self.teacher, Stateful):
            self.teacher.update(model, step)

    def networks(self) -> dict[str, nn.Module]:
        return self.teacher.networks() if isinstance(self.teacher, Stateful) else {}
