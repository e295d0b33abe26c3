"""Damaged and foreign files: whatever a file holds, it is read, or refused in one sentence."""

import json
import random
import shutil
from pathlib import Path

import pytest
import torch

from cmlab.cli.main import main
from cmlab.nets.mlp import MLPShape
from cmlab.nets.unet import UNetShape
from cmlab.presets import PRESETS
from cmlab.train import checkpoint, cost, runs
from cmlab.train.checkpoint import POINTER, BadFile, parse_json, with_fields
from cmlab.train.control import WANT, RunControl
from cmlab.train.recipe import DEEPEST, from_dict, to_dict
from cmlab.train.run_log import LOG, log_row, read_log, truncate_log

RUNS = Path(__file__).parent / "before_the_move"


@pytest.fixture
def folder(tmp_path):
    """A finished run."""
    return Path(shutil.copytree(RUNS / "ict-finished", tmp_path / "run"))


@pytest.fixture
def stopped(tmp_path):
    return Path(shutil.copytree(RUNS / "ict-stopped", tmp_path / "stopped"))


def rewrite(path, change_record=None, change_tensors=None):
    tensors, record = checkpoint.read(path)
    record = (change_record or (lambda r: r))(record)
    tensors = (change_tensors or (lambda t: t))(tensors)
    checkpoint.write(path, tensors, record)


def refused(words, capsys):
    """What the command says when it refuses; it must be one sentence."""
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("cmlab: ") and said.count("\n") == 1, said
    return said


# JSON from outside


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[Infinity]", "1e400", "1" + "0" * 40, "[" * 70 + "]" * 70,
     '{"a":' * 100_000, '"\\ud800"', b"\xff\xfe", b"{}\x00", "<<<<<<< HEAD\n{}"],
)  # fmt: skip
def test_json_that_could_not_be_worked_with_is_refused(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_json_that_cmlab_writes_is_read(tmp_path):
    record = {"σ": [1, -2.5e-300, None, True, "\U0001d4b3"], "seed": 2**63, "deep": [[[]]]}
    checkpoint.write_json(tmp_path / "r", record)
    assert checkpoint.read_json(tmp_path / "r") == record == parse_json(json.dumps(record))


@pytest.mark.parametrize("value", [None, -1, 1.5, "3", True, [3]])
def test_a_count_that_is_none_is_refused_by_its_name(value):
    assert with_fields({"step": 3}, {"step": int}, "a file")
    for record in ({"step": value}, {}, [], None):
        with pytest.raises(BadFile, match="a file (has no 'step'|holds no JSON record)"):
            with_fields(record, {"step": int}, "a file")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("recipe"), "has no 'recipe' that makes sense"),
        (lambda r: r.update(recipe=[]), "has no 'recipe' that makes sense"),
        (lambda r: r.update(recipe=r["recipe"]["net"]), "holds the record of no run"),
        (lambda r: r["recipe"].update(net=None), "net cannot be None"),
        (lambda r: r["recipe"].update(train=r["recipe"]["net"]), "train cannot be cmlab.nets.mlp"),
        (lambda r: r["recipe"]["net"].update(width="wide"), "width cannot be 'wide'"),
        (lambda r: r["recipe"]["net"].update(width=True), "width cannot be True"),
        (lambda r: r["recipe"]["train"].update(rate=3), "rate cannot be 3"),
        (lambda r: r["recipe"].pop("net"), "missing a required argument"),
    ],
)
def test_a_record_with_a_field_of_another_type_is_refused_by_its_name(
    folder, capsys, change, said
):
    rewrite(folder / runs.MODEL, lambda record: change(record) and record or record)
    assert said in refused(["evaluate", folder], capsys)


def test_ingredients_that_do_not_go_together_are_refused(folder, capsys):
    digits = to_dict(PRESETS["digits.edm"]().evaluator)
    rewrite(folder / runs.MODEL, lambda r: r | {"recipe": r["recipe"] | {"evaluator": digits}})
    assert "cannot be evaluated: " in refused(["evaluate", folder], capsys)


