"""Lab 00: its checks name the likely slip, its explorers answer, its live training learns."""

import statistics

import numpy as np
import pytest
import torch
from cmlab_labs.common.exercise import RecordedCalls
from cmlab_labs.common.generators import digit_oracle, exact_denoiser, nearest_scan, noise
from cmlab_labs.common.plots_samples import contrast_scaled, image_sheet
from cmlab_labs.lab00_start import checks
from cmlab_labs.lab00_start.explorer import (
    exact_reference,
    explorer,
    live_training,
    noise_slider,
)
from exercises import answers, lab, solutions, stubs

from cmlab.data.digits import Digits
from cmlab.metrics.digits import distance_to_nearest
from cmlab.noise_levels import KarrasGrid
from cmlab.presets import digits, toy
from cmlab.process import VarianceExploding
from cmlab.sampling import FewSteps, ode

SOURCE = lab("00")
FIRST, SECOND = checks.one_call, checks.two_calls


def level(sigma, z):
    return torch.full((len(z),), sigma)


def test_the_stubs_of_the_lab_are_not_attempted_yet():
    for check, stub in zip((FIRST, SECOND), answers(SOURCE, stubs(SOURCE)), strict=True):
        assert check(stub).state == "not attempted yet"


def test_the_solutions_of_the_lab_pass():
    for check, solution in zip((FIRST, SECOND), answers(SOURCE, solutions(SOURCE)), strict=True):
        assert check(solution).passed, check(solution)


def test_the_samplers_of_the_package_pass():
    def packaged(f, z, sigma_max):
        return FewSteps(sigma_max)(VarianceExploding(), f, z, 1)

    assert FIRST(packaged).passed


ONE = {
    "scale is missing": lambda f, z, high: f(z, level(high, z)),
    "too quiet": lambda f, z, high: f(z + high, level(high, z)),
    "must be σ_max z, with the z": lambda f, z, high: f(
        high * torch.randn_like(z), level(high, z)
    ),
    "but f got t = 1": lambda f, z, high: f(high * z, level(1.0, z)),
    "noise level 0": lambda f, z, high: f(high * z, level(0.0, z)),
    "a tensor of shape (64,)": lambda f, z, high: f(high * z, torch.tensor(high)),
    "torch.full": lambda f, z, high: f(high * z, high),
    "never called": lambda f, z, high: high * z,
    "2 network calls": lambda f, z, high: f(f(high * z, level(high, z)), level(0.8, z)),
    "noise that f took away": lambda f, z, high: high * z - f(high * z, level(high, z)),
    "return it as it is": lambda f, z, high: f(high * z, level(high, z)) + 0.1 * z,
}


@pytest.mark.parametrize("message", ONE)
def test_a_slip_in_the_one_step_generator_is_named(message):
    verdict = FIRST(ONE[message])
    assert verdict.state == "slip"
    assert message in verdict.message


def again(f, z, x_t, high, at):
    """The first call as it should be, then one with this input."""
    x = f(high * z, level(high, z))
    return f(x_t(x), level(at, z))


TWO = {
    "order is wrong": lambda f, z, e, high, mid: f(
        f(mid * z, level(mid, z)) + high * e, level(high, z)
    ),
    "1 network call;": lambda f, z, e, high, mid: f(high * z, level(high, z)),
    "no noise was added": lambda f, z, e, high, mid: again(f, z, lambda x: x, high, mid),
    "lost its scale": lambda f, z, e, high, mid: again(f, z, lambda x: x + e, high, mid),
    "first answer is lost": lambda f, z, e, high, mid: again(f, z, lambda x: mid * e, high, mid),
    "old z again": lambda f, z, e, high, mid: again(f, z, lambda x: x + mid * z, high, mid),
    "too much noise": lambda f, z, e, high, mid: again(f, z, lambda x: x + high * e, high, mid),
    "the sign": lambda f, z, e, high, mid: again(f, z, lambda x: x - mid * e, high, mid),
    "f got t = 10": lambda f, z, e, high, mid: again(f, z, lambda x: x + mid * e, high, high),
    "with no noise on it": lambda f, z, e, high, mid: (
        again(f, z, lambda x: x + mid * e, high, mid) + mid * e
    ),
    "scale is missing": lambda f, z, e, high, mid: again(
        lambda x, t: f(x / high if t[0] == high else x, t), z, lambda x: x + mid * e, high, mid
    ),
}


@pytest.mark.parametrize("message", TWO)
def test_a_slip_in_the_second_call_is_named(message):
    verdict = SECOND(TWO[message])
    assert verdict.state == "slip"
    assert message in verdict.message


def test_35_calls_of_the_perfect_denoiser_end_in_a_scan_and_one_call_in_the_mean():
    z, asked = noise(0, 3), torch.tensor([3, 8, 3])
    watched = RecordedCalls(exact_denoiser(asked))
    *_, end = ode(VarianceExploding(), watched, 80 * z, KarrasGrid().down(18))
    assert len(watched.calls) == 35
    assert float(distance_to_nearest(end, Digits().images).max()) < 1e-3
    means = torch.stack([digit_oracle(int(digit)).points.mean(0) for digit in asked])
    assert float((watched.calls[0][2] - means).abs().max()) < 0.05


