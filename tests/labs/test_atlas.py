"""The atlas: the same law, network and budget for all, and a table that a command remakes."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from cmlab_labs.common.plots_posterior import PathEnd
from cmlab_labs.common.study import SEEDS
from cmlab_labs.lab17_atlas import benchmark
from cmlab_labs.lab17_atlas.benchmark import (
    BATCH,
    DATA,
    ENTRIES,
    EXACT,
    LEDGER,
    STEPS,
    ExactBaseline,
    Generation,
    HeunSteps,
    HiddenCoordinate,
    PosteriorSampling,
    ZeroShotEditing,
    fingerprint,
    measured,
    merged,
    networks,
    read_rows,
    recipes_of,
    score,
    weights_of,
)

from cmlab.cli.main import main
from cmlab.metrics.denoiser import heun_samples
from cmlab.noise_levels import KarrasGrid
from cmlab.process import VarianceExploding
from cmlab.teacher import BatchTeacher, OracleTeacher, SampleTeacher
from cmlab.train import runs
from cmlab.train.checkpoint import BadFile
from cmlab.train.recipe import canonical

TRAINED = [arm for arm, entry in ENTRIES.items() if entry.parts]
ROWS = read_rows()
LAW = DATA.oracle
PAPERS = {  # of the mission
    "2206.00364", "2303.01469", "2310.14189", "2406.14548", "2410.11081", "2502.01441",
    "2405.18407", "2404.13358", "2403.12063", "2404.07946",
}  # fmt: skip


def noise(n, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("arm", TRAINED)
def test_every_method_has_the_same_law_budget_and_width(arm):
    recipes = recipes_of(ENTRIES[arm], seed=3)
    assert sum(recipe.samples for recipe in recipes.values()) == STEPS * 256
    weights = {sum(p.numel() for p in r.build().parameters()) for r in recipes.values()}
    assert weights == {111938}
    for recipe in recipes.values():
        assert recipe.data == DATA and recipe.train.batch == 256 and recipe.train.seed == 3
        assert recipe.start is None or recipe.start.data == DATA


def test_every_paper_of_the_mission_is_there():
    assert {entry.paper for entry in ENTRIES.values()} >= PAPERS


@pytest.mark.parametrize("arm", TRAINED)
def test_who_is_told_more_than_the_data_is_said(arm):
    recipes = recipes_of(ENTRIES[arm], seed=0).values()
    teachers = [getattr(recipe.method, "teacher", None) for recipe in recipes]
    assert any(isinstance(t, OracleTeacher) for t in teachers) == (ENTRIES[arm].teacher == EXACT)
    assert any(isinstance(t, BatchTeacher) for t in teachers) == (ENTRIES[arm].teacher == BATCH)


def test_lsd_with_single_samples_differs_from_lsd_in_its_teacher_alone():
    lsd, single = (recipes_of(ENTRIES[arm], seed=3)["f"] for arm in ("lsd", "lsd-sample"))
    assert isinstance(single.method.teacher, SampleTeacher)
    other = replace(lsd, method=replace(lsd.method, teacher=SampleTeacher()))
    assert canonical(other) == canonical(single) != canonical(lsd)


@pytest.mark.parametrize("arm", ENTRIES)
def test_the_table_has_three_seeds_of_the_entry_as_it_is_now(arm):
    mine = {row["seed"]: row["key"] for row in ROWS if row["arm"] == arm}
    entry = ENTRIES[arm]
    assert mine == {seed: fingerprint(recipes_of(entry, seed), entry) for seed in SEEDS}


@pytest.mark.parametrize("arm", ["ict", "pcm-4", "cm-dis"])
def test_the_kept_networks_answer_as_the_table_says(arm):
    """Half precision moves an answer by less than the seeds do."""
    entry = ENTRIES[arm]
    models = {role: runs.load(weights_of(arm, role))[0] for role in entry.parts}
    answers = entry.asked(networks(models, entry), DATA, 0)
    (row,) = [row for row in ROWS if (row["arm"], row["seed"]) == (arm, 0)]
    for mine, kept in zip(answers, row["answers"], strict=True):
        assert (mine["way"], mine["calls"]) == (kept["way"], kept["calls"])
        name = "sliced_w2" if "sliced_w2" in kept else "w1"
        assert mine[name] == pytest.approx(kept[name], abs=4e-3)


def test_every_trained_method_keeps_its_networks():
    kept = {path.stem for path in LEDGER.with_suffix("").glob("*.safetensors")}
    assert kept == {weights_of(arm, role).stem for arm in TRAINED for role in ENTRIES[arm].parts}


# What is asked.


def test_heun_in_35_calls_is_the_walk_of_edm():
    exact, z, grid = OracleTeacher(DATA), noise(64), KarrasGrid(sigma_max=10.0)
    mine = HeunSteps(grid)(VarianceExploding(), exact.denoise, z, 35)
    assert torch.equal(mine, heun_samples(VarianceExploding(), exact.denoise, 10.0 * z, 10.0))


def test_calls_are_counted():
    asked = []

    def denoise(x_t, t):
        asked.append(len(t))
        return LAW.denoise(x_t, t).to(x_t)

    for generates in (ENTRIES["edm"].asked, ENTRIES["ict"].asked, ENTRIES["pcm-2"].asked):
        for _, sampler, counts in generates.ways:
            for calls in counts:
                asked.clear()
                sampler(VarianceExploding(), denoise, noise(2), calls)
                assert len(asked) == calls


def test_a_guess_with_f_calls_it_once_more_a_step():
    asked = []

    def told(name):
        return lambda x_t, t: asked.append(name) or LAW.denoise(x_t, t)

    nets = {name: (VarianceExploding(), told(name)) for name in ("denoiser", "f")}
    small = HiddenCoordinate(truths=2, copies=2)
    for shown, each in (("denoiser", 1), ("f", 2)):
        question = replace(ENTRIES["cm-dis"].asked, shown=shown, zeta=((3, 0.5),), guess=small)
        asked.clear()
        (answer,) = question(nets, DATA, 0)
        assert len(asked) == answer["calls"] == 3 * each


@pytest.mark.parametrize("calls", [2, 4, 6])
def test_heun_refuses_an_even_number_of_calls(calls):
    with pytest.raises(ValueError, match="3, 5, 7"):
        HeunSteps()(VarianceExploding(), OracleTeacher(DATA).denoise, noise(2), calls)


def test_the_exact_f_is_at_the_end_of_its_paths_and_as_near_as_chance_allows():
    f = lambda x_t, t: LAW.flow(x_t.double(), t.double(), torch.zeros(len(t)).double())  # noqa: E731
    generates = replace(ENTRIES["ict"].asked, n=2048)
    one, *_ = generates({"f": (VarianceExploding(), f)}, DATA, 0)
    (truth, *_) = ExactBaseline(n=2048)({}, DATA, 0)
    assert one["end"] < 1e-6 and one["near_mode"] > 0.98 and one["modes"] == 8
    assert one["sliced_w2"] < 2.5 * truth["sliced_w2"]


def test_exact_guesses_are_nearest_and_guesses_without_the_measurement_far():
    truth, w1, prior = ExactBaseline(n=256)({}, DATA, 0)
    assert w1["w1"] < prior["w1"] / 3


def test_a_guess_that_is_moved_by_d_is_off_by_d():
    guess = HiddenCoordinate(truths=4, copies=32)
    exact = guess.exact(DATA, guess.drawn(DATA, 0), 1)
    x = torch.stack([torch.zeros(128).double(), exact.flatten() + 0.25], 1)
    assert guess.apart(x, exact) == pytest.approx(0.25)


def test_editing_with_the_exact_f_gets_better_with_more_calls():
    edits = ZeroShotEditing(
        KarrasGrid(0.05, 10.0), (1, 40), HiddenCoordinate(truths=16, copies=32)
    )
    one, many = edits({"f": (VarianceExploding(), PathEnd(LAW, 8))}, DATA, 0)
    assert many["w1"] < 0.8 * one["w1"]


def test_a_pull_towards_the_measurement_helps():
    small = HiddenCoordinate(truths=16, copies=128)
    (none,), (some,) = (
        PosteriorSampling(KarrasGrid(0.02, 10.0), ((40, zeta),), guess=small)(
            {"denoiser": (VarianceExploding(), LAW.denoise)}, DATA, 0
        )
        for zeta in (0.0, 1.0)
    )
    assert some["w1"] < 0.6 * none["w1"]


# The ledger.


def test_bench_goes_on_where_it_was_stopped_and_remakes_what_changed(tmp_path, capsys):
    table = tmp_path / "t.jsonl"

    def bench(*words):
        assert main(["bench", *words, "--seeds", "0", "--out", str(table)]) == 0
        return capsys.readouterr().out

    assert "truth, seed 0" in bench("truth")
    assert bench("truth") == ""
    rows = read_rows(table)
    table.write_text(json.dumps(rows[0] | {"key": "another"}) + "\n", encoding="utf-8")
    assert "truth, seed 0" in bench("truth")
    assert [r["answers"] for r in read_rows(table)] == [r["answers"] for r in rows]
    assert "truth" in bench("truth", "--again")


def test_benches_that_write_one_table_at_once_lose_no_row(tmp_path, monkeypatch, capsys):
    table, meet = tmp_path / "t.jsonl", threading.Barrier(8)

    def instant(method, entry, seed, steps, out):
        meet.wait(60)
        return {"arm": method, "seed": seed, "key": ""}

    monkeypatch.setattr(benchmark, "measured", instant)
    words = [("truth", seed, 8, table, True) for seed in range(8)]
    threads = [threading.Thread(target=benchmark.run_if_missing, args=w) for w in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [row["seed"] for row in read_rows(table)] == list(range(8))
    assert [path.name for path in tmp_path.iterdir()] == ["t.jsonl"]


def test_a_last_line_that_was_torn_is_left_out_and_one_without_its_end_is_not(tmp_path):
    table, row = tmp_path / "t.jsonl", json.dumps({"arm": "ict", "seed": 0})
    table.write_text(f"{row}\n{row[:9]}", encoding="utf-8")
    assert len(read_rows(table)) == 1
    table.write_text(f"{row}\n{row}", encoding="utf-8")
    assert len(read_rows(table)) == 2


def test_a_run_is_a_function_of_its_seed(tmp_path):
    entry = replace(ENTRIES["ict"], asked=replace(ENTRIES["ict"].asked, n=256))
    one, two = (measured("ict", entry, 5, 8, tmp_path / "t.jsonl") for _ in range(2))
    assert one["answers"] == two["answers"] and one["rmse"] == two["rmse"]
    assert one["samples"] == 8 * 256 and one["bytes"] > 4 * 111938


def test_a_run_that_is_not_finite_leaves_its_reason(tmp_path):
    def broken(steps, seed):
        recipe = ENTRIES["ict"].parts["f"](steps, seed)
        train = replace(recipe.train, optimizer=replace(recipe.train.optimizer, lr=1e9))
        return replace(recipe, train=train)

    row = measured(
        "ict", replace(ENTRIES["ict"], parts={"f": broken}), 1, 40, tmp_path / "t.jsonl"
    )
    assert "failed" in row and "answers" not in row
    assert np.isnan(score([row], "ict", "sliced_w2", "multistep", 1)).all()


def test_a_new_run_takes_the_place_of_the_old_one_and_the_order_is_fixed():
    old = [{"arm": "ict", "seed": 1, "x": 0}, {"arm": "cd", "seed": 1}]
    rows = merged(merged(old, {"arm": "ict", "seed": 1, "x": 1}), {"arm": "ict", "seed": 0})
    assert [(r["arm"], r["seed"], r.get("x")) for r in rows] == [
        ("cd", 1, None), ("ict", 0, None), ("ict", 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"arm": "none", "seed": 0}', '{"arm": "ict"}'])
def test_a_bad_line_is_named_and_the_table_left_alone(tmp_path, line, capsys):
    table = tmp_path / "t.jsonl"
    table.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(BadFile, match="line 1"):
        read_rows(table)
    assert main(["bench", "truth", "--out", str(table)]) == 2
    assert "line 1" in capsys.readouterr().err and table.read_text() == line + "\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "no 'nothing'"),
        (["truth", "--seeds", "a"], "--seeds: takes"),
        (["truth", "--steps", "2"], "--steps: must be a whole number in [8, 1e9]"),
        (["truth", "--out", "t.txt"], ".jsonl"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(words, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_a_score_that_no_run_has_is_an_error_and_not_a_gap():
    with pytest.raises(KeyError, match="cmlab bench"):
        score([{"arm": "ict", "seed": 0, "answers": []}], "ict", "sliced_w2", "multistep", 3)
    with pytest.raises(KeyError, match="cmlab bench"):
        score([], "ict", "sliced_w2", "multistep", 1)


def test_generates_is_one_question_for_all_that_make_samples():
    kinds = {type(ENTRIES[arm].asked) for arm in TRAINED}
    assert kinds == {Generation, ZeroShotEditing, PosteriorSampling}
