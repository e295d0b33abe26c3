"""Trainer: the training loop on Lightning Fabric, its batches, its compiled step and its state.

The training loop: a generator on Lightning Fabric, one optimizer step at a time.

    for trainer in Trainer(model, ICT(), data).run():
        if trainer.step % 200 == 0: draw(trainer.average)

Randomness is a function of (seed, step, part of the batch), so a resumed run equals an unbroken
one bit for bit on a CPU, and no random state is ever saved. Several processes share the parts
out: how many there are changes the time, not the batches.

Model and method as one module, so that the engine wraps the loss and not the network.

Autocast, data parallelism and forward-mode differentiation then need no special case: under
DDP a call to anything but `forward` would silently skip the gradient synchronisation.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from time import perf_counter, process_time
from typing import Protocol, cast, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from ..methods.base import Choosy, Method
from ..model import Denoiser
from ..ops import seeded
from ..process import Process
from ..teacher import EMA, Memory
from ..types import Data, Pairs, PerSample, Time
from .config import Measured, Resident, Source, TrainConfig
from .distributed import Engine, arranged, arranged_network, hold_back, share
from .nonfinite import KEPT, Guard, NotFinite, blaming, gradient_norm

# Which part of a batch a process draws, and from which randomness


@runtime_checkable
class Ranked(Protocol):
    """One of several processes on a device: Fabric, as far as the batches are concerned."""

    @property
    def device(self) -> torch.device: ...

    @property
    def world_size(self) -> int: ...

    @property
    def global_rank(self) -> int: ...


class Batches:
    """The parts of each step's batch that fall to this process: `mine` of them.

    A part's randomness is a function of (seed, step, part) and of nothing else: not of how many
    processes there are, nor of what was drawn before.
    """

    def __init__(self, data: Source, config: TrainConfig, fabric: Ranked) -> None:
        self.device, self.config = fabric.device, config
        self.data = data.on(self.device) if isinstance(data, Resident) else data
        self.processes, self.rank = fabric.world_size, fabric.global_rank
        self.mine = share(config.parts, self.processes)

    def seeded(self, part: int, step: int) -> AbstractContextManager[None]:
        """The random state of one of this process's parts of a step; the caller's is kept."""
        return seeded(self.device, self.config.seed, step, part * self.processes + self.rank)

    def draw(self) -> tuple[Tensor, Tensor | None]:
        """One part of a batch, from the current random state."""
        x, cond = self.data.sample(self.config.batch // self.config.parts)
        x = arranged(x.to(self.device))
        return x, None if cond is None else cond.to(self.device)

    def levels(self, pairs: Pairs, process: Process, part: int, step: int) -> Time:
        """The noise levels of a part of a step, drawn again: they come right after the data."""
        with self.seeded(part, step):
            x, _ = self.draw()
            t, _ = pairs(process, x, step)
        return process.level(t)

    def bad_anywhere(self, number: Tensor, fabric: Fabric) -> Tensor:
        """Is the number not finite, in this process or in another? A truth value, not read."""
        bad = ~torch.isfinite(number)
        if self.processes == 1:
            return bad
        worst = fabric.all_reduce(bad.float(), reduce_op="max")
        assert isinstance(worst, Tensor)
        return worst > 0


# Model and method as one module, so that the engine wraps the loss and not the network


class Objective(nn.Module):
    """forward(x, step, cond) -> the method's loss, one number per sample.

    Its parameters are the model's, then those of the method's ingredients that learn along.
    """

    def __init__(self, model: Denoiser, method: Method) -> None:
        super().__init__()
        self.model = model
        self.method = method
        self.memories = [part for part in vars(method).values() if isinstance(part, Memory)]
        for memory in self.memories:
            memory.attach(model)
        self.learned = nn.ModuleDict({n: net for n, net in self.kept().items() if learns(net)})

    def forward(self, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        return self.method.loss(self.model, x, step, cond)

    def update(self, step: int) -> None:
        """Move what has a memory, after an optimizer step."""
        for memory in self.memories:
            memory.update(self.model, step)

    def kept(self) -> dict[str, nn.Module]:
        """The method's networks that a checkpoint must keep, by name."""
        return {name: net for part in self.memories for name, net in part.networks().items()}


def learns(net: nn.Module) -> bool:
    """Has it weights that are trained?"""
    return any(weight.requires_grad for weight in net.parameters())


def look(method: Method, model: Denoiser, data: Source, seed: int) -> None:
    """Two samples through the model. Raises TypeError or ValueError if the loss refuses it."""
    if not isinstance(method, Choosy):
        return
    device = next(model.parameters()).device
    with seeded(device, seed):
        x, cond = data.sample(2)
    spread = data.sigma_data if isinstance(data, Measured) else None
    method.check(model, x.to(device), None if cond is None else cond.to(device), spread)


# Networks and an optimizer as named tensors, and back: what a checkpoint holds


