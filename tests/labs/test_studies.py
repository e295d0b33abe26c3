"""Studies: what their arms differ in, and recordings that say what made them and can be remade."""

import os
import shlex
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from cmlab_labs.common.observers import LineMapObserver
from cmlab_labs.common.studies_shared import CT_TO_ICT, ICT, ICT_ABLATIONS, LINE
from cmlab_labs.common.study import (
    FOLDER,
    Fact,
    Recording,
    Study,
    findings_table,
    path_of,
    read,
    write,
)
from cmlab_labs.lab06_ema.study import CT_VARIANTS, ICT_VARIANTS, PLAIN_CT
from cmlab_labs.lab08_robust.study import CLEAN
from cmlab_labs.lab13_inverse.analysis import CALLS
from cmlab_labs.registry import STUDIES

from cmlab import ops
from cmlab.cli.main import main
from cmlab.discovery import ROOT
from cmlab.presets import toy
from cmlab.schedules import Constant
from cmlab.train.checkpoint import BadFile
from cmlab.train.recipe import to_dict

ARMS = [(study, arm) for study in STUDIES for arm in STUDIES[study].variants]
KEPT = [arm for arm in ARMS if path_of(*arm).exists()]


def changed(a, b):
    """The fields in which two arms differ, their titles apart."""
    names = [field.name for field in fields(a) if field.name != "title"]
    return [name for name in names if getattr(a, name) != getattr(b, name)]


def short(recipe, steps=8):
    return replace(recipe, train=replace(recipe.train, steps=steps, batch=8))


def brief(name="brief", **arms):
    return Study(name, arms or {"ict": lambda seed: short(ICT(seed))}, observations=4)


def test_each_rung_changes_one_thing_and_the_last_is_the_preset():
    rungs = list(CT_TO_ICT.values())
    steps = [changed(a, b) for a, b in zip(rungs, rungs[1:], strict=False)]
    assert steps == [["decay"], ["metric"], ["weight"], ["proposal"], ["points"]]
    mine, preset = to_dict(CT_TO_ICT["ict"](7)), to_dict(toy.ict(seed=7))
    mine["method"]["kind"] = preset["method"]["kind"]  # the two losses are one, line by line
    assert mine == preset


def test_the_first_rung_is_the_preset_of_2023():
    assert to_dict(CT_TO_ICT["ct"](7)) == to_dict(toy.ct(seed=7))


@pytest.mark.parametrize("name", ICT_ABLATIONS)
def test_what_is_left_out_or_changed_is_one_thing(name):
    assert len(changed(ICT_ABLATIONS[name], ICT)) == 1


def test_the_target_study_changes_the_decay_and_the_grid_alone():
    assert all(set(changed(arm, ICT)) <= {"decay", "points"} for arm in ICT_VARIANTS.values())
    assert all(set(changed(arm, PLAIN_CT)) <= {"decay"} for arm in CT_VARIANTS.values())


def test_every_arm_makes_a_recipe_of_its_seed():
    for study, arm in ARMS:
        if not arm.startswith("learned"):  # that one trains its teacher first
            # A twin that is to be told apart from the other arms takes a seed of its own.
            assert STUDIES[study].variants[arm](5).train.seed in (5, 105), (study, arm)


@pytest.fixture(scope="module")
def recording():
    return brief().record("ict", [3, 4])


def test_a_recording_holds_one_row_a_seed_and_one_look_a_moment(recording):
    assert recording["error"].shape == (2, 5, 32)
    assert recording["steps"].tolist() == [[0, 2, 4, 6, 8]] * 2
    assert np.isnan(recording["loss"]).tolist() == [[True, *[False] * 4]] * 2
    assert recording["cloud"].shape == (2, 512, 2)
    assert recording.score("rmse").shape == (2,) and recording.record["samples"] == 64


def test_watching_changes_nothing(recording):
    """The weights of a watched run are those of one that nobody looks at."""
    alone = short(ICT(3)).trainer().fit()
    _, scores, seen = brief().train_and_observe(short(ICT(3)))
    ring = short(ICT(3))
    with ops.seeded(torch.device("cpu"), 0):
        z = torch.randn_like(ring.data.sample(512)[0])
    with torch.no_grad():
        cloud = ring.sampler(alone.model.process, alone.ema.model, z, 1)
    assert np.array_equal(cloud.numpy().astype(np.float16), recording["cloud"][0])
    assert scores == recording.record["scores"][0]


