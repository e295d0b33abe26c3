"""What was written before modules moved and classes were renamed is still read.

`before_the_move` holds runs of that time with a network of 8 units: two stopped at step 6 of 16,
and the same two finished.
"""

import json
import re
import shutil
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cmlab_labs.lab17_atlas.benchmark import ENTRIES, fingerprint, read_rows, recipes_of

from cmlab.cli.main import main
from cmlab.cli.settings import recipe_of
from cmlab.cli.train import check_folder
from cmlab.ingredients import (
    ADDED,
    ALIASES,
    FIELDS,
    PRINTED,
    REMOVED,
    first_kind,
    kind_of,
    resolve,
)
from cmlab.train import checkpoint, runs
from cmlab.train.checkpoint import BadFile
from cmlab.train.recipe import Recipe, canonical, canonical_repr, from_dict, to_dict

ROOT = Path(__file__).parents[1]
RUNS = Path(__file__).parent / "before_the_move"
SHIPPED = sorted((ROOT / "data").rglob("*.safetensors"))
TEXTS = sorted(p for p in (ROOT / "data").rglob("*.json*") if "cifar-10-" not in str(p))
RECORDINGS = sorted((ROOT / "data" / "runs").rglob("*.npz"))
NAMES = ("ict", "ect")


def part(path):
    return path.relative_to(ROOT).as_posix()


