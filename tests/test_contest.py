"""A contest: an honest entry is scored, a lie about calls is seen, and nobody's code is run."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from cmlab_labs.tools import contest
from test_judge_photographs import Coarse, photographs
from test_own_code import forget, here, refusal  # noqa: F401 (a fixture)

from cmlab import ingredients
from cmlab.cli.main import main
from cmlab.cli.train import default_folder
from cmlab.data.cifar10 import CIFAR10
from cmlab.data.digits import Digits, Unlabelled
from cmlab.nets.unet import UNetShape
from cmlab.presets.toy import ict
from cmlab.train import checkpoint, lock
from cmlab.train.recipe import to_dict

PAGE = (Path(__file__).parents[1] / "docs" / "contest.md").read_text("utf-8")
(LINES,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
NEW, TRAIN, SUBMIT, JUDGE, SHOW = (line.split()[1:] for line in LINES.splitlines())
HEAD = """
from dataclasses import dataclass
from cmlab.ingredients import ingredient
from cmlab.sampling import FewSteps

@ingredient
@dataclass(frozen=True)
class Sampler:
    sigma_max: float = 10.0

    def __call__(self, process, denoise, z, calls):
"""
LIAR = HEAD + "        return FewSteps(10.0, 0.8)(process, denoise, z, 4 * calls)\n"
TRAP = HEAD + "        return z\n\nopen('it_was_run', 'w').close()\n"


def entry(path, **fields):
    """A file as a run leaves it, with weights as they were initialised."""
    recipe = replace(ict(steps=1), **fields)
    checkpoint.write(path, recipe.build().state_dict(), {"recipe": to_dict(recipe)})
    return path


@pytest.fixture
def rings(here, monkeypatch):  # noqa: F811
    """A contest on the ring, with few samples, and an honest run to submit."""
    monkeypatch.setitem(contest.LEVELS, "ring", replace(contest.LEVELS["ring"], samples=400))
    assert main(NEW) == 0
    assert str(default_folder(TRAIN[1], 0, [])) == SUBMIT[3]
    entry(Path(SUBMIT[3]) / "model.safetensors")
    assert main(SUBMIT) == 0
    return here


def verdicts():
    rows = contest.ledger(Path("rings"))
    return {row["entry"]: row for row in rows}


def test_three_entries_are_judged_rightly(rings, capsys):
    before = set()
    for name, code in (("my_liar", LIAR), ("my_trap", TRAP)):
        Path(f"{name}.py").write_text(code)
        made = entry(Path(f"{name}.safetensors"), sampler=ingredients.allow(name).Sampler())
        assert main(["contest", "submit", "rings", str(made), "--name", name]) == 0
    (rings / "rings" / "entries" / "my_trap" / "setup.py").write_text("1 / 0")
    Path("it_was_run").unlink()  # by its author
    forget(before)
    assert main([*JUDGE, "--allow", "my_liar"]) == 0
    found = verdicts()
    honest, liar, trap = found["ada"], found["my_liar"], found["my_trap"]
    assert honest["calls made"] == {"1": 1.0, "2": 2.0, "4": 4.0}
    assert all(score > 0 for score in honest["scores"].values())
    assert liar["calls made"] == {"1": 4.0, "2": 8.0, "4": 16.0}
    assert set(liar["scores"].values()) == {None}
    assert "'my_trap.Sampler', of a module of its author's" in trap["refused"]
    assert not Path("it_was_run").exists()
    floor, *others = (row["scores"]["0"] for row in found.values() if row.get("baseline"))
    assert all(floor < other for other in others)

    assert main(SHOW) == 0
    page = (rings / "rings" / "board.html").read_text()
    assert "made 4 calls" in page and "refused: the file does not fit" in page
    assert page.index("floor") < page.index("ada") < page.index("my_trap")
    lines = (rings / "rings" / "ledger.jsonl").read_text()
    assert main([*JUDGE, "--allow", "my_liar"]) == 0  # the trap is looked at again, and refused
    assert (rings / "rings" / "ledger.jsonl").read_text() == lines


@pytest.mark.parametrize(
    "field, limit, sentence",
    [
        ("parameters", 10, "parameters, and 10 are allowed"),
        ("gflop", 1e-9, "GFLOP, and 1e-09 are allowed"),
        ("gigabytes", 1e-9, "GB, and 1e-09 are allowed"),
        ("seconds", 0.0, "it takes more than the 0 s that are allowed"),
    ],
)
def test_an_entry_above_a_limit_is_refused(field, limit, sentence, rings):
    rules, level = contest.rules_of(Path("rings"))
    file = Path("rings/entries/ada/model.safetensors")
    level = replace(level, **{field: limit})
    assert sentence in contest.verdict(file, level, [1])["refused"]


def test_a_file_that_holds_no_run_is_refused_and_the_judge_goes_on(rings):
    place = Path("rings/entries/aaa")
    place.mkdir()
    (place / "model.safetensors").write_bytes(b"\x80\x04 no safetensors")
    assert main(JUDGE) == 0
    assert "the file is damaged or no safetensors file" in verdicts()["aaa"]["refused"]
    assert "scores" in verdicts()["ada"]


def test_a_changed_verdict_and_other_seeds_are_noticed(rings, capsys):
    assert main(JUDGE) == 0
    path, secret = Path("rings/ledger.jsonl"), Path("rings/secret.json")
    seeds = json.loads(secret.read_text())
    assert not any(str(seed) in Path("rings/contest.json").read_text() for seed in seeds["seeds"])
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[1:]))
    assert "was changed before its line 1; restore it" in refusal(capsys, *SHOW)
    path.write_text("".join(lines))
    secret.write_text(json.dumps(seeds | {"seeds": [1, 2, 3]}))
    assert "has other seeds than the rules promise; restore it" in refusal(capsys, *JUDGE)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["new", "x"], "say --level, one of ring, digits, photographs"),
        (["new", "rings", "--level", "ring"], "rings exists; give a new folder"),
        (["new", "x", "--level", "ring", "--data", "y"], "--data goes with --level photographs"),
        (["new", "x", "--level", "ring", "--parameters", "0"], "takes a number above 0, not 0"),
        (["submit", "rings"], "give a run, and --name of up to 40 letters"),
        (["submit", "rings", "x", "--name", "../x"], "give a run, and --name of up to 40"),
        (["submit", "rings", "x", "--name", "ada"], "there is an entry ada already"),
        (["submit", "rings", "x", "--name", "b"], "x does not exist"),
        (["submit", "x", "x", "--name", "b"], "is missing or no JSON record"),
        (["judge", "x"], "is missing or no JSON record"),
        (["board", "rings"], "nothing is judged yet; run cmlab contest judge rings"),
    ],
)
def test_words_that_make_no_contest_are_refused(words, sentence, rings, capsys):
    before = sorted(rings.rglob("*"))
    assert sentence in refusal(capsys, "contest", *words)
    assert sorted(rings.rglob("*")) == before


def test_a_module_that_is_allowed_later_has_its_entry_judged_again(rings):
    Path("my_liar.py").write_text(LIAR)
    made = entry(Path("liar.safetensors"), sampler=ingredients.allow("my_liar").Sampler())
    assert main(["contest", "submit", "rings", str(made), "--name", "liar"]) == 0
    ingredients.ALLOWED.clear()
    assert main(JUDGE) == main([*JUDGE, "--allow", "my_liar"]) == main(JUDGE) == 0
    first, last = (row for row in contest.ledger(Path("rings")) if row["entry"] == "liar")
    assert "of a module of its author's" in first["refused"] and last["calls made"]["1"] == 4.0
    assert main(SHOW) == 0
    page = Path("rings/board.html").read_text()
    assert page.count("liar") == 1 and "refused" not in page


# Two judges, and judges that die


def test_of_two_judges_at_once_one_is_refused_and_the_chain_is_whole(rings, monkeypatch, capsys):
    judged, ends, verdict = [], [], contest.verdict

    def meanwhile(*given):
        judged.append(given)
        if len(judged) == 1:
            other = Thread(target=lambda: ends.append(main(JUDGE)))
            other.start()
            other.join()
        return verdict(*given)

    monkeypatch.setattr(contest, "verdict", meanwhile)
    assert main(JUDGE) == 0 and ends == [2] and len(judged) == 1
    assert f"rings is in use by process {os.getpid()}" in capsys.readouterr().err
    assert [row["entry"] for row in contest.ledger(Path("rings"))] == [*contest.BASELINES, "ada"]
    assert not Path("rings/run.lock").exists()


def test_a_judge_that_lost_its_lock_writes_no_verdict(rings, monkeypatch, capsys):
    def frozen(*given):
        holder = json.loads(Path("rings/run.lock").read_text())
        Path("rings/run.lock").write_text(json.dumps(holder | {"id": "another"}))
        return {"refused": "?"}

    monkeypatch.setattr(contest, "verdict", frozen)
    assert main(JUDGE) == 2
    assert "this process writes nothing more" in capsys.readouterr().err
    assert [row["entry"] for row in contest.ledger(Path("rings"))] == [*contest.BASELINES]


def test_the_lock_of_a_dead_judge_and_its_torn_line_are_no_hindrance(rings):
    assert main(JUDGE) == 0
    path = Path("rings/ledger.jsonl")
    whole = path.read_text()
    dead = {"place": lock.process_place(), "pid": 2**22 + 1, "start": 0.0}
    Path("rings/run.lock").write_text(json.dumps(dead))
    path.write_text("".join(whole.splitlines(keepends=True)[:2]) + '{"entry": "baseli')
    assert main(JUDGE) == 0 and path.read_text() == whole


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_the_seeds_are_readable_by_their_owner_alone_at_every_moment(here, monkeypatch):  # noqa: F811
    seen, rename = [], Path.replace

    def spying(self, target):
        seen.append((Path(target).name, self.stat().st_mode & 0o777))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", spying)
    before = os.umask(0)
    try:
        assert main(NEW) == 0
    finally:
        os.umask(before)
    assert dict(seen)[contest.SECRET] == 0o600 != dict(seen)[contest.RULES]
    assert Path("rings/secret.json").stat().st_mode & 0o777 == 0o600


# The levels of pictures


def tiny(data, channels, **fields):
    """An entry that draws pictures, with weights as they were initialised."""
    net = UNetShape(channels=channels, width=8, mults=(1, 2), attention=(), classes=data.classes)
    return entry(Path("tiny.safetensors"), data=data, net=net, **fields)


def judged(level, made, folder="contest"):
    """The verdicts of a contest of this level on one entry."""
    assert main(["contest", "new", folder, "--level", level]) == 0
    assert main(["contest", "submit", folder, str(made), "--name", "tiny"]) == 0
    assert main(["contest", "judge", folder]) == main(["contest", "board", folder]) == 0
    rows = {row["entry"]: row for row in contest.ledger(Path(folder))}
    floor, found = (rows[name] for name in (contest.BASELINES[0], "tiny"))
    assert floor["scores"]["0"] < min(found["scores"].values())
    return found, floor, Path(folder, "board.html").read_text()


def fewer(monkeypatch, level, samples):
    monkeypatch.setattr(contest, "SEEDS", 1)
    monkeypatch.setitem(contest.LEVELS, level, replace(contest.LEVELS[level], samples=samples))


def test_digits_are_judged_and_copies_of_training_digits_are_told(here, monkeypatch):  # noqa: F811
    fewer(monkeypatch, "digits", 300)
    found, floor, page = judged("digits", tiny(Digits(), 1))
    assert floor["memorised"] == 1 and found["memorised"] < 0.1
    assert "<th>memorised</th>" in page and "<td>1.00</td>" in page


def test_photographs_are_judged_in_a_feature_space(here, monkeypatch):  # noqa: F811
    """In that of `Coarse`, whose few features take few samples."""
    fewer(monkeypatch, "photographs", 60)
    monkeypatch.setattr(contest, "CifarSpace", Coarse)
    fakes = {half: photographs(100, seed) for seed, half in enumerate((True, False))}
    monkeypatch.setattr(CIFAR10, "read", lambda self: (fakes[self.train], torch.zeros(100).long()))
    for name, data in (("plain", CIFAR10()), ("classes", Unlabelled(CIFAR10(labelled=True), 0.1))):
        found, _, page = judged("photographs", tiny(data, 3), folder=name)
        assert found["calls made"] == {"1": 1.0, "2": 2.0, "4": 4.0} and "memorised" not in found
        assert "fd, the lower the better, of 60 samples" in page


def test_pictures_of_the_teachers_travel_with_the_contest_and_no_path_is_told(here, capsys):  # noqa: F811
    np.save("pets.npy", np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8))
    assert (
        main(["data", "images", "--path", "pets.npy", "--size", "8", "--out", "p.safetensors"])
        == 0
    )
    new = ["contest", "new", "pets", "--level", "photographs", "--data", "p.safetensors"]
    assert main(new) == 0
    Path("p.safetensors").unlink()
    rules, level = contest.rules_of(Path("pets"))
    assert rules["data"]["path"] == "" and str(here) not in json.dumps(rules)
    Path("pets").rename("moved")
    data = contest.rules_of(Path("moved"))[1].data
    assert len(data) == 48 and rules["samples"] == 12
    file = tiny(replace(data, path=""), 3)
    found = contest.verdict(file, contest.rules_of(Path("moved"))[1], [1])
    assert set(found["scores"]) == {"1", "2", "4"} and 0 <= found["memorised"] <= 1
    capsys.readouterr()
