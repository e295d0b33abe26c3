"""Lab 16: its checks tell answers from slips, its table is the data's, its explorer answers."""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from cmlab_labs.common.generators import CIFAR_GENERATOR, Generator, ReferenceImages, shipped
from cmlab_labs.lab16_cifar10 import checks, figures, judged
from cmlab_labs.lab16_cifar10.animation import lerp
from cmlab_labs.lab16_cifar10.explorer import (
    SHARES,
    explorer,
    interpolations,
    noise,
)
from cmlab_labs.lab16_cifar10.figures import (
    PatchDistances,
    chosen_sheets,
    distance_by_size,
    distance_curves,
    patch_distances,
    pictures,
    recorded_distances,
    sharpening,
)
from cmlab_labs.tools.notebooks.build import read_source
from exercises import answers, lab, solutions, stubs
from PIL import Image

from cmlab.data.cifar10 import CIFAR10, CLASSES
from cmlab.methods.editing import slerp
from cmlab.metrics.feature_extractors import CifarSpace
from cmlab.presets import PRESETS, shapes
from cmlab.train import cost
from cmlab.train.checkpoint import BadFile

LAB = lab("16")
CHECKS = (checks.decay, checks.at_infinity)


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


FORGETS = [slip for slip, _ in checks.decay_slips(64, 64.0)]


@pytest.mark.parametrize("number", range(len(FORGETS)))
def test_each_slip_in_the_decay_gets_its_own_message(number):
    verdict = checks.decay(lambda batch, images: checks.decay_slips(batch, images)[number][1])
    assert verdict.state == "slip" and verdict.message == FORGETS[number]
    assert len(set(FORGETS)) == len(FORGETS)


def test_another_wrong_decay_is_told_by_the_half_life():
    assert "of the old is left" in checks.decay(lambda batch, images: 0.999).message


def test_the_decay_of_the_published_runs():
    assert 0.5 ** (512 / 5e5) == pytest.approx(0.99929, abs=5e-6)
    assert "0.99929" in checks.decay(lambda batch, images: 0.5 ** (batch / images)).message


@pytest.mark.parametrize("slip", checks.LIMITS)
def test_each_slip_in_the_limit_gets_its_own_message(slip):
    verdict = checks.at_infinity(checks.LIMITS[slip])
    assert verdict.state == "slip" and verdict.message == slip


def test_other_wrong_limits_are_told_by_the_bias():
    assert "the same b" in checks.at_infinity(lambda n1, d1, n2, d2: d1 / 2).message
    assert "no distance" in checks.at_infinity(lambda *case: math.nan).message


def test_the_great_circle_keeps_the_norm_and_the_straight_way_does_not():
    z1, z2 = 2 * torch.eye(2).double()
    assert float(slerp(z1, z2, 0.3).norm()) == pytest.approx(2, abs=1e-9)
    assert float(lerp(z1, z2, 0.5).norm()) == pytest.approx(math.sqrt(2), abs=1e-9)
    z = torch.randn(1, 3, 8, 8)
    with pytest.raises(ValueError, match="opposite"):
        slerp(z[0], -z[0], 0.5)


def test_the_count_of_operations_is_the_forecasts():
    recipe = shapes.picture(shapes.ect(10).method, 1, 0)
    found = figures.cost(recipe)
    few = shapes.replace(recipe, train=shapes.replace(recipe.train, batch=cost.FEW))
    kept, flops = cost.bytes_and_flops(few.trainer())
    assert found.step == flops and found.kept == pytest.approx(kept, rel=0.02)
    assert found.weights == sum(p.numel() for p in recipe.build().parameters())
    assert 3.9 < found.step / found.call < 4.1


def test_the_papers_network_has_its_published_size():
    assert figures.cost(PRESETS["cifar10.ect-paper"]()).weights == 55_732_739


def test_the_lab_shows_exactly_the_table_of_the_package(tmp_path):
    (cell,) = (c for c in read_source(LAB).cells if "figures.results_table(" in c.source)
    assert cell.source.startswith("Markdown(figures.results_table((")
    none = (tmp_path / "no.json", *[None] * (len(figures.OURS) - 1))
    lines = figures.results_table(none).splitlines()
    assert len(lines) == 2 + len(figures.ROWS)
    for row, line in zip(figures.ROWS, lines[2:], strict=False):
        assert " | ".join(figures.published_cells(row)) in line


