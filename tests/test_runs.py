"""Runs on disk: what a folder holds, how it goes on, and when it is refused."""

import json
from dataclasses import replace

import pytest
import torch
from history import History

from cmlab.methods import ict
from cmlab.nets import MLPShape
from cmlab.presets import toy
from cmlab.schedules import Constant
from cmlab.train import checkpoint, runs
from cmlab.train.checkpoint import BadFile, process_place
from cmlab.train.recipe import change, to_dict


def tiny(build=toy.ict, steps=6, seed=0):
    """A preset with a network and a batch that take no time."""

    def smaller(recipe):
        return replace(change(recipe, "train.batch", 8), net=MLPShape(width=8, depth=2))

    recipe = smaller(build(steps=steps, seed=seed))
    return replace(recipe, start=smaller(recipe.start)) if recipe.start else recipe


def weights(trainer):
    return {name: value.clone() for name, value in trainer.ema.model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def finished(folder, recipe=None):
    recipe = recipe or tiny()
    trainer = runs.fit(recipe, folder)
    runs.finish(trainer, recipe, folder, {"scores": {"rmse": 0.5}})
    return trainer


def test_a_finished_run_is_loaded_with_its_weights_recipe_and_record(tmp_path):
    recipe = tiny()
    trainer = finished(tmp_path, recipe)
    for path in (tmp_path, tmp_path / runs.MODEL):
        model, again, record = runs.load(path)
        assert same(model.state_dict(), weights(trainer)) and not model.training
        assert to_dict(again) == to_dict(recipe)
        assert record["scores"] == {"rmse": 0.5}
    written = json.loads((tmp_path / runs.RECORD).read_text())
    assert written == record
    assert written["recipe"] == to_dict(recipe)
    assert set(written["versions"]) >= {"python", "torch", "cmlab", "numpy"}
    assert "class ICT(ConsistencyTraining)" in written["method_source"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {runs.CHECKPOINT, runs.MODEL, runs.RECORD, "log.jsonl", "state.json"}


@pytest.mark.parametrize("build", [toy.ict, toy.ct, toy.ect])
def test_with_or_without_a_folder_and_however_often_saved_the_weights_are_the_same(
    tmp_path, build
):
    recipe = tiny(build)
    free = runs.fit(recipe)
    assert same(weights(free), weights(runs.fit(recipe, tmp_path / "a", keep=1)))
    assert same(weights(free), weights(runs.fit(recipe, tmp_path / "b", keep=100)))


def test_a_run_goes_on_where_its_checkpoint_ends_and_not_from_the_beginning(tmp_path):
    recipe, heard = tiny(), History()
    trainer = recipe.trainer()
    for _ in zip(range(4), trainer.run(), strict=False):
        pass
    runs.save(trainer, recipe, tmp_path)
    resumed = runs.fit(recipe, tmp_path, heard)
    assert heard.steps == [5, 6]
    assert same(weights(resumed), weights(runs.fit(recipe)))
    assert runs.fit(recipe, tmp_path, heard).step == 6 and heard.steps == [5, 6]


def test_a_start_is_trained_once_and_its_average_is_where_the_run_begins(tmp_path):
    recipe = tiny(toy.ect)
    model = runs.begin(recipe, tmp_path, keep=100, bar=False)
    first = runs.fit(recipe.start)
    assert same(model.net.state_dict(), first.ema.model.net.state_dict())
    stamp = (tmp_path / "start" / runs.CHECKPOINT).stat().st_mtime_ns
    trainer = runs.fit(recipe, tmp_path)
    assert (tmp_path / "start" / runs.CHECKPOINT).stat().st_mtime_ns == stamp
    assert runs.samples_seen(trainer, recipe) == 6 * 8 == recipe.samples
    spent = checkpoint.read(tmp_path / "start" / runs.CHECKPOINT)[1]["seconds"]
    assert runs.seconds(trainer, recipe, tmp_path) == trainer.seconds + spent > trainer.seconds


def test_a_start_of_no_steps_is_no_obstacle(tmp_path):
    recipe = tiny(toy.ect, steps=1)
    assert recipe.start.train.steps == 0
    trainer = runs.fit(recipe, tmp_path)
    assert runs.seconds(trainer, recipe, tmp_path) == trainer.seconds


def test_what_a_kill_left_of_a_write_is_swept_up_and_not_read(tmp_path):
    part = tmp_path / f".checkpoint.safetensors.{process_place()}.{2**22 + 1}.abcd.part"
    part.write_bytes(b"half")
    trainer = runs.fit(tiny(), tmp_path)
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*"))
    assert same(weights(trainer), weights(runs.fit(tiny())))


@pytest.mark.parametrize(
    "path, value", [("train.seed", 1), ("method.metric.c", 0.5), ("sampler.sigma_mid", 0.7)]
)
def test_a_folder_of_another_recipe_is_refused_and_left_as_it_was(tmp_path, path, value):
    recipe = replace(tiny(), method=replace(tiny().method, metric=ict.PseudoHuber(0.1)))
    runs.fit(recipe, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(
        BadFile, match=rf"another recipe, whose {path} is .* and not {value} \(begun "
    ):
        runs.fit(change(recipe, path, value), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_run_that_is_not_finished_is_not_loaded(tmp_path):
    for build in (toy.ict, toy.ect):
        folder = tmp_path / build.__name__
        runs.fit(tiny(build), folder)
        with pytest.raises(BadFile, match="is not finished; go on with .* --resume"):
            runs.load(folder)
    early = tmp_path / "early"
    runs.begin(tiny(toy.ect), early, keep=1, bar=False)
    with pytest.raises(BadFile, match="is not finished"):
        runs.load(early)


def test_what_is_no_run_is_told_in_one_sentence(tmp_path):
    model, recipe, record = runs.load(finished(tmp_path / "good") and tmp_path / "good")
    tensors, kind = model.state_dict(), {"recipe": {"kind": "recipe.Model"}}
    short = {name: tensors[name] for name in list(tensors)[1:]}
    for wrong, content in {
        "kind": (tensors, kind),
        "none": (tensors, {}),
        "list": (tensors, {"recipe": [1]}),
        "text": (tensors, {"recipe": "hello"}),
        "short": (short, record),
        "field": (tensors, {"recipe": to_dict(recipe) | {"speed": 1}}),
    }.items():
        checkpoint.write(tmp_path / wrong, *content)
        absent = wrong in ("none", "list", "text")
        why = "no 'recipe' that makes sense" if absent else "does not fit this cmlab"
        with pytest.raises(BadFile, match=why) as error:
            runs.load(tmp_path / wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(BadFile, match="does not exist; give a run's folder"):
        runs.load(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadFile, match="does not exist; give a run's folder"):
        runs.load(tmp_path / "empty")


def test_a_score_that_is_no_number_is_recorded_as_none():
    recipe = replace(
        tiny(), evaluator=lambda model, data, sampler: {"rmse": float("nan"), "hq": 1}
    )
    assert runs.evaluate_model(recipe.build(), recipe) == {"rmse": None, "hq": 1}


def test_a_checkpoint_holds_the_target_and_the_optimizer(tmp_path):
    recipe = replace(tiny(toy.ct), train=replace(tiny(toy.ct).train, ema=Constant(0.5)))
    runs.fit(recipe, tmp_path)
    tensors, record = checkpoint.read(tmp_path / runs.CHECKPOINT)
    parts = {name.split(".")[0] for name in tensors}
    assert parts == {"model", "ema", "target", "optimizer"}
    assert record["step"] == 6 and record["recipe"] == to_dict(recipe)
