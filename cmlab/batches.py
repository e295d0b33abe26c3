"""Which part of a batch a process draws, and from which randomness."""

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor

from .config import Resident, Source, TrainConfig
from .engine import arranged, share
from .ops import seeded
from .process import Process
from .vocabulary import Pairs, Time


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
