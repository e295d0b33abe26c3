"""What a run writes while it trains: each line once, sheets from the same noise, enough room."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cmlab.methods import EDM
from cmlab.noise_levels import At
from cmlab.presets import PRESETS, digits, toy
from cmlab.train import runs
from cmlab.train.checkpoint import BadFile
from cmlab.train.run_log import (
    EDGES,
    LEVELS,
    LOG,
    STRIPS,
    Autosave,
    JsonlLogger,
    SampleSheet,
    image_grid,
    loss_by_level,
    truncate_log,
)


def tiny(steps=12):
    from cmlab.cli.settings import recipe_of

    words = [f"steps={steps}", "train.batch=8", "start.train.batch=8", "net.width=8"]
    return recipe_of("digits.ect", 0, [*words, "start.net.width=8"])


def rows(folder):
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def test_the_levels_are_the_geometric_middles_of_their_bins():
    ratio = EDGES[1:] / EDGES[:-1]
    torch.testing.assert_close(ratio, ratio[:1].expand(12))
    for level, low, high in zip(LEVELS, EDGES[:-1], EDGES[1:], strict=True):
        assert low < level < high and level**2 == pytest.approx(float(low * high))


def test_the_loss_by_level_is_that_of_the_step_just_done():
    trainer = toy.edm(steps=3).trainer()
    trainer.method = EDM(pairs=At(LEVELS[4]))
    trainer.advance()
    found = loss_by_level(trainer)
    assert [i for i, value in enumerate(found) if value is not None] == [4]
    trainer = toy.ict(steps=3).trainer()
    trainer.advance()
    levels = trainer.batches.levels(trainer.method.pairs, trainer.model.process, 0, 0)
    where = (levels >= EDGES[5]) & (levels < EDGES[6])
    expected = float(trainer.losses[where].mean())
    assert loss_by_level(trainer)[5] == pytest.approx(expected, rel=1e-3)


def test_a_row_has_samples_and_speed(tmp_path):
    recipe = digits.edm(4)
    trainer, log = recipe.trainer(), JsonlLogger(tmp_path)
    for _ in trainer.run():
        trainer.seconds = 0.5 * trainer.step
        log(trainer)
    first, *_, last = rows(tmp_path)
    assert last["samples"] == 4 * 64 and last["step"] == 4 and last["memory"] is None
    assert last["rate"] == 128.0 and len(last["by_level"]) == 12
    assert first["loss"] > 0 and last["seconds"] == 2.0


def test_lines_that_will_come_again_are_left_out_and_a_torn_one_too(tmp_path):
    lines = [json.dumps({"step": step}) for step in (100, 200, 300)]
    (tmp_path / LOG).write_text("\n".join(lines) + '\n{"step": 4')
    for step in (100, 300):
        path = tmp_path / STRIPS / f"{step:08d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    truncate_log(tmp_path, 200)
    assert [row["step"] for row in rows(tmp_path)] == [100, 200]
    assert [path.name for path in (tmp_path / STRIPS).iterdir()] == ["00000100.png"]


def test_a_run_that_was_killed_and_resumed_has_each_line_once(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "LINES", 1)

    def die(trainer):
        if trainer.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.fit(tiny(), tmp_path, die, keep=2)
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4]
    runs.fit(tiny(), tmp_path, keep=2)
    assert [row["step"] for row in rows(tmp_path)] == list(range(1, 9))
    assert [row["step"] for row in rows(tmp_path / "start")] == list(range(1, 5))


def test_a_run_whose_log_is_no_file_is_refused_and_not_begun_again(tmp_path):
    def die(trainer):
        if trainer.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.fit(tiny(), tmp_path, die, keep=2)
    (tmp_path / LOG).unlink()
    (tmp_path / LOG).mkdir()
    with pytest.raises(BadFile, match="log.jsonl cannot be read"):
        runs.fit(tiny(), tmp_path, keep=2)


def test_sheets_show_the_same_noise_becoming_samples(tmp_path):
    recipe = digits.ect(20)
    trainer, sheet = recipe.trainer(), SampleSheet(recipe, tmp_path)
    sheet(trainer)
    before = np.asarray(Image.open(tmp_path / STRIPS / "00000000.png"))
    sheet(trainer)
    assert np.array_equal(before, np.asarray(Image.open(tmp_path / STRIPS / "00000000.png")))
    assert before.shape == (3 * 9, 8 * 9, 3)  # one, two and four calls of eight noises
    twin = SampleSheet(recipe, tmp_path)
    assert torch.equal(sheet.z, twin.z) and torch.equal(sheet.cond, twin.cond)


@pytest.mark.parametrize(("preset", "side"), [("digits.slct", 8), ("shapes.slct", 32)])
def test_sheets_of_a_latent_model_show_images_not_latents(preset, side, tmp_path):
    recipe = PRESETS[preset](steps=20)
    SampleSheet(recipe, tmp_path)(recipe.trainer())
    sheet = np.asarray(Image.open(tmp_path / STRIPS / "00000000.png"))
    assert sheet.shape == (3 * (side + 1), 8 * (side + 1), 3)


def test_drawing_a_sheet_leaves_the_callers_randomness_alone(tmp_path):
    recipe = digits.ect(20)
    trainer = recipe.trainer()
    before = torch.get_rng_state()
    SampleSheet(recipe, tmp_path)(trainer)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_sheet_is_white_between_the_pictures_and_ink_is_dark():
    grey = np.asarray(image_grid(torch.ones(4, 1, 2, 2), 2))
    assert grey.shape == (6, 6, 3) and (grey[0, 0] == 0).all() and (grey[2] == 255).all()
    colour = np.asarray(image_grid(torch.tensor([1.0, -1.0, torch.nan]).reshape(1, 3, 1, 1), 1))
    assert colour[0, 0].tolist() == [255, 0, 128]


@pytest.fixture
def clocked(monkeypatch):
    """A function: after which of 1000 steps of a second a run is kept, if that takes so long."""

    def kept(seconds):
        clock, steps, run = [0.0], [], digits.edm(1000).trainer()
        monkeypatch.setattr("cmlab.train.run_log.perf_counter", lambda: clock[0])

        def keep(trainer):
            steps.append(trainer.step)
            clock[0] += seconds

        save = Autosave(keep)
        for run.step in [*range(1, 101), 1000]:
            clock[0] += 1.0
            save(run)
        return steps

    return kept


def test_checkpoints_take_at_most_a_twentieth_of_the_time_and_the_last_is_never_left_out(clocked):
    steps = clocked(1.0)
    assert steps[0] == 1 and steps[-1] == 1000 and len(steps) == 2 + 99 // 20


def test_short_checkpoints_are_never_left_out(clocked):
    assert clocked(0.4) == [*range(1, 101), 1000]
