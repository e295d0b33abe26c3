"""A run can be given a trained model as its start: `cmlab train PRESET --start MODEL`."""

import hashlib
import json
import shutil

import pytest
from test_lengthen import files, record, same

from cmlab.cli import train
from cmlab.cli.main import main
from cmlab.cli.ship import history, ship
from cmlab.train import runs
from cmlab.train.checkpoint import read
from cmlab.train.recipe import to_dict

SMALL = ["train.batch=4", "net.width=4"]
EDM = ["train", "toy.edm", "--set", "steps=3", *SMALL]
ECT = ["train", "toy.ect", "--set", "steps=12", *SMALL]  # 3 of EDM, 9 of ECT
WHOLE = [*ECT, "start.net.width=4", "start.train.batch=4"]


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory):
    """A finished run of EDM: the start that `toy.ect` would train for itself."""
    folder = tmp_path_factory.mktemp("start") / "denoiser"
    assert main([*EDM, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("name", [".", runs.MODEL])
def test_a_run_from_a_given_denoiser_is_the_run_that_trains_it_first(denoiser, tmp_path, name):
    given, whole = tmp_path / "given", tmp_path / "whole"
    assert main([*ECT, "--out", str(given), "--start", str(denoiser / name)]) == 0
    assert main([*WHOLE, "--out", str(whole)]) == 0
    assert same(given, whole) and same(given, whole, runs.CHECKPOINT)
    mine, theirs = record(given), record(whole)
    assert mine["recipe"] == theirs["recipe"] and mine["samples_seen"] == 12 * 4
    digest = hashlib.sha256((denoiser / runs.MODEL).read_bytes()).hexdigest()
    assert mine["start_sha256"] == digest and "start_sha256" not in theirs
    before, (_, after) = record(denoiser), read(given / runs.CHECKPOINT)
    assert mine["seconds"] == pytest.approx(before["seconds"] + after["seconds"], abs=0.01)
    hours = before["cpu_hours"] + after["cpu_seconds"] / 3600
    assert mine["cpu_hours"] == pytest.approx(hours, abs=1e-3)
    assert not (given / "start" / runs.CHECKPOINT).exists()


def test_it_is_resumed_with_or_without_naming_the_model_again(denoiser, tmp_path, monkeypatch):
    whole, broken, source = (tmp_path / name for name in ("whole", "broken", "source"))
    shutil.copytree(denoiser, source)
    assert main([*WHOLE, "--out", str(whole)]) == 0

    def stop(*words, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train.runs, "fit", stop)
        main([*ECT, "--out", str(broken), "--start", str(source)])
    shutil.rmtree(source)  # the run has its own copy
    assert main([*ECT, "--out", str(broken), "--resume"]) == 0 and same(whole, broken)
    state = json.loads((broken / "state.json").read_text())
    assert state["stage"] == [1, 1]  # nothing was trained before it
    kept = files(broken)
    again = ["--resume", "--start", str(denoiser)]
    assert main([*ECT, "--out", str(broken), *again]) == 0
    assert files(broken).keys() == kept.keys() and same(whole, broken)


def test_what_is_shipped_holds_the_whole_history(denoiser, tmp_path):
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    assert main([*ECT, "--out", str(first), "--start", str(denoiser / runs.MODEL)]) == 0
    ship(first, tmp_path / "small")
    rows, _ = history(first)  # the file that was given has samples and no log
    assert [row["samples"] for row in rows] == [12 + 4 * k for k in range(1, 10)]
    small = str(tmp_path / "small.safetensors")
    assert main([*EDM, "--seed", "1", "--out", str(second), "--start", small]) == 0
    assert main([*ECT, "--seed", "1", "--out", str(third), "--start", str(second)]) == 0
    rows, _ = history(third)
    assert [row["stage"] for row in rows] == [0] * 3 + [1] * 9
    assert [row["samples"] for row in rows] == [48 + 4 * k for k in range(1, 13)]
    model, recipe, facts = runs.load(third)
    assert facts["samples_seen"] == recipe.samples == 48 + 12 + 36
    assert to_dict(recipe.start.start) == record(first)["recipe"]


def test_the_folder_that_nobody_named_says_where_it_began(denoiser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*ECT, "--start", str(denoiser)]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("toy.ect-0-") and "denoiser" in folder.name


def test_its_plan_is_that_of_what_is_trained(denoiser, tmp_path, capsys):
    assert main([*ECT, "--plan", "--out", str(tmp_path / "new"), "--start", str(denoiser)]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert main([*WHOLE, "--plan", "--out", str(tmp_path / "new")]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert [alone["samples"], whole["samples"]] == [36, 48]
    assert [len(alone["trainings"]), len(whole["trainings"])] == [1, 2]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([*ECT, "net.width=8"], "it has a model whose net.width is 4 and not 8"),
        (
            ["train", "toy.sct", "--set", "steps=4", *SMALL],
            "whose net.embed is cmlab.nets.embedding.Fourier and not ",
        ),
        (["train", "digits.ict", "--set", "steps=2"], "it has a model whose net is "),
    ],
)
def test_a_model_of_another_network_is_refused(denoiser, tmp_path, capsys, words, sentence):
    assert main([*words, "--out", str(tmp_path / "new"), "--start", str(denoiser)]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not list(tmp_path.iterdir())


def test_what_is_no_trained_model_is_refused(denoiser, tmp_path, capsys):
    begun, other = tmp_path / "begun", tmp_path / "other.safetensors"
    begun.mkdir()
    (begun / runs.RECORD).write_text("{}")
    other.write_bytes(b"no weights at all")
    for path, sentence in [
        (begun, "is not finished; go on with"),
        (other, "other.safetensors"),
        (tmp_path / "nothing", "nothing"),
    ]:
        assert main([*ECT, "--out", str(tmp_path / "new"), "--start", str(path)]) == 2
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1 and not (tmp_path / "new").exists()


def test_a_run_is_not_its_own_start(denoiser, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(denoiser, run)
    kept = files(run)
    assert main([*EDM, "--out", str(run), "--start", str(run), "--resume"]) == 2
    assert "is the run to go on from; give the new one another --out" in capsys.readouterr().err
    assert files(run) == kept


def test_a_full_disk_leaves_no_start(denoiser, tmp_path, monkeypatch, capsys):
    def full(*words):
        raise OSError(28, "No space left on device")

    out = ["--out", str(tmp_path / "new")]
    with monkeypatch.context() as patch:
        patch.setattr(train.shutil, "copyfile", full)
        assert main([*ECT, *out, "--start", str(denoiser)]) == 2
    said = capsys.readouterr().err
    assert "No space left" in said and said.count("\n") == 1
    assert not list((tmp_path / "new").rglob("*.safetensors"))
    assert main([*ECT, *out, "--start", str(denoiser), "--resume"]) == 0


def test_a_start_and_a_parent_go_together(denoiser, tmp_path):
    first, longer = tmp_path / "first", tmp_path / "longer"
    start = ["--start", str(denoiser)]
    assert main([*ECT, "--out", str(first), *start]) == 0
    words = [*ECT, "train.steps=13", "--out", str(longer), "--continue", str(first)]
    assert main([*words, *start]) == 0
    assert record(longer)["samples_seen"] == 48 + 16
    assert same(first / "start", longer / "start")
