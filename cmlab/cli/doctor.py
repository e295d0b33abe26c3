"""`cmlab doctor`: check that this machine can run the labs; each fault with its remedy."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement

from ..discovery import SHIPPED, LabsMissing, late_import

AGAIN = "make the environment again: remove .venv, then run `make install`"


@dataclass(frozen=True)
class Finding:
    """One line of the report. Without a remedy all is well; `stops` if a lab cannot run."""

    what: str
    found: str
    remedy: str = ""
    stops: bool = False


# The machine: Python, device, memory, disk, and the Jupyter kernel

FREE_DISK = 1.0  # GB: room for a run's checkpoints and samples
FREE_MEMORY = 2.0  # GB: for JupyterLab and a training beside it
MEMORY = 3.5  # GB: what a machine sold with 4 GB shows at least
LIMITS = (  # bytes that a container may use; psutil reports those of its host
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
        yield Finding("device", "cpu: enough for all labs; longer CIFAR-10 runs want a GPU")
    yield Finding("threads", f"{threads} of {os.cpu_count()} processors")


def memory() -> Iterator[Finding]:
    import psutil

    found = psutil.virtual_memory()
    whole, free = min(found.total, container_limit()) / 1e9, found.available / 1e9
    remedy = "" if whole >= MEMORY else "open one lab at a time; shut each kernel down after it"
    yield Finding("memory", f"{whole:.1f} GB{' of the 4 GB meant' if remedy else ''}", remedy)
    remedy = "" if free >= FREE_MEMORY else "close other programs: a lab may be killed"
    yield Finding("free memory", f"{free:.1f} GB", remedy)


def container_limit() -> float:
    """Bytes of memory that the container may use; infinite outside one."""
    texts = [path.read_text("utf-8").strip() for path in LIMITS if path.is_file()]
    return min((float(limit) for limit in texts if limit.isdigit()), default=float("inf"))


def disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    remedy = "" if free >= FREE_DISK else f"free at least {FREE_DISK:.0f} GB"
    yield Finding("free disk", f"{free:.1f} GB", remedy, stops=free < FREE_DISK / 10)


def kernel() -> Iterator[Finding]:
    """Whether kernel python3 is this Python, as it is if its command is bare `python`."""
    from jupyter_client.kernelspec import KernelSpecManager

    command = Path(KernelSpecManager().get_kernel_spec("python3").argv[0])
    here = not command.is_absolute() or command.is_relative_to(sys.prefix)
    remedy = "" if here else "it is another Python's: run `jupyter kernelspec remove python3`"
    yield Finding("kernel python3", str(command), remedy, not here)


# Folders: a home that Jupyter can write to, labs that can be saved

ELSEWHERE = "start JupyterLab with another home: `HOME=/a/folder/you/can/write make lab`"
READ_ONLY = "labs open and run but are not saved: clone into a folder of your own"


def writable(folder: Path) -> bool:
    """Whether a file can be written there, or where the folder would be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def home() -> Iterator[Finding]:
    """Whether Jupyter's folders can be written: without them it cannot start or save."""
    from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir, jupyter_runtime_dir

    folders = (jupyter_runtime_dir(), jupyter_data_dir(), jupyter_config_dir())
    locked = [folder for folder in folders if not writable(Path(folder))]
    found = f"{locked[0]} cannot be written: JupyterLab needs it" if locked else str(Path.home())
    yield Finding("home", found, ELSEWHERE if locked else "", bool(locked))


def checkout() -> Iterator[Finding]:
    try:
        folder = late_import("labs").checkout()
    except FileNotFoundError:
        return
    good = all(writable(place) for place in (folder, folder / "labs"))
    found = str(folder) if good else f"{folder} cannot be written"
    yield Finding("checkout", found, "" if good else READ_ONLY)


def network() -> Iterator[Finding]:
    yield Finding("network", "not needed: the labs' data and weights are in the repository")


# The project: packages, notebooks, shipped weights and recordings


def _labs() -> ModuleType:
    return late_import("labs")


def packages() -> Iterator[Finding]:
    """The version of each required package, against its range and, in a checkout, its pin."""
    pins = _pins()
    for needed in map(Requirement, requires("cmlab") or []):
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            yield _package(needed, pins.get(needed.name))


def _package(needed: Requirement, pin: Requirement | None) -> Finding:
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        return Finding(needed.name, "missing", AGAIN, stops=True)
    if not needed.specifier.contains(found, prereleases=True):
        return Finding(needed.name, f"{found}, needed {needed.specifier}", AGAIN, stops=True)
    if pin is not None and not pin.specifier.contains(found):
        return Finding(needed.name, f"{found}, tested with {pin.specifier}", AGAIN)
    return Finding(needed.name, found)