def test_what_is_not_the_published_space_never_enters_the_table(tmp_path):
    row = {"name": "fd", "of": "1 call", "value": 9.0, "error": 0.1, "space": "cmlab-cifar",
           "samples": 50_000, "reference": "train"}  # fmt: skip
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"readings": [row, row | {"samples": 5000}], "fd1": 9.0}))
    assert figures.recorded_fids(record) == {}
    right = row | {"space": "inception", "value": 12.0}
    record.write_text(json.dumps({"readings": [row, right, right | {"samples": 5000}]}))
    assert figures.recorded_fids(record) == {"1": "12.00 ± 0.10"}
    cells = figures.preset_cells("cifar10.ect-sprint", record)
    assert cells[1:3] == ("12.00 ± 0.10", figures.NOT_RUN)
    rows = figures.results_table((None, record, None, None)).splitlines()
    assert len(rows) == 3 + len(figures.ROWS) and " | ".join(cells) in rows[-1]


def test_only_what_was_read_is_called_read():
    assert {row.source for row in figures.ROWS if row.status == figures.READ} == {
        "2303.01469",
        "2410.11081",
    }


def test_the_distance_grows_as_n_falls_and_not_only_its_spread():
    g = torch.Generator().manual_seed(0)
    real, made = (torch.randn(6000, 8, generator=g).double() for _ in range(2))
    found = distance_by_size(made, real, (50, 400), 10)
    assert found.mean[0] - found.mean[1] > 5 * found.spread[0] / math.sqrt(10)
    assert found.mean[0] / found.mean[1] == pytest.approx(8, rel=0.4)  # as 1/n
    drawn = distance_curves({"a": found, "b": found}, "t", {"a": 0.0, "b": 0.01}).axes[0]
    assert drawn.get_title("left") == "t"
    assert [line for line in drawn.lines if np.allclose(line.get_ydata(), 0.01)]
    with pytest.raises(ValueError, match="draw more"):
        distance_by_size(made, real, (4000,), 2)


def test_the_labs_gaussian_distances_tend_to_the_exact_ones():
    g = torch.Generator().manual_seed(1)
    spread = torch.arange(1, 9).double().rsqrt()
    real, pool = (spread * torch.randn(20_000, 8, generator=g).double() for _ in range(2))
    found = distance_by_size(0.8 * pool, real, (200, 10_000), 2)
    exact = 0.2**2 * float(spread.square().sum())
    assert found.mean[1] == pytest.approx(exact, rel=0.1) and found.mean[0] > found.mean[1]


@pytest.fixture
def run(tmp_path):
    """What `cmlab ship` writes of a run: six lines of log, six sheets, half of them a start's."""
    path, seen = tmp_path / "run", [320, 640, 960, 1600, 2240, 2880]
    rows = [{"stage": k // 3, "step": n // 32, "samples": n, "loss": 1.0,
             "by_level": [1.0] * 11 + [None]} for k, n in enumerate(seen)]  # fmt: skip
    path.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path.with_suffix(".json").write_text(json.dumps({"sheets": seen}))
    sheets = np.full((6, 3, 33, 8 * 33, 3), 255, np.uint8)
    for k, sheet in enumerate(sheets):
        sheet[0, :32] = 20 * (k + 1)
    Image.fromarray(sheets.reshape(-1, 8 * 33, 3)).save(path.with_suffix(".png"))
    return path


def test_a_diary_counts_the_starts_images(run):
    read = figures.read_training_record(run)
    assert read.before == 960
    assert read.seen.tolist() == [320, 640, 960, 1600, 2240, 2880]
    x = pictures(read.strip(5))
    assert x.shape == (8, 3, 32, 32) and float(x[0, 0, 0, 0]) == pytest.approx(120 / 127.5 - 1)


def test_the_shipped_run_has_a_diary():
    read, record = (
        figures.read_training_record(CIFAR_GENERATOR.with_suffix("")),
        shipped().record,
    )
    # The last sheet is that of the last full interval: 400 steps of 128 images.
    assert 0 <= record["samples_seen"] - read.seen[-1] < 400 * 128
    assert 0 < read.before < read.seen[-1] and (np.diff(read.seen) > 0).all()
    assert len(read.sheets) == len(record["sheets"]) and pictures(read.strip(0)).shape[0] == 8


