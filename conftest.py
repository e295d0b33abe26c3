"""What holds for every test, in tests/ and in the cells of labs/."""

import functools
import os
import subprocess
import sys

import pytest

# Read by torch when it loads, here and in the kernels that run the labs. One thread a process,
# because the tests themselves run side by side, and because a result must not depend on it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(
    "PYDEVD_DISABLE_FILE_VALIDATION", "1"
)  # else the kernel warns on Python 3.11
os.environ.pop("MPLBACKEND", None)  # only then does a kernel choose the inline backend


@functools.cache
def has_cuda() -> bool:
    """Asks a child process, so that CUDA is never initialised in this one."""
    question = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", question], check=False).returncode == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A notebook cell tagged `gpu`, like a test so marked, runs only where there is a GPU."""
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is not None and "gpu" in cell.metadata.get("tags", []):
            item.add_marker(pytest.mark.gpu)
        if item.get_closest_marker("gpu") and not has_cuda():
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))