def test_a_record_that_nests_without_end_is_refused():
    value = to_dict(PRESETS["toy.ict"]())
    for _ in range(DEEPEST + 1):
        value = to_dict(PRESETS["toy.ict"]()) | {"start": value}
    with pytest.raises(ValueError, match=f"more than {DEEPEST} deep"):
        from_dict(value)


# Sizes: a small file that asks for a large network


@pytest.mark.parametrize(
    "net",
    [
        MLPShape(width=16384, depth=256), UNetShape(width=16384), UNetShape(mults=(1,) * 5000),
        UNetShape(blocks=256),
    ],
)  # fmt: skip
def test_a_network_that_is_too_large_is_refused_before_it_takes_memory(net, monkeypatch):
    monkeypatch.setattr(cost, "MOST_MODULES", 300)  # thousands take seconds to count
    with pytest.raises(ValueError, match=r"more than \d+ modules or \d+ weights"):
        cost.check_size(net)


@pytest.mark.parametrize("name", ["toy.ict", "digits.slct", "cifar10.sct-paper"])
def test_the_networks_of_the_presets_are_far_below_the_bounds(name, monkeypatch):
    monkeypatch.setattr(cost, "MOST_MODULES", cost.MOST_MODULES // 4)
    monkeypatch.setattr(cost, "MOST_WEIGHTS", cost.MOST_WEIGHTS // 16)
    before = torch.get_rng_state()
    cost.check_size(PRESETS[name]().net)
    assert torch.equal(before, torch.get_rng_state())


def test_a_small_file_that_asks_for_ten_million_layers_is_refused(folder, capsys):
    def deeper(record):
        record["recipe"]["net"]["depth"] = 10_000_000
        return record

    rewrite(folder / runs.MODEL, deeper)
    assert "MLPShape.depth must be" in refused(
        ["sample", folder, "--out", folder / "a.png"], capsys
    )


# Weights


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: torch.full_like(v, float("nan")), "holds weights that are not finite"),
        (lambda v: torch.full_like(v, float("inf")), "holds weights that are not finite"),
        (lambda v: v.to(torch.int32), "holds torch.int32 and no weights"),
        (lambda v: v[..., :1], "size mismatch for net"),
    ],
)
def test_weights_that_are_none_draw_no_picture(folder, capsys, change, said):
    name = "net.last.weight"
    rewrite(folder / runs.MODEL, change_tensors=lambda t: t | {name: change(t[name])})
    picture = folder / "picture.png"
    assert said in refused(["sample", folder, "--out", picture], capsys)
    assert not picture.exists()


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("model.net.last.bias", lambda v: v * float("nan"), "is not finite"),
        ("model.net.last.bias", lambda v: v.int(), "holds torch.int32, not torch.float32"),
        ("model.net.last.bias", lambda v: v[:1], "size mismatch"),
        ("optimizer.0.exp_avg", lambda v: v[:1], "has the shape"),
        ("optimizer.999.exp_avg", lambda v: v, "list index out of range"),
        ("optimizer.x.exp_avg", lambda v: v, "invalid literal"),
        ("optimizer.0.zz", lambda v: v[0], "state is not whole"),
    ],
)
def test_a_checkpoint_that_does_not_fit_its_recipe_is_refused(stopped, name, change, said):
    path = stopped / runs.CHECKPOINT
    recipe = from_dict(checkpoint.read_json(stopped / runs.RECORD)["recipe"])
    rewrite(path, None, lambda t: t | {name: change(t.get(name, torch.ones(2)))})
    with pytest.raises(BadFile, match=f"does not fit its recipe: .*{said}"):
        runs.fit(recipe, stopped)


