"""The machine that a run is given: how many devices, and what makes them fast.

Nothing here is part of a recipe: it changes how soon the result comes, not which batches are
drawn.
"""

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor

from .config import TrainConfig
from .model import Denoiser
from .ops import rewind_rng


@dataclass(frozen=True)
class Engine:
    """Processes of one run: `devices` on each of `nodes` machines.

    From a terminal the first process starts the others of its machine; on several machines start
    the same command on each, under torchrun or SLURM or with MASTER_ADDR and NODE_RANK set.
    """

    devices: int = 1
    nodes: int = 1
    compile: bool = False  # the network, by torch.compile; without a compiler it goes on without

    @property
    def processes(self) -> int:
        return self.devices * self.nodes

    def fabric(self, config: TrainConfig) -> Fabric:
        """Lightning Fabric on these devices, not launched yet."""
        # Our buffers are constants: there is no need to send them round at every step.
        ddp = DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
        fabric = Fabric(
            accelerator=config.accelerator,
            devices=self.devices,
            num_nodes=self.nodes,
            strategy=ddp if self.processes > 1 else "auto",
            precision=config.precision,  # type: ignore[arg-type]
        )
        if fabric.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True  # one size of image, so the search pays
        return fabric


def share(parts: int, processes: int) -> int:
    """How many parts of a batch fall to each process. Raises ValueError if they do not divide."""
    if parts % processes:
        fit = " or ".join(str(n) for n in range(1, parts + 1) if parts % n == 0)
        raise ValueError(
            f"{processes} processes cannot share the {parts} parts of a batch; give {fit}, or "
            f"begin a new run with train.parts={processes}"
        )
    return parts // processes


def arranged(x: Tensor) -> Tensor:
    """Images on a GPU with the channels last in memory, as its convolutions want them."""
    if x.is_cuda and x.ndim == 4:
        return x.contiguous(memory_format=torch.channels_last)
    return x


def arranged_network(model: Denoiser) -> Denoiser:
    """The model itself, in the same way."""
    if next(model.parameters()).is_cuda:
        torch.nn.Module.to(model, memory_format=torch.channels_last)  # pyright: ignore
    return model


def hold_back(optimizer: torch.optim.Optimizer, flag: Tensor) -> bool:
    """Let the flag stop a fused optimizer on the device; False for one that cannot be stopped."""
    if not optimizer.defaults.get("fused"):
        return False
    vars(optimizer).update(grad_scale=None, found_inf=flag)  # what a gradient scaler would set
    return True


def compile_network(model: Denoiser, x: Tensor, cond: Tensor | None) -> str:
    """Compile the network in place and try it on x (b, …); a sentence on what came of it."""
    # Compiled dropout would otherwise draw numbers of its own, and the two passes of a pair
    # must drop the same units.
    torch._inductor.config.fallback_random = True  # pyright: ignore
    t = model.process.time(torch.ones(len(x), device=x.device))
    try:
        model.net.compile()
        with rewind_rng(x.device):
            model(x, t, cond).sum().backward()
    except Exception as error:  # whatever a compiler may raise, the run goes on without it
        model.net._compiled_call_impl = None
        said = (str(error).splitlines() or [""])[0][:120]
        return f"not compiled ({type(error).__name__}: {said}); the run goes on without"
    finally:
        model.zero_grad(set_to_none=True)
    return "compiled"
