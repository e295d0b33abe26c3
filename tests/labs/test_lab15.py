"""Lab 15: its checks tell answers from slips; figures and synth show what they were given."""

import io

import numpy as np
import pytest
import soundfile
import torch
from cmlab_labs.common.plots_recordings import compare_seeds
from cmlab_labs.common.study import read
from cmlab_labs.lab15_music import checks, figures
from cmlab_labs.lab15_music import explorer as synths
from cmlab_labs.lab15_music.analysis import LENGTH, OVERLAPS, WAYS, LongClip
from cmlab_labs.lab15_music.data import Sound
from cmlab_labs.lab15_music.windows import fuse, starts
from exercises import answers, lab, solutions, stubs

LAB = lab("15")
CHECKS = (checks.fuse, checks.guided_step)
FUSE = [slip for slip, _ in checks.fuse_slips(*checks.examples(checks.CASES[0]))]
STEP = [slip for slip, _ in checks.step_slips(torch.ones(1, 3), torch.ones(1), torch.ones(1), 1.0)]


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


@pytest.mark.parametrize("number", range(len(FUSE)))
def test_each_slip_in_fusing_gets_its_own_message(number):
    def wrong(windows, length, step, weight):
        at = starts(length, windows[0].shape[-1], step)
        return checks.fuse_slips(windows, at, length, weight)[number][1]

    verdict = checks.fuse(wrong)
    assert verdict.state == "slip" and verdict.message == FUSE[number]
    assert len(set(FUSE)) == len(FUSE)


def test_a_canvas_that_grew_and_one_axis_alone_are_told():
    def grown(windows, length, step, weight):
        at = [step * i for i in range(len(windows))]
        return fuse(windows, at, at[-1] + len(windows[0]), weight)

    def one_axis(windows, length, step, weight):
        if windows[0].ndim > 1:
            return torch.zeros(length)
        return fuse(windows, starts(length, len(windows[0]), step), length, weight)

    assert "not anchored" in checks.fuse(grown).message
    assert "last axis" in checks.fuse(one_axis).message


@pytest.mark.parametrize("number", range(len(STEP)))
def test_each_slip_in_the_guided_step_gets_its_own_message(number):
    def wrong(x_t, t, r, D, c, null, w):
        return checks.step_slips(x_t, t, r, w)[number][1]

    verdict = checks.guided_step(wrong)
    assert verdict.state == "slip" and verdict.message == STEP[number]
    assert len(set(STEP)) == len(STEP)


def test_another_wrong_step_is_told_by_its_numbers():
    assert "the shape of x_t" in checks.guided_step(lambda *a: torch.zeros(3)).message
    assert "at w = 0" in checks.guided_step(lambda x_t, *a: x_t + 1).message


def clip(way="fused"):
    return LongClip(torch.randn(1, 1, 40, LENGTH), [32, 64, 96])


def test_the_figures_show_what_they_were_given():
    sound, x = Sound(), [torch.randn(40, 64)] * 2
    figure = figures.spectrograms({"a": x, "b": x}, ("one", "two"), "title", sound)
    assert len(figure.axes) == 4 and figure.axes[0].get_title(loc="left") == "one"
    np.testing.assert_allclose(
        figure.axes[0].images[0].get_array(), x[0].numpy() * sound.spread + sound.centre, rtol=1e-5
    )
    rows = np.array([[3.0, 2.0], [4.0, 3.0]])
    taught, learned = ((2, 50), rows, rows / 5), ((1, 4), rows, rows / 5)
    chart = figures.scores_by_steps(
        {"teacher": taught}, {"student": learned}, (1.0, 0.9), ("left", "right")
    )
    assert [ax.get_title(loc="left") for ax in chart.axes] == ["left", "right"]
    assert [li.get_ydata().tolist() for li in chart.axes[0].lines[:2]] == [[3.5, 2.5]] * 2
    top = chart.axes[0].get_ylim()[1]
    assert chart.axes[0].get_ylabel().endswith(f"(cut at {top:g})")
    curves = figures.seam_curves((0, 8), {way: rows for way in WAYS}, "title", sound)
    lines = curves.axes[0].lines
    assert [li.get_ydata().tolist() for li in lines[:3]] == [[3.5, 2.5]] * 3
    at = starts(10, 4, 3)
    drawn = figures.fused_cells(list(range(10)), [[1.0] * 4] * 3, at)
    assert [t.get_text() for t in drawn.axes[0].texts][-11:-1] == [str(k) for k in range(10)]
    assert figures.noise_std([1.0, 0.7], [1.0, 0.71], "t").axes[0].lines[0].get_ydata()[1] == 0.7


def test_a_bound_is_judged_over_the_seeds():
    assert figures.bound_verdict([1.0, 1.05, 1.1], 1.1) == "confirmed here"
    assert figures.bound_verdict([1.0], 1.1) == "confirmed, on too few seeds"
    assert figures.bound_verdict([1.0, 1.0, 1.2], 1.1).startswith("partly")
    assert figures.bound_verdict([1.2, 1.3, 1.4], 1.1) == "not seen at this scale"


