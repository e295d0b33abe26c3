"""How fast easy consistency tuning (ECT) trains: cmlab beside its authors' public code.

    python benchmarks/cifar10.py --theirs PATH --out cifar10.jsonl

PATH is a checkout of github.com/locuslab/ect; nothing of it is part of cmlab. Without it only
cmlab's own rows are measured. Prints one JSON line per row, each from a process of its own:

    theirs                   their code as shipped: float32, TF32 off
    theirs-bf16              their code under bfloat16 autocast
    ours-fp32 [on theirs]    cmlab in float32, TF32 off, channels last on a GPU
    ours-bf16 [on theirs]    the same under bfloat16 autocast, as it trains on a GPU
    ours-compile [on theirs] the same, the network compiled; on a CPU only if --rows asks for it

    --presets NAME …         rows of presets, and of no others unless --rows asks for them: their
                             network, precision and method; "+compile" after a name compiles it

"On theirs" is cmlab training the DDPM++ that their code builds, inside cmlab's denoiser; else it
is cmlab's own network. Batch, dropout, size and layout are the same everywhere.
A line has images per second, on a CPU per CPU second (median, lowest and highest of the repeats),
the peak of allocated memory in MiB (on a GPU), and "utilisation": the arithmetic of the model, 4
forward passes an image (one at noise t, one at noise r, and a backward pass that counts twice), as
a share of the card's peak in bfloat16 without sparsity, whatever the precision of the row. A row
that fails has "error" in place of numbers.

What is timed, after --warmup steps that are not:

Theirs: bytes that lie on the device become a batch in [-1, 1]; their loss object, which calls
their preconditioned network twice; backward; gradients that are not finite replaced; RAdam as
torch builds it by default; the average of the weights, one parameter after the other. The step is
written here after what their training loop does. Left out, in their favour: reading the images
from disk, data parallelism on one device, statistics. Changed: their preconditioning insists on
a float32 answer, to which theirs-bf16 casts the network's; on a CPU their loss, which saves the
random state of a GPU, is given the CPU's; and their schedule stands at a stage in which r > 0 for
every t, because at the first stage their loss leaves out the pass at noise r when r = 0 in the
whole batch, which happens in a fifth of all batches of 8 and in none of 128.

Ours: `Trainer.advance`, all that a run does in a step: bytes on the device drawn and flipped, both
passes, backward, the gradient's norm, the check for bad numbers, RAdam, the average.

The search for the fastest convolution (cudnn.benchmark) is on for all. On a GPU the clock is read
from the card around the steps of a repeat; on a CPU it is the CPU time of the process.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cmlab.data.cifar10 import ResidentImages
from cmlab.methods import ECT
from cmlab.model import Denoiser, EDMPrecond
from cmlab.nets import DDPMppShape, Positional
from cmlab.presets import PRESETS
from cmlab.schedules import Constant
from cmlab.train.config import RAdam, TrainConfig
from cmlab.train.distributed import BF16_MIXED, bfloat16_instructions, processor_name
from cmlab.train.trainer import COMPILED, Trainer, compile_network

DROPOUT, RATE, DECAY = 0.2, 1e-4, 0.9999
IMAGES = 4096  # random ones: what they show makes no difference to the time
STAGE = 3  # of their schedule, the first in which r > 0 whatever t is
COMPILE = "+compile"  # after the name of a preset
PASSES = 4  # forward passes that the arithmetic of one image amounts to

# Bfloat16 without sparsity, in TFLOPS, from NVIDIA's data sheets as Lightning Fabric 2.6 lists
# them (lightning_fabric/utilities/throughput.py). It lists the H200 with sparsity: this is half.
PEAK = {
    "NVIDIA H200": 989.4,
    "NVIDIA H100 80GB HBM3": 989.4,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA A100-SXM4-40GB": 312.0,
    "NVIDIA A100-SXM4-80GB": 312.0,
    "NVIDIA A100-PCIE-40GB": 312.0,
    "NVIDIA A100 80GB PCIe": 312.0,
}


@dataclass(frozen=True)
class Row:
    """One of the ways to train that are compared."""

    code: str
    network: str
    bf16: bool = False
    compiled: bool = False
    preset: str = ""


ROWS = {
    "theirs": Row("theirs", "theirs"),
    "theirs-bf16": Row("theirs", "theirs", bf16=True),
    "ours-fp32 on theirs": Row("ours", "theirs"),
    "ours-bf16 on theirs": Row("ours", "theirs", bf16=True),
    "ours-compile on theirs": Row("ours", "theirs", bf16=True, compiled=True),
    "ours-fp32": Row("ours", "ours"),
    "ours-bf16": Row("ours", "ours", bf16=True),
    "ours-compile": Row("ours", "ours", bf16=True, compiled=True),
}


def row_of(name: str) -> Row:
    """The row of this name, or that of a preset."""
    if name in ROWS:
        return ROWS[name]
    preset, plus, _ = name.partition(COMPILE)
    mixed = PRESETS[preset]().train.precision == BF16_MIXED
    return Row("ours", preset, mixed, compiled=bool(plus), preset=preset)


@dataclass(frozen=True)
class Settings:
    """The same for all rows."""

    theirs: str
    width: int
    blocks: int
    batch: int
    warmup: int
    steps: int
    repeats: int
    device: str
    peak: float | None

    @property
    def cuda(self) -> bool:
        return self.device == "cuda"

    @property
    def card(self) -> str:
        if self.cuda:
            return torch.cuda.get_device_name()
        return processor_name()


class Cast(nn.Module):
    """Their network, answering in the type it was asked in, under cmlab's signature or theirs."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        class_labels: Tensor | None = None,
        augment_labels: Tensor | None = None,
    ) -> Tensor:
        return self.net(x, c_noise, class_labels, augment_labels).to(x.dtype)


