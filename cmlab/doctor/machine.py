"""What the doctor asks of the machine: Python, device, memory, disk, and the Jupyter kernel."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from .finding import AGAIN, Finding

FREE_DISK = 1.0  # GB: room for a run's checkpoints and samples
FREE_MEMORY = 2.0  # GB: for JupyterLab and a training beside it
MEMORY = 3.5  # GB: what a machine sold with 4 GB shows at least
LIMITS = (  # bytes a container may use; what psutil tells is its host's
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def python() -> Iterator[Finding]:
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    remedy = "" if good else f"install Python 3.11, 3.12 or 3.13; {AGAIN}"
    yield Finding("Python", f"{platform.python_version()} in {sys.prefix}", remedy, not good)


def device() -> Iterator[Finding]:
    import torch

    threads = torch.get_num_threads()
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        yield Finding("device", f"cuda, {card.name}, {card.total_memory / 1e9:.0f} GB")
    elif torch.backends.mps.is_available():
        yield Finding("device", "mps")
    else:
        yield Finding("device", "cpu: enough for all labs; only lab 16's training wants a GPU")
    yield Finding("threads", f"{threads} of {os.cpu_count()} processors")


def memory() -> Iterator[Finding]:
    import psutil

    found = psutil.virtual_memory()
    whole, free = min(found.total, allowed()) / 1e9, found.available / 1e9
    remedy = "" if whole >= MEMORY else "open one lab at a time; shut each kernel down after it"
    yield Finding("memory", f"{whole:.1f} GB{' of the 4 GB meant' if remedy else ''}", remedy)
    remedy = "" if free >= FREE_MEMORY else "close other programs: a lab may be killed"
    yield Finding("free memory", f"{free:.1f} GB", remedy)


def allowed() -> float:
    """Bytes of memory that a container grants; infinite where there is none."""
    said = [path.read_text("utf-8").strip() for path in LIMITS if path.is_file()]
    return min((float(limit) for limit in said if limit.isdigit()), default=float("inf"))


def disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    remedy = "" if free >= FREE_DISK else f"free at least {FREE_DISK:.0f} GB"
    yield Finding("free disk", f"{free:.1f} GB", remedy, stops=free < FREE_DISK / 10)


def kernel() -> Iterator[Finding]:
    """Bare `python` in a kernel's command stands for the Python that starts it, which is this."""
    from jupyter_client.kernelspec import KernelSpecManager

    command = Path(KernelSpecManager().get_kernel_spec("python3").argv[0])
    here = not command.is_absolute() or command.is_relative_to(sys.prefix)
    remedy = "" if here else "it is another Python's: run `jupyter kernelspec remove python3`"
    yield Finding("kernel python3", str(command), remedy, not here)
