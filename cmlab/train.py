"""The training loop: a generator on Lightning Fabric, one optimizer step at a time.

    for trainer in Trainer(model, ICT(), data).run():
        if trainer.step % 200 == 0: draw(trainer.average)

Randomness is a function of (seed, step, part of the batch), so a resumed run equals an unbroken
one bit for bit on a CPU, and no random state is ever saved.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Protocol, cast, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor

from .ema import EMA
from .methods.base import Method
from .model import Denoiser
from .objective import Objective
from .ops import seeded
from .optimizer import Adam, Optimizer
from .schedule import Constant
from .vocabulary import PerSample, Schedule


@runtime_checkable
class Source(Protocol):
    """Training data: n samples, and their classes or None."""

    def sample(self, n: int) -> tuple[Tensor, Tensor | None]: ...


class NotFinite(ArithmeticError):
    """A loss or a gradient was NaN or infinite; the weights are those of the step before."""


@dataclass(frozen=True)
class TrainConfig:
    """How long, how large, how fast. `precision` and `accelerator` are Fabric's words."""

    steps: int = 4000  # optimizer steps
    batch: int = 256  # samples a step, over all processes and accumulated parts
    optimizer: Optimizer = Adam()
    rate: Schedule = Constant(1.0)  # times the optimizer's lr
    ema: Schedule = Constant(0.999)
    clip: float = inf  # largest gradient norm
    accumulate: int = 1  # parts of a batch, one after the other
    precision: str = "32-true"
    accelerator: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        enough = self.steps >= 0 and self.batch >= 1 and self.accumulate >= 1
        if not enough or self.batch % self.accumulate:
            raise ValueError(
                f"steps must be 0 or more and batch a multiple of accumulate, both at least 1, "
                f"not {self.steps}, {self.batch} and {self.accumulate}"
            )


class Trainer:
    """Owns the model, its average, the target and the optimizer; `step` counts updates done."""

    def __init__(
        self,
        model: Denoiser,
        method: Method,
        data: Source,
        config: TrainConfig = TrainConfig(),
        fabric: Fabric | None = None,
    ) -> None:
        self.fabric = fabric or Fabric(
            accelerator=config.accelerator,
            devices=1,
            precision=config.precision,  # type: ignore[arg-type]
        )
        self.model, self.method, self.data, self.config = model, deepcopy(method), data, config
        self.objective, self.optimizer = self.fabric.setup(
            Objective(model, self.method), config.optimizer(model.parameters())
        )
        self.method.target.attach(model)
        self.ema = EMA(model, config.ema)
        self.step, self.seconds, self.average = 0, 0.0, float("nan")

    @property
    def samples_seen(self) -> int:
        """Training samples drawn so far, in this run alone."""
        return self.step * self.config.batch

    def run(self) -> Iterator["Trainer"]:
        """One optimizer step, then self, until `config.steps` are done."""
        while self.step < self.config.steps:
            start = perf_counter()
            self.advance()
            self.seconds += perf_counter() - start
            yield self

    def fit(self, *callbacks: Callable[["Trainer"], None]) -> "Trainer":
        """Run to the end, calling each callback after each step."""
        for _ in self.run():
            for callback in callbacks:
                callback(self)
        return self

    def advance(self) -> None:
        """One optimizer step. Raises NotFinite before a bad number can reach the weights."""
        self.objective.train()
        self.optimizer.zero_grad(set_to_none=True)  # what an interrupted step left behind
        losses = [self.backward(part) for part in range(self.config.accumulate)]
        self.check_gradient()
        rate = self.config.optimizer.lr * self.config.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.method.target.update(self.model, self.step)
        self.ema.update(self.model, self.step)
        self.step += 1
        loss, old = sum(losses) / len(losses), self.average
        self.average = loss if old != old else 0.98 * old + 0.02 * loss

    def keys(self, part: int) -> tuple[int, ...]:
        """What the randomness of one part of one step is a function of."""
        stream = part * self.fabric.world_size + self.fabric.global_rank
        return self.config.seed, self.step, stream

    def batch(self) -> tuple[Tensor, Tensor | None]:
        """This process's part of a batch, drawn from the current random state."""
        parts = self.config.accumulate * self.fabric.world_size
        x, cond = self.data.sample(self.config.batch // parts)
        return x.to(self.fabric.device), None if cond is None else cond.to(self.fabric.device)

    def backward(self, part: int) -> float:
        """Loss and gradient of one part; its mean loss."""
        with seeded(self.fabric.device, *self.keys(part)):
            x, cond = self.batch()
            loss = self.objective(x, self.step, cond)
        if not bool(torch.isfinite(loss).all()):
            raise NotFinite(self.explain(loss.detach(), part))
        last = part == self.config.accumulate - 1
        with self.fabric.no_backward_sync(self.objective, enabled=not last):
            self.fabric.backward(loss.mean() / self.config.accumulate)
        return float(loss.detach().mean())

    def explain(self, loss: PerSample, part: int) -> str:
        """Replay the draw of times, which comes first in every loss, to name the noise level."""
        with seeded(self.fabric.device, *self.keys(part)):
            x, _ = self.batch()
            t, _ = self.method.pairs(self.model.process, x, self.step)
        bad = ~torch.isfinite(loss)
        level = float(self.model.process.level(t)[bad][0])
        return (
            f"the loss is not finite at step {self.step} for {int(bad.sum())} of {len(loss)} "
            f"samples, first at noise level {level:.4g}; the weights are still those of that step"
        )

    def check_gradient(self) -> None:
        """Clip the gradient; raise when its norm is not finite."""
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([cast(Tensor, p.grad) for p in parameters])
        if not bool(torch.isfinite(norm)):  # before clipping, which would spread the NaN
            where = [
                name
                for name, p in self.model.named_parameters()
                if p.grad is not None and not bool(torch.isfinite(p.grad).all())
            ]
            raise NotFinite(
                f"the gradient is not finite at step {self.step}, first in "
                f"{where[0] if where else 'its norm'}; the weights are still those of that step"
            )
        torch.nn.utils.clip_grads_with_norm_(parameters, self.config.clip, norm)

    def tensors(self) -> dict[str, Tensor]:
        """All that resuming needs, by dotted name."""
        kept = {"model": self.model, "ema": self.ema.model, **self.method.target.networks()}
        state = {f"{k}.{n}": v for k, m in kept.items() for n, v in m.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{n}": v for n, v in slots.items()}
        return state

    def load(self, state: dict[str, Tensor], step: int, seconds: float, average: float) -> None:
        """Go on from `tensors()`. Raises RuntimeError when the networks do not match."""
        kept = {"model": self.model, "ema": self.ema.model, **self.method.target.networks()}
        for k, module in kept.items():
            module.load_state_dict(under(state, k))
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in under(state, "optimizer").items():
            index, slot = name.split(".", 1)
            slots.setdefault(int(index), {})[slot] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict(cast(dict, {"state": slots, "param_groups": groups}))
        self.step, self.seconds, self.average = step, seconds, average


def under(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries below a dotted prefix, without it."""
    return {
        n.removeprefix(f"{prefix}."): v for n, v in state.items() if n.startswith(f"{prefix}.")
    }
