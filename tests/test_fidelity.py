"""The comparison with the authors' code: its table, its arithmetic, and what docstrings say."""

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
PROGRAM, TABLE = ROOT / "benchmarks" / "fidelity.py", ROOT / "docs" / "fidelity.md"


@pytest.fixture(scope="module")
def fidelity():
    spec = importlib.util.spec_from_file_location("fidelity", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fidelity"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fidelity"]


@pytest.fixture(scope="module")
def rows(fidelity):
    return [row for section in fidelity.shipped(TABLE).values() for row in section]


def test_all_rows_of_the_shipped_table_were_run(fidelity, rows):
    assert len(rows) >= 25 and all(len(row) == len(fidelity.COLUMNS) for row in rows)
    assert len({row[0] for row in rows}) == len(rows)
    assert set(fidelity.shipped(TABLE)) == set(fidelity.CHECKOUTS.values())
    for row in rows:
        assert float(row[4]) >= 0 and re.fullmatch(r"[0-9a-f]{7}", row[3]), row


def test_a_row_that_is_not_equal_gives_its_reason_and_no_other_does(fidelity, rows):
    assert fidelity.faults(rows) == []
    assert all(bool(row[6]) == bool(row[7]) for row in rows)


# What the docstring of the module that a row names says of its reason.
WORDS = {
    "ECT: the same with its default c": "c = 1e-8",
    "ECT: what is sampled after training": "σ_min = 0.003",
    "CT: decay of the target μ(k)": "divides by N(k) - 1",
    "CM: multistep sampler, three calls": "2.44e-6 at τ = 0.821 and 2.50e-6 at 0.8",
    "CM: the same without a clamp": "clamp every call to [-1, 1]",
    "sCT: both with their defaults": "a factor 1/σ_t and a second division by D",
    "sCT: the same as the third row of sCT, with dropout": "a second dropout mask",
    "PCM: the same with our default metric": "√(δ² + c²) - c with c = 1e-3",
    "PCM: the same with the linear loss": "with the first a fake with D > 1 has no gradient",
    "sLCT: c of the first stage on 4 × 4 × 4": "for 4 · 4 · 4 it is 0.00432",
    "Shortcut: targets of the smallest steps": "noise of 1e-5 at the data",
    "rCM: half-way through the warm-up": "cos t √(1 - r² sin² t)",
    "rCM: with differences in place of a derivative, gap 1e-3": "of the later time",
}


def test_every_reason_stands_in_the_docstring_that_its_row_names(rows):
    told = {row[0]: row[7].strip("`") for row in rows if row[6]}
    assert told.keys() == WORDS.keys()
    for row, module in told.items():
        words = " ".join((importlib.import_module(module).__doc__ or "").split())
        assert WORDS[row] in words, f"{module} does not say: {WORDS[row]}"


# What the table has no row for: convention, launch scripts, and where a loss's value says nothing.
SAID = (
    ("scm", "the loss's value is ‖bound(g)‖² / D, whatever the model"),
    ("scm", "r multiplies x_t but not dF/dt"),
    ("ct", "for ImageNet and for LSUN, start the student from a diffusion model's weights"),
    ("ct", "the JAX configurations for CIFAR-10 do not (`finetune` is False)"),
    ("slct", "quandao10/LCT at 34661b9"),
    ("slct", "pseudo-Huber would be √D times as large"),
    ("slct", "copies the average of the weights into θ⁻ from epoch 1350 of 1400 on"),
    ("slct", "Geman-McClure is 2 m / (m + 4 c²)"),
    ("slct", "the norm whose factor stays 1 is used by the U-Net in branches ot and ssl_ot alone"),
    ("pcm", "λ does not weight it"),
    ("pcm", "w √D: 0.14 in the plane, 12.8 on their latents of 4 · 64 · 64 numbers"),
)


@pytest.mark.parametrize(("method", "words"), SAID)
def test_a_method_says_where_its_paper_and_the_authors_code_part(method, words):
    module = importlib.import_module(f"cmlab.methods.{method}")
    assert words in " ".join((module.__doc__ or "").split())


def test_the_largest_difference_is_number_by_number_or_against_the_tensors_largest(fidelity):
    assert fidelity.gap([1.0, 2.0], [1.0, 4.0]) == 0.5
    assert fidelity.gap(torch.tensor([[1e-9, 1.0]]), torch.tensor([[2e-9, 1.0]])) < 2e-9
    assert fidelity.gap(torch.zeros(3), torch.zeros(3)) == 0.0
    assert fidelity.gap(torch.tensor([0.5]), torch.tensor([0.0])) == float("inf")
    for wrong in (torch.ones(2), torch.tensor([float("nan")])):
        with pytest.raises(ValueError, match="cannot be compared"):
            fidelity.gap(torch.ones(1), wrong)


def test_of_a_file_only_what_is_named_runs(fidelity, tmp_path):
    (tmp_path / "theirs.py").write_text(
        "import a_package_that_is_missing\nraise SystemExit('run')\n"
        "class Box:\n    def twice(self, x: Unknown) -> Unknown:\n        return factor * x\n"
    )
    found = fidelity.definitions(tmp_path, "theirs.py", "Box.twice", factor=2)
    assert found.twice(None, 21) == 42
    with pytest.raises(SystemExit, match="has no Box.thrice; check out the commit"):
        fidelity.definitions(tmp_path, "theirs.py", "Box.thrice")


def test_without_a_checkout_the_rows_keep_their_places_and_say_so(tmp_path):
    out = tmp_path / "table.md"
    command = [sys.executable, str(PROGRAM), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shipped, new = TABLE.read_text().splitlines(), out.read_text().splitlines()
    assert len(shipped) == len(new) and "0 of" in out.read_text()
    rows = [line for line in new if line.startswith("| ") and "| `" in line]
    assert len(rows) >= 25 and all("| not run |" in row for row in rows)


def test_a_checkout_without_the_file_is_refused_in_one_sentence(tmp_path):
    command = [sys.executable, str(PROGRAM), "--ect", str(tmp_path), "--out", str(tmp_path / "t")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "training/loss.py" in done.stderr and not (tmp_path / "t").exists()
