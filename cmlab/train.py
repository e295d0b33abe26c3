"""The training loop: a generator on Lightning Fabric, one optimizer step at a time.

    for trainer in Trainer(model, ICT(), data).run():
        if trainer.step % 200 == 0: draw(trainer.average)

Randomness is a function of (seed, step, part of the batch), so a resumed run equals an unbroken
one bit for bit on a CPU, and no random state is ever saved. Several processes share the parts
out: how many there are changes the time, not the batches.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from time import perf_counter, process_time

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from .batches import Batches
from .blame import verdict
from .config import Source, TrainConfig
from .ema import EMA
from .engine import Engine, arranged_network, hold_back
from .finite import Guard, NotFinite, gradient_norm
from .methods.base import Method
from .model import Denoiser
from .objective import Objective, look
from .state import flat, restore
from .vocabulary import PerSample

DEFAULT = TrainConfig()
PATIENCE = 50  # steps between two looks of the host at a GPU

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
        self.fabric = fabric or Engine().fabric(config)
        device = self.fabric.device
        self.model, self.method, self.config = model, deepcopy(method), config
        self.batches = Batches(data, config, self.fabric)
        look(self.method, arranged_network(model.to(device)), self.batches.data, config.seed)
        self.bare = Objective(model, self.method)
        self.objective, self.optimizer = self.fabric.setup(
            self.bare, config.optimizer(self.bare.parameters())
        )
        self.ema = EMA(model, config.ema)
        self.guard, self.patience = Guard(device), 1
        if device.type == "cuda" and hold_back(self.optimizer.optimizer, self.guard.bad):
            self.patience = PATIENCE
        self.losses = torch.full((1,), torch.nan, device=device)  # of the last part
        self.running = torch.full((), torch.nan, dtype=torch.float64, device=device)
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0

    @property
    def samples_seen(self) -> int:
        """Training samples drawn so far, in this run alone, by all processes."""
        return self.step * self.config.batch

    @property
    def average(self) -> float:
        """The running mean of the loss; nan before the first step."""
        return float(self.running)

    def run(self) -> Iterator["Trainer"]:
        """One optimizer step, then self, until `config.steps` are done."""
        while self.step < self.config.steps:
            start, cpu = perf_counter(), process_time()
            self.advance()
            self.seconds += perf_counter() - start
            self.cpu_seconds += process_time() - cpu  # of all threads of this process
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
        loss = torch.stack(
            [self.backward(part).mean().double() for part in range(self.batches.mine)]
        )
        norm = gradient_norm(self.bare, self.config.clip)
        self.guard.see(self.batches.bad_anywhere(loss.sum() + norm, self.fabric), self.step)
        if self.patience == 1:
            self.look()
        self.config.steer(self.optimizer.optimizer, self.step)
        self.optimizer.step()
        self.bare.update(self.step)
        self.ema.update(self.model, self.step)
        self.step += 1
        old, new = self.running, loss.mean()
        self.running = torch.where(old.isnan(), new, 0.98 * old + 0.02 * new)
        if self.step % self.patience == 0 or self.step == self.config.steps:
            self.look()

    def look(self) -> None:
        """Raise NotFinite if a bad number came up since the last look."""
        if (step := self.guard.look()) is None:
            return
        self.step = step
        error = verdict(self)
        self.guard.lower()
        self.optimizer.zero_grad(set_to_none=True)
        raise error

    def loss(self, objective: nn.Module, part: int) -> PerSample:
        """The loss of each sample of one part of the next step."""
        with self.batches.seeded(part, self.step):
            x, cond = self.batches.draw()
            return objective(x, self.step, cond)

    def backward(self, part: int) -> PerSample:
        """Loss and gradient of one part; the losses, on the device."""
        last = part == self.batches.mine - 1
        # Around the forward pass too: that is where DDP decides whether to average.
        with self.fabric.no_backward_sync(self.objective, enabled=not last):
            loss = self.loss(self.objective, part)
            self.fabric.backward(loss.mean() / self.batches.mine)
        self.losses = loss.detach()
        return self.losses

    def networks(self) -> dict[str, nn.Module]:
        """What a checkpoint keeps, by name."""
        return {"model": self.model, "ema": self.ema.model, **self.bare.kept()}

    def tensors(self) -> dict[str, Tensor]:
        """All that resuming needs. Raises NotFinite for what is not worth keeping."""
        self.look()
        return flat(self.networks(), self.optimizer.optimizer)

    def load(
        self,
        state: dict[str, Tensor],
        step: int,
        seconds: float,
        average: float,
        cpu_seconds: float = 0.0,
    ) -> None:
        """Go on from `tensors()`. Raises RuntimeError when the networks do not match."""
        restore(state, self.networks(), self.optimizer.optimizer)
        self.running.fill_(average)
        self.step, self.seconds, self.cpu_seconds = step, seconds, cpu_seconds