LOW, HIGH = [1.0, 1.1, 1.2], [2.0, 2.1, 2.2]


@pytest.mark.parametrize(("pairs", "verdict"), [
    ([(LOW, HIGH), (LOW, HIGH)], "confirmed here"),
    ([(LOW, HIGH), (LOW, LOW)], "partly: better by a, indistinguishable by b"),
    ([(LOW, HIGH), (HIGH, LOW)], "partly: better by a, worse by b"),
    ([(HIGH, LOW), (HIGH, LOW)], "not seen at this scale: worse by a and b"),
    ([(LOW, LOW), (HIGH, HIGH)], "not seen at this scale: indistinguishable by a and b"),
    ([(LOW[:2], HIGH[:2]), (LOW, HIGH)], "partly: better by b, too few seeds by a"),
])  # fmt: skip
def test_a_part_is_judged_by_every_measure(pairs, verdict):
    assert figures.verdict_by_measure(dict(zip("ab", pairs, strict=True))) == verdict


@pytest.mark.parametrize(("calls", "order"), [
    (1, "indistinguishable"), (4, "lower"), (8, "lower"),
])  # fmt: skip
def test_the_critic_lowers_the_distance_and_leaves_the_chords_as_the_page_says(calls, order):
    critic, without = (read("music", variant) for variant in ("student", "no-critic"))
    assert compare_seeds(critic.score(f"sd{calls}"), without.score(f"sd{calls}")) == order
    wrong = [1 - run.score(f"pitch{calls}") for run in (critic, without)]
    assert compare_seeds(*wrong) == "indistinguishable"


def test_fresh_noise_has_more_chords_right_than_guidance_or_the_student_as_the_page_says():
    teacher, without = read("music-teacher", "teacher"), read("music", "no-critic")
    unguided, guided = teacher["pitch"][:, 0, -1], teacher["pitch"][:, 1, -1]
    for fewer, more in ((unguided, without.score("pitch4")), (guided, teacher["fresh"][:, 1])):
        assert compare_seeds(1 - more, 1 - fewer) == "lower"
    assert compare_seeds(1 - teacher["fresh"][:, 1], 1 - without.score("pitch4")) == "lower"


def test_the_distance_puts_the_student_between_the_guided_teacher_and_fresh_noise():
    teacher, without = read("music-teacher", "teacher"), read("music", "no-critic").score("sd4")
    assert compare_seeds(teacher["distance"][:, 1, -1], without) == "lower"
    assert compare_seeds(without, teacher["fresh"][:, 0]) == "lower"


def test_fused_windows_have_more_chords_right_than_side_by_side_and_fewer_than_one_window():
    student = read("music", "student")
    side, fused = (student["long_pitch"][:, WAYS.index(way), 3] for way in WAYS[:2])
    assert side.max() < fused.min() and fused.max() < student.score("pitch4").min() - 0.2


@pytest.fixture(scope="module")
def played():
    return synths.synth()


def test_the_synth_opens_with_a_sound_that_is_a_wav(played):
    audio, rate = soundfile.read(io.BytesIO(played.player.value))
    assert rate == 8000 and len(audio) == (LENGTH - 1) * Sound().hop
    assert np.abs(audio).max() > 0.05
    assert played.explorer.image.value[:4] == b"\x89PNG"


KNOBS = {"loop": figures.LOOP_NAMES[2], "calls": 1, "overlap": 0, "way": WAYS[0], "seed": 3}


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_changes_the_picture_and_silences_nothing(played, knob):
    explorer = played.explorer
    before = explorer.image.value, explorer.picture.figure.axes[0].images[0].get_array().copy()
    kept, explorer.knobs[knob].value = explorer.knobs[knob].value, KNOBS[knob]
    assert explorer.image.value != before[0] and explorer.knobs[knob].description
    shown = explorer.picture.figure.axes[0].images[0].get_array()
    assert not np.array_equal(shown, before[1]) and shown.shape == (40, LENGTH)
    assert "press" in played.words.value
    explorer.knobs[knob].value = kept


def test_the_button_renders_the_clip_on_the_screen(played):
    before = played.player.value
    played.explorer.knobs["seed"].value = 1
    assert played.player.value == before
    played.play.click()
    assert played.player.value != before and "on the screen" in played.words.value


def test_the_reading_counts_windows_and_calls(played):
    played.explorer.knobs["overlap"].value = 32
    played.explorer.knobs["calls"].value = 4
    assert "4 windows of 2.0 s, overlapping by 1.02 s, 16 network calls" in (
        played.explorer.picture.reading
    )
    assert set(OVERLAPS) == set(played.explorer.knobs["overlap"].options)
