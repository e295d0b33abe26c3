"""The training loop: a generator on Lightning Fabric, one optimizer step at a time.

    for trainer in Trainer(model, ICT(), data).run():
        if trainer.step % 200 == 0: draw(trainer.average)

Randomness is a function of (seed, step, part of the batch), so a resumed run equals an unbroken
one bit for bit on a CPU, and no random state is ever saved.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from time import perf_counter
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from .config import Source, TrainConfig
from .ema import EMA
from .finite import NotFinite, blame_loss, clip_gradient
from .methods.base import Method
from .model import Denoiser
from .objective import Objective, look
from .ops import seeded
from .vocabulary import Time

DEFAULT = TrainConfig()

__all__ = ["NotFinite", "Source", "TrainConfig", "Trainer"]


class Trainer:
    """Owns the model, its average, the target and the optimizer; `step` counts updates done."""

    def __init__(
        self,
        model: Denoiser,
        method: Method,
        data: Source,
        config: TrainConfig = DEFAULT,
        fabric: Fabric | None = None,
    ) -> None:
        self.fabric = fabric or Fabric(
            accelerator=config.accelerator,
            devices=1,
            precision=config.precision,  # type: ignore[arg-type]
        )
        self.model, self.method, self.data, self.config = model, deepcopy(method), data, config
        look(self.method, model.to(self.fabric.device), data, config.seed)
        self.parts = Objective(model, self.method)
        self.objective, self.optimizer = self.fabric.setup(
            self.parts, config.optimizer(self.parts.parameters())
        )
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
        clip_gradient(self.parts, self.config.clip, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.optimizer.lr * self.config.rate(self.step)
        self.optimizer.step()
        self.parts.update(self.step)
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
        last = part == self.config.accumulate - 1
        # Around the forward pass too: that is where DDP decides whether to average.
        with self.fabric.no_backward_sync(self.objective, enabled=not last):
            with seeded(self.fabric.device, *self.keys(part)):
                x, cond = self.batch()
                loss = self.objective(x, self.step, cond)
            if not bool(torch.isfinite(loss).all()):
                raise blame_loss(loss.detach(), self.levels(part), self.step)
            self.fabric.backward(loss.mean() / self.config.accumulate)
        return float(loss.detach().mean())

    def levels(self, part: int) -> Time:
        """The noise levels of a part, drawn again: they come right after the data."""
        with seeded(self.fabric.device, *self.keys(part)):
            x, _ = self.batch()
            t, _ = self.method.pairs(self.model.process, x, self.step)
        return self.model.process.level(t)

    def networks(self) -> dict[str, nn.Module]:
        """What a checkpoint keeps, by name."""
        return {"model": self.model, "ema": self.ema.model, **self.parts.kept()}

    def tensors(self) -> dict[str, Tensor]:
        """All that resuming needs, by dotted name."""
        networks = self.networks().items()
        state = {f"{k}.{n}": v for k, m in networks for n, v in m.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{n}": v for n, v in slots.items()}
        return state

    def load(self, state: dict[str, Tensor], step: int, seconds: float, average: float) -> None:
        """Go on from `tensors()`. Raises RuntimeError when the networks do not match."""
        for k, module in self.networks().items():
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