def flat(networks: Mapping[str, nn.Module], optimizer: Optimizer) -> dict[str, Tensor]:
    """All that resuming needs, by dotted name."""
    state = {f"{k}.{n}": v for k, m in networks.items() for n, v in m.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{index}.{n}": v for n, v in slots.items()}
    return state


def restore(
    state: Mapping[str, Tensor], networks: Mapping[str, nn.Module], optimizer: Optimizer
) -> None:
    """Take in what `flat` gave. Raises RuntimeError when the networks do not match."""
    for k, module in networks.items():
        module.load_state_dict(under(state, k))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in under(state, "optimizer").items():
        index, slot = name.split(".", 1)
        slots.setdefault(int(index), {})[slot] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict(cast(dict, {"state": slots, "param_groups": groups}))


def under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries below a dotted prefix, without it."""
    return {
        n.removeprefix(f"{prefix}."): v for n, v in state.items() if n.startswith(f"{prefix}.")
    }


DEFAULT = TrainConfig()
PATIENCE = 50  # steps between two looks of the host at a GPU


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
        self.ema = EMA(model, config.ema, config.ema_ramp)
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


# A step repeated, to see where its bad number began: in which layer, at which noise level


def verdict(trainer: "Trainer") -> NotFinite:
    """The error for the trainer's step, whichever process its cause was in. All have to ask."""
    mine, fabric = blame(trainer), trainer.fabric
    found = [fabric.broadcast(mine, src=i) for i in range(fabric.world_size)]
    return next((e for e in found if e), blame_gradient(trainer.bare, trainer.step))


def blame(trainer: "Trainer") -> NotFinite | None:
    """What was wrong with this process's part of the trainer's step; None if nothing was."""
    trainer.optimizer.zero_grad(set_to_none=True)
    try:
        for part in range(trainer.batches.mine):
            with layers_watched(trainer.bare) as layers, blaming(), trainer.fabric.autocast():
                loss = trainer.loss(trainer.bare, part)
            if not bool(torch.isfinite(loss).all()):
                pairs, process = trainer.method.pairs, trainer.model.process
                levels = trainer.batches.levels(pairs, process, part, trainer.step)
                return blame_loss(loss.detach(), levels, trainer.step, "".join(layers[:1]))
            loss.mean().backward()
    except NotFinite as error:
        return error
    return blame_gradient(trainer.bare, trainer.step) if bad_gradients(trainer.bare) else None


def blame_loss(loss: PerSample, level: Time, step: int, layer: str) -> NotFinite:
    """The error for a loss with bad entries, naming the noise level of the first and a layer."""
    bad = ~torch.isfinite(loss)
    where = f", in {layer}" if layer else ""
    return NotFinite(
        f"the loss is not finite at step {step} for {int(bad.sum())} of {len(loss)} samples, "
        f"first at noise level {float(level[bad][0]):.4g}{where}; {KEPT}"
    )


def blame_gradient(model: nn.Module, step: int) -> NotFinite:
    """The error for a bad gradient, naming the first parameter that has one."""
    where = (bad_gradients(model) or ["its norm"])[0]
    return NotFinite(f"the gradient is not finite at step {step}, first in {where}; {KEPT}")


def bad_gradients(model: nn.Module) -> list[str]:
    """The parameters whose gradient is not finite, in the model's order."""
    return [
        name.removeprefix("model.")
        for name, p in model.named_parameters()
        if p.grad is not None and not bool(torch.isfinite(p.grad).all())
    ]


@contextmanager
def layers_watched(model: nn.Module) -> Iterator[list[str]]:
    """A list that fills with the layers whose output is not finite, in the order of the pass."""
    found: list[str] = []

    def watch(name: str, layer: nn.Module) -> RemovableHandle:
        def hook(layer: nn.Module, given: object, out: object) -> None:
            if isinstance(out, Tensor) and not bool(torch.isfinite(out).all()):
                found.append(name)

        return layer.register_forward_hook(hook)

    leaves = [(name, layer) for name, layer in model.named_modules() if not list(layer.children())]
    handles = [watch(name.removeprefix("model."), layer) for name, layer in leaves]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


# torch.compile where it works: tried on one step before the run relies on it

COMPILED = "the network is compiled"


def compile_network(trainer: "Trainer") -> str:
    """Compile the trainer's network in place, try it on one loss, and say what came of it.

    Whatever goes wrong, the network is left as it was and the run goes on.
    """
    # Compiled dropout would otherwise draw numbers of its own, and the two passes of a pair
    # must drop the same units.
    torch._inductor.config.fallback_random = True  # pyright: ignore
    net = trainer.model.net
    try:
        net.compile()
        trainer.loss(trainer.objective, 0).mean().backward()
    except Exception as error:  # a compiler may raise anything
        net._compiled_call_impl = None
        said = (str(error).strip().splitlines() or [""])[0][:100]
        return f"the network is not compiled ({type(error).__name__}: {said})"
    finally:
        trainer.optimizer.zero_grad(set_to_none=True)
    return COMPILED
