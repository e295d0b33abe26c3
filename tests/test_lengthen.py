"""A finished run can be lengthened: a new run that goes on from its weights and names it."""

import hashlib
import json

import pytest
import torch

from cmlab.cli import lengthen
from cmlab.cli.main import main
from cmlab.train import runs
from cmlab.train.checkpoint import BadFile, read

WORDS = ["train", "toy.ct", "--set", "steps=12", "train.batch=4", "net.width=4"]
EVEN = "train.rate.floor=1.0"  # then nothing but N(k) depends on the length
MORE = [*WORDS, "train.steps=20"]


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("lengthen") / "parent"
    assert main([*WORDS, "--out", str(folder)]) == 0
    return folder


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def same(a, b, name=runs.MODEL):
    one, two = read(a / name)[0], read(b / name)[0]
    return one.keys() == two.keys() and all(torch.equal(one[n], two[n]) for n in one)


def record(folder):
    return json.loads((folder / runs.RECORD).read_text())


def test_a_lengthened_run_is_one_that_was_as_long_from_the_beginning(tmp_path, capsys):
    longer, unbroken, parent = (tmp_path / name for name in ("longer", "unbroken", "parent"))
    assert main([*WORDS, EVEN, "--out", str(parent)]) == 0
    before = files(parent)
    assert main([*MORE, EVEN, "--out", str(longer), "--continue", str(parent)]) == 0
    said = capsys.readouterr().err
    assert "continues parent from step 12 to 20; changed: train.steps 12 → 20" in said
    assert main([*MORE, EVEN, "--out", str(unbroken)]) == 0
    assert same(longer, unbroken) and same(longer, unbroken, runs.CHECKPOINT)
    assert files(parent) == before
    kept = record(longer)
    assert kept["steps"] == 20 and kept["samples_seen"] == 20 * 4
    assert kept["parent"] == {
        "run": "parent",
        "checkpoint": hashlib.sha256((parent / runs.CHECKPOINT).read_bytes()).hexdigest(),
        "step": 12,
        "changed": ["train.steps 12 → 20", "train.rate.total 12 → 20"],
    }
    assert str(parent.parent) not in json.dumps(kept)


def test_the_learning_rate_follows_the_new_length_and_other_schedules_if_they_are_set(
    parent, tmp_path, capsys
):
    assert main([*MORE, "--out", str(tmp_path / "a"), "--continue", str(parent)]) == 0
    assert "train.rate.total 12 → 20; still made for 12" in (said := capsys.readouterr().err)
    assert "method.pairs.points.total" in said
    assert main([*MORE, "--out", str(tmp_path / "a"), "--resume"]) == 0
    words = [*WORDS, "steps=20"]  # the preset's own parameter, which its schedules follow
    assert main([*words, "--out", str(tmp_path / "b"), "--continue", str(parent)]) == 0
    said = capsys.readouterr().err
    assert "method.pairs.points.total 12 → 20" in said and "still made for" not in said


def test_a_start_is_not_trained_again(tmp_path):
    words = ["train", "toy.ect", "--set", "steps=12", "net.width=4", "start.net.width=4"]
    words += ["train.batch=4", "start.train.batch=4"]
    first, longer = tmp_path / "first", tmp_path / "longer"
    assert main([*words, "--out", str(first)]) == 0
    steps = record(first)["steps"]
    words += [f"train.steps={steps + 4}", "--out", str(longer), "--continue", str(first)]
    assert main(words) == 0
    assert same(first / "start", longer / "start")
    assert record(longer)["samples_seen"] == record(first)["samples_seen"] + 4 * 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train.steps=12"], "has 12 steps; give more, as in --set train.steps=24"),
        (["net.width=8"], "with net.width 4 → 8; give its own settings"),
        (["train.optimizer.lr=0.5"], "with train.optimizer.lr 0.001 → 0.5"),
        (["train.batch=8"], "with train.batch 4 → 8"),
        (["--seed", "1"], "with train.seed 0 → 1"),
    ],
)
def test_what_is_not_the_same_run_is_refused(parent, tmp_path, capsys, words, sentence):
    out = ["--out", str(tmp_path / "new"), "--continue", str(parent)]
    assert main([*MORE, *words, *out]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not list(tmp_path.iterdir())


def test_a_run_that_is_not_finished_is_resumed_and_not_lengthened(tmp_path, parent, capsys):
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    kept = files(parent)[(parent / runs.CHECKPOINT).relative_to(parent)]
    (unfinished / runs.CHECKPOINT).write_bytes(kept)
    for place in (unfinished, tmp_path / "nothing"):
        out = ["--out", str(tmp_path / "new"), "--continue", str(place)]
        assert main([*MORE, *out]) == 2
        assert "is not finished; go on with it by --resume" in capsys.readouterr().err
    assert main([*MORE, "--out", str(parent), "--continue", str(parent), "--resume"]) == 2
    assert "another --out" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_a_rate_of_zero_is_refused(parent, tmp_path, capsys):
    words = [*MORE, "train.rate.total=10", "--out", str(tmp_path / "new")]
    assert main([*words, "--continue", str(parent)]) == 2
    said = capsys.readouterr().err
    assert "the learning rate is 0 after step 12" in said and not (tmp_path / "new").exists()


def test_a_kill_before_it_has_begun_is_told_and_mended(parent, tmp_path, monkeypatch, capsys):
    new = tmp_path / "new"

    def die(*words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(lengthen.checkpoint, "write", die)
        main([*MORE, "--out", str(new), "--continue", str(parent)])
    assert main([*MORE, "--out", str(new), "--resume"]) == 2
    assert "has not begun; give --continue" in capsys.readouterr().err
    again = [*MORE, "--out", str(new), "--resume", "--continue", str(parent)]
    assert main(again) == 0 and record(new)["parent"]["run"] == "parent"
    assert main(again) == 0  # a finished one is resumed, which changes nothing


def test_a_parent_that_cannot_be_read_is_refused(parent, tmp_path):
    from cmlab.cli.settings import recipe_of

    for name in (runs.MODEL, runs.RECORD):
        (tmp_path / name).write_bytes((parent / name).read_bytes())
    with pytest.raises(BadFile, match=r"checkpoint.safetensors does not exist"):
        lengthen.lengthen(recipe_of("toy.ct", 0, MORE[3:]), tmp_path, tmp_path / "new")
    assert not (tmp_path / "new").exists()