def recorded(value):
    """All kinds that stand in a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("kind"), str):
            yield value["kind"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from recorded(one)


def without_added(value):
    """A JSON value without the fields that were added later, which have no part in a hash."""
    if isinstance(value, dict):
        added = {name for names in ADDED.values() for name in names}
        return {key: without_added(part) for key, part in value.items() if key not in added}
    return [without_added(part) for part in value] if isinstance(value, list) else value


def every_record():
    for path in SHIPPED:
        yield checkpoint.read(path)[1]
    for path in [*TEXTS, *RUNS.rglob("*.json")]:
        text = path.read_text("utf-8")
        yield from map(json.loads, text.splitlines() if path.suffix == ".jsonl" else [text])


@pytest.mark.parametrize("kind", ALIASES)
def test_every_earlier_kind_names_an_ingredient_of_today(kind):
    assert not kind.startswith(("cmlab.", "cmlab_labs."))
    assert kind_of(resolve(kind)) == ALIASES[kind]
    assert resolve(ALIASES[kind]) is resolve(kind)
    assert first_kind(resolve(kind)) == kind


def test_no_two_earlier_kinds_are_one_today():
    names = [*ALIASES.values(), *PRINTED.values()]
    assert len(names) == len(set(names))


def test_earlier_fields_are_fields_today():
    for kind, names in FIELDS.items():
        now = {field.name for field in fields(resolve(kind))}
        assert set(names.values()) <= now and not set(names) & now


def test_every_kind_in_a_shipped_file_is_in_the_table_or_as_it_is_written_today():
    found = {kind for record in every_record() for kind in recorded(record)}
    assert len(found) >= 86
    for kind in found:
        assert kind in ALIASES or kind_of(resolve(kind)) == kind


@pytest.mark.parametrize("path", SHIPPED, ids=part)
def test_every_shipped_network_is_loaded_from_its_record(path):
    _, record = checkpoint.read(path)
    if "recipe" not in record:
        return  # a classifier or an autoencoder: its own tests load it
    recipe = from_dict(record["recipe"])
    assert isinstance(recipe, Recipe)
    written = {first_kind(resolve(kind)) for kind in recorded(without_added(record["recipe"]))}
    assert set(recorded(canonical(recipe))) >= written
    if not hasattr(recipe.data, "path"):
        runs.load(path)


@pytest.mark.parametrize("path", RECORDINGS, ids=part)
def test_every_recording_is_read(path):
    from cmlab_labs.common.study import read

    recording = read(path.parent.name, path.stem)
    assert recording.arrays and set(recorded(dict(recording.record))) <= set(ALIASES)


def test_the_benchmarks_table_is_up_to_date():
    rows = read_rows()
    assert len(rows) >= 50
    for row in rows:
        entry = ENTRIES[row["arm"]]
        assert row["key"] == fingerprint(recipes_of(entry, row["seed"]), entry), row["arm"]


def test_a_hash_sees_earlier_names_and_nothing_else_of_a_rename(monkeypatch):
    recipe = recipe_of("toy.ict", 0, [])
    before, text = canonical(recipe), canonical_repr(recipe.data)
    assert before["kind"] == "recipe.Recipe" and before["method"]["kind"] == "methods.ict.ICT"
    monkeypatch.setitem(FIELDS, "config.TrainConfig", {"portion": "batch"})
    now = canonical(recipe)
    assert now["train"].pop("portion") == before["train"].pop("batch") and now == before
    assert text == repr(recipe.data)


def test_a_renamed_field_is_read_under_its_earlier_name(monkeypatch):
    record = to_dict(recipe_of("toy.ict", 0, []))
    record["train"]["kind"] = "config.TrainConfig"
    record["train"]["portion"] = record["train"].pop("batch")
    with pytest.raises(ValueError, match="'portion'"):
        from_dict(record)
    monkeypatch.setitem(FIELDS, "config.TrainConfig", {"portion": "batch"})
    assert to_dict(from_dict(record)) == to_dict(recipe_of("toy.ict", 0, []))


def test_a_field_that_was_added_later_changes_no_hash_until_it_is_used(monkeypatch):
    recipe = recipe_of("toy.ict", 0, [])
    before = canonical(recipe)
    monkeypatch.setitem(ADDED, "config.TrainConfig", ("parts", "seed"))
    now, other = canonical(recipe), canonical(recipe_of("toy.ict", 7, []))
    assert {"parts", "seed"} == set(before["train"]) - set(now["train"])
    assert other["train"].pop("seed") == 7 and other == now


def test_a_field_that_is_gone_is_read_over_and_stays_in_hashes():
    record, now = recorded_recipe("ect-stopped"), recipe_of("toy.edm", 0, []).method
    assert record["start"]["method"]["target"] == REMOVED["methods.edm.EDM"]["target"]
    assert not hasattr(from_dict(record["start"]["method"]), "target")
    assert canonical(from_dict(record)) == record
    written = to_dict(now) | {"target": {"kind": "cmlab.teacher.StopGrad"}}  # just after the move
    assert to_dict(from_dict(written)) == to_dict(now)


def shipped_method(name):
    return checkpoint.read(ROOT / "data" / "atlas" / f"{name}.safetensors")[1]["recipe"]["method"]


GRIDS = {"ct": ("target", "decay"), "slct": ("c",)}  # where a record says an N(k) twice


def points_of(record, name):
    for part in GRIDS[name]:
        record = record[part]
    return record["points"]


def schedule_of(method, name):
    return method.c if name == "slct" else method.target.decay


@pytest.mark.parametrize("name", GRIDS)
def test_a_record_that_says_its_grid_twice_is_read_and_means_the_same_run(name):
    record = shipped_method(name)
    assert points_of(record, name) == record["pairs"]["points"]
    method = from_dict(record)
    assert schedule_of(method, name).points == method.pairs.points
    assert canonical(method) == record and to_dict(from_dict(to_dict(method))) == to_dict(method)


@pytest.mark.parametrize("name", GRIDS)
def test_a_record_whose_grids_were_set_apart_by_hand_still_means_its_own_run(name):
    record = shipped_method(name)
    points_of(record, name)["total"] = 400_000  # as it was when `pairs` alone were changed
    method = from_dict(record)
    assert schedule_of(method, name).points == replace(method.pairs.points, total=400_000)
    assert canonical(method) == record == canonical(from_dict(to_dict(method)))
    again = replace(method, pairs=method.pairs)  # made by hand, it follows its pairs
    assert schedule_of(again, name).points == method.pairs.points


def test_a_folder_without_fields_that_were_added_later_goes_on(tmp_path):
    folder = shutil.copytree(RUNS / "ict-stopped", tmp_path / "run")
    tensors, record = checkpoint.read(folder / runs.CHECKPOINT)
    recipe = from_dict(record["recipe"])
    del record["recipe"]["train"]["parts"], record["recipe"]["method"]["metric"]["c"]
    checkpoint.write(folder / runs.CHECKPOINT, tensors, record)
    assert runs.fit(recipe, folder).step == 16


def test_a_folder_that_names_what_is_not_there_is_refused_in_one_sentence(tmp_path):
    folder = shutil.copytree(RUNS / "ict-stopped", tmp_path / "run")
    tensors, record = checkpoint.read(folder / runs.CHECKPOINT)
    recipe = from_dict(record["recipe"])
    record["recipe"]["method"]["kind"] = "os.system"
    checkpoint.write(folder / runs.CHECKPOINT, tensors, record)
    with pytest.raises(BadFile, match="does not fit this cmlab: the record names 'os.system'"):
        runs.fit(recipe, folder)


# A person's own run folders.


def recorded_recipe(name):
    return checkpoint.read_json(RUNS / name / runs.RECORD)["recipe"]


def recipe_in(folder):
    return from_dict(checkpoint.read_json(folder / runs.RECORD)["recipe"])


def near(a, b):
    """Another machine may add in another order."""
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name].to(a[name]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_stopped_run_goes_on_and_ends_with_the_weights_of_one_that_was_not_stopped(
    tmp_path, name
):
    folder = shutil.copytree(RUNS / f"{name}-stopped", tmp_path / "run")
    recipe, seen = recipe_in(folder), []
    resumed = runs.fit(recipe, folder, lambda trainer: seen.append(trainer.step))
    assert seen == list(range(7, resumed.config.steps + 1))
    weights = resumed.ema.model.state_dict()
    near(weights, runs.load(RUNS / f"{name}-finished")[0].state_dict())
    whole = runs.fit(recipe).ema.model.state_dict()
    near(weights, whole)
    written = checkpoint.read(folder / runs.CHECKPOINT)[1]["recipe"]
    assert written == to_dict(recipe)


def test_another_recipe_is_still_refused_in_a_stopped_run(tmp_path):
    folder = shutil.copytree(RUNS / "ict-stopped", tmp_path / "run")
    with pytest.raises(BadFile, match="another recipe, whose net.width is 8 and not 192"):
        runs.fit(recipe_of("toy.ict", 3, ["steps=16", "train.batch=8", "net.depth=2"]), folder)


def test_the_command_goes_on_with_a_stopped_run(tmp_path, capsys):
    folder = shutil.copytree(RUNS / "ict-stopped", tmp_path / "run")
    settings = ["steps=16", "train.batch=8", "net.width=8", "net.depth=2", "net.embed.scale=1.0"]
    words = ["train", "toy.ict", "--seed", "3", "--set", *settings]
    assert main([*words, "--out", str(folder), "--resume"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    kept = checkpoint.read_json(RUNS / "ict-finished" / runs.RECORD)["scores"]
    assert scores["rmse"] == pytest.approx(kept["rmse"], abs=1e-4)
    check_folder(folder, resume=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_finished_run_is_sampled_and_scored_as_it_was(tmp_path, name, capsys):
    folder = RUNS / f"{name}-finished"
    assert main(["evaluate", str(folder)]) == 0
    scores = json.loads(capsys.readouterr().out)
    kept = checkpoint.read_json(folder / runs.RECORD)["scores"]
    assert {k: scores[k] for k in kept} == pytest.approx(kept, abs=1e-4)
    picture = tmp_path / "samples.png"
    assert main(["sample", str(folder), "--n", "8", "--out", str(picture)]) == 0
    assert picture.stat().st_size > 1000


def test_recordings_hold_no_objects():
    for path in RECORDINGS[:3]:
        with np.load(path, allow_pickle=False) as file:
            assert all(file[name].dtype.kind != "O" for name in file.files)


def test_the_fixture_names_no_place_on_a_machine():
    for path in RUNS.rglob("*.json*"):
        assert not re.search(r"/(home|root|work|tmp|Users)/", path.read_text("utf-8"))
    assert is_dataclass(recipe_in(RUNS / "ict-stopped"))