def test_a_path_without_a_diary_is_refused(tmp_path):
    with pytest.raises(BadFile, match="run.json is missing or no JSON record"):
        figures.read_training_record(tmp_path / "run")
    (tmp_path / "run.json").write_text('{"sheets": [1]}')
    (tmp_path / "run.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    with pytest.raises(BadFile, match="is no log of a run"):
        figures.read_training_record(tmp_path / "run")


def test_the_moments_cover_both_trainings_and_end_at_the_end():
    seen = np.arange(1, 81) * 800
    picked = chosen_sheets(seen, 6, 25_600)
    assert len(picked) == 6 and picked[-1] == 79 and seen[picked[2]] == 25_600
    # The start ends between two sheets: the one before is its last, however near the one after.
    assert seen[chosen_sheets(seen, 5, 26_300)].tolist()[:2] == [2400, 25_600]


def test_the_key_figure_draws_the_diary(run):
    read = figures.read_training_record(run)
    score = patch_distances(read, torch.zeros(4, 8, 3, 32, 32))
    assert isinstance(score, PatchDistances) and score.floor == (0, 0) and score.pictures == 8
    top, below = sharpening(read, score, "t").axes
    assert top.get_title("left") == "t"
    assert np.allclose(below.lines[0].get_ydata(), score.values)


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    recipe = shapes.ect(10)
    model = recipe.build().eval().requires_grad_(False)
    for weight in model.parameters():  # a fresh network does not heed its class
        weight += 0.05 * torch.randn_like(weight)
    return Generator(model, recipe, {})


@pytest.fixture(scope="module")
def seen(generator):
    return explorer(generator)


def turn(seen, **values):
    for name, value in values.items():
        seen.knobs[name].value = value


RESET = {"seed": 0, "other": 1, "share": 0.3, "calls": 2, "middle": 0.8, "label": 0}
KNOBS = {"seed": 3, "other": 4, "share": 0.8, "calls": 4, "middle": 5.0, "label": 2}


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_changes_the_picture(seen, knob):
    turn(seen, **RESET)
    image = seen.image.value
    turn(seen, **{knob: KNOBS[knob]})
    assert seen.image.value != image and seen.knobs[knob].description


def test_the_reading_says_the_levels_and_the_neighbours_meaning(seen):
    turn(seen, **RESET)
    assert "2 network calls, at noise levels 80, 0.8" in seen.picture.reading
    turn(seen, calls=1)
    assert "no effect" in seen.picture.reading and "median" in seen.picture.reading


def test_the_way_goes_from_one_noise_to_the_other(generator):
    way, back = interpolations(generator, 0, 1, 0), interpolations(generator, 1, 0, 0)
    assert len(way) == len(SHARES)
    torch.testing.assert_close(way, back.flip(0), rtol=0, atol=1e-4)
    assert torch.equal(noise(7, (3, 4, 4)), noise(7, (3, 4, 4)))


def test_two_equal_seeds_are_one_noise_all_the_way(generator):
    way = interpolations(generator, 0, 0, 0)
    torch.testing.assert_close(way, way[:1].expand_as(way), rtol=0, atol=1e-4)


def test_a_copy_is_at_zero_and_unseen_ones_are_not(generator):
    pool = generator.pool
    copy = ReferenceImages(pool.images[:50], "50", pool.images[:5])
    assert copy.typical == 0 and pool.typical > 1


def test_without_any_file_the_remedy_is_named(tmp_path):
    with pytest.raises(BadFile, match="data/README.md has the commands"):
        shipped(tmp_path / CIFAR_GENERATOR.name)


def test_the_shipped_generator_has_the_names_of_its_classes_and_fits_a_page():
    generator = shipped()
    assert generator.classes == CLASSES and generator.data.classes == 10
    assert CIFAR_GENERATOR.stat().st_size <= 5e6
    assert explorer(generator).knobs["label"].options[3] == ("cat", 3)


def test_patches_are_counted_without_their_classes():
    found = figures.cost(PRESETS["cifar10.ect-laptop"]())
    assert 3.9 < found.step / found.call < 4.1 and found.weights == 2_444_428


RECORD = {
    "n": 500,
    "readings": [
        {"name": name, "of": of, "value": value, "error": 0.1, "floor": 0.25, "samples": 500,
         "space": "cmlab-cifar", "reference": "test", "reference_samples": 500}
        for of, value in (("1 call", 8.0), ("35 calls", 4.0))
        for name in judged.COLUMNS
    ],
    "nearest": {"space": "cmlab-cifar", "n": 20, "generated": {"0.01": 1.0, "0.5": 3.0},
                "test": {"0.01": 1.5, "0.5": 2.5}},
}  # fmt: skip


def test_the_table_of_scores_has_a_row_for_each_number_of_calls_and_the_floor():
    lines = judged.scores_table(RECORD, ("1 call", "35 calls")).splitlines()
    assert len(lines) == 5 and lines[2].startswith("| 1 call | 8.0 ± 0.1 | 8.000 ± 0.100 |")
    assert lines[-1].startswith("| *floor: real images* | 0.2 | 0.250 |")
    one, many = (judged.reading(RECORD, "fd", of) for of in ("1 call", "35 calls"))
    ratio, error = one.over(many)
    assert ratio == 2 and error == pytest.approx(2 * math.hypot(0.1 / 8, 0.1 / 4))
    with pytest.raises(ValueError, match="no fd of 2 calls"):
        judged.reading(RECORD, "fd", "2 calls")


def test_the_nearest_images_stand_beside_those_of_the_test_set():
    lines = judged.nearest_table(RECORD).splitlines()
    assert "1 % are nearer than | 50 % are nearer than" in lines[0]
    assert lines[2:] == ["| samples, one call | 1.0 | 3.0 |", "| test images | 1.5 | 2.5 |"]


def test_what_the_judges_recorded_is_whole_and_drawn():
    scores = judged.read_scores(CIFAR_GENERATOR)
    found = recorded_distances(scores["strips"])
    run = figures.read_training_record(CIFAR_GENERATOR.with_suffix(""))
    assert scores["strips"]["seen"] == run.seen.tolist() and len(found.values) == len(run.seen)
    judged_ones = {"1 call", "2 calls", "4 calls", "35 calls", "1 call of the denoiser"}
    assert judged_ones == {r["of"] for r in scores["readings"]}
    assert judged.unselected(CIFAR_GENERATOR, "t").axes[0].get_title("left") == "t"


def test_a_missing_record_or_sheet_is_named(tmp_path):
    with pytest.raises(BadFile, match="made-scores.json is missing"):
        judged.read_scores(tmp_path / "made.safetensors")
    with pytest.raises(BadFile, match="made-unselected.png is missing"):
        judged.unselected(tmp_path / "made.safetensors", "t")


def test_without_cifar_10_the_reading_says_that_no_neighbours_are_shown(generator, monkeypatch):
    monkeypatch.setattr(Generator, "pool", None)
    bare = explorer(Generator(generator.model, generator.recipe, {}))
    assert "not on this machine" in bare.picture.reading
    assert not any("nearest" in ax.get_title("left") for ax in bare.picture.figure.axes)


def test_without_cifar10_the_two_pairs_are_told_by_their_recorded_distances():
    table, figure = figures.photograph_pairs(None)
    assert figure is None and "recorded" in table
    same, other = figures.PAIRS
    assert same.pixels > other.pixels and same.features < other.features / 4
    assert "| two versions of one photograph | 6.98 | 4.4 |" in table
    assert "| an aeroplane and a ship | 5.50 | 19.5 |" in table


def test_with_images_the_pairs_are_found_by_their_pixels_and_measured(monkeypatch):
    images = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8)
    digest = [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images]
    pair = replace(figures.PAIRS[0], first=digest[4][:16], second=digest[17][:16])
    monkeypatch.setattr(figures, "PAIRS", (pair,))
    table, figure = figures.photograph_pairs(images)
    apart = (images[4].float() - images[17].float()).norm().item() / 127.5
    features = CifarSpace().features(images[[4, 17]])
    assert f"| {apart:.2f} | {(features[0] - features[1]).norm():.1f} |" in table
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape[1] > 2 * 32 and "recorded" not in table
    with pytest.raises(ValueError, match="holds no image whose SHA-256 begins with"):
        figures.photograph_pairs(images[:4])