def test_the_exact_consistency_function_answers_with_the_same_scan_in_one_call():
    z = noise(5, 2)
    *_, end = ode(VarianceExploding(), digit_oracle(3).denoise, 80 * z, KarrasGrid().down(18))
    f = digit_oracle(3).consistency(80 * z, torch.full((2,), 80.0))
    assert float((f - end).flatten(1).norm(dim=1).max()) < 0.03  # √64 σ_min is left on f


@pytest.fixture(scope="module")
def desk():
    """The explorer with an untrained network: how it answers does not hang on the weights."""
    recipe = digits.ect(steps=5)
    return explorer(recipe.build().eval(), recipe.sampler)


def boards(explorer):
    return [ax.images[0].get_array() for ax in explorer.picture.figure.axes]


def test_the_seed_the_digit_and_the_calls_change_the_picture_and_the_reading(desk):
    assert "seed=0, digit 3: 1 network call, at noise level 80." in desk.picture.reading
    for name, value, said in (
        ("seed", 1, "seed=1"),
        ("digit", 8, "digit 8"),
        ("calls", 4, "4 ne"),
    ):
        before, image = [np.array(board) for board in boards(desk)], desk.image.value
        desk.knobs[name].value = value
        assert said in desk.picture.reading
        assert desk.image.value != image
        assert any((a != b).any() for a, b in zip(before, boards(desk), strict=True))
    assert desk.picture.reading.count("\n") == 2
    desk.knobs["seed"].value, desk.knobs["digit"].value, desk.knobs["calls"].value = 0, 3, 1


def test_the_digit_shown_is_the_samplers_own(desk):
    model, sampler = desk.draw.args
    desk.knobs["seed"].value = 2
    with torch.no_grad():
        x = sampler(model.process, lambda x, t: model(x, t, torch.tensor([3])), noise(2), 1)
    made = image_sheet(torch.stack([x, nearest_scan(x)], 1))
    np.testing.assert_allclose(boards(desk)[1].astype(int), made, rtol=0, atol=1)


def test_the_same_knobs_draw_the_same_picture_again(desk):
    desk.knobs["calls"].value, desk.knobs["seed"].value = 4, 5
    before = [np.array(board) for board in boards(desk)]
    desk.knobs["seed"].value = 6
    desk.knobs["seed"].value = 5
    for a, b in zip(before, boards(desk), strict=True):
        np.testing.assert_array_equal(a, b)
    desk.knobs["calls"].value = 1


def test_a_turn_of_a_knob_is_answered_in_time(desk):
    seconds = []
    for seed in range(20, 29):
        desk.knobs["seed"].value = seed
        seconds.append(desk.seconds)
    assert statistics.median(seconds) < 0.6  # 0.15 on an idle machine


def test_noise_is_drawn_with_the_contrast_of_the_data():
    t = torch.tensor([0.0, 1.0, 80.0])
    x_t = Digits().images[:3] + t.reshape(-1, 1, 1, 1) * noise(0, 3)
    shown = contrast_scaled(x_t, t, Digits().sigma_data)
    torch.testing.assert_close(shown[0], Digits().images[0])
    assert 0.5 < float(shown[2].std()) < 1.0


def test_ink_is_dark_and_an_image_of_nan_is_left_out():
    images = torch.stack([torch.ones(1, 8, 8), torch.full((1, 8, 8), torch.nan)])
    picture = image_sheet(images[None])
    assert picture.min() == 0
    assert (picture[:, picture.shape[1] // 2 :] == 255).all()


def test_live_training_draws_closer_to_the_exact_ends():
    watched = live_training(toy.ict(steps=300))
    first, image = watched.picture, watched.image.value
    while watched.work():
        pass
    watched.show()
    assert watched.trainer.step == 300
    assert watched.image.value != image
    assert watched.picture.reading.startswith("Step 300: ")
    off = [float(p.reading.split("lands ")[1].split()[0]) for p in (first, watched.picture)]
    assert off[1] < 0.5 * off[0]


def test_the_exact_consistency_function_has_no_error_on_the_bench():
    against = exact_reference(toy.RING)

    class Perfect:
        process = VarianceExploding()

        def __call__(self, x_t, t, cond=None):
            return against.data.oracle.consistency(x_t, t.clamp_min(0.002))

    stage = against.stage(Perfect(), 0)
    assert float(stage.error.max()) < 1e-4
    assert float((stage.along - against.path[-1]).abs().max()) < 1e-4


def test_the_noise_slider_adds_the_noise_to_the_scan():
    seen = noise_slider()
    seen.knobs["level"].value = 80.0
    assert "t = 80 nothing" in seen.picture.figure.axes[0].get_title(loc="left")
    scan, spread = digit_oracle(3).points[:1], Digits().sigma_data
    x_t = contrast_scaled(scan + 80 * noise(0), torch.tensor([80.0]), spread)
    made = image_sheet(x_t[None])
    drawn = seen.picture.figure.axes[0].images[0].get_array()[:, -made.shape[1] :]
    np.testing.assert_allclose(drawn.astype(int), made, rtol=0, atol=1)
    before = seen.picture.reading
    seen.knobs["level"].value = 0.1
    assert seen.picture.reading != before