def _pins() -> dict[str, Requirement]:
    try:
        lines = (_labs().checkout() / "constraints.txt").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {p.name: p for p in pins if p.marker is None or p.marker.evaluate()}


def notebooks() -> Iterator[Finding]:
    try:
        folder = _labs().checkout() / "labs"
    except FileNotFoundError as error:
        yield Finding("labs", "not here", str(error))
        return
    found = _labs().find(folder)
    bad = [fault for notebook in found for fault in _labs().problems(notebook)]
    remedy = "run `cmlab labs run`; a notebook that you edited is set aside"
    yield from (Finding("labs", fault, remedy) for fault in bad)
    if not bad:
        yield Finding("labs", f"{len(found)}, each built from its current source")


def _shipped(part: str) -> tuple[Path, str]:
    """A folder of the shipped data, in the checkout or the installed package, and its remedy."""
    try:
        folder = _labs().checkout() / "data"
    except FileNotFoundError:
        return SHIPPED / part, "the package was installed without its data: install it again"
    return folder / part, f"run `git checkout -- data/{part}`"


def checkpoints() -> Iterator[Finding]:
    folder, remedy = _shipped("checkpoints")
    weights = {p.stem for p in folder.glob("*.safetensors")}
    records = {p.stem for p in folder.glob("*.json") if not p.stem.endswith("-scores")}
    for name in sorted(weights ^ records):
        missing = "weights" if name in records else "record"
        yield Finding("checkpoint", f"{name} has no {missing}", remedy, True)
    if not weights & records:
        yield Finding("checkpoint", "none", remedy, True)
    for name in sorted(weights & records):
        yield Finding("checkpoint", name)


def recordings() -> Iterator[Finding]:
    """The recordings that the labs replay: how many."""
    folder, remedy = _shipped("runs")
    if found := sorted(folder.glob("*/*.npz")):
        yield Finding("recordings", f"{len(found)}")
    else:
        yield Finding("recordings", "none", remedy, True)


SUMS = "SHA256SUMS"  # of the shipped data, as sha256sum writes it; see scripts/checksums.py
FILES = ("atlas.jsonl", "atlas/*.safetensors", "checkpoints/*.*", "runs/*/*.npz")


def checksums(data: Path) -> str:
    """The SHA-256 of each shipped file below `data`, one on a line before the file's path."""
    paths = sorted(path for pattern in FILES for path in data.glob(pattern))
    return "".join(
        f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(data).as_posix()}\n"
        for path in paths
    )


def shipped_files() -> Iterator[Finding]:
    """Whether each shipped file still is what was shipped, by its hash."""
    table, remedy = _shipped(SUMS)
    if not table.is_file():
        yield Finding("shipped files", f"{SUMS} is missing, so none was checked", remedy)
        return
    rows = [line.split("  ", 1) for line in table.read_text("utf-8").splitlines()]
    faults = [fault for digest, name in rows if (fault := _fault(name, digest))]
    yield from faults
    if not faults:
        yield Finding("shipped files", f"{len(rows)}, each as it was shipped")


def _fault(name: str, digest: str) -> Finding | None:
    """What is wrong with a shipped file; None if nothing is."""
    from ..train.checkpoint import is_pointer

    path, remedy = _shipped(name)
    if not path.is_file():
        what = "is missing"
    elif is_pointer(path):
        what, remedy = "is a Git LFS pointer and not the file", "run `git lfs pull`"
    elif sha256(path.read_bytes()).hexdigest() != digest:
        what = "is not what was shipped"
        remedy += "; if you made it anew, run `python scripts/checksums.py`"
    else:
        return None
    return Finding("shipped files", f"data/{name} {what}", remedy, True)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python,
    packages,
    device,
    memory,
    disk,
    kernel,
    home,
    checkout,
    network,
    notebooks,
    checkpoints,
    recordings,
    shipped_files,
)


def main() -> int:
    """Print the report; exit status 1 if a finding would stop a lab."""
    with suppress(LabsMissing):
        late_import("labs")  # a package that is missing stops it here, and is named
    findings = report()
    width = max(len(f.what) for f in findings)
    for f in findings:
        mark = "ok  " if not f.remedy else "STOP" if f.stops else "note"
        print(f"{mark}  {f.what:<{width}}  {f.found}")
        if f.remedy:
            print(f"{'':6}{'':<{width}}  -> {f.remedy}")
    return int(any(f.stops for f in findings))


def report() -> list[Finding]:
    """All findings. A check that fails itself is one of them."""
    return [finding for check in CHECKS for finding in _safely(check)]


def _safely(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:  # the other checks must run on a broken machine too
        reason = next(iter(str(error).splitlines()), "")
        found = f"{type(error).__name__}: {reason}"[:90]
        yield Finding(check.__name__, found, AGAIN, stops=True)
