"""A finished run in four small files, which still are the run."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cmlab.cli.main import main
from cmlab.cli.ship import SHEETS, history, ship, spread
from cmlab.train import runs
from cmlab.train.checkpoint import BadFile
from cmlab.train.recipe import to_dict
from cmlab.train.run_log import LOG, STRIPS

WORDS = ["steps=30", "train.batch=4", "start.train.batch=4", "net.width=8", "start.net.width=8"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ship") / "run"
    assert main(["train", "digits.ect", "--set", *WORDS, "--out", str(folder)]) == 0
    return folder


def test_the_shipped_weights_are_the_runs_to_three_digits_and_half_the_size(run, tmp_path):
    ship(run, tmp_path / "a")
    small, recipe, record = runs.load(tmp_path / "a.safetensors")
    whole, same_recipe, facts = runs.load(run)
    for a, b in zip(small.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=2**-8, atol=0)
    assert to_dict(recipe) == to_dict(same_recipe) and record["scores"] == facts["scores"]
    sizes = [path.stat().st_size for path in (tmp_path / "a.safetensors", run / runs.MODEL)]
    assert sizes[0] < 0.75 * sizes[1]


def test_the_log_and_the_sheets_count_the_samples_of_the_start(run, tmp_path):
    rows, sheets = history(run)
    assert [row["stage"] for row in rows] == 12 * [0] + 18 * [1]
    assert [row["samples"] for row in rows] == [4 * k for k in range(1, 31)]
    assert sheets[0][0] == 4 and sheets[-1][0] == 30 * 4
    assert [samples for samples, _ in sheets] == sorted(samples for samples, _ in sheets)
    record = ship(run, tmp_path / "a")
    written = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert written == rows and (run / LOG).exists()
    assert len(record["sheets"]) == SHEETS and record["sheets"][-1] == 120
    picture, one = Image.open(tmp_path / "a.png"), Image.open(sheets[-1][1])
    assert picture.height == SHEETS * one.height and picture.width == one.width
    assert np.array_equal(np.asarray(picture)[-one.height :], np.asarray(one))
    assert json.loads((tmp_path / "a.json").read_text())["sheets"] == record["sheets"]


def test_a_start_that_has_a_start_of_its_own_is_shipped_too(tmp_path):
    steps = {"train.steps": 3, "start.train.steps": 2, "start.start.train.steps": 4}
    words = [f"{name}={n}" for name, n in steps.items()]
    for place in ("", "start.", "start.start."):
        words += [f"{place}train.batch=4", f"{place}net.width=8"]
    assert main(["train", "toy.tcm", "--set", *words, "--out", str(tmp_path / "run")]) == 0
    rows, _ = history(tmp_path / "run")
    facts = runs.load(tmp_path / "run")[2], runs.load(tmp_path / "run" / "start")[2]
    assert [record["samples_seen"] for record in facts] == [36, 24]
    assert [row["stage"] for row in rows] == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert [row["samples"] for row in rows] == [4 * k for k in range(1, 10)]


def test_a_dot_in_the_name_is_part_of_the_name(run, tmp_path):
    ship(run, tmp_path / "digits.ect")
    names = {f"digits.ect.{suffix}" for suffix in ("safetensors", "json", "jsonl", "png")}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_an_unfinished_run_is_not_shipped_and_nothing_is_written(run, tmp_path, capsys):
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / runs.RECORD).write_text("{}")
    assert main(["ship", str(begun), "--out", str(tmp_path / "a")]) == 2
    assert "is not finished; go on with the same command and --resume" in capsys.readouterr().err
    with pytest.raises(BadFile, match="is one file; give the run's folder"):
        ship(run / runs.MODEL, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["begun"]


def test_the_denoiser_that_a_run_began_with_is_a_run_of_its_own(run):
    model, recipe, record = runs.load(run / "start")
    assert to_dict(recipe) == to_dict(runs.load(run)[1].start) and record["samples_seen"] == 48
    assert (run / "start" / STRIPS).is_dir() and not model.training


@pytest.mark.parametrize("n, most", [(0, 8), (1, 8), (8, 8), (9, 8), (40, 8), (1000, 120)])
def test_what_is_thinned_out_keeps_both_ends_and_even_gaps(n, most):
    chosen = spread(n, most)
    assert len(chosen) == min(n, most) == len(set(chosen))
    if n:
        assert chosen[0] == 0 and chosen[-1] == n - 1
        gaps = np.diff(chosen)
        assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
