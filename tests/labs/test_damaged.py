"""Damaged recordings, notebooks, tables and notes: one sentence each, and the remedy works."""

import io
import json
import os
import random
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cmlab_labs.common import study
from cmlab_labs.lab16_cifar10.figures import read_training_record
from cmlab_labs.lab16_cifar10.remote_run import (
    RemoteRun,
    RunHistory,
    RunRequest,
    last_checkpoint,
    recorded_status,
    request_from,
)
from cmlab_labs.lab16_cifar10.training_desk import desk
from cmlab_labs.lab17_atlas.benchmark import ENTRIES, read_rows
from cmlab_labs.tools.notebooks import build, check

from cmlab.cli.main import main
from cmlab.train.checkpoint import POINTER, BadFile, write_json
from cmlab.train.control import STATE, WANT

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "data" / "runs" / "ladder" / "ct.npz"
ATLAS = (ROOT / "data" / "atlas.jsonl").read_text("utf-8").splitlines()
STOPPED = ROOT / "tests" / "before_the_move" / "ict-stopped"
POINTS_TO = POINTER + b"spec/v1\nsize 3\n"
SOURCE = "# %% [markdown]\n# # 00 · Small\n\n# %%\n1 + 1\n"
CONFLICT = b"<<<<<<< HEAD\n%b=======\n%b>>>>>>> theirs\n"


# Recordings


@pytest.fixture
def recording(tmp_path):
    """A place for a recording, and how to read it."""
    path = study.path_of("ladder", "ct", tmp_path)
    path.parent.mkdir()
    return path


def read_recording(path):
    return study.read("ladder", "ct", path.parents[1])


def archive(record, **arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, record=np.array(record), **arrays)
    return buffer.getvalue()


def test_a_recording_with_flipped_bytes_is_read_or_refused(recording):
    raw, ends = SMALL.read_bytes(), {"read": 0, "refused": 0}
    rng = random.Random(0)
    for _ in range(150):
        odd = bytearray(raw)
        for place in rng.choices(range(len(raw)), k=rng.choice([1, 8, 64])):
            odd[place] = rng.randrange(256)
        recording.write_bytes(odd)
        try:
            assert read_recording(recording).record["study"] == "ladder"
            ends["read"] += 1  # bytes that nobody reads, such as a date
        except BadFile as error:
            assert "make it with `cmlab record ladder ct`" in str(error)
            ends["refused"] += 1
    assert ends["refused"] > 100, ends


GOOD = {"command": "x", "study": "ladder", "arm": "ct", "seeds": [0]}


@pytest.mark.parametrize(
    "record",
    ["", "{}", "[1]", "[" * 5000, json.dumps(GOOD | {"seeds": 3}),
     json.dumps(GOOD | {"scores": 3}), json.dumps(GOOD | {"scores": [{"a": "b"}]}),
     json.dumps(GOOD | {"scores": [{"a": 1}, {"b": 1}]})],
)  # fmt: skip
def test_a_recording_with_an_odd_record_is_refused(recording, record):
    recording.write_bytes(archive(json.dumps(GOOD | {"scores": [{"a": None}]})))
    assert np.isnan(read_recording(recording).score("a")).all()
    recording.write_bytes(archive(record))
    with pytest.raises(BadFile, match="damaged or no recording"):
        read_recording(recording)


def test_a_small_archive_that_unpacks_to_gigabytes_is_refused(recording, monkeypatch):
    assert sum(part.file_size for part in zipfile.ZipFile(SMALL).infolist()) < study.UNPACKED / 100
    monkeypatch.setattr(study.np, "load", None)  # nothing is unpacked
    with zipfile.ZipFile(recording, "w", zipfile.ZIP_DEFLATED) as file:
        for name in "ab":
            file.writestr(f"{name}.npy", bytes(study.UNPACKED // 2 + 1))
    assert recording.stat().st_size < 100_000
    with pytest.raises(BadFile, match="damaged or no recording"):
        read_recording(recording)


def test_an_array_that_claims_to_be_huge_is_refused(recording):
    with zipfile.ZipFile(recording, "w") as file:
        head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**15},), }}"
        text = head.ljust(117) + "\n"
        file.writestr(
            "a.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
        )
    with pytest.raises(BadFile, match="damaged or no recording"):
        read_recording(recording)


def test_a_pointer_in_a_recordings_place_is_called_so(recording):
    recording.write_bytes(POINTS_TO)
    with pytest.raises(BadFile, match="is a Git LFS pointer"):
        read_recording(recording)