def test_a_recording_comes_back_from_the_disk_as_it_was(recording, tmp_path):
    path = write(recording, tmp_path)
    again = read("brief", "ict", tmp_path)
    assert path == tmp_path / "brief" / "ict.npz" and again.record == recording.record
    assert all(np.array_equal(again[k], recording[k], equal_nan=True) for k in recording.arrays)
    with pytest.raises(KeyError, match="it has steps, loss, error"):
        again["errors"]


@pytest.mark.parametrize("cut", [0, 10, 2000, -1])
def test_a_damaged_recording_is_refused_with_the_command_that_remakes_it(recording, tmp_path, cut):
    path = write(recording, tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadFile, match="cmlab record brief ict"):
        read("brief", "ict", tmp_path)


def test_a_missing_recording_is_refused_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(BadFile, match="cmlab record ladder ict"):
        read("ladder", "ict", tmp_path)


def test_no_pickle_is_ever_read(tmp_path):
    (tmp_path / "brief").mkdir()
    np.savez(tmp_path / "brief" / "ict.npz", record=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadFile):
        read("brief", "ict", tmp_path)


def test_a_run_that_blows_up_is_recorded_as_far_as_it_came():
    def wild(seed):
        recipe = short(ICT(seed))
        wild = replace(recipe.train, optimizer=replace(recipe.train.optimizer, lr=1e9))
        return replace(recipe, train=replace(wild, rate=Constant(1e9)))

    recording = brief(wild=wild).record("wild", [0])
    assert recording["steps"][0, -1] < 8
    assert recording.record["scores"][0]["rmse"] is None and np.isnan(recording.score("rmse"))[0]


def test_the_map_on_the_line_is_the_averaged_networks_answer():
    def line(seed):
        return short(STUDIES["distil"].variants["exact-heun-5"](seed))

    trainer, _, seen = Study(
        "line", {"a": line}, LineMapObserver(LINE), observations=1
    ).train_and_observe(line(0))
    level, place = seen["levels"][20], seen["place"][30]
    x = torch.tensor([[place * (level**2 + LINE.sigma_data**2) ** 0.5]]).float()
    with torch.no_grad():
        found = trainer.ema.model(x, torch.tensor([level]).float())
    assert seen["map"][20, 30] == pytest.approx(float(found), abs=1e-6)


def test_outliers_are_judged_by_the_clean_law():
    recipe = STUDIES["outliers"].variants["l2-0.15"](0)
    assert recipe.evaluator.distribution == CLEAN and recipe.data.clean == CLEAN
    assert recipe.data.sigma_data == CLEAN.sigma_data


@pytest.mark.parametrize("study,arm", KEPT, ids=map("/".join, KEPT))
def test_a_kept_recording_is_small_and_names_the_command_that_made_it(study, arm):
    recording, path = read(study, arm), path_of(study, arm)
    assert shlex.split(recording.record["command"])[:4] == ["cmlab", "record", study, arm]
    long = study == "twins-digits" and arm.startswith("long")  # ten times the steps, one seed
    assert recording.record["seeds"] == ([0] if long else [0, 1, 2])
    most = 400_000 if "pictures" in recording.arrays else 120_000
    if "weights" in recording.arrays:  # 58 242 of each seed that has them, in float16
        most = 20_000 + 120_000 * int(recording["weights"].any(1).sum())
    assert path.stat().st_size < most


