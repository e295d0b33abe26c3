"""Devices and distributed training: processes, precision and memory layout of a run.

Nothing here is part of a recipe: it changes how long a run takes, not which batches are drawn.
"""

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ..model import Denoiser
from .config import TrainConfig

BF16_MIXED = "bf16-mixed"  # Fabric's word for autocast to bfloat16
CPUINFO = Path("/proc/cpuinfo")
BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")  # as torch.cpu.get_capabilities names them


@cache
def processor_name() -> str:
    """The processor's model name; some virtual machines give no more than its family."""
    try:
        lines = CPUINFO.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, "") or platform.processor() or platform.machine()


def bfloat16_instructions() -> str:
    """Torch's word for the processor's bfloat16 multiplication; empty where it has none.

    `torch.ops.mkldnn._is_mkldnn_bf16_supported` answers another question: it is true of every
    processor with AVX-512, where bfloat16 is converted on the way and brings no speed.
    """
    try:
        known = torch.cpu.get_capabilities()
    except (AttributeError, RuntimeError):  # an older torch
        return ""
    return next((word for word in BFLOAT16 if known.get(word)), "")


RATE_STEPS = 2**16  # the rate of dropout is rounded to so many steps


# An argument of its own keeps the compiler from merging two calls that differ in nothing else: it
# does so in spite of the tag.
@torch.library.custom_op(
    "cmlab::random_int16", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,)
)
def random_int16(h: Tensor) -> Tensor:
    """A random number for each of h's, uniform in int16, from the CPU's global generator."""
    drawn = torch.empty(-(-h.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    return drawn.view(torch.int16)[: h.numel()].clone()


@random_int16.register_fake
def _(h: Tensor) -> Tensor:
    return h.new_empty(h.numel(), dtype=torch.int16)


class CheapDropout(TorchFunctionMode):
    """Inside, functional.dropout draws its masks from a quarter as many random numbers.

    On a CPU torch draws one 64-bit number for each activation, one after the other, which takes as
    long as a 3 × 3 convolution of 128 channels. Here such a number is cut into four.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        run = cheap_dropout if func is functional.dropout else func
        return run(*args, **(kwargs or {}))


def cheap_dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """functional.dropout with masks of 16 random bits, never in place."""
    if not (training and 0 < p < 1):
        return functional.dropout(input, p, training, inplace)
    dropped = min(round(p * RATE_STEPS), RATE_STEPS - 1)
    kept = random_int16(input.detach()) >= dropped - RATE_STEPS // 2
    mask = kept.to(input.dtype) * (RATE_STEPS / (RATE_STEPS - dropped))
    if input.ndim == 4 and input.is_contiguous(memory_format=torch.channels_last):
        b, c, rows, columns = input.shape
        return input * mask.view(b, rows, columns, c).permute(0, 3, 1, 2)
    return input * mask.view(input.shape)


CHEAP_DROPOUT = CheapDropout()  # one for all: compiled code is bound to the very object


class OnlyTheNetwork(MixedPrecision):
    """Autocast that leaves the data in float32.

    Fabric's own rounds what goes into the loss: x, and with it t, z and t - r, would have three
    digits. Only the layers of the network compute in bfloat16; preconditioning and loss do not.
    """

    def convert_input(self, data: Any) -> Any:
        return data

    @contextmanager
    def forward_context(self) -> Iterator[None]:
        """Autocast; on a CPU with cheap dropout. In float32 a run draws torch's own masks."""
        masks = CHEAP_DROPOUT if self.device == "cpu" else nullcontext()
        with super().forward_context(), masks:
            yield


def in_precision(config: TrainConfig) -> dict[str, Any]:
    """The argument by which Fabric is told of the precision."""
    if config.precision != BF16_MIXED:
        return {"precision": config.precision}
    if accelerator(config) == "cuda":
        return {"plugins": [OnlyTheNetwork(BF16_MIXED, "cuda")]}
    # Without such instructions bfloat16 is converted back and forth: slower than float32.
    return {"plugins": [OnlyTheNetwork(BF16_MIXED, "cpu")]} if bfloat16_instructions() else {}


def device_and_precision(config: TrainConfig) -> str:
    """One sentence on the device of a run and on the precision that it computes in."""
    mixed = config.precision == BF16_MIXED
    if accelerator(config) == "cuda":
        precision = "bfloat16 in the network's layers" if mixed else config.precision
        return f"On {torch.cuda.get_device_name()}: {precision}."
    threads = torch.get_num_threads()
    where = f"{processor_name()}, {threads} thread{'s' * (threads != 1)}"
    if not mixed:
        return f"On {where}: {config.precision}."
    if word := bfloat16_instructions():
        return f"On {where}: bfloat16 ({word}) in the network's layers, float32 in all else."
    return (
        f"On {where}: float32 throughout, since this processor has no instructions for bfloat16."
    )


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
            if self.processes > 1:
                fabric.barrier()  # nobody leaves while another still needs the group
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()

    @staticmethod
    def device_name(fabric: Fabric) -> str:
        """The name of the GPU or of the processor."""
        gpu = fabric.device.type == "cuda"
        return torch.cuda.get_device_name(fabric.device) if gpu else processor_name()


# Launchers: each with the variables for its processes, in all and on each machine

LAUNCHERS = (
    ("torchrun", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),  # first: it may run inside the others
    ("SLURM", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"),
    ("mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("mpirun", "PMI_SIZE", "MPI_LOCALNRANKS"),
    ("jsrun", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_LOCAL_SIZE"),
)
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "SLURM_LOCALID",
         "SLURM_NODEID", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK")  # fmt: skip
BY_HAND = ("bash", "interactive")  # names of SLURM jobs in which a command is typed


def launcher_mismatch(engine: Engine) -> str:
    """Why a launcher's processes are not those of the engine, with the remedy; else empty.

    Each of them would take itself for the only one, and train the whole run.
    """
    given = {name: int(text) for name, text in os.environ.items() if text.isdecimal()}
    least = dict.fromkeys(RANKS, 0) | {in_all: 1 for _, in_all, _ in LAUNCHERS}
    for name, low in least.items():
        if name in os.environ and given.get(name, -1) < low:
            text = os.environ[name]
            return f"{name}={text!r} in the environment is no whole number from {low} on; unset it"
    for launcher, in_all, on_each in LAUNCHERS:
        by_hand = launcher == "SLURM" and os.environ.get("SLURM_JOB_NAME") in BY_HAND
        if in_all not in given or by_hand:
            continue
        world, each = given[in_all], given.get(on_each, 0)
        alone = launcher == "torchrun" and "LOCAL_RANK" not in os.environ  # one on each machine
        if world == engine.processes or (alone and world == engine.nodes):
            if launcher == "SLURM" and world > 1 and each != engine.devices:
                return (
                    f"SLURM has to start as many tasks on each machine as --devices says; use "
                    f"srun --nodes={engine.nodes} --ntasks-per-node={engine.devices}"
                )
            return ""
        each = each or (world // engine.nodes if world % engine.nodes == 0 else world)
        return (
            f"{launcher} started {world} processes ({in_all}) for a run of {engine.processes}; "
            f"give --devices {each} --nodes {max(world // each, 1)} to share the run among "
            f"them, or start the command once"
        )
    return ""


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


def network_to_channels_last(model: Denoiser, config: TrainConfig) -> None:
    """Put a model into the channels-last layout, in place: on a GPU, and where its network asks.

    A network asks by an attribute `channels_last`, heeded on a CPU under bfloat16 alone; there the
    layout of a convolution's weights decides that of its output. In float32 a run keeps the
    layout, and so the last bits, that it has always had. A network that normalises groups in
    bfloat16 is better off without: torch's kernel for channels last takes ten times as long.
    """
    asks = config.precision == BF16_MIXED and getattr(model.net, "channels_last", False)
    if next(model.parameters()).is_cuda or asks:
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
