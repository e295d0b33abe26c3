"""The tangent microscope shows SCM's own tangent, and each knob does what its name says."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
import torch
from cmlab_labs.common.observers import tangent_lengths
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab10_scm.explorer import (
    BOUNDS,
    PRECOND,
    PROMISES,
    SAMPLES,
    TEACHERS,
    TIMES,
    WATCH,
    WEIGHTS,
    SCTTraining,
    batch,
    exact_model,
    explorer,
    picture,
    recorded_tangents,
    tangents,
    untrained,
)
from cmlab_labs.lab10_scm.figures import (
    TangentTerms,
    TrainingCurves,
    microscope,
    sample_lengths,
    three_digits,
    training,
)

from cmlab.methods import SCM
from cmlab.methods.scm import JVP, Clip, Unbounded, UnitPrior
from cmlab.nets import Fourier
from cmlab.presets.toy import RING
from cmlab.schedules import Constant, Warmup

ONE, EXACT = TEACHERS
DRAWN, TRAINED, TRUE = WEIGHTS
DEFAULT = {
    "embed": "positional", "time_input": "angle t",
    "weights": DRAWN, "teacher": ONE, "bound": "norm",
    "prior": "1/(σ_d tan t)", "r": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def seen():
    return explorer()


def shown(**values):
    """The picture with these knobs turned, all others where they are at first."""
    return picture(**(DEFAULT | values))


def data(said, panel, line):
    return said.figure.axes[panel].lines[line].get_ydata()


def title(said, panel):
    return said.figure.axes[panel].get_title(loc="left")


def of(**values):
    return tangents(**(DEFAULT | values))


# The same tangent as in training


@pytest.mark.parametrize("r", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("teacher", TEACHERS)
def test_the_brackets_add_up_to_the_tangent_of_training(teacher, r):
    x, t, x_t = batch()
    guide, model = TEACHERS[teacher], untrained("positional", "angle t")
    dx_t = PRECOND.process.velocity(x_t, guide(x, None)(x_t, t), t)
    method = SCM(guide, warmup=Constant(r))
    g = method.tangent(model, x_t, t, dx_t, 0)[1]
    found = of(teacher=teacher, r=r)
    assert np.allclose(found.g.reshape(-1, 2), g.numpy(), atol=1e-12)
    assert np.allclose(found.bounded.reshape(-1, 2), method.bound(g).numpy(), atol=1e-12)


def test_the_first_bracket_is_the_distance_to_the_velocity():
    x, t, x_t = batch()
    dx_t = PRECOND.process.velocity(x_t, x, t)
    with torch.no_grad():
        F = untrained("Fourier 0.3", "ln(σ)/4").raw(x_t, t)
    expected = -(t.cos()[:, None] ** 2) * (RING.sigma_data * F - dx_t)
    found = of(embed="Fourier 0.3", time_input="ln(σ)/4").first.reshape(-1, 2)
    # The untrained network has the time input of its own preconditioning, not what PRECOND does.
    assert np.allclose(found, expected.numpy(), atol=1e-12)


def test_f_itself_is_the_rings_consistency_function():
    x, t, x_t = batch()
    level = PRECOND.process.level(t)
    ends = RING.oracle.flow(x_t / t.cos()[:, None], level, torch.zeros_like(t))
    assert torch.allclose(exact_model("positional", "angle t")(x_t, t), ends, atol=1e-9)


def test_the_exact_teacher_leaves_the_exact_function_no_tangent():
    none = of(weights=TRUE, teacher=EXACT, bound="none")
    assert sample_lengths(none.g).max() < 1e-4 < 1e-2 < np.median(sample_lengths(none.first))
    assert np.median(sample_lengths(of(weights=TRUE, bound="none").g)) > 0.1


def test_one_sample_leaves_the_exact_function_a_tangent_that_central_differences_took_well():
    difference, forward = (
        SCM(derivative=slope, warmup=Constant(1.0)) for slope in (WEIGHTS[TRUE].derivative, JVP())
    )
    x, t, x_t = (v[::30] for v in batch())
    dx_t = PRECOND.process.velocity(x_t, x, t)
    model = exact_model("", "")
    found, expected = (m.tangent(model, x_t, t, dx_t, 0)[1] for m in (difference, forward))
    assert torch.allclose(found, expected, rtol=2e-2, atol=1e-4)


# What the knobs do


@pytest.mark.parametrize("knob, value", [
    ("embed", "Fourier 16"), ("time_input", "ln(σ)/4"), ("weights", TRAINED), ("teacher", EXACT),
    ("bound", "none"), ("prior", "1"), ("r", 0.5),
])  # fmt: skip
def test_every_knob_changes_the_picture(seen, knob, value):
    before, image = seen.picture, seen.image.value
    seen.knobs[knob].value = value
    assert seen.image.value != image and seen.knobs[knob].description
    assert seen.picture.reading != before.reading
    seen.knobs[knob].value = DEFAULT[knob]
    assert seen.image.value == image


def test_before_the_warm_up_there_is_no_second_bracket():
    said = shown(r=0.0)
    assert not data(said, 0, 2).any() and data(said, 0, 0).all()
    assert np.array_equal(data(said, 1, 0), data(said, 0, 0))
    assert "second 0." in said.reading and "mostly the first bracket" in title(said, 0)


def test_half_of_the_warm_up_is_half_of_the_second_bracket():
    whole, half = (data(shown(r=r), 0, 2) for r in (1.0, 0.5))
    assert np.allclose(half, whole / 2)


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("embed", ["positional", "Fourier 16"])
def test_each_bound_keeps_its_promise_and_no_bound_changes_nothing(bound, embed):
    found = of(embed=embed, bound=bound)
    assert sample_lengths(found.bounded).max() <= PROMISES[bound] * (1 + 1e-12)
    said = shown(embed=embed, bound=bound)
    assert len(said.figure.axes[1].patches) == (bound != "none")
    if bound == "clip":
        assert np.abs(found.bounded).max() <= 1
    if bound == "none":
        assert np.array_equal(found.bounded, found.g) and "No bound" in said.reading
    else:
        assert data(said, 1, 2) == pytest.approx(sample_lengths(found.bounded).ravel())
        assert three_digits(sample_lengths(found.bounded).max(), 2) in title(said, 1)


def test_normalising_is_not_clipping():
    """Short tangents are made longer by the one and left alone by the other."""
    g, norm, clip = (sample_lengths(v) for v in (of().g, of().bounded, of(bound="clip").bounded))
    small = g < 0.5
    assert small.any() and (norm[small] > g[small]).all()
    assert np.allclose(clip[small], g[small])


def test_fourier_16_is_longer_as_drawn_and_a_hundredfold_after_fifty_steps():
    as_drawn, later = (
        [np.median(data(shown(embed=e, weights=w), 1, 0)) for e in ("positional", "Fourier 16")]
        for w in (DRAWN, TRAINED)
    )
    assert as_drawn[1] > 3 * as_drawn[0]
    assert later[1] > 100 * later[0]
    said = shown(embed="Fourier 16", weights=TRAINED)
    assert data(said, 1, 0).max() > 300 and "mostly the second bracket" in title(said, 0)
    assert data(said, 1, 2).max() < 1


def test_fourier_03_is_no_longer_than_positional():
    small, positional = (
        np.median(sample_lengths(of(embed=e).g)) for e in ("Fourier 0.3", "positional")
    )
    assert small < 1.5 * positional


def test_the_prior_weight_is_cos_t_and_without_it_the_factor_is_sigma_d_sin_t():
    t = of().t[:, None, None]
    ratio = of(prior="1").g / of().g
    assert np.allclose(ratio, RING.sigma_data * np.sin(t) / np.cos(t))


def test_the_logarithm_makes_the_time_count_more_near_both_ends():
    """sin t cos t · d c_noise/dt is 1/4, and sin t cos t for the angle."""
    angle, log = (of(embed="Fourier 16", time_input=name) for name in ("angle t", "ln(σ)/4"))
    ends = [np.median(sample_lengths(found.second)[[0, -1]]) for found in (angle, log)]
    assert ends[1] > 2 * ends[0]


def test_the_weight_is_one_over_the_loss_that_the_dots_have():
    said = shown(bound="clip")
    after = data(said, 1, 2).reshape(TIMES, SAMPLES)
    loss, weight, product = (data(said, 2, line) for line in range(3))
    assert loss == pytest.approx(np.square(after).mean(1) / 2)
    assert product == pytest.approx(np.ones(TIMES)) and weight == pytest.approx(1 / loss)
    assert three_digits(loss.max()) in said.reading
    assert three_digits(loss.max() / loss.min(), 2) in title(said, 2)


# In words


def test_the_reading_names_the_longest_tangent_and_the_bracket_that_makes_it():
    said, found = shown(embed="Fourier 16"), of(embed="Fourier 16")
    where = found.longest
    assert sample_lengths(found.g)[where] == sample_lengths(found.g).max()
    assert (
        f"‖g‖ = {sample_lengths(found.g).max():.3g} at t = {found.t[where[0]]:.2f}" in said.reading
    )
    assert f"second {sample_lengths(found.second)[where]:.3g}." in said.reading


def test_the_reading_says_when_the_brackets_cancel():
    said = shown(weights=TRUE, teacher=EXACT, bound="none")
    assert "only rounding error" in said.reading and title(said, 0) == "They cancel"
    assert "No loss left" in title(said, 2)
    assert "all of g is scatter" in shown(weights=TRUE).reading
    assert "The two brackets cancel only with" in shown(weights=TRUE, teacher=EXACT, r=0.5).reading


def test_the_reading_quotes_the_recorded_runs_of_the_same_ingredients():
    sct = read("stabilisers", "sct")
    assert ranged(sct.score("rmse"), ".3g") in shown().reading
    scd = shown(teacher=EXACT, bound="clip").reading
    assert "sCD, clipped" in scd and ranged(read("stabilisers", "scd").score("rmse"), ".3g") in scd
    assert "Recorded" not in shown(bound="RMS").reading
    assert "Recorded" not in shown(weights=TRUE).reading


def test_large_numbers_are_written_without_powers_of_ten():
    assert [three_digits(v) for v in (0.01234, 999.4, 999.6, 205938.2)] == [
        "0.0123", "999", "1 000", "205 938",
    ]  # fmt: skip


# The figures


def test_the_microscope_draws_what_it_was_given():
    one = np.zeros((3, 2, 2)) + [3.0, 4.0]
    found = TangentTerms(np.array([0.2, 0.7, 1.2]), one, 0 * one, one / 5, 1.0)
    figure = microscope(found, "norm")
    assert figure.axes[0].lines[0].get_ydata().tolist() == [5.0] * 6
    assert figure.axes[0].lines[1].get_ydata().tolist() == [5.0] * 3
    assert "off" in figure.axes[0].texts[1].get_text()
    assert found.loss.tolist() == pytest.approx([0.5] * 3)


def course(longest):
    tangent = np.ones((2, 3, 3)) * [1.0, 2.0, longest]
    return TrainingCurves(
        np.array([0, 100]), np.array([0.01, 0.1, 1.0]), np.ones((2, 3)) / 2, tangent
    )


def test_the_course_draws_a_run_and_one_beside_it():
    alone = training(course(9.0), None, 400)
    assert len(alone.axes[0].lines) == 1
    assert title_of(alone, 1) == "Longest tangent: 9" and title_of(alone, 0).endswith(
        "RMS error 0.5"
    )
    both = training(course(9.0), course(3.0), 400)
    assert [line.get_ydata()[-1] for line in both.axes[1].lines] == [1, 3, 1, 9]


def title_of(figure, panel):
    return figure.axes[panel].get_title(loc="left")


# Training on request


@pytest.fixture(scope="module")
def own():
    return SCTTraining()


def test_nothing_trains_before_start(own):
    assert not own.live.running and own.live.trainer.step == 0 and len(own.observations) == 1
    assert "Step 0;" in own.live.picture.reading


def test_training_shows_the_error_and_the_length_of_the_tangent(own):
    own.knobs["embed"].value = "positional"
    while own.live.trainer.step < 3:
        own.live.work(0.01)
    own.live.show()
    trainer, run = own.live.trainer, own.course
    assert run.steps.tolist() == [0, trainer.step]
    lengths = tangent_lengths(trainer.model, trainer.method, own.recipe, WATCH.points)
    assert run.longest[-1] == pytest.approx(float(lengths.max()))
    *_, mine = own.live.picture.figure.axes[1].lines
    assert mine.get_ydata() == pytest.approx(run.longest)
    assert f"Step {trainer.step};" in own.live.picture.reading


def test_a_turned_knob_begins_again_with_its_ingredient(own):
    for name, value in {"embed": "Fourier 16", "bound": "clip", "warmup": "1000 steps"}.items():
        own.live.work(0.01)
        own.knobs[name].value = value
        assert own.live.trainer.step == 0 and len(own.observations) == 1
    assert own.recipe.net.embed == Fourier(32, 16.0) and own.recipe.train.seed == 3
    method = own.live.trainer.method
    assert method.bound == Clip() and method.warmup == Warmup(1000)
    assert "Recorded sCT" in own.live.picture.reading and recorded_tangents("no such arm") is None


def test_a_tangent_that_is_not_finite_stops_the_run_in_one_sentence(own):
    own.live.reset()
    own.live.drawn = -(10**6)  # a picture is due
    with torch.no_grad():
        next(own.live.trainer.model.parameters()).fill_(torch.nan)
    assert not own.live.work(0.05)
    assert own.live.trainer.step == 0 and not own.live.due  # no picture will write over it
    assert "Stopped: " in own.live.words.value and "not finite at step 0" in own.live.words.value
    own.live.reset()
    assert "Stopped" not in own.live.words.value


def test_start_trains_and_pause_stops(own):
    async def some():
        own.live.start()
        await asyncio.sleep(0.3)
        own.live.pause()

    own.live.reset()
    asyncio.run(some())
    assert own.live.trainer.step > 0 and not own.live.running


def test_a_change_of_prior_and_bound_is_that_of_the_method():
    x, t, x_t = batch()
    dx_t = PRECOND.process.velocity(x_t, x, t)
    method = replace(SCM(), prior=UnitPrior(), bound=Unbounded(), warmup=Constant(1.0))
    g = method.tangent(untrained("positional", "angle t"), x_t, t, dx_t, 0)[1]
    assert np.allclose(of(prior="1", bound="none").bounded.reshape(-1, 2), g.numpy())
