"""Devices and distributed training: processes, precision and memory layout of a run.

Nothing here is part of a recipe: it changes how long a run takes, not which batches are drawn.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor

from ..model import Denoiser
from .config import TrainConfig


class OnlyTheNetwork(MixedPrecision):
    """Autocast that leaves the data in float32.

    Fabric's own rounds what goes into the loss: x, and with it t, z and t - r, would have three
    digits. Only the layers of the network compute in bfloat16; preconditioning and loss do not.
    """

    def convert_input(self, data: Any) -> Any:
        return data


def in_precision(config: TrainConfig) -> dict[str, Any]:
    """The argument by which Fabric is told of the precision."""
    if config.precision != "bf16-mixed":
        return {"precision": config.precision}
    kind = "cpu" if accelerator(config) == "cpu" else "cuda"
    return {"plugins": [OnlyTheNetwork("bf16-mixed", kind)]}


def accelerator(config: TrainConfig) -> str:
    """Fabric's word for it. "auto" is a CUDA card or the CPU: others lack float64."""
    best = "cuda" if torch.cuda.is_available() else "cpu"
    return best if config.accelerator == "auto" else config.accelerator


@dataclass(frozen=True)
class Engine:
    """The processes of one run: `devices` on each of `nodes` machines.

    From a terminal the first process starts the others of its machine; on several machines start
    the same command on each, under torchrun or SLURM or with MASTER_ADDR and NODE_RANK set.
    """

    devices: int = 1
    nodes: int = 1

    @property
    def processes(self) -> int:
        return self.devices * self.nodes

    def fabric(self, config: TrainConfig) -> Fabric:
        """Lightning Fabric on these devices, not launched yet."""
        # Our buffers are constants: there is no need to broadcast them at every step.
        ddp = DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
        fabric = Fabric(
            accelerator=accelerator(config),
            devices=self.devices,
            num_nodes=self.nodes,
            strategy=ddp if self.processes > 1 else "auto",
            **in_precision(config),
        )
        if fabric.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True  # images of one size, so the search pays
        return fabric

    @contextmanager
    def launched(self, config: TrainConfig) -> Iterator[Fabric]:
        """Lightning Fabric with its processes started; the process group is destroyed at the end.

        A process that left without that could abort at its exit, and take the others along.
        """
        fabric = self.fabric(config)
        if self.processes > 1:
            fabric.launch()
        try:
            yield fabric
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()

    @staticmethod
    def device_name(fabric: Fabric) -> str:
        """The name of the GPU, or the architecture of the CPU."""
        gpu = fabric.device.type == "cuda"
        return torch.cuda.get_device_name(fabric.device) if gpu else platform.machine()


def parts_per_process(parts: int, processes: int) -> int:
    """How many parts of a batch each process draws.

    Raises:
        ValueError: if the parts do not divide evenly, naming the numbers of processes that do.
    """
    if parts % processes:
        fit = " or ".join(str(n) for n in range(1, parts + 1) if parts % n == 0)
        raise ValueError(
            f"{processes} processes cannot share the {parts} parts of a batch; give {fit}, or "
            f"begin a new run with train.parts={processes}"
        )
    return parts // processes


def to_channels_last(x: Tensor) -> Tensor:
    """Images (n, c, h, w) on a GPU in the channels-last layout, fastest for convolutions."""
    if x.is_cuda and x.ndim == 4:
        return x.contiguous(memory_format=torch.channels_last)
    return x


def network_to_channels_last(model: Denoiser) -> None:
    """Put a model on a GPU into the channels-last layout, in place."""
    if next(model.parameters()).is_cuda:
        torch.nn.Module.to(model, memory_format=torch.channels_last)  # pyright: ignore


def skip_updates_when(optimizer: torch.optim.Optimizer, found_inf: Tensor) -> bool:
    """Make a fused optimizer skip its updates while `found_inf` is 1, without a synchronisation.

    Returns:
        False for an optimizer that is not fused, which cannot do so.
    """
    if not optimizer.defaults.get("fused"):
        return False
    # As a gradient scaler would.
    vars(optimizer).update(grad_scale=None, found_inf=found_inf)
    return True
