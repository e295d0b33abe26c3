"""Each fault of a machine is one line of the report, with its remedy."""

import sys
from collections import namedtuple
from pathlib import Path

import jupyter_client.kernelspec
import numpy as np
import psutil
import pytest
import torch

from cmlab.cli import doctor
from cmlab.discovery import late_import
from cmlab.train.checkpoint import POINTER


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small healthy repository, and the doctor called in it."""
    (tmp_path / "labs").mkdir()
    (tmp_path / "constraints.txt").write_text("numpy>=2\n")
    weights = tmp_path / "data" / "checkpoints" / "digits.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    weights.with_suffix(".json").touch()
    (tmp_path / "data" / "runs" / "ladder").mkdir(parents=True)
    np.savez(tmp_path / "data" / "runs" / "ladder" / "ict.npz", a=np.zeros(1))
    (tmp_path / "data" / doctor.SUMS).write_text(doctor.checksums(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(*words):
    """The findings that hold all these words."""
    found = [
        f for f in doctor.report() if all(w in f"{f.what} {f.found} {f.remedy}" for w in words)
    ]
    assert found, doctor.report()
    return found


def test_a_healthy_machine_has_nothing_to_stop_a_lab(checkout, capsys):
    assert [f for f in doctor.report() if f.stops] == []
    assert doctor.main() == 0
    table = capsys.readouterr().out.splitlines()
    assert all(row[:4] in ("ok  ", "note", "    ") for row in table)
    for word in ("Python", "torch", "device", "threads", "free disk", "kernel python3", "labs"):
        assert any(word in row for row in table)


def test_a_fault_that_stops_a_lab_gives_status_1_and_a_remedy(checkout, capsys):
    (checkout / "data" / "checkpoints" / "digits.json").unlink()
    assert doctor.main() == 1
    table = capsys.readouterr().out.splitlines()
    stop = next(n for n, row in enumerate(table) if row.startswith("STOP"))
    assert "digits has no record" in table[stop]
    assert "-> run `git checkout" in table[stop + 1]


def test_the_wrong_python_is_noticed(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert lines("Python", "install Python 3.11")[0].stops


@pytest.mark.parametrize(
    ("found", "stops"), [("7.4.0", True), ("6.32.0", False), ("6.31.0", None), (None, True)]
)
def test_a_package_is_held_against_its_range_and_its_pin(checkout, monkeypatch, found, stops):
    (checkout / "constraints.txt").write_text("ipykernel==6.31.0\n")
    version = doctor.version

    def other(name):
        if name == "ipykernel" and found is None:
            raise doctor.PackageNotFoundError(name)
        return found if name == "ipykernel" else version(name)

    monkeypatch.setattr(doctor, "version", other)
    (finding,) = lines("ipykernel")
    assert (finding.stops if finding.remedy else None) == stops


def test_a_torch_that_does_not_load_is_reported_among_the_rest(checkout, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (finding,) = lines("device", "ModuleNotFoundError")
    assert finding.stops and "make install" in finding.remedy
    assert lines("free disk") and lines("kernel python3")


def test_little_disk_and_memory_are_noticed(monkeypatch):
    Usage = namedtuple("Usage", "free available total", defaults=(5e7, 5e7, 2e9))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage())
    monkeypatch.setattr(psutil, "virtual_memory", Usage)
    assert lines("free disk", "0.1 GB", "free at least 1 GB")[0].stops
    assert not lines("free memory", "close other programs")[0].stops
    assert not lines("memory", "2.0 GB of the 4 GB meant", "one lab at a time")[0].stops


def test_a_container_with_little_memory_is_noticed(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(doctor, "LIMITS", (limit, tmp_path / "none"))
    limit.write_text("max\n")
    assert doctor.container_limit() == float("inf")
    limit.write_text("1500000000\n")
    assert lines("memory", "1.5 GB of the 4 GB meant")


def test_a_home_and_a_checkout_that_cannot_be_written_are_noticed(checkout, monkeypatch):
    assert lines("home")[0].remedy == lines("checkout")[0].remedy == ""
    monkeypatch.setattr(doctor, "writable", lambda folder: False)
    assert lines("home", "JupyterLab needs it", "HOME=")[0].stops
    assert not lines("checkout", "cannot be written", "not saved")[0].stops


def test_a_folder_that_is_not_there_yet_is_as_writable_as_where_it_would_be(tmp_path):
    (tmp_path / "file").touch()
    assert doctor.writable(tmp_path / "a" / "b")
    assert not doctor.writable(tmp_path / "file" / "a")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_machine_without_gpu_and_network_is_told_that_it_needs_none(checkout):
    assert lines("network", "not needed")
    if not torch.cuda.is_available():
        assert "enough for all labs" in lines("device")[0].found


@pytest.mark.parametrize(
    ("command", "stops"),
    [
        ("python", False),
        (str(Path(sys.prefix) / "bin" / "python"), False),
        (str(Path(sys.prefix).parent / "another" / "bin" / "python"), True),
    ],
)
def test_a_kernel_of_another_python_is_noticed(monkeypatch, command, stops):
    spec = jupyter_client.kernelspec.KernelSpec(argv=[command, "-m", "ipykernel_launcher"])
    manager = jupyter_client.kernelspec.KernelSpecManager
    monkeypatch.setattr(manager, "get_kernel_spec", lambda self, name: spec)
    assert lines("kernel python3")[0].stops == stops


def test_a_missing_kernel_is_noticed(monkeypatch):
    monkeypatch.setattr(
        jupyter_client.kernelspec.KernelSpecManager,
        "_find_spec_directory",
        lambda self, name: None,
    )
    assert lines("kernel", "NoSuchKernel")[0].stops


def test_a_lab_out_of_step_is_noticed_and_does_not_stop(checkout):
    (checkout / "labs" / "src").mkdir()
    (checkout / "labs" / "src" / "00_new.py").write_text("# %%\n1 + 1\n")
    assert not lines("labs", "00_new.ipynb is not built", "cmlab labs run")[0].stops


def test_a_checkout_without_weights_is_noticed(checkout):
    (checkout / "data" / "checkpoints" / "digits.safetensors").unlink()
    (checkout / "data" / "checkpoints" / "digits.json").unlink()
    assert lines("checkpoint", "none")[0].stops


def test_missing_recordings_are_noticed(checkout):
    recording = checkout / "data" / "runs" / "ladder" / "ict.npz"
    assert not lines("recordings", "1")[0].stops
    recording.unlink()
    assert lines("recordings", "none")[0].stops
    assert lines("shipped files", "data/runs/ladder/ict.npz is missing", "git checkout")[0].stops


DAMAGE = {
    "is not what was shipped": lambda raw: raw[: len(raw) // 2],
    "is not what was shipped ": lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:],
    "is not what was shipped  ": lambda raw: b"",
    "is a Git LFS pointer and not the file": lambda raw: POINTER + b"spec/v1\nsize 3\n",
}


@pytest.mark.parametrize("said", DAMAGE)
@pytest.mark.parametrize("name", ["runs/ladder/ict.npz", "checkpoints/digits.safetensors"])
def test_a_damaged_file_is_noticed(checkout, name, said):
    path = checkout / "data" / name
    path.write_bytes(path.read_bytes() or bytes(100))
    (checkout / "data" / doctor.SUMS).write_text(doctor.checksums(checkout / "data"))
    assert lines("shipped files", "3, each as it was shipped")[0].remedy == ""
    path.write_bytes(DAMAGE[said](path.read_bytes()))
    (finding,) = lines("shipped files")
    assert finding.stops and finding.found == f"data/{name} {said.strip()}"
    assert finding.remedy.startswith(("run `git checkout -- data/", "run `git lfs pull`"))


def test_a_checkout_without_a_list_of_hashes_is_told_so_and_not_stopped(checkout):
    (checkout / "data" / doctor.SUMS).unlink()
    (finding,) = lines("shipped files", "is missing, so none was checked")
    assert finding.remedy and not finding.stops


def test_every_shipped_file_is_listed_with_its_hash():
    data = Path(__file__).parents[1] / "data"
    listed = (data / doctor.SUMS).read_text("utf-8")
    assert listed == doctor.checksums(data), "run `python scripts/checksums.py`"
    assert listed.count("\n") > 200


def test_outside_a_checkout_it_says_where_the_labs_are(monkeypatch):
    def nowhere():
        raise FileNotFoundError("clone it")

    monkeypatch.setattr(late_import("labs"), "checkout", nowhere)
    assert lines("labs", "not here", "clone it")
    assert [f for f in doctor.report() if f.stops] == []
