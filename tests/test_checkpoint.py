"""Files: whole or not there, told apart in one sentence, and never executed."""

import errno
import json
import os
import pickle
import re
import signal
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cmlab.train import checkpoint
from cmlab.train.checkpoint import BadFile
from cmlab.train.run_log import read_log

TENSORS = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1.5)}
RECORD = {"recipe": {"kind": "x"}, "σ_d": 0.5, "none": None}


def assert_good(path, record=RECORD):
    tensors, kept = checkpoint.read(path)
    assert kept == record and tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "deep" / "run.safetensors"
    checkpoint.write(path, TENSORS, RECORD)
    return path


def alone(path):
    return [other.name for other in path.parent.iterdir()] == [path.name]


def test_what_is_written_is_read(good):
    assert_good(good)
    assert alone(good)


def test_parameters_views_and_integers_are_kept_as_they_are(tmp_path):
    weight = torch.nn.Parameter(torch.randn(3, 4))
    tensors = {"p": weight, "t": weight.T, "i": torch.arange(3), "d": torch.ones(2).double()}
    checkpoint.write(tmp_path / "f", tensors, {})
    again, _ = checkpoint.read(tmp_path / "f")
    for name, value in tensors.items():
        assert torch.equal(again[name], value) and again[name].dtype == value.dtype


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_disk_that_refuses_leaves_the_old_file_whole_and_nothing_beside_it(
    good, monkeypatch, code
):
    def refuse(path, payload):
        with path.open("wb") as file:
            file.write(payload[: len(payload) // 2])  # half of it fits
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(BadFile, match="free some space or choose another place") as error:
        checkpoint.write(good, {"w": torch.zeros(10_000)}, {})
    assert os.strerror(code) in str(error.value) and "\n" not in str(error.value)
    assert alone(good)
    monkeypatch.undo()
    assert_good(good)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_during_a_write_leaves_the_old_file_whole_and_nothing_beside_it(good, stop):
    def fill(path):
        path.write_bytes(b"half")
        raise stop

    with pytest.raises(stop):
        checkpoint.replace(good, fill)
    assert alone(good)
    assert_good(good)


def test_a_file_is_renamed_into_place_only_once_it_is_whole_and_on_the_disk(good, monkeypatch):
    events, sync, rename = [], os.fsync, Path.replace

    def synced(descriptor):
        events.append(("sync", os.fstat(descriptor).st_size))
        sync(descriptor)

    def renamed(part, target):
        events.append(("rename", part.stat().st_size))
        assert target == good
        assert_good(target)  # the old one stands until this moment
        return rename(part, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    checkpoint.write(good, TENSORS, {})
    size = good.stat().st_size
    assert events == [("sync", size), ("rename", size)]
    assert_good(good, {})


def test_a_place_that_is_no_folder_is_refused(good):
    with pytest.raises(BadFile, match="could not be written"):
        checkpoint.write(good / "below", TENSORS, {})
    (good.parent / "folder").mkdir()
    with pytest.raises(BadFile, match="could not be written"):
        checkpoint.write_json(good.parent / "folder", {})
    assert sorted(p.name for p in good.parent.iterdir()) == ["folder", good.name]
    assert_good(good)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_told(good, share):
    payload = good.read_bytes()
    good.write_bytes(payload[: int(share * len(payload))])
    with pytest.raises(BadFile, match="is damaged or no safetensors file; remake or restore it"):
        checkpoint.read(good)


def test_a_missing_file_and_a_folder_are_told(good):
    for path in (good.with_name("no"), good.parent):
        with pytest.raises(BadFile, match="does not exist; give a run's folder or a .safetensors"):
            checkpoint.read(path)


def test_a_file_by_another_program_is_told(tmp_path):
    save_file(TENSORS, tmp_path / "plain")
    save_file(TENSORS, tmp_path / "other", metadata={"format": "pt"})
    for name in ("plain", "other"):
        with pytest.raises(BadFile, match="holds no cmlab record; give a file that cmlab wrote"):
            checkpoint.read(tmp_path / name)
    save_file(TENSORS, tmp_path / "broken", metadata={checkpoint.KEY: "{"})
    with pytest.raises(BadFile, match="damaged"):
        checkpoint.read(tmp_path / "broken")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.safetensors").write_bytes(pickle.dumps(Bomb()))
    torch.save({"w": Bomb()}, "b.safetensors")
    for name in ("a", "b"):
        with pytest.raises(BadFile):
            checkpoint.read(Path(f"{name}.safetensors"))
    assert not Path("exploded").exists()


def test_a_json_record_is_readable_text_and_strict(tmp_path):
    path = tmp_path / "r.json"
    checkpoint.write_json(path, {"σ": 1, "list": [1, 2]})
    assert "σ" in path.read_text(encoding="utf-8") and path.read_text().endswith("}\n")
    with pytest.raises(ValueError):
        checkpoint.write_json(path, {"score": float("nan")})
    assert "σ" in path.read_text(encoding="utf-8") and alone(path)
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("read", [checkpoint.read, checkpoint.read_json, read_log])
def test_a_pipe_in_a_files_place_is_refused_and_not_waited_for(read, tmp_path):
    os.mkfifo(tmp_path / "f")
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits for a writer"))
    signal.alarm(60)
    try:
        with pytest.raises(BadFile):
            read(tmp_path / "f")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_flipped_bits_anywhere_in_a_file_are_noticed_or_change_nothing(good):
    whole = good.read_bytes()
    for place in range(0, len(whole), 7):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        good.write_bytes(spoilt)
        try:  # the checksum's own name, or a space, may be hit
            assert_good(good)
        except BadFile as error:
            assert re.search("damaged|no cmlab record", str(error))


def test_a_file_of_an_earlier_version_has_no_checksum_and_is_read(good):
    record = json.dumps(RECORD)
    save_file(TENSORS, good, metadata={checkpoint.KEY: record})
    assert_good(good)
