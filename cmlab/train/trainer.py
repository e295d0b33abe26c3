"""Trainer: the training loop, one optimizer step at a time, on Lightning Fabric.

    for trainer in Trainer(model, ICT(), data).run():
        if trainer.step % 200 == 0: draw(trainer.average)

The file reads in the order of a step: `Batches` draws the data, `Objective` holds the loss,
`Trainer` takes the step. Below them stand the state that a checkpoint keeps, and torch.compile.
How a loss or a gradient that is not finite is traced to its layer stands in `nonfinite`.

Randomness is a function of (seed, step, part of the batch), so a resumed run equals an unbroken
one bit for bit on a CPU, and no random state is ever saved. Several processes share the parts
of a batch: how many there are changes the time, not the batches.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from math import isfinite
from time import perf_counter, process_time
from typing import Protocol, cast, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from ..methods.base import Method
from ..model import Denoiser
from ..nets.embedding import Labels
from ..ops import seeded
from ..process import Process
from ..teacher import EMA, Stateful
from ..types import Data, Pairs, PerSample, Time
from .config import FIRST, HasSigmaData, MovableSource, Source, TrainConfig, first_samples
from .distributed import (
    Engine,
    network_to_channels_last,
    parts_per_process,
    skip_updates_when,
    to_channels_last,
)
from .nonfinite import NonFiniteFlag, clip_gradient, nonfinite_error, nonfinite_weights

DEFAULT = TrainConfig()
CHECK_EVERY = 50  # steps between two checks for non-finite numbers on a GPU


# The batch: which part of it a process draws, and from which random state


@runtime_checkable
class Worker(Protocol):
    """One of the processes that share a run: its device, its rank and their number.

    Lightning Fabric is one.
    """

    @property
    def device(self) -> torch.device: ...

    @property
    def world_size(self) -> int: ...

    @property
    def global_rank(self) -> int: ...


class Batches:
    """The training batches, of which this process draws `local_parts` parts a step.

    The randomness of a part is a function of (seed, step, part) and of nothing else: not of how
    many processes there are, nor of what was drawn before.

    Args:
        data: the training data; moved to the device if it can be.
        config: `batch` samples a step in `parts` parts, drawn from `seed`.
        fabric: the process, for its device and rank.

    Raises:
        ValueError: if the processes cannot share the parts evenly.
    """

    def __init__(self, data: Source, config: TrainConfig, fabric: Worker) -> None:
        self.device, self.config = fabric.device, config
        self.data = data.on(self.device) if isinstance(data, MovableSource) else data
        self.processes, self.rank = fabric.world_size, fabric.global_rank
        self.local_parts = parts_per_process(config.parts, self.processes)

    def seeded(self, part: int, step: int) -> AbstractContextManager[None]:
        """The random state of one of this process's parts of a step; the caller's is kept."""
        return seeded(self.device, self.config.seed, step, part * self.processes + self.rank)

    def draw(self) -> tuple[Tensor, Tensor | None]:
        """Samples x of one part (batch / parts, …) and their classes, from the current state."""
        x, cond = self.data.sample(self.config.batch // self.config.parts)
        x = to_channels_last(x.to(self.device))
        return x, None if cond is None else cond.to(self.device)

    def levels(self, pairs: Pairs, process: Process, part: int, step: int) -> Time:
        """The noise levels sigma of a part of a step, drawn again.

        It holds because every method draws its pair of times right after the data.
        """
        with self.seeded(part, step):
            x, _ = self.draw()
            t, _ = pairs(process, x, step)
        return process.level(t)

    def nonfinite_anywhere(self, number: Tensor, fabric: Fabric) -> Tensor:
        """Whether the number is not finite in any process: a truth value left on the device."""
        bad = ~torch.isfinite(number)
        if self.processes == 1:
            return bad
        worst = fabric.all_reduce(bad.float(), reduce_op="max")
        assert isinstance(worst, Tensor)
        return worst > 0


class Objective(nn.Module):
    """Model and method as one module whose forward pass is the loss, one number per sample.

    Fabric wraps the loss and not the network, so autocast, data parallelism and forward-mode
    differentiation need no special case: under DDP a call to anything but `forward` would
    silently skip the gradient synchronisation.

    Its parameters are the model's, then those of the method's ingredients that are trained along
    with it, such as sCM's learned loss weight.
    """

    def __init__(self, model: Denoiser, method: Method) -> None:
        super().__init__()
        self.model = model
        self.method = method
        self.stateful = list(stateful_parts(method))
        for part in self.stateful:
            part.attach(model)
        extra = self.extra_networks()
        self.learned = nn.ModuleDict({n: net for n, net in extra.items() if is_trainable(net)})

    def forward(self, x: Data, step: int, cond: Tensor | None = None) -> PerSample:
        return self.method.loss(self.model, x, step, cond)

    def update(self, step: int) -> None:
        """Update the method's stateful ingredients, such as an EMA target, after a step."""
        for part in self.stateful:
            part.update(self.model, step)

    def extra_networks(self) -> dict[str, nn.Module]:
        """The method's own networks that a checkpoint must keep, by name."""
        return {name: net for part in self.stateful for name, net in part.networks().items()}


