"""Launchers: processes that were started as one run train one run, and never one each."""

import os
import subprocess
import sys

import pytest

from cmlab.cli.main import main
from cmlab.train.distributed import Engine, launcher_mismatch

WORDS = ["train", "toy.ct", "--set", "steps=4", "train.batch=4", "net.width=4"]
TORCHRUN = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1", "RANK": "3"}
SLURM = {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "3"}
PMI = {"PMI_SIZE": "4", "MPI_LOCALNRANKS": "2"}
MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
FLAGS = "give --devices 2 --nodes 2 "


@pytest.fixture
def launched(monkeypatch):
    """A function that sets a launcher's variables."""
    for name in ("WORLD_SIZE", "LOCAL_RANK", *TORCHRUN, *SLURM, *MPI, *PMI, "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    return lambda found: [monkeypatch.setenv(name, value) for name, value in found.items()]


@pytest.mark.parametrize("found", [TORCHRUN, SLURM, MPI, PMI])
def test_processes_that_would_each_train_the_whole_run_are_refused(
    launched, found, tmp_path, capsys
):
    launched(found)
    assert main([*WORDS, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "started 4 processes" in said and FLAGS in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert launcher_mismatch(Engine(2, 2)) == ""


def test_what_a_launcher_has_to_be_told_is_said(launched):
    launched({"SLURM_NTASKS": "2"})  # Fabric needs the number on each machine too
    assert "srun --nodes=1 --ntasks-per-node=2" in launcher_mismatch(Engine(2))
    assert "give --devices 2 --nodes 1 " in launcher_mismatch(Engine())


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"WORLD_SIZE": "1", "LOCAL_RANK": "0"},
        {"SLURM_NTASKS": "1"},
        {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "interactive"},  # typed, not started by srun
        {"SLURM_NTASKS": "2", "WORLD_SIZE": "1", "LOCAL_RANK": "0"},  # torchrun inside SLURM
    ],
)
def test_one_process_is_one_run(launched, found):
    launched(found)
    assert launcher_mismatch(Engine()) == ""


def test_a_cluster_that_counts_machines_and_not_processes_is_left_alone(launched):
    launched({"WORLD_SIZE": "2"})  # Fabric starts the processes of each machine itself
    assert launcher_mismatch(Engine(8, 2)) == "" and launcher_mismatch(Engine(8, 1))


@pytest.mark.parametrize("name", ["WORLD_SIZE", "SLURM_NTASKS", "LOCAL_RANK", "SLURM_PROCID"])
@pytest.mark.parametrize("text", ["x", "", "-1", "1e3"])
def test_a_launchers_variable_that_is_no_number_is_named(launched, name, text):
    launched({name: text})
    low = int(name in ("WORLD_SIZE", "SLURM_NTASKS"))
    assert (
        launcher_mismatch(Engine())
        == f"{name}={text!r} in the environment is no whole number from {low} on; unset it"
    )


def test_a_launcher_of_no_process_is_named(launched):
    launched({"OMPI_COMM_WORLD_SIZE": "0"})
    assert launcher_mismatch(Engine()).startswith(
        "OMPI_COMM_WORLD_SIZE='0' in the environment is no"
    )


def test_torchrun_without_devices_is_refused(tmp_path):
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    run += ["-m", "cmlab", *WORDS, "--out", str(tmp_path / "run")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(run, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode and "give --devices 2 --nodes 1" in done.stderr
    assert not (tmp_path / "run").exists()