# Notebooks


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A repository with one built lab, and the command called in it."""
    (tmp_path / "labs" / "src").mkdir(parents=True)
    (tmp_path / "constraints.txt").touch()
    (tmp_path / "labs" / "src" / "00_small.py").write_text(SOURCE, "utf-8")
    monkeypatch.chdir(tmp_path)
    build.sync(tmp_path / "labs" / "00_small.ipynb")
    return tmp_path / "labs" / "00_small.ipynb"


def conflict(raw):
    head, line, rest = raw.partition(b' "metadata": {\n')
    return head + CONFLICT % (line, line) + rest


DAMAGE = {
    "holds a merge conflict": conflict,
    "is empty, cut or no JSON": lambda raw: b"",
    "is empty, cut or no JSON;": lambda raw: raw[: len(raw) // 2],
    "is empty, cut or no JSON; ": lambda raw: b"[" * 9999,
    "is no notebook of format 4": lambda raw: b"[]",
    "is no notebook of format 4;": lambda raw: b'{"nbformat": 3}',
    "is not a valid notebook at cells/0": lambda raw: raw.replace(b'"markdown"', b'"song"'),
    "is not a valid notebook: a cell's type": lambda raw: raw.replace(b'"markdown"', b"{}"),
    "is not a valid notebook at the ids": lambda raw: re.sub(rb'"id": "[^"]+"', b'"id": [3]', raw),
    "is not a valid notebook at cells": lambda raw: b'{"nbformat": 4, "nbformat_minor": 5, '
                                                    b'"metadata": {}, "cells": 3}',
}  # fmt: skip


@pytest.mark.parametrize("said", DAMAGE)
def test_a_damaged_notebook_is_told_and_the_remedy_works(lab, capsys, said):
    before = lab.read_bytes()
    lab.write_bytes(damaged := DAMAGE[said](before))
    assert main(["labs", "check"]) == 1
    (fault,) = capsys.readouterr().out.splitlines()
    assert f"00_small.ipynb {said.rstrip('; ')}" in fault and "`cmlab labs run 00`" in fault
    assert main(["labs", "build", "--student", "copies"]) == 1
    assert capsys.readouterr().err.count("\n") == 1 and not Path("copies").exists()
    assert main(["labs", "sync"]) == 0
    assert "the damaged file is now 00_small.damaged-" in capsys.readouterr().out
    assert lab.read_bytes() == before
    (aside,) = lab.parent.glob("00_small.damaged-*.ipynb")
    assert aside.read_bytes() == damaged


def test_running_mends_a_damaged_notebook(lab, capsys):
    lab.write_bytes(conflict(lab.read_bytes()))
    assert main(["labs", "run"]) == 0
    assert check.problems(lab) == []


@pytest.mark.parametrize("make", [getattr(os, "mkfifo", os.mkdir), os.mkdir])
@pytest.mark.parametrize("read", [build.read, build.read_source])
def test_a_pipe_or_folder_in_a_notebooks_place_is_refused_and_not_waited_for(read, make, tmp_path):
    make(tmp_path / "03_x")
    with pytest.raises(ValueError, match="03_x cannot be read"):
        read(tmp_path / "03_x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CONFLICT % (b"1\n", b"2\n"), "holds a merge conflict at line 1"),
        (b"\xff\xfe", "is no text"),
    ],
)
def test_a_damaged_source_is_told_and_nothing_is_written(lab, capsys, text, said):
    before = lab.read_bytes()
    build.source_of(lab).write_bytes(text)
    assert said in check.problems(lab)[0]
    for action in ("sync", "run"):
        assert main(["labs", action]) == 1
        assert capsys.readouterr().err.startswith(f"00_small.py {said}")
    assert lab.read_bytes() == before


# The benchmark's table


@pytest.mark.parametrize(
    "change",
    [{"arm": ["ct"]}, {"seed": "0"}, {"answers": 3}, {"answers": [{"way": 3, "calls": 1}]},
     {"seconds": {}}, {"rmse_by_level": ["x"]},
     {"answers": [{"way": "f", "calls": 1, "sliced_w2": []}]}],
)  # fmt: skip
def test_an_odd_line_of_the_table_is_named(tmp_path, change):
    path, row = tmp_path / "atlas.jsonl", json.loads(ATLAS[5])
    path.write_text(json.dumps(row) + "\n", "utf-8")
    assert [found["arm"] for found in read_rows(path)] == [row["arm"]] and row["arm"] in ENTRIES
    for text in (json.dumps(row | change), "[" * 5000, "NaN"):
        path.write_text(f"{ATLAS[5]}\n{text}\n", "utf-8")
        with pytest.raises(BadFile, match="line 2 of .* is no run of the atlas"):
            read_rows(path)


# A shipped run


@pytest.mark.parametrize(
    ("suffix", "content"),
    [("png", b"\x89PNG\r\n"), ("json", b"{}"), ("jsonl", b"{}\n"),
     ("json", b'{"sheets": [1, 2, 3, 4, 5, 6, 7]}'),
     ("json", b'{"sheets": ["x"]}'), ("jsonl", b"\xff")],
)  # fmt: skip
def test_a_shipped_run_with_an_odd_file_is_refused(tmp_path, suffix, content):
    for end in ("json", "jsonl", "png"):
        shutil.copy(ROOT / "data" / "checkpoints" / f"shapes-ect.{end}", tmp_path)
    (tmp_path / f"shapes-ect.{suffix}").write_bytes(content)
    with pytest.raises(BadFile):
        read_training_record(tmp_path / "shapes-ect")


# What the training desk reads

STATUS = {"state": "stopped", "sentence": "", "stage": [1, 1], "step": 6, "steps": 16,
          "pid": 99999999, "time": 1.0}  # fmt: skip
ODD = [None, True, [], {}, "", "x", -1, 10**30, 1e308, [[[]]], "<b>x</b>", [1, 1, 1]]


@pytest.fixture
def run(tmp_path):
    """The folder of a run."""
    return Path(shutil.copytree(STOPPED, tmp_path / "run"))


@pytest.mark.parametrize("field", STATUS)
def test_a_state_with_an_odd_field_is_no_state(run, field):
    write_json(run / STATE, STATUS)
    assert recorded_status(run).word == "stopped"
    for odd in ODD:
        (run / STATE).write_text(json.dumps(STATUS | {field: odd}))
        assert recorded_status(run).word in ("nothing", "stopped")
    (run / STATE).write_text(json.dumps({k: v for k, v in STATUS.items() if k != field}))
    assert recorded_status(run).word == "nothing"


@pytest.mark.parametrize("field", RunRequest("toy.ict", "run").to_dict())
def test_a_note_with_an_odd_order_is_no_order_or_one_that_can_be_said(run, field):
    order = RunRequest("toy.ict", str(run), 16, ("train.batch=8",))
    for odd in ODD:
        kept = json.loads(json.dumps(order.to_dict())) | {field: odd}
        if made := request_from(kept):
            assert all(isinstance(word, str) for word in made.arguments())
    assert request_from(3) is None and request_from({}) is None


@pytest.mark.parametrize("odd", [b"", b"\xff\xfe", b"[1]", b"[" * 5000, b'{"pid": "x"}', b"{}"])
def test_the_desk_opens_whatever_lies_in_the_folder(run, odd):
    for path in (run / STATE, run / WANT, run / "record.json", run / "log.jsonl",
                 run / "checkpoint.safetensors", run.with_name("run.desk"),
                 run.with_name("run.said")):  # fmt: skip
        path.write_bytes(odd)
    opened = desk("toy.ict", run)
    assert opened.status.word == "nothing" and last_checkpoint(run) == "the beginning"
    history = RunHistory(run)
    history.read()
    assert history.phases() == [] and RemoteRun(str(run), run.parent).want == ""


def test_markup_in_a_runs_folder_is_shown_as_text(run):
    mark = "<b id='mine'>x</b>"
    write_json(run / STATE, STATUS | {"state": "failed", "sentence": mark})
    scores = {"scores": {mark: 1.0}}
    write_json(run / "record.json", scores)
    write_json(run.with_name("run.desk"), {"pid": 1, "time": 2.0, "order": {"preset": mark}})
    run.with_name("run.said").write_text(f"cmlab: {mark}\n")
    shown = desk("toy.ict", run)
    write_json(run / STATE, STATUS | {"state": "finished", "sentence": mark})
    parts = [shown.words, shown.alarm, shown.numbers, shown.line, shown.plan]
    said = [part.value for part in parts]
    shown.refresh()
    said += [part.value for part in parts]
    assert mark not in "".join(said) and "&lt;b id=" in "".join(said)


def test_a_state_that_no_run_writes_is_not_shown(run):
    (run / STATE).write_text(json.dumps(STATUS | {"state": "<b>x</b>"}))
    shown = desk("toy.ict", run)
    assert shown.status.word == "nothing" and "<b>x" not in shown.words.value
