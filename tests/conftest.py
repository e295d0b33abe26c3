"""What holds for every test of the package: checked shapes, one thread, its own random numbers."""

import os

import matplotlib
import pytest
import torch
from jaxtyping import install_import_hook

matplotlib.use("Agg")
# Triton reads this when it is imported, and torch may import it long before a kernel's test does.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# Before cmlab is imported for the first time: from here on each call is checked against its
# annotations, shapes included. The tower lets an int stand where a float is asked for.
install_import_hook(
    ["cmlab", "cmlab_labs"], "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_random_numbers():
    """Each test starts from the same random state and leaves the others' untouched."""
    import random

    import numpy as np

    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        yield
    random.setstate(python)
    np.random.set_state(numpy)


@pytest.fixture
def every_save(monkeypatch):
    """No checkpoint is left out for taking long, as it may on a busy machine."""
    monkeypatch.setattr("cmlab.train.run_log.SAVING_SHARE", float("inf"))
