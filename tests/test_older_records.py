"""Updated under way: a run that an earlier cmlab began goes on, or the difference is named.

older_records.jsonl holds recipes as earlier versions wrote them, at least one for each set of
fields that any ingredient ever had. When an ingredient gains or loses a field, the last test asks
for a line: `to_dict` of a preset, written before the change.
"""

import json
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from cmlab import ingredients
from cmlab.cli.main import main
from cmlab.ingredients import ALIASES, INTERIM, first_kind, kind_of, resolve
from cmlab.presets import PRESETS
from cmlab.train import checkpoint, config, recipe, runs
from cmlab.train.checkpoint import BadFile
from cmlab.train.recipe import Recipe, canonical, from_dict, to_dict

LINES = Path(__file__).with_name("older_records.jsonl").read_text("utf-8").splitlines()
RECORDS = [json.loads(line) for line in LINES]
STOPPED = Path(__file__).parent / "before_the_move" / "ict-stopped"
SETTINGS = ["steps=16", "train.batch=8", "net.width=8", "net.depth=2", "net.embed.scale=1.0"]
ANOTHER_NETWORK = {"nets.patches.PatchesShape": "channels"}  # fields of networks that are gone


def shapes(value):
    """Each ingredient in a record with the fields that it was written with."""
    if isinstance(value, dict):
        yield first_kind(resolve(value["kind"])), frozenset(value) - {"kind"}
        value = list(value.values())
    for part in value if isinstance(value, list) else []:
        yield from shapes(part)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["preset"])
def test_a_record_of_any_earlier_shape_is_read_or_refused_by_the_name_of_the_field(record):
    gone = {name for kind, names in shapes(record["recipe"]) for name in names
            if ANOTHER_NETWORK.get(kind) == name}  # fmt: skip
    if gone:
        with pytest.raises(ValueError, match=f"no field '{gone.pop()}' there; use the cmlab that"):
            from_dict(record["recipe"])
        return
    read = from_dict(record["recipe"])
    assert isinstance(read, Recipe)
    assert to_dict(from_dict(to_dict(read))) == to_dict(read)
    assert canonical(from_dict(canonical(read))) == canonical(read)


def test_the_first_records_called_the_parts_of_a_batch_accumulate():
    first = next(r["recipe"] for r in RECORDS if "accumulate" in r["recipe"]["train"])
    first["train"]["accumulate"] = 4
    assert from_dict(first).train.parts == 4
    assert "accumulate" not in canonical(from_dict(first))["train"]


@pytest.mark.parametrize("kind", INTERIM)
def test_names_of_the_move_are_read_and_never_written(kind):
    assert kind_of(resolve(kind)) == ALIASES[INTERIM[kind]] != kind


def test_a_name_of_today_is_never_taken_for_one_of_the_move():
    for then, now in ALIASES.items():
        assert resolve(now) is resolve(then) is resolve(INTERIM.get(now, now))


def test_every_shape_of_today_is_in_the_table():
    known = {shape for record in RECORDS for shape in shapes(record["recipe"])}
    today = {shape for make in PRESETS.values() for shape in shapes(to_dict(make()))}
    assert today - known == set(), "add `to_dict` of a preset that has it to older_records.jsonl"


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(STOPPED, tmp_path / "run"))


def command(folder, *settings):
    words = ["train", "toy.ict", "--seed", "3", "--set", *SETTINGS, *settings]
    return main([*words, "--out", str(folder), "--resume"])


@pytest.fixture
def _names_are_looked_up_anew():
    ingredients._find.cache_clear()
    yield
    ingredients._find.cache_clear()


@pytest.mark.usefixtures("_names_are_looked_up_anew")
def test_a_run_goes_on_after_a_field_was_added(folder, monkeypatch):
    @dataclass(frozen=True)
    class Later(config.TrainConfig):
        patience: int = 7

    Later.__name__ = Later.__qualname__ = "TrainConfig"
    Later.__module__ = config.__name__
    monkeypatch.setattr(config, "TrainConfig", config.ingredient(Later))
    monkeypatch.setitem(recipe._hints(Recipe), "train", Later)
    recipe_now = from_dict(checkpoint.read_json(folder / runs.RECORD)["recipe"])
    assert {f.name for f in fields(recipe_now.train)} >= {"patience"}
    assert runs.fit(recipe_now, folder).step == 16
    assert checkpoint.read(folder / runs.CHECKPOINT)[1]["recipe"]["train"]["patience"] == 7


def test_a_difference_names_the_field_both_values_and_both_versions(folder, capsys):
    assert command(folder, "train.clip=1.0") == 2
    said = capsys.readouterr().err
    then = checkpoint.read_json(folder / runs.RECORD)
    assert "another recipe, whose train.clip is inf and not 1.0" in said
    assert f"begun with cmlab {then['versions']['cmlab']} at {then['commit'][:7]}" in said
    assert f"this is cmlab {runs.versions()['cmlab']}" in said and said.count("\n") == 1


def test_fields_that_only_one_side_has_are_named():
    now = to_dict(PRESETS["toy.ict"]())
    then = now | {"train": {k: v for k, v in now["train"].items() if k != "parts"}}
    assert runs.difference(then, now) == "whose train.parts is unset and not 1"
    assert runs.difference(now, now) == ""


def test_the_record_of_a_later_cmlab_is_refused_by_the_field(folder, capsys):
    record = checkpoint.read_json(folder / runs.RECORD)
    record["recipe"]["train"]["patience"] = 7
    checkpoint.write_json(folder / runs.RECORD, record)
    assert command(folder) == 2
    assert "no field 'patience' there; use the cmlab that wrote it" in capsys.readouterr().err
    with pytest.raises(BadFile, match="'patience'"):
        runs.recipe_in(record, folder)
