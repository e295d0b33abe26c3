"""The benchmark of training on CIFAR-10: its lines say what they mean, also on a CPU."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "cifar10.py"
TINY = ["--width", "16", "--blocks", "1", "--batch", "2"]
SHORT = ["--warmup", "0", "--steps", "1", "--repeats", "2"]


@pytest.fixture
def bench(monkeypatch):
    """The program's names; what it switches on for its process is put back."""
    for part, name in ((torch.backends.cudnn, "benchmark"), (torch.backends.cudnn, "allow_tf32")):
        monkeypatch.setattr(part, name, getattr(part, name))
    before = torch.get_float32_matmul_precision()
    yield runpy.run_path(str(PROGRAM))
    torch.set_float32_matmul_precision(before)


def settings(bench, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [str(PROGRAM), *TINY, *SHORT, *words])
    return bench["settings"]()


@pytest.mark.parametrize("row", ["ours-fp32", "ours-bf16"])
def test_a_line_has_rate_range_arithmetic_and_share_of_the_peak(bench, monkeypatch, row):
    given, _ = settings(bench, monkeypatch, "--peak", "0.001")
    line = bench["measure"](bench["ROWS"][row], given)
    assert 0 < line["lowest"] <= line["images_per_second"] <= line["highest"]
    assert line["weights"] == 393_187
    used = bench["PASSES"] * line["gflop"] * line["images_per_second"] / 1  # of 1 GFLOPS
    assert line["utilisation"] == pytest.approx(used, rel=0.01)
    assert line["peak_mib"] is None or torch.cuda.is_available()


def test_without_their_code_only_ours_is_measured_and_compiling_waits_for_a_gpu(
    bench, monkeypatch
):
    given, _ = settings(bench, monkeypatch)
    rows = bench["wanted"](None, given)
    assert [row for row in rows if "compile" not in row] == ["ours-fp32", "ours-bf16"]
    assert ("ours-compile" in rows) is torch.cuda.is_available()
    both, _ = settings(bench, monkeypatch, "--theirs", "somewhere")
    assert bench["wanted"](None, both)[:3] == ["theirs", "theirs-bf16", "ours-fp32 on theirs"]
    assert bench["wanted"](["theirs"], given) == []


def test_a_row_is_measured_in_a_process_of_its_own_and_appended(
    bench, monkeypatch, tmp_path, capsys
):
    out = tmp_path / "lines.jsonl"
    out.write_text("an older line\n")
    settings(bench, monkeypatch, "--out", str(out), "--rows", "ours-fp32")
    bench["main"]()
    printed = capsys.readouterr().out
    assert out.read_text() == "an older line\n" + printed
    line = json.loads(printed)
    assert line["row"] == "ours-fp32" and line["images_per_second"] > 0
    assert {"name", "torch", "cuda", "batch", "precision", "network"} <= set(line)


def test_a_row_that_fails_says_so_in_its_line_and_the_others_go_on(bench, monkeypatch, capsys):
    died = subprocess.CompletedProcess([], 1, "", "Traceback\nOutOfMemoryError: 3 GiB")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: died)
    settings(bench, monkeypatch, "--theirs", "x", "--rows", "theirs", "ours-fp32")
    bench["main"]()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["row"] for line in lines] == ["theirs", "ours-fp32"]
    assert {line["error"] for line in lines} == {"OutOfMemoryError: 3 GiB"}


def test_a_card_that_is_not_in_the_table_has_no_share(bench, monkeypatch):
    given, _ = settings(bench, monkeypatch)
    assert given.card not in bench["PEAK"] and given.peak is None
    assert bench["measure"](bench["ROWS"]["ours-fp32"], given)["utilisation"] is None