def test_every_arm_has_been_recorded():
    assert set(ARMS) == set(KEPT)
    trained = {f"{study}/{arm}.npz" for study, arm in KEPT}
    raced = {f"race-{where}/{estimate}.npz" for where in ("rings", "digits") for estimate in CALLS}
    assert {p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*.npz")} == trained | raced


@pytest.mark.parametrize("estimate", sorted(CALLS))
@pytest.mark.parametrize("where", ["rings", "digits"])
def test_a_race_names_the_script_that_made_it_and_the_seeds_it_was_tuned_on(where, estimate):
    record = read(f"race-{where}", estimate).record
    assert (ROOT / record["command"].removeprefix("python ")).exists()
    assert record["seeds"] == [0, 1, 2] and not set(record["tuning seeds"]) & {0, 1, 2}


def test_a_recording_can_be_remade(tmp_path, capsys):
    """To the bit with the versions and the kind of CPU that made it; elsewhere nearly so."""
    assert main(["record", "tuning-toy", "denoiser", "--seeds", "0", "--out", str(tmp_path)]) == 0
    made, kept = read("tuning-toy", "denoiser", tmp_path), read("tuning-toy", "denoiser")
    assert made["steps"][0].tolist() == kept["steps"][0].tolist()
    assert np.allclose(made["error"][0, 0], kept["error"][0, 0], rtol=1e-3)  # before training
    assert np.allclose(made["loss"][0, 1], kept["loss"][0, 1], rtol=0.02)  # after 100 steps
    assert made.score("rmse")[0] == pytest.approx(kept.score("rmse")[0], rel=0.1)


@pytest.mark.parametrize(
    "words,said",
    [
        (["record", "ladder", "icy"], "no variant 'icy'; allowed: ct, no-ema"),
        (
            ["record", "ladder", "ict", "--seeds", "a,b"],
            "takes whole numbers in [0, 1e18] such as 1",
        ),
    ],
)
def test_what_cannot_be_recorded_is_said_in_one_sentence(words, said, capsys):
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_refused_before_the_training(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["record", "ladder", "ict", "--out", str(tmp_path / "file" / "runs")]) == 2
    assert "choose another --out" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="/proc or no permission")
def test_a_folder_that_takes_no_file_is_refused_before_the_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Study, "record", None)  # nothing is trained
    (tmp_path / "closed").mkdir(mode=0o555)
    closed = "/proc/self" if os.geteuid() == 0 else str(tmp_path / "closed")
    assert main(["record", "ladder", "ict", "--out", closed]) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_recording_mappings_are_read_by_name():
    recording = Recording({"a": np.float32([[1]])}, {"scores": [{"rmse": 2.0}, {"rmse": None}]})
    assert recording["a"].dtype == np.float64
    assert recording.score("rmse")[0] == 2 and np.isnan(recording.score("rmse")[1])


def scored(*values):
    return Recording({}, {"scores": [{"rmse1": value} for value in values]})


@pytest.mark.parametrize(("other", "times", "words"), [
    ((0.3, 0.4), 1.0, "confirmed here"),
    ((0.3, 0.4), 2.0, "partly: a factor of 2.3 between the means, but only 1.5 between"),
    ((0.25, 0.3), 2.0, "partly: the ranges are disjoint, but the factor is 1.8"),
    ((0.5, 0.6), 2.0, "confirmed here"), ((0.15, 0.4), 1.0, "partly: the ranges overlap"),
    ((0.1, 0.05), 1.0, "not seen"), ((0.15, 0.4), 0, "confirmed here"),
    ((0.3, 0.4), 0, "not seen at this scale: the first score is lower"),
    ((0.01, 0.02), 0, "not seen at this scale: disjoint ranges"),
])  # fmt: skip
def test_a_finding_is_confirmed_where_the_ranges_of_the_seeds_say_so(other, times, words):
    runs = {"a": scored(0.1, 0.2), "b": scored(*other), "c": scored(0.1, 0.9)}
    finding = Fact("a is lower", "a rmse1", ("b rmse1",), times)
    assert finding.verdict(runs).startswith(words)
    row = findings_table([finding], runs, {"a": "A", "b": "B"}).splitlines()[-1]
    assert "A 0.150 (0.100 to 0.200); B " in row and row.endswith(f"| {finding.verdict(runs)} |")
    assert findings_table([finding], {}, {}).endswith("|  | not run here |")
    if times == 1:  # the nearest of the others decides
        both = replace(finding, others=("b rmse1", "c rmse1"))
        assert both.verdict(runs) != "confirmed here"
