"""Every numeric field of an ingredient says its range, and a number outside it is refused."""

import random
import types
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from math import inf, nan
from pathlib import Path
from typing import Annotated, get_args, get_origin

import pytest

from cmlab.cli import settings, train
from cmlab.cli.main import main
from cmlab.cli.settings import recipe_of
from cmlab.discovery import module_names
from cmlab.ingredients import MARK, ingredient, ranges_of
from cmlab.methods.ict import Doubling, PseudoHuber
from cmlab.metrics.evaluators import DigitsStepsEvaluator
from cmlab.model import EDMPrecond
from cmlab.nets.mlp import MLPShape
from cmlab.noise_levels import AdjacentLevels, KarrasGrid, LogNormal
from cmlab.sampling import FewSteps
from cmlab.schedules import Constant, Warmup
from cmlab.train.config import Adam, TrainConfig
from cmlab.train.cost import least_memory
from cmlab.train.recipe import settable_fields
from cmlab.types import Range


def ingredients():
    """All dataclasses of both packages that a record can name."""
    names = [name for package in ("cmlab", "cmlab_labs") for name in module_names(package)]
    marked = [name for name in names if "@ingredient" in Path(find_spec(name).origin).read_text()]
    things = [thing for name in marked for thing in vars(import_module(name)).values()]
    things = {t for t in things if isinstance(t, type) and MARK in vars(t) and is_dataclass(t)}
    return sorted(things, key=lambda thing: thing.__qualname__)


def takes_numbers(kind):
    """Whether a field of this type holds numbers, or a schedule of them."""
    if get_origin(kind) is Annotated or get_origin(kind) in (tuple, types.UnionType):
        return any(map(takes_numbers, get_args(kind)))
    return kind in (int, float) or kind == Callable[[int], float] or "Optional" in repr(kind)


def test_every_numeric_field_of_every_ingredient_has_a_range_and_its_default_lies_in_it():
    found = ingredients()
    assert len(found) > 100 and any(t.__module__.startswith("cmlab_labs") for t in found)
    for thing in found:
        ranges = ranges_of(thing)
        for f in (f for f in fields(thing) if f.init and takes_numbers(f.type)):
            assert f.name in ranges, f"{thing.__qualname__}.{f.name} says no range in its type"
            if f.default is not MISSING:
                ranges[f.name].check(f.name, f.default)


def test_an_interval_holds_its_closed_ends_and_no_nan():
    below = Range("[0, 1)")
    assert 0 in below and 0.5 in below
    assert -1 not in below and 1 not in below and nan not in below
    assert inf in Range("(0, inf]") and inf not in Range("(0, inf)") and 0 not in Range("(0, 1]")


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: TrainConfig(clip=-1.0), r"Config.clip must be a number in \(0, inf\], not -1"),
        (lambda: TrainConfig(steps=2.5), "TrainConfig.steps must be a whole number in .* not 2.5"),
        (lambda: TrainConfig(steps=True), "must be a whole number in .* not True"),
        (lambda: TrainConfig(seed=10**30), "TrainConfig.seed must be a whole number in"),
        (lambda: TrainConfig(ema=Constant(2.0)), "ema must be a schedule of numbers in .* not 2"),
        (lambda: TrainConfig(momentum=0.5), "momentum must be a schedule of numbers .* not 0.5"),
        (lambda: TrainConfig(batch=6, parts=4), "batch must be a multiple of parts"),
        (lambda: Adam(inf), "Adam.lr must be a number in"),
        (lambda: Adam("x"), "Adam.lr must be a number in .* not 'x'"),
        (lambda: MLPShape(width=0), r"Shape.width must be a whole number in \[1, 16384\], not 0"),
        (lambda: EDMPrecond(-1.0), "EDMPrecond.sigma_data must be a number in"),
        (lambda: EDMPrecond(nan), "EDMPrecond.sigma_data must be a number in .* not nan"),
        (lambda: PseudoHuber(-1.0), "PseudoHuber.c must be a number in"),
        (lambda: DigitsStepsEvaluator((1, 0)), "calls must be a whole number in .* not 0"),
        (lambda: AdjacentLevels(Constant(1.0)), "points must be a schedule of numbers in"),
        (lambda: KarrasGrid(2.0, 1.0), "a grid rises from sigma_min to sigma_max"),
        (lambda: FewSteps(1.0, 2.0), "sigma_mid must be below sigma_max"),
        (lambda: Doubling(20, 10), "s0 must be s1 or less"),
        (lambda: LogNormal(0.0, 0.1, 50.0, 60.0), r"has no mass in \[50, 60\]"),
        (lambda: LogNormal(0.0, 20.0), "give a high of"),
        (lambda: replace(Warmup(3), steps=-1), "Warmup.steps must be a whole number in"),
    ],
)  # fmt: skip
def test_a_number_outside_is_refused_naming_field_value_and_range(make, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        make()
    assert "\n" not in str(error.value)


def test_numbers_are_checked_before_anything_is_made_of_them():
    @ingredient
    @dataclass(frozen=True)
    class Table:
        size: Annotated[int, Range("[1, 9]")] = 1

        def __post_init__(self):
            raise AssertionError("made")

    with pytest.raises(ValueError, match="Table.size must be"):
        Table(10)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["train.clip=-1"], "TrainConfig.clip must be a number in (0, inf], not -1.0"),
        (["net.width=0"], "MLPShape.width must be a whole number in [1, 16384], not 0"),
        (["precond.sigma_data=-1"], "CMPrecond.sigma_data must be a number in"),
        (["train.ema.value=2.0"], "TrainConfig.ema must be a schedule of numbers in [0, 1]"),
        (["train.optimizer.lr=1e400"], "Adam.lr must be a number in [0, 1e9], not inf"),
        (["train.optimizer.lr=" + "1" * 400], "Adam.lr must be a number in [0, 1e9], not inf"),
        (["start=1"], "start is None here and can only be set in a recipe, not to 1"),
        (["train.momentum=1"], "TrainConfig.momentum must be a schedule of numbers"),
        (["steps=" + "1" * 30], "must be a whole number in"),
        (["train.batch=1000000000"], "a step on 1000000000 samples takes at least "),
        (["net.depth=256", "net.width=16384"], "samples takes at least "),
    ],
)
def test_settings_that_make_no_sense_are_refused_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, words, sentence
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "toy.ict", "--set", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["-" * 3000 + "1", "(" * 300, "{[]: 1}", "1 if 1 else 1"])
def test_a_value_that_no_parser_takes_is_text(text, capsys):
    assert main(["train", "toy.ict", "--set", f"net.width={text}"]) == 2
    said = capsys.readouterr().err
    assert "takes a int" in said and said.count("\n") == 1