def their_model(given: Settings) -> nn.Module:
    """Their preconditioned DDPM++ without classes."""
    return import_module("training.networks").ECMPrecond(
        img_resolution=32,
        img_channels=3,
        model_type="SongUNet",
        model_channels=given.width,
        channel_mult=[2, 2, 2],
        num_blocks=given.blocks,
        dropout=DROPOUT,
    )


def network(row: Row, given: Settings) -> nn.Module:
    """The bare network of one of cmlab's rows."""
    if row.network == "theirs":
        return Cast(their_model(given).model)  # type: ignore[arg-type]
    features = Positional(given.width // 2)
    return DDPMppShape(
        width=given.width, blocks=given.blocks, dropout=DROPOUT, embed=features
    ).build()


def source(given: Settings) -> ResidentImages:
    images = torch.randint(256, (IMAGES, 3, 32, 32), dtype=torch.uint8, device=given.device)
    return ResidentImages(images, flip=True)


@dataclass(frozen=True)
class Labelled:
    """Random images with random classes, for networks that are conditioned on a class."""

    images: ResidentImages
    classes: int

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        return self.images.sample(n)[0], torch.randint(self.classes, (n,))


Step = Callable[[], None]


def their_step(row: Row, given: Settings) -> tuple[Step, nn.Module]:
    """One step of their training, and the bare network."""
    if not given.cuda:
        torch.cuda.get_rng_state = torch.get_rng_state  # type: ignore[assignment]
        torch.cuda.set_rng_state = torch.set_rng_state  # type: ignore[assignment]
    model = their_model(given).train().to(given.device)
    bare = model.model
    if row.bf16:
        model.model = Cast(bare)  # type: ignore[arg-type]
    loss = import_module("training.loss").ECMLoss()
    loss.update_schedule(STAGE)
    slow = deepcopy(model).eval().requires_grad_(False)
    optimizer = torch.optim.RAdam(model.parameters(), lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    images, at = source(given).images, 0
    cast = torch.autocast(given.device, torch.bfloat16) if row.bf16 else nullcontext()

    def step() -> None:
        nonlocal at
        x = images[at : at + given.batch].to(torch.float32) / 127.5 - 1
        at = (at + given.batch) % (IMAGES - given.batch + 1)
        optimizer.zero_grad(set_to_none=True)
        with cast:
            losses = loss(model, x)
        losses.mean().backward()
        for weight in model.parameters():
            if weight.grad is not None:
                weight.grad.nan_to_num_(nan=0, posinf=1e5, neginf=-1e5)
        optimizer.step()
        with torch.no_grad():
            for a, b in zip(slow.parameters(), model.parameters(), strict=True):
                a.copy_(torch.lerp(b, a, DECAY))

    return step, bare  # type: ignore[return-value]


def our_step(row: Row, given: Settings) -> tuple[Step, nn.Module]:
    """One step of cmlab's training, and the bare network."""
    config = TrainConfig(
        steps=10**9,
        batch=given.batch,
        optimizer=RAdam(RATE),
        ema=Constant(DECAY),
        precision="bf16-mixed" if row.bf16 else "32-true",
        accelerator=given.device,
    )
    if row.preset:
        trainer = preset_trainer(row, given)
    else:
        net = network(row, given)
        trainer = Trainer(Denoiser(net, EDMPrecond()), ECT(), source(given), config)
    net = trainer.model.net
    if row.compiled and (said := compile_network(trainer)) != COMPILED:
        raise RuntimeError(said)
    return trainer.advance, net


def preset_trainer(row: Row, given: Settings) -> Trainer:
    """The preset's own training, but for the images, the batch and the device."""
    recipe = PRESETS[row.preset]()
    train = replace(recipe.train, batch=given.batch, accelerator=given.device, steps=10**9)
    classes = classes_of(recipe.net)
    images = source(given)
    data = Labelled(images, classes) if classes else images
    return replace(recipe, data=data, train=train, start=None).trainer()


def classes_of(shape: Any) -> int:
    """How many classes a network of this record takes, on patches or not."""
    return getattr(getattr(shape, "inner", shape), "classes", 0)


def alike(row: Row) -> None:
    """The same for both codes, whatever they set themselves: TF32 off in the rows in float32."""
    torch.backends.cudnn.benchmark = True
    if not row.bf16:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False


def forward_flops(net: nn.Module, device: str, classes: int = 0) -> int:
    """Of one image, counted before anything is compiled or timed."""
    one = torch.zeros(1, device=device)
    cond = one.long() if classes else None
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, 32, 32, device=device), one, cond)
    return counter.get_total_flops()