@pytest.mark.parametrize(("field", "value"), [("step", -1), ("step", 17), ("average", None)])
def test_a_checkpoint_with_an_odd_number_is_refused(stopped, field, value):
    recipe = from_dict(checkpoint.read_json(stopped / runs.RECORD)["recipe"])
    rewrite(stopped / runs.CHECKPOINT, lambda record: record | {field: value})
    with pytest.raises(BadFile, match=f"(has no '{field}'|says {field} 17 of 16)"):
        runs.fit(recipe, stopped)


def test_a_pointer_of_git_lfs_is_called_so(folder, capsys):
    (folder / runs.MODEL).write_bytes(POINTER + b"spec/v1\nsize 3\n")
    assert "is a Git LFS pointer; fetch it" in refused(["evaluate", folder], capsys)


# Logs and requests


def test_lines_of_a_log_that_are_none_are_passed_over(stopped):
    path = stopped / LOG
    good = read_log(path)
    lines = path.read_bytes().splitlines(keepends=True)
    odd = [b"\xff\n", b"{}\n", b"[1]\n", b"[" * 5000 + b"\n", b'{"step": "x"}\n', b'{"st']
    path.write_bytes(b"".join([odd[0], lines[0], *odd[1:5], *lines[1:], odd[5]]))
    assert read_log(path) == good and len(good) > 1
    assert log_row(lines[0].replace(b'"by_level": [', b'"by_level": ["x", ')) is None
    truncate_log(stopped, good[0]["step"])
    assert path.read_bytes() == lines[0]


def test_a_request_that_is_none_asks_for_nothing(tmp_path):
    for odd in (b"", b"\xff\xfe", b"<b>stop</b>", b"\x00"):
        (tmp_path / WANT).write_bytes(odd)
        assert RunControl(tmp_path).want() == ""


@pytest.mark.parametrize("odd", [b"", b"\xff\n", b"{}\n", b"[" * 5000])
def test_a_run_with_an_odd_log_is_shipped(folder, tmp_path, odd):
    (folder / LOG).write_bytes(odd)
    assert main(["ship", str(folder), "--out", str(tmp_path / "small")]) == 0


def test_a_sheet_that_is_no_picture_is_named(folder, stopped, tmp_path, capsys):
    shutil.copy(stopped / LOG, folder / LOG)
    (folder / "strips").mkdir()
    (folder / "strips" / "00000006.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "no picture" in refused(["ship", folder, "--out", tmp_path / "small"], capsys)


# Seeded mutations of a record

ODD = [None, True, [], {}, "", "x", -1, 1.5, 10**9, 10**19, 1e308, "<b>x</b>", "a" * 9999,
       [[[]]], {"kind": None}, {"kind": "os.system"},
       {"kind": "cmlab.schedules.Constant", "value": 1.0}]  # fmt: skip


def places(value, path=()):
    if path:
        yield path
    inner = enumerate(value) if isinstance(value, list) else ()
    for key, part in value.items() if isinstance(value, dict) else inner:
        yield from places(part, (*path, key))


def mutated(value, rng):
    """A copy with one value taken out, or replaced by an odd one."""
    value = json.loads(json.dumps(value))
    *way, last = rng.choice(list(places(value)))
    inner = value
    for key in way:
        inner = inner[key]
    if rng.random() < 0.3:
        del inner[last]
    else:
        inner[last] = rng.choice(ODD)
    return value


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_record_is_read_or_refused(seed, folder, monkeypatch):
    rng, ends = random.Random(seed), {"read": 0, "refused": 0}
    tensors, record = checkpoint.read(folder / runs.MODEL)
    for _ in range(75):
        odd = mutated(record, rng)
        monkeypatch.setattr(checkpoint, "read", lambda path, odd=odd: (tensors, odd))
        try:
            runs.load(folder)
            ends["read"] += 1
        except BadFile as error:
            assert "\n" not in str(error) and len(str(error)) < 600
            ends["refused"] += 1
    assert min(ends.values()) > 10, ends