def test_the_pairs_of_cifar10_lie_where_the_table_says():
    try:
        images = CIFAR10().images
    except BadFile as missing:
        pytest.skip(str(missing))
    table, _ = figures.photograph_pairs(images)
    assert table.splitlines()[:4] == figures.photograph_pairs(None)[0].splitlines()[:4]


def test_the_samples_near_in_features_are_far_in_pixels_as_the_text_says():
    (same, _), nearest = figures.PAIRS, judged.read_scores(CIFAR_GENERATOR)["nearest"]
    close = judged.close_samples({"nearest": nearest}, nearest["test"]["0.01"])
    assert len(close) == 9 == round(nearest["nearer"] * nearest["n"])
    assert min(row["pixels"] for row in close) > 1.9 * same.pixels
    text = lab("16").read_text(encoding="utf-8")
    assert "The nine samples" in text and "Find candidates by features" in text
    assert figures.photograph_pairs(None, "| a | 1 | 2 |")[0].splitlines()[4] == "| a | 1 | 2 |"
    with pytest.raises(ValueError, match="all 1 samples"):
        judged.close_samples({"nearest": {"closest": [{"distance": 1.0}]}}, 2.0)


def test_large_numbers_are_written_as_powers_of_ten():
    assert [figures.power(v) for v in (1.74e16, 2e9)] == ["1.7 · 10¹⁶", "2.0 · 10⁹"]


def test_times_have_two_digits_in_minutes_or_hours():
    assert [figures.hours(s) for s in (349.0, 3070.0, 617_300.0)] == [
        "5.8 minutes",
        "51 minutes",
        "170 hours",
    ]
