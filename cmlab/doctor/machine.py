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
        yield Finding("device", "cpu")
    yield Finding("threads", f"{threads} of {os.cpu_count()} processors")


def memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available / 1e9
    remedy = "" if free >= FREE_MEMORY else "close other programs: a lab may be killed"
    yield Finding("free memory", f"{free:.1f} GB", remedy)


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