def seconds(step: Step, given: Settings) -> float:
    """Of one repeat."""
    if not given.cuda:
        start = process_time()
        for _ in range(given.steps):
            step()
        return process_time() - start
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    for _ in range(given.steps):
        step()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last) / 1000


def measure(row: Row, given: Settings) -> dict[str, Any]:
    """The numbers of one row, in this very process."""
    if row.code == "theirs" or row.network == "theirs":
        sys.path.insert(0, given.theirs)
    torch.manual_seed(0)
    step, net = (their_step if row.code == "theirs" else our_step)(row, given)
    weights = sum(weight.numel() for weight in net.parameters())
    shape = PRESETS[row.preset]().net if row.preset else None
    flops = forward_flops(counted(row, given), given.device, classes_of(shape))
    alike(row)
    for _ in range(given.warmup):
        step()
    if given.cuda:
        torch.cuda.reset_peak_memory_stats()
    taken = [seconds(step, given) for _ in range(given.repeats)]
    rates = [given.batch * given.steps / s for s in taken]
    peak = given.peak or PEAK.get(given.card)
    share = PASSES * flops * median(rates) / (peak * 1e12) if peak else None
    return {
        "weights": weights,
        "gflop": round(flops / 1e9, 3),
        "images_per_second": round(median(rates), 2),
        "lowest": round(min(rates), 2),
        "highest": round(max(rates), 2),
        "peak_mib": round(torch.cuda.max_memory_allocated() / 2**20) if given.cuda else None,
        "utilisation": None if share is None else round(share, 4),
    }


def counted(row: Row, given: Settings) -> nn.Module:
    """A fresh network like the row's, so that counting leaves no trace in the one measured."""
    if row.preset:
        return PRESETS[row.preset]().net.build().eval().to(given.device)
    fresh = network(row, given) if row.network == "ours" else their_model(given).model
    return fresh.eval().to(given.device)  # type: ignore[union-attr]


