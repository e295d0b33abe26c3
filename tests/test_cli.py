"""The command line: train, sample, evaluate; and one sentence for whatever is wrong."""

import json
import runpy
import subprocess
import sys

import pytest
import torch

from cmlab.cli.main import main
from cmlab.cli.settings import recipe_of
from cmlab.train import checkpoint
from cmlab.train.recipe import to_dict

TINY = ["--set", "steps=4", "train.batch=8", "net.width=8"]
SCORES = {"rmse", "rmse_max", "sw1", "sw2", "hq", "modes"}


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def last_line(text):
    return strict(text.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run's folder."""
    folder = tmp_path_factory.mktemp("runs") / "ict"
    assert main(["train", "toy.ict", "--seed", "3", *TINY, "--out", str(folder)]) == 0
    return folder


def files(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_training_says_last_what_it_did_and_how_good_it_is(tmp_path, capsys):
    assert main(["train", "toy.ict", "--seed", "3", *TINY, "--out", str(tmp_path / "a")]) == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 1 and said.err == ""
    facts = last_line(said.out)
    assert facts.keys() >= SCORES | {"preset", "seed", "seconds", "samples_seen"}
    assert (facts["preset"], facts["seed"], facts["steps"]) == ("toy.ict", 3, 4)
    assert facts["samples_seen"] == 4 * 8 and facts["seconds"] >= 0
    assert facts["modes"] == int(facts["modes"]) and 0 < facts["rmse"] < 10
    record = strict((tmp_path / "a" / "record.json").read_text())
    assert record["scores"].keys() == SCORES and record["settings"] == TINY[1:]


def test_evaluating_gives_the_scores_of_the_training_again(run, capsys):
    record = strict((run / "record.json").read_text())
    assert main(["evaluate", str(run)]) == 0
    facts = last_line(capsys.readouterr().out)
    for name, score in record["scores"].items():
        assert facts[name] == pytest.approx(score, abs=1e-5)
    assert facts["preset"] == "toy.ict" and facts["samples_seen"] == 32


def test_sampling_draws_a_picture_and_the_same_one_again(run, tmp_path, capsys):
    pictures = []
    for name in ("a.png", "deep/b.png"):
        out = tmp_path / name
        words = ["--n", "9", "--steps", "1,2", "--seed", "1", "--out", str(out)]
        assert main(["sample", str(run), *words]) == 0
        pictures.append(out.read_bytes())
    assert pictures[0].startswith(b"\x89PNG") and pictures[0] == pictures[1]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.png", "b.png", "deep"]


def test_a_digits_run_is_scored_by_its_own_names(tmp_path, capsys):
    out = tmp_path / "d"
    settings = ["steps=2", "train.batch=4", "start.train.batch=4", "evaluator.n=200"]
    settings += ["net.width=8", "start.net.width=8"]
    assert main(["train", "digits.ect", "--set", *settings, "--out", str(out)]) == 0
    facts = last_line(capsys.readouterr().out)
    assert facts.keys() >= {"fd1", "fd2", "fd_floor", "memorised", "seconds", "samples_seen"}
    assert facts["samples_seen"] == 2 * 4
    grid = out / "grid.png"
    assert main(["sample", str(out), "--n", "4", "--out", str(grid)]) == 0 and grid.exists()


def test_the_module_is_the_command(run, tmp_path):
    out = tmp_path / "new"
    words = [sys.executable, "-m", "cmlab", "train", "toy.ict", "--seed", "3", *TINY]
    done = subprocess.run([*words, "--out", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    facts = last_line(done.stdout)
    record = strict((run / "record.json").read_text())
    assert facts["rmse"] == pytest.approx(record["scores"]["rmse"], abs=1e-5)


def test_the_module_passes_the_exit_status_on(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cmlab", "evaluate", "nowhere"])
    with pytest.raises(SystemExit) as leave:
        runpy.run_module("cmlab", run_name="__main__")
    assert leave.value.code == 2 and "nowhere does not exist" in capsys.readouterr().err


def refused(capsys, *words):
    """What is said about words that cannot be done: one sentence, status 2."""
    try:
        status = main(list(words))
    except SystemExit as leave:  # argparse's way
        status = leave.code
    said = capsys.readouterr()
    assert status == 2 and said.out == ""
    assert said.err.startswith("cmlab: ") and said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["toy.icm"], "there is no preset 'toy.icm'; allowed: toy.edm, toy.cd"),
        (["toy.ict", "--set", "speed=3"], "there is no 'speed' here; allowed: data, net, "),
        (["toy.ict", "--set", "train.speed=3"], "allowed: steps, batch, "),
        (["toy.ict", "--set", "data=star"], "allowed: ring, moons, checkerboard, spiral, two_g"),
        (["toy.ict", "--set", "data.modes=0"], "--set data.modes=0: "),
        (["toy.ict", "--set", "steps=many"], "--set steps=many: toy.ict takes"),
        (["toy.ict", "--set", "steps=-3"], "of 0 or more"),
        (["toy.ict", "--set", "steps"], "--set steps=: "),
        (
            ["toy.ict", "--set", "train.batch=0"],
            "TrainConfig.batch must be a whole number in [1, 1e9], not 0",
        ),
        (
            ["toy.ict", "--set", "train.parts=7"],
            "batch must be a multiple of parts, not 256 and 7",
        ),
        (["toy.ict", "--set", "train.optimizer.lr=fast"], "takes a float such as"),
        (["toy.ict", "--set", "train.precision=loud"], "these settings make no run"),
        (
            ["toy.ict", "--set", "net.width=-1"],
            "MLPShape.width must be a whole number in [1, 16384], ",
        ),
        (
            ["toy.ict", "--set", "sampler.sigma_mid=50"],
            "sigma_mid must be below sigma_max, not 50 and 10",
        ),
        (["toy.ect", "--set", "net.width=8"], "net and start.net have to be alike"),
        (["toy.scd", "--set", "start.precond.sigma_data=3.0"], "both must have one sigma_data"),
        (["toy.ict", "--seed", "x"], "--seed: must be a whole number in [-1e18, 1e18], not 'x'"),
        (["digits.ect", "--set", "data=ring"], "data takes a Digits"),
        (
            ["toy.meanflow", "--data", "."],
            "Ring is made here and not read from files; leave out --data",
        ),
        (["toy.ict", "--data", "."], "points packed by cmlab were not found at"),
        (["images.ect", "--data", "."], "images packed by cmlab were not found at"),
        ([], "the following arguments are required: preset"),
    ],
)
def test_a_wrong_word_gets_one_sentence_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, words, sentence
):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(capsys, "train", *words)
    assert sentence in refused(capsys, "train", *words, "--out", "there")
    assert list(tmp_path.iterdir()) == []


def test_an_out_that_is_in_use_is_refused_and_left_as_it_was(run, tmp_path, capsys):
    words = ["train", "toy.ict", "--seed", "3", *TINY, "--out"]
    before = files(run)
    assert "is not empty; add --resume to go on" in refused(capsys, *words, str(run))
    file = tmp_path / "file"
    file.write_text("mine")
    assert "is a file; choose another --out" in refused(capsys, *words, str(file))
    assert "could not be written" in refused(capsys, *words, str(file / "below"))
    assert files(run) == before and file.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_resuming_a_finished_run_changes_no_weight_and_another_recipe_is_refused(run, capsys):
    words = ["train", "toy.ict", "--seed", "3", *TINY, "--out", str(run), "--resume"]
    before, _ = checkpoint.read(run / "model.safetensors")
    assert main(words) == 0
    last_line(capsys.readouterr().out)
    after, _ = checkpoint.read(run / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    kept = files(run)
    words[3] = "4"
    assert "another recipe" in refused(capsys, *words)
    assert files(run) == kept


def test_wrong_files_are_refused_by_sample_and_evaluate(run, tmp_path, capsys):
    out = tmp_path / "grid.png"
    half, foreign = tmp_path / "half.safetensors", tmp_path / "text.safetensors"
    half.write_bytes((run / "model.safetensors").read_bytes()[:500])
    foreign.write_text("not a model")
    (tmp_path / "empty").mkdir()
    for path in (half, foreign, tmp_path / "none", tmp_path / "empty", run / "record.json"):
        refused(capsys, "evaluate", str(path))
        refused(capsys, "sample", str(path), "--out", str(out))
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "checkpoint.safetensors").write_bytes(
        (run / "checkpoint.safetensors").read_bytes()
    )
    said = refused(capsys, "sample", str(unfinished), "--out", str(out))
    assert "is not finished; go on with the same command and --resume" in said
    assert not out.exists()


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--steps", "0"], "--steps: takes whole numbers in [1, 1000] such as 1,2,4, not 0"),
        (["--steps", "1,,2"], "not 1,,2"),
        (["--steps", "two"], "not two"),
        (["--n", "0"], "--n: must be a whole number in [1, 10000], not '0'"),
        (["--out", "grid.jpg"], "--out takes a .png file, not grid.jpg"),
    ],
)
def test_wrong_words_to_sample_are_refused(run, tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(capsys, "sample", str(run), "--out", "grid.png", *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--n", "5"], ["--weights", "x"], ["--heun"]])
def test_an_option_that_goes_with_a_space_is_not_ignored_without_one(run, capsys, words):
    assert f"{words[0]} goes with --space: cmlab-cifar" in refused(
        capsys, "evaluate", str(run), *words
    )


@pytest.mark.parametrize("place", ["", "/", "..", "~"])
def test_a_folder_is_no_name_for_shipped_files(run, capsys, place):
    assert "is a folder; give the name of the files, as " in refused(
        capsys, "ship", str(run), "--out", place
    )


def test_a_run_that_diverges_stops_with_a_sentence_and_status_one(tmp_path, capsys):
    words = ["train", "toy.ict", *TINY, "train.optimizer.lr=1e9", "--out", str(tmp_path / "x")]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith("cmlab: the ") and "not finite at step" in said
    assert said.count("\n") == 1 and not (tmp_path / "x" / "model.safetensors").exists()


def test_a_setting_may_name_a_field_as_records_from_before_do():
    ours = recipe_of("toy.ict", 0, ["evaluator.seed=3"])
    assert ours.evaluator.seed == 3
    assert to_dict(recipe_of("toy.ict", 0, ["judge.seed=3"])) == to_dict(ours)
