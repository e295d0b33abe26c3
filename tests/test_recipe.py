"""A run as a record: through JSON and back, changed by name, refused in one sentence."""

import json
from math import inf, nan

import pytest
import torch

from cmlab.methods import CD
from cmlab.methods.ict import PseudoHuber
from cmlab.nets.pretrained import PretrainedNet
from cmlab.presets import PRESETS, toy
from cmlab.sampling import ddim
from cmlab.teacher import OracleTeacher
from cmlab.train.recipe import Recipe, change, from_dict, to_dict

each_preset = pytest.mark.parametrize("preset", PRESETS)


def strict(text):
    """JSON as the standard has it: no NaN, no Infinity."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


@each_preset
def test_a_preset_comes_back_from_the_text_of_its_record(preset):
    recipe = PRESETS[preset]()
    text = json.dumps(to_dict(recipe), allow_nan=False)
    again = from_dict(strict(text))
    assert isinstance(again, Recipe) and to_dict(again) == to_dict(recipe)
    for name in ("data", "net", "precond", "train", "sampler", "evaluator"):
        assert getattr(again, name) == getattr(recipe, name)
    assert repr(again) == repr(recipe)


@each_preset
def test_a_preset_builds_the_same_weights_twice_and_others_from_another_seed(preset):
    build = PRESETS[preset]
    one, two, other = (build(seed=seed).build().state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    begun = isinstance(build().net, PretrainedNet)  # with a shipped generator's weights
    assert begun != any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("preset", [name for name in PRESETS if not name.endswith("-paper")])
@pytest.mark.parametrize("steps", [0, 1, 2, 8, 4000])
def test_a_preset_can_be_as_short_as_one_likes_and_counts_its_samples(preset, steps):
    recipe = PRESETS[preset](steps=steps)
    total, part = 0, recipe
    while part:  # a start may have a start of its own
        total, part = total + part.train.steps, part.start
    assert total == steps
    assert recipe.samples == steps * recipe.train.batch


def test_building_leaves_the_callers_randomness_untouched():
    before = torch.get_rng_state()
    toy.ict().build()
    assert torch.equal(torch.get_rng_state(), before)


def test_infinity_tuples_functions_and_nothing_are_kept():
    recipe = toy.ict()
    assert recipe.train.clip == inf and to_dict(recipe)["train"]["clip"] == "inf"
    assert from_dict(to_dict(recipe)).train.clip == inf
    method = CD(OracleTeacher(recipe.data), solver=ddim, metric=PseudoHuber())
    again = from_dict(to_dict(method))
    assert again.solver is ddim and again.metric.c is None
    assert from_dict([1, [2, "x"]]) == (1, (2, "x"))


def test_an_unknown_kind_is_refused_and_nothing_is_imported_for_it():
    for kind in ("os.system", "recipe.from_dict", "method.ict.ICT", None, 3):
        with pytest.raises(ValueError, match="which this cmlab lacks; update cmlab"):
            from_dict({"kind": kind, "command": "echo"})


def test_a_field_too_many_or_too_few_is_refused():
    record = to_dict(toy.ict())
    record["train"]["speed"] = 3
    with pytest.raises(ValueError, match=r"config\.TrainConfig does not fit .*'speed'"):
        from_dict(record)
    record = to_dict(toy.ict())
    del record["net"]
    with pytest.raises(ValueError, match=r"recipe\.Recipe does not fit .*'net'"):
        from_dict(record)


@pytest.mark.parametrize("thing", [lambda t, r: t, object(), torch.ones(2), nan, -inf, {1: 2}])
def test_what_no_record_can_hold_is_refused(thing):
    with pytest.raises(TypeError, match="a record cannot hold .* use one of cmlab's own"):
        to_dict(thing)


def test_a_field_deep_inside_can_be_changed_and_nothing_else_changes():
    recipe = toy.ict()
    changed = change(recipe, "method.pairs.proposal.mean", -1)
    assert changed.method.pairs.proposal.mean == -1.0
    assert isinstance(changed.method.pairs.proposal.mean, float)
    back = change(changed, "method.pairs.proposal.mean", recipe.method.pairs.proposal.mean)
    assert to_dict(back) == to_dict(recipe) != to_dict(changed)


@pytest.mark.parametrize(
    "path, value, sentence",
    [
        ("speed", 1, r"there is no 'speed' here; allowed: data, net, .*start"),
        ("train.speed", 1, r"there is no 'speed' here; allowed: steps, batch, "),
        ("train.steps.x", 1, r"there is no 'x' here; allowed: nothing"),
        ("train.steps", 1.5, r"steps takes a int such as 4000, not 1\.5"),
        ("train.steps", True, r"steps takes a int such as 4000, not True"),
        ("train.optimizer.lr", "fast", r"lr takes a float such as .*, not 'fast'"),
        ("train.optimizer", 3, r"optimizer takes a Adam such as Adam\("),
        ("train.batch", -5, r"TrainConfig.batch must be a whole number in"),
    ],
)
def test_a_wrong_change_says_what_is_allowed(path, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        change(toy.ict(), path, value)