def test_memory_is_counted_without_being_taken(monkeypatch):
    """By hand: weights, gradient, two moments and average; the layers' inputs of one pass."""
    recipe = recipe_of("toy.edm", 0, ["net.width=64", "net.depth=1"])
    weights = sum(p.numel() for p in recipe.build().parameters())
    assert least_memory(recipe, 0) == 5 * 4 * weights
    each = least_memory(recipe, 10) - least_memory(recipe, 9)
    assert 4 * 2 * 64 <= each <= 4 * (4 * 64 + 4)
    wide = replace(recipe, net=MLPShape(2, 16384, 256))
    assert least_memory(wide, 1) > 1e12
    monkeypatch.setattr(settings, "free_memory", lambda config: 1e3)
    with pytest.raises(settings.Refused, match=r"at least [\d.]+ GB, and 0.0 GB are free"):
        settings.dry_run(recipe)


NASTY = (
    "-1 0 -0.5 1e400 -1e400 nan 2 1e30 1000000000 1e-300 1e300 ² True None () (0,) (-1,)".split()
)


def numeric_paths(thing, before=""):
    for name in settable_fields(thing):
        value = getattr(thing, name)
        if is_dataclass(value):
            yield from numeric_paths(value, f"{before}{name}.")
        elif isinstance(value, int | float | tuple | None):
            yield before + name


def test_nasty_values_end_in_a_sentence_or_in_a_run_that_can_start(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "train_and_evaluate", lambda *a: 0)
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    presets = ("toy.ict", "toy.ct", "toy.ect", "toy.scd", "toy.edm-fast")
    paths = {preset: list(numeric_paths(recipe_of(preset, 0, []))) for preset in presets}
    for _ in range(40):
        preset = draw.choice(presets)
        words = f"{draw.choice(paths[preset])}={draw.choice(NASTY)}"
        status, said = main(["train", preset, "--set", words]), capsys.readouterr()
        assert status in (0, 2) and said.err.count("\n") == (status == 2), (preset, words, said)


@pytest.mark.parametrize("value", ["²", "٣", "1e400", "nan", "1" * 400, "-" * 3, "0x1", "1_0", ""])
@pytest.mark.parametrize(
    "words",
    [
        *(["train", "toy.ict", option] for option in ("--seed", "--devices", "--nodes")),
        *(["sample", "run", "--out", "x.png", option] for option in ("--n", "--steps", "--seed")),
        *(["evaluate", "run", option] for option in ("--n", "--seed")),
        *(["bench", option] for option in ("--seeds", "--steps")),
        ["record", "ladder", "ict", "--seeds"],
    ],
)  # fmt: skip
def test_a_number_of_the_command_line_is_whole_and_in_the_digits_0_to_9(
    tmp_path, monkeypatch, capsys, words, value
):
    monkeypatch.chdir(tmp_path)
    assert main([*words[:-1], f"{words[-1]}={value}"]) == 2
    said = capsys.readouterr().err
    assert words[-1] in said and said.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["train", "toy.ict", "--devices", "0"],
        ["train", "toy.ict", "--nodes", "-1"],
        ["sample", "run", "--out", "x.png", "--n", "1000000000"],
        ["sample", "run", "--out", "x.png", "--steps", "1,1000000000"],
        ["evaluate", "run", "--n", "0"],
        ["bench", "--steps", "7"],
    ],
)
def test_a_number_of_the_command_line_outside_its_range_is_refused(capsys, words):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert words[-2] in said and "whole number" in said and said.count("\n") == 1
