"""What the tangent of attention costs: the dense formula against cmlab's pass over blocks.

    python benchmarks/attention.py --out attention.jsonl

prints one JSON line per sequence length, formula and device: the median seconds of one jvp and
the peak memory it adds, both without gradients, and the tangent's relative error against the
formula in float64. Each line is measured in a process of its own; lines that the file has
already, from the same card or processor, are not measured again. On a CPU the seconds are those
of the process, summed over its threads, whatever else runs beside it.

On a CPU "dense" is the formula written out and "blocks" cmlab.nets.attention. On an NVIDIA GPU
"dense" is torch's fused attention on its math backend, and "blocks" runs the Triton kernel.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from cmlab.nets import attention as code

MIB = 2**20


def math_backend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return scaled_dot_product_attention(q, k, v)


def case(n: int, formula: str, device: str, dtype: str, heads: int, channels: int) -> dict:
    """What one line is about."""
    cuda = device == "cuda"
    card = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    return {
        "n": n,
        "formula": formula,
        "device": device,
        "name": card,
        "dtype": dtype,
        "heads": heads,
        "channels": channels,
        "threads": None if cuda else torch.get_num_threads(),
        "torch": torch.__version__,
    }


def resident(forget: bool = False) -> int:
    """The most memory this process held since it was last told to forget, in bytes.

    Not from `resource`: on Linux its figure starts at that of the process which started this one,
    and is never reset.
    """
    if forget:
        Path("/proc/self/clear_refs").write_text("5")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
    raise OSError("This system does not say how much memory a process held; measure on Linux.")


def measure(what: dict) -> dict:
    """The line's numbers, in this very process."""
    cuda = what["device"] == "cuda"
    dense = math_backend if cuda else code.dense
    clock = time.perf_counter if cuda else time.process_time
    f = dense if what["formula"] == "dense" else code.attention

    def tensors(n: int) -> tuple[Tensor, ...]:
        shape, dtype = (1, what["heads"], n, what["channels"]), getattr(torch, what["dtype"])
        return tuple(torch.randn(shape, dtype=dtype, device=what["device"]) for _ in range(3))

    def once(x: tuple[Tensor, ...], t: tuple[Tensor, ...]) -> float:
        start = clock()
        torch.func.jvp(f, x, t)
        if cuda:
            torch.cuda.synchronize()
        return clock() - start

    with torch.no_grad():
        for n in (64, code.BLOCK + 1):  # libraries are loaded and the kernel is compiled
            once(tensors(n), tensors(n))
        x, t = tensors(what["n"]), tensors(what["n"])
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() if cuda else resident(forget=True)
        once(x, t)
        after = torch.cuda.max_memory_allocated() if cuda else resident()
        seconds = statistics.median(once(x, t) for _ in range(20 if cuda else 5))
    found = {"seconds": round(seconds, 6), "peak_mib": round((after - before) / MIB, 1)}
    return found | {"error": float(f"{error(f, x, t):.1e}")}


def error(f: Callable[..., Tensor], x: tuple[Tensor, ...], t: tuple[Tensor, ...]) -> float:
    """How far the tangent is from the dense formula's in float64, relative, as a norm."""
    with torch.no_grad():
        found = torch.func.jvp(f, x, t)[1].double()
        exact = torch.func.jvp(code.dense, *(tuple(a.double() for a in part) for part in (x, t)))
    return float((found - exact[1]).norm() / exact[1].norm())


def lines(path: Path | None) -> list[dict[str, Any]]:
    """What the file holds so far. A last line cut short does not count."""
    found = []
    for line in path.read_text().splitlines() if path and path.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument(
        "--dtype", default="float32", choices=["float64", "float32", "bfloat16", "float16"]
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a file of JSON lines to continue")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(measure(json.loads(options.one))))
        return
    known = lines(options.out)
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        for n in options.n:
            for formula in ("dense", "blocks"):
                sizes = (options.dtype, options.heads, options.channels)
                what = case(n, formula, device, *sizes)
                if any(what.items() <= line.items() for line in known):
                    continue
                report(what, options.threads, options.out)


def report(what: dict, threads: int, out: Path | None) -> None:
    """Measure in a fresh process, print, and append to the file."""
    command = [sys.executable, __file__, "--one", json.dumps(what), "--threads", str(threads)]
    numbers = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = json.dumps({**what, **json.loads(numbers)})
    print(line, flush=True)
    if out:
        with out.open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
