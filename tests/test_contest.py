"""A contest: an honest entry is scored, a lie about calls is seen, and nobody's code is run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cmlab_labs.tools import contest
from test_own_code import forget, here, refusal  # noqa: F401 (a fixture)

from cmlab import ingredients
from cmlab.cli.main import main
from cmlab.presets.toy import ict
from cmlab.train import checkpoint
from cmlab.train.recipe import to_dict

PAGE = (Path(__file__).parents[1] / "docs" / "contest.md").read_text("utf-8")
(LINES,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
NEW, SUBMIT, JUDGE, SHOW = (line.split()[1:] for line in LINES.splitlines())
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
    assert main(JUDGE) == 0 and (rings / "rings" / "ledger.jsonl").read_text() == lines


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
    assert len(contest.rules_of(Path("moved"))[1].data) == 48
    capsys.readouterr()