def stateful_parts(method: Method) -> Iterator[Stateful]:
    """The stateful ingredients of a method, and of the methods that it is made of."""
    for part in vars(method).values():
        if isinstance(part, Stateful):
            yield part
        elif isinstance(part, Method):
            yield from stateful_parts(part)


def is_trainable(net: nn.Module) -> bool:
    """Whether any weight of the network requires a gradient."""
    return any(weight.requires_grad for weight in net.parameters())


LARGE = 20  # times sigma_data: the data have another unit


def try_samples(method: Method, model: Denoiser, data: Source, config: TrainConfig) -> None:
    """Look at some samples, and let network and method try two of them, before training.

    Raises:
        TypeError, ValueError: in one sentence, if this model cannot be trained on these data.
    """
    like, n = next(model.parameters()), max(2, min(FIRST, config.batch // config.parts))
    with seeded(like.device, config.seed):
        x, cond = first_samples(data, n, like.dtype)
        size = float(x.detach().double().square().mean().sqrt())
        unit = getattr(model.precond, "sigma_data", None)
        if unit and size > LARGE * unit:
            raise ValueError(
                f"the samples reach from {float(x.min()):.4g} to {float(x.max()):.4g} and "
                f"sigma_data is {unit:g}: scale them, as x / 127.5 - 1 does bytes, or give theirs"
            )
        for layer in model.modules():
            if isinstance(layer, Labels):
                layer.check(None if cond is None else cond.cpu())
        x, cond = x[:2].to(like.device), None if cond is None else cond[:2].to(like.device)
        try_network(model, x, cond)
    spread = data.sigma_data if isinstance(data, HasSigmaData) else None
    method.check(model, x, cond, spread)


def try_network(model: Denoiser, x: Data, cond: Tensor | None) -> None:
    """Raise ValueError unless the network takes these samples and returns their shape."""
    try:
        with torch.no_grad():
            shape = model(x, model.process.time(x.new_ones(len(x))), cond).shape
    except RuntimeError as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"the network takes no samples {tuple(x.shape)}: {said}") from error
    if shape != x.shape:
        raise ValueError(
            f"the network returns {tuple(shape)} for samples {tuple(x.shape)}: give it as many "
            f"channels or coordinates as the data have"
        )


# The loop


class Trainer:
    """The training loop: it owns the model, its EMA, the method's state and the optimizer.

    Args:
        model: the denoiser to train, in place.
        method: the loss; copied, so that two trainers share no target network.
        data: the training data.
        config: steps, batch, optimizer and schedules.
        fabric: Lightning Fabric, launched if there are several processes; one is made if absent.

    Attributes:
        step: optimizer steps done.
        seconds, cpu_seconds: wall-clock and processor time of those steps.
        losses: the loss of each sample of the last part.
        ema: the moving average of the weights; `ema.model` is what is evaluated.

    Raises:
        TypeError, ValueError: if the method refuses the model or the data.
    """

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
        network_to_channels_last(model.to(device), config)
        try_samples(self.method, model, self.batches.data, config)
        self.bare = Objective(model, self.method)
        self.objective, self.optimizer = self.fabric.setup(
            self.bare, config.optimizer(self.bare.parameters())
        )
        # Fabric's wrapper casts and synchronises: with neither to do it only takes time.
        alone = self.batches.processes == 1 and config.precision == "32-true"
        self.forward_module = self.bare if alone else self.objective
        self.modules, self.weights = list(self.bare.modules()), list(self.bare.parameters())
        self.ema = EMA(model, config.ema, config.ema_ramp)
        self.flag, self.check_every = NonFiniteFlag(device), 1
        found_inf, optimizer = self.flag.found_inf, self.optimizer.optimizer
        if device.type == "cuda" and skip_updates_when(optimizer, found_inf):
            self.check_every = CHECK_EVERY
        self.losses = torch.full((1,), torch.nan, device=device)
        self.running_mean = torch.full((), torch.nan, dtype=torch.float64, device=device)
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0

    @property
    def samples_seen(self) -> int:
        """Training samples drawn so far, in this run alone, by all processes."""
        return self.step * self.config.batch

    @property
    def average(self) -> float:
        """The running mean of the loss (decay 0.98 a step); nan before the first step."""
        return float(self.running_mean)

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
        """One optimizer step.

        Raises:
            NotFinite: if loss or gradient is NaN or infinite, before it can reach the weights.
        """
        if not all(module.training for module in self.modules):
            self.objective.train()
        self.optimizer.zero_grad(set_to_none=True)  # what an interrupted step left behind
        loss = torch.stack(
            [self.backward(part).mean().double() for part in range(self.batches.local_parts)]
        )
        norm = clip_gradient(self.weights, self.config.clip)
        self.check_finite(loss.sum() + norm)
        self.config.set_lr(self.optimizer.optimizer, self.step)
        self.optimizer.step()
        self.bare.update(self.step)
        self.ema.update(self.step)
        self.step += 1
        old, new = self.running_mean, loss.mean()
        self.running_mean = torch.where(old.isnan(), new, 0.98 * old + 0.02 * new)
        if self.step % self.check_every == 0 or self.step == self.config.steps:
            self.raise_if_nonfinite()

    def backward(self, part: int) -> PerSample:
        """Loss and gradient of one part; returns the losses, detached, on the device."""
        last = part == self.batches.local_parts - 1
        # Around the forward pass too: that is where DDP decides whether to average.
        with self.fabric.no_backward_sync(self.objective, enabled=not last):
            loss = self.loss(self.forward_module, part)
            self.fabric.backward(loss.mean() / self.batches.local_parts)
        self.losses = loss.detach()
        return self.losses

    def loss(self, objective: nn.Module, part: int) -> PerSample:
        """The loss of each sample of one part of the next step."""
        with self.batches.seeded(part, self.step):
            x, cond = self.batches.draw()
            return objective(x, self.step, cond)

    def check_finite(self, number: Tensor) -> None:
        """Raise the flag if the number is not finite in some process; on a CPU raise NotFinite."""
        at_once = self.check_every == 1
        if at_once and self.batches.processes == 1 and isfinite(float(number)):
            return
        self.flag.update(self.batches.nonfinite_anywhere(number, self.fabric), self.step)
        if at_once:
            self.raise_if_nonfinite()

    def raise_if_nonfinite(self) -> None:
        """Raise NotFinite, with its cause, if the flag went up since the last check."""
        if (step := self.flag.first_step()) is None:
            return
        self.step = step
        error = nonfinite_error(self)
        self.flag.reset()
        self.optimizer.zero_grad(set_to_none=True)
        raise error

    def networks(self) -> dict[str, nn.Module]:
        """The networks that a checkpoint keeps, by name."""
        return {"model": self.model, "ema": self.ema.model, **self.bare.extra_networks()}

    def tensors(self) -> dict[str, Tensor]:
        """The state that a checkpoint keeps, as named tensors.

        Raises:
            NotFinite: if the state is not worth keeping.
        """
        self.raise_if_nonfinite()
        if error := nonfinite_weights(self):
            raise error
        return state_tensors(self.networks(), self.optimizer.optimizer)

    def load(
        self,
        state: dict[str, Tensor],
        step: int,
        seconds: float,
        average: float,
        cpu_seconds: float = 0.0,
    ) -> None:
        """Resume from what `tensors()` gave.

        Raises:
            RuntimeError: if the networks do not match.
        """
        load_state_tensors(state, self.networks(), self.optimizer.optimizer)
        self.running_mean.fill_(average)
        self.step, self.seconds, self.cpu_seconds = step, seconds, cpu_seconds


# The state of a run, as a checkpoint holds it


def state_tensors(networks: Mapping[str, nn.Module], optimizer: Optimizer) -> dict[str, Tensor]:
    """Networks and optimizer as tensors by dotted name: all that resuming needs."""
    state = {f"{k}.{n}": v for k, m in networks.items() for n, v in m.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{index}.{n}": v for n, v in slots.items()}
    return state


def load_state_tensors(
    state: Mapping[str, Tensor], networks: Mapping[str, nn.Module], optimizer: Optimizer
) -> None:
    """Load what `state_tensors` gave into networks and optimizer.

    Raises:
        RuntimeError: if the networks do not match.
        ValueError: if a tensor is not finite, or of another type or shape.
    """
    for name, value in state.items():
        if not bool(value.isfinite().all()):
            raise ValueError(f"{name} is not finite")
    for k, module in networks.items():
        mine = _below(state, k)
        for name, value in module.state_dict().items():
            if name in mine and mine[name].dtype != value.dtype:
                raise ValueError(f"{k}.{name} holds {mine[name].dtype}, not {value.dtype}")
        module.load_state_dict(mine)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in _below(state, "optimizer").items():
        index, slot = name.split(".", 1)
        slots.setdefault(int(index), {})[slot] = _laid_out_as(weights[int(index)], value)
        if value.ndim and value.shape != weights[int(index)].shape:
            raise ValueError(f"optimizer.{name} has the shape {tuple(value.shape)}")
    if len({tuple(sorted(parts)) for parts in slots.values()}) > 1:
        raise ValueError("the optimizer's state is not whole")
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict(cast(dict, {"state": slots, "param_groups": groups}))


def _laid_out_as(weight: Tensor, value: Tensor) -> Tensor:
    """A moment in the memory layout of its weight, which a file does not keep.

    A fused optimizer on a CPU walks through weight and moments side by side in memory.
    """
    if value.shape != weight.shape:
        return value
    return torch.empty_like(weight, dtype=value.dtype, device=value.device).copy_(value)


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries below a dotted prefix, without it."""
    return {
        n.removeprefix(f"{prefix}."): v for n, v in state.items() if n.startswith(f"{prefix}.")
    }


# torch.compile where it works: tried on one step before the run relies on it

COMPILED = "the network is compiled"


def compile_network(trainer: Trainer) -> str:
    """Compile the trainer's network in place with torch.compile, and try it on one loss.

    Whatever goes wrong, the network is left as it was and the run goes on.

    Returns:
        COMPILED, or one sentence that says why the network is not compiled.
    """
    # Compiled dropout would otherwise draw numbers of its own, and the two passes of a pair
    # must drop the same units.
    torch._inductor.config.fallback_random = True  # pyright: ignore
    net = trainer.model.net
    if trainer.fabric.device.type == "cpu":
        if said := missing_compiler():
            return said
        # Otherwise every network's channels are put last, also where that is slower.
        torch._inductor.config.layout_optimization = getattr(  # pyright: ignore
            net, "channels_last", False
        )
    try:
        net.compile(dynamic=False)
        torch._dynamo.reset()  # so that a graph of an earlier network of its kind is not reused
        before = graphs_compiled()
        trainer.fabric.backward(trainer.loss(trainer.objective, 0).mean())
        if graphs_compiled() > before:
            return COMPILED
        said = "no part of it can be"
    except Exception as error:  # a compiler may raise anything
        said = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:100]}"
    finally:
        trainer.optimizer.zero_grad(set_to_none=True)
    net._compiled_call_impl = None
    return f"the network is not compiled ({said})"


def graphs_compiled() -> int:
    """How many graphs torch.compile has compiled in this process."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]  # pyright: ignore


def missing_compiler() -> str:
    """What to do where torch.compile finds no C++ compiler, in one sentence; else empty."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # its import takes a second

    try:
        get_cpp_compiler()
    except Exception:  # torch's own type for this has moved before
        return (
            "the network is not compiled: torch.compile needs a C++ compiler on a CPU; install "
            "g++, or name one by the variable CXX"
        )
    return ""