def about(name: str, given: Settings) -> dict[str, Any]:
    """What one line is about."""
    row = row_of(name)
    return {
        "row": name,
        "network": row.network,
        "name": given.card,
        "precision": "bf16" if row.bf16 else "fp32",
        "batch": given.batch,
        "width": None if row.preset else given.width,
        "blocks": None if row.preset else given.blocks,
        "steps": given.steps,
        "repeats": given.repeats,
        "threads": None if given.cuda else torch.get_num_threads(),
        "bf16": None if given.cuda else bfloat16_instructions(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if given.cuda else None,
        "cudnn": torch.backends.cudnn.version() if given.cuda else None,
    }


def alone(name: str, given: Settings) -> dict[str, Any]:
    """The row's line, from a process of its own: memory, switches and modules start afresh."""
    command = [sys.executable, __file__, "--one", json.dumps([name, vars(given)])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return about(name, given) | {"error": (done.stderr.strip() or "killed").splitlines()[-1]}
    return about(name, given) | json.loads(done.stdout.splitlines()[-1])


def wanted(rows: list[str] | None, given: Settings) -> list[str]:
    """The rows that can be measured here, in order."""
    possible = [
        name
        for name, row in ROWS.items()
        if given.theirs or (row.code, row.network) == ("ours", "ours")
    ]
    return [
        name
        for name in possible
        if (name in rows if rows else given.cuda or not ROWS[name].compiled)
    ]


def settings() -> tuple[Settings, argparse.Namespace]:
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    words.add_argument("--theirs", default="", help="a checkout of their code")
    words.add_argument("--width", type=int, default=128)
    words.add_argument("--blocks", type=int, default=4)
    words.add_argument("--batch", type=int, default=128)
    words.add_argument("--warmup", type=int, default=10)
    words.add_argument("--steps", type=int, default=20)
    words.add_argument("--repeats", type=int, default=5)
    words.add_argument("--peak", type=float, help="the card's bfloat16 peak in TFLOPS, dense")
    words.add_argument("--rows", nargs="+", choices=list(ROWS), help="these rows alone")
    presets = [name + end for name in PRESETS for end in ("", COMPILE)]
    words.add_argument(
        "--presets", nargs="+", default=[], choices=presets, metavar="NAME", help="their rows"
    )
    words.add_argument("--out", type=Path, help="a file of JSON lines to append to")
    words.add_argument(
        "--convolutions",
        action="store_true",
        help="only what a single convolution reaches on a CPU",
    )
    words.add_argument("--one", help=argparse.SUPPRESS)
    given = words.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pick = partial(map, vars(given).get)
    numbers = pick(("theirs", "width", "blocks", "batch", "warmup", "steps", "repeats"))
    return Settings(*numbers, device, given.peak), given


def convolution_gflops(channels: int, kind: torch.dtype, batch: int = 32, side: int = 16) -> float:
    """What one 3 × 3 convolution reaches on the CPU: GFLOPS, the best of 8 passes."""
    x = torch.randn(batch, channels, side, side).to(kind, memory_format=torch.channels_last)
    w = torch.randn(channels, channels, 3, 3).to(kind, memory_format=torch.channels_last)
    taken = []
    for _ in range(9):
        start = process_time()
        torch.nn.functional.conv2d(x, w, padding=1)
        taken.append(process_time() - start)
    return 2 * 9 * batch * side**2 * channels**2 / min(taken[1:]) / 1e9


def main() -> None:
    given, words = settings()
    if words.convolutions:
        for channels in (128, 256):
            for kind in (torch.float32, torch.bfloat16):
                reached = round(convolution_gflops(channels, kind))
                print(json.dumps({"channels": channels, "type": str(kind), "gflops": reached}))
        return
    if words.one:
        name, fields = json.loads(words.one)
        print(json.dumps(measure(row_of(name), Settings(**fields))))
        return
    rows = wanted(words.rows, given) if words.rows or not words.presets else []
    for name in [*rows, *words.presets]:
        line = json.dumps(alone(name, given))
        print(line, flush=True)
        if words.out:
            with words.out.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
