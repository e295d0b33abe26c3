"""Lab 13: its checks name the likely slip, its explorers answer, its recordings hold together."""

import statistics
from time import process_time
from typing import cast

import numpy as np
import pytest
import torch
from cmlab_labs.common import plots_posterior
from cmlab_labs.common.generators import GENERATOR
from cmlab_labs.common.study import read
from cmlab_labs.lab13_inverse import checks, explorer, figures
from cmlab_labs.lab13_inverse import figures as races
from cmlab_labs.lab13_inverse.analysis import (
    Experiment,
    exactly_guided,
    given_coordinate,
    guided_scores,
    rings_experiment,
)
from cmlab_labs.lab13_inverse.study import compare_estimate
from exercises import answers, lab, solutions, stubs
from matplotlib.patches import Rectangle

from cmlab.data.toy import TwoRings
from cmlab.methods import editing
from cmlab.methods.editing import slerp
from cmlab.train import runs

SOURCE = lab("13")
CHECKS = (checks.noisy_edit, checks.guidance)


def test_the_stubs_of_the_lab_are_not_attempted_yet():
    for check, stub in zip(CHECKS, answers(SOURCE, stubs(SOURCE)), strict=True):
        assert check(stub).state == "not attempted yet"


def test_the_solutions_of_the_lab_pass():
    for check, solution in zip(CHECKS, answers(SOURCE, solutions(SOURCE)), strict=True):
        assert check(solution).passed, check(solution)


def edited(choose):
    """An answer from (f's, y's, keep, z) in the basis, its two noises, and the way back."""

    def answer(f, x_t, t, r, y, missing, B, back, z, sigma_y):
        r = r[:, None]
        more = (r**2 - sigma_y**2).clamp(min=0).sqrt()
        parts = B(f(x_t, t)), B(y), missing == 0, r >= sigma_y, B(z), r, more
        return choose(*parts, back)

    return answer


def right(x, y, given, clean, z, r, more, back):
    return back(torch.where(given & clean, y + more * z, x + r * z))


EDITS = {
    "the mask is inverted": edited(
        lambda x, y, given, *rest: right(x, y, ~given, *rest)
    ),
    "gets noise of level r on top": edited(
        lambda x, y, given, clean, z, r, more, back: right(x, y, given, clean, z, r, r, back)
    ),
    "noise levels were subtracted": lambda *a: edited(
        lambda x, y, given, clean, z, r, more, back: right(
            x, y, given, clean, z, r, r - a[-1], back
        )
    )(*a),
    "below σ_y the given part is still y's": edited(
        lambda x, y, given, clean, *rest: right(x, y, given, clean | True, *rest)
    ),
    "the given part gets no noise": edited(
        lambda x, y, given, clean, z, r, more, back: right(x, y, given, clean, z, r, 0 * r, back)
    ),
    "the missing part gets": edited(
        lambda x, y, given, clean, z, r, more, back: right(
            x, y, given, clean, z, torch.where(clean, more, r), more, back
        )
    ),
    "chosen in the pixels": lambda *a: edited(
        lambda x, y, given, clean, z, r, more, back: (
            back(torch.where(given & clean, y, x))
            + torch.where(given & clean, more, r) * a[8]
        )
    )(*a),
    "still in the basis": edited(lambda *parts: right(*parts[:-1], lambda a: a)),
    "Ω is applied to the pixels": lambda f, x_t, t, r, y, m, B, back, z, s: right(
        f(x_t, t), y, m == 0, r[:, None] >= s, z, r[:, None],
        (r[:, None] ** 2 - s**2).clamp(min=0).sqrt(), lambda a: a,
    ),
    "y never counts": edited(lambda x, y, given, *rest: right(x, y, given & False, *rest)),
    "f was never called": lambda f, x_t, *rest: edited(right)(lambda x, t: x, x_t, *rest),
    "your answer has shape": edited(lambda *parts: right(*parts)[:2]),
    "none of the usual mistakes": edited(lambda *parts: 2 * right(*parts)),
}  # fmt: skip


@pytest.mark.parametrize("message", EDITS)
def test_each_slip_in_editing_gets_its_own_message(message):
    verdict = checks.noisy_edit(EDITS[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


def test_a_noisy_part_that_is_kept_has_noise_of_level_r_in_all():
    """Without data, y and z are noise alone; the answer then has standard deviation r."""
    edit, g = next(iter(answers(SOURCE, solutions(SOURCE)))), torch.Generator().manual_seed(0)
    z, noise = (torch.randn(50_000, 2, generator=g, dtype=torch.float64) for _ in range(2))
    r, same = torch.full((50_000,), 0.7).double(), lambda a: a
    made = edit(lambda x, t: 0 * x, z, r, r, 0.4 * noise, torch.tensor([0, 1]), same, same, z, 0.4)
    assert made.std(0).tolist() == pytest.approx([0.7, 0.7], rel=0.02)


def guided(spread=1.0, noise=1.0, power=2, by_h=False, scale=1.0, solve=torch.linalg.solve):
    def answer(D, C, A, y, t, sigma_y):
        S = spread * A @ C @ A.T + noise * sigma_y**2 * torch.eye(len(A)).to(A)
        pulled = A.T @ solve(S, (y - D @ A.T)[..., None])
        return scale * (pulled if by_h else C @ pulled)[..., 0] / t[:, None] ** power

    return answer


GUIDANCES = {
    "the sign is wrong": guided(scale=-1.0),
    "this is the point estimate": guided(spread=0.0),
    "σ_y² is missing": guided(noise=0.0),
    "σ_y is a standard deviation": guided(noise=1 / 0.4),
    "the gradient is taken with respect to D": guided(by_h=True, power=0),
    "t is missing": guided(power=0),
    "t is not squared": guided(power=1),
    "multiplied by the covariance": guided(solve=lambda S, e: S @ e),
    "a factor of 2": guided(scale=2.0),
    "a factor of 1/2": guided(scale=0.5),
    "one vector for each sample": lambda D, C, A, y, t, sigma_y: t,
    "none of the usual mistakes": guided(scale=3.0),
}


@pytest.mark.parametrize("message", GUIDANCES)
def test_each_slip_in_the_guidance_gets_its_own_message(message):
    verdict = checks.guidance(GUIDANCES[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


def test_the_derivative_of_the_posterior_mean_is_the_posteriors_covariance_over_its_level():
    """Tweedie's second-order formula, for the mixture of the lab."""
    oracle, t = rings_experiment(1).draw(0, 1), torch.tensor([0.6]).double()
    x_t = torch.tensor([[0.3, -0.5]]).double()
    J = torch.autograd.functional.jacobian(lambda x: oracle.denoise(x, t)[0], x_t)[:, 0]
    below = plots_posterior.posterior(explorer.ORACLE, x_t, t)
    off = below.means[0] - below.mean
    cov = (below.weights[0, :, None, None] * off[:, :, None] * off[:, None]).sum(0)
    cov += (below.weights[0] * below.stds[0] ** 2).sum() * torch.eye(2)
    torch.testing.assert_close(J, cov / 0.36, rtol=1e-6, atol=1e-8)


# explorers


@pytest.fixture(scope="module")
def model():
    return runs.load(GENERATOR)[0].requires_grad_(False)


@pytest.fixture(scope="module")
def plane():
    return explorer.explorer()


def turn(seen, **values):
    for name, value in values.items():
        seen.knobs[name].value = value


def answered(seen, name, value):
    """The knob changes the picture, and the CPU seconds that it took."""
    before, start = seen.image.value, process_time()
    turn(seen, **{name: value})
    assert seen.image.value != before and len(seen.image.value) > 5000
    assert seen.knobs[name].description and "alert" not in seen.words.value
    return process_time() - start


def test_the_plane_answers_every_knob_and_is_quick(plane):
    turns = (("level", 1.0), ("seed", 9), ("operator", "mask"), ("level", 3.0), ("seed", 10))
    spent = [answered(plane, *knob) for knob in turns]
    assert statistics.median(spent) < 0.6  # far above what it takes on a quiet machine


def test_the_plane_shows_the_exact_answers(plane):
    turn(plane, operator="radius", level=2.0, seed=3)
    _, _, drawn, points = explorer.scene(2.0, 3)
    axes = plane.picture.figure.axes
    placed = [
        tuple(float(v[0]) for v in li.get_data())
        for li in axes[0].lines
        if len(li.get_xdata()) == 1
    ]
    for at in points.values():
        assert any(np.allclose(spot, at.numpy()) for spot in placed)
    assert float(np.sum(axes[1].patches[0].get_data().values)) == len(drawn)
    radius = float(points["posterior mean"].norm())
    assert f"A(posterior mean) = {radius:.3f}" in plane.picture.reading
    assert "not linear" in plane.picture.reading


@pytest.mark.parametrize("name", explorer.LINEAR)
def test_for_a_linear_operator_the_mean_is_the_nearer_one(name):
    reading = explorer.picture(name, 1.0, 5).reading
    assert "A(mean) is E[A(x) | x_t]" in reading
    _, _, drawn, points = explorer.scene(1.0, 5)
    A = explorer.MEASURED[name][0]
    assert float(A(points["posterior mean"][None])) == pytest.approx(
        float(A(drawn).mean()), abs=0.06
    )


def test_every_operator_shows_all_its_posterior_samples_at_all_levels():
    for operator, (_, _, span) in explorer.MEASURED.items():
        for level in (0.05, 0.6, 10.0):
            _, _, drawn, _ = explorer.scene(level, 0)
            answers_ = explorer.MEASURED[operator][0](drawn)
            assert span[0] <= float(answers_.min()) and float(answers_.max()) <= span[1]


def test_the_digits_bench_measures_what_it_shows(model):
    seen = explorer.digit_explorer(model)
    for knob in (("level", 6.0), ("digit", 8), ("seed", 5), *(("operator", k) for k in
                 ("blur", "down-sample", "|x|", "classifier"))):  # fmt: skip
        answered(seen, *knob)
    widths = [cast(Rectangle, patch).get_width() for patch in seen.picture.figure.axes[1].patches]
    told = [f"{name} {w:.2f}" for name, w in zip(figures.ROLES, widths, strict=True)]
    assert ", ".join(told) in seen.picture.reading


def test_the_retouching_desk_keeps_what_is_given(model):
    seen = explorer.editing_explorer(model)
    for task in (*explorer.EDITS, explorer.STROKE):
        turn(seen, task=task)
        kept = "nothing is kept" if task == explorer.STROKE else "off by at most"
        assert kept in seen.picture.reading
    for knob in (("calls", 9), ("digit", 2), ("seed", 7)):
        answered(seen, *knob)
    assert "9 calls" in seen.picture.reading
    turn(seen, calls=1, task="hole in the middle")
    assert "1 call for each" in seen.picture.reading and "0e+00" in seen.picture.reading


# figures and recordings


def test_the_figures_draw_what_they_were_given():
    levels, rows = torch.tensor([0.1, 1.0]), torch.tensor([[0.5, 2.0], [0.3, 4.0]])
    slopes = plots_posterior.jacobian_norms(levels, {"posterior mean": rows, "endpoint": 2 * rows})
    assert np.allclose(slopes.axes[0].lines[3].get_ydata(), [4.0, 8.0])
    away = np.array([[0.5, 0.2], [0.7, 0.4]])
    sets = {name: np.zeros(9) for name in "abc"}
    left = races.editing_error((1, 8), away, 0.03, 1.0, sets).axes[0]
    assert np.allclose(left.lines[0].get_ydata(), [0.6, 0.3])
    images = {name: torch.zeros(4, 1, 8, 8) for name in "ab"}
    assert len(figures.task_sheet(images, list("wxyz"), "t").axes) == 1
    assert figures.as_picture(torch.ones(2, 32)).shape == (2, 1, 8, 8)
    assert figures.as_picture(torch.ones(2, 1, 2, 2)).shape == (2, 1, 8, 8)


def test_the_great_circle_of_the_figures_is_that_of_editing():
    assert editing.slerp is slerp


def small() -> Experiment:
    return rings_experiment(32, 4)


def test_a_step_at_a_time_the_strength_may_have_another_power_of_t():
    """ζ t is what was recorded, and with another power the answer is another."""
    experiment, one, found = rings_experiment(), torch.ones(1).double(), read("race-rings", "mean")
    at = found.record["tasks"].index("radius"), list(found["steps"]).index(16)
    zeta = found["zeta"][at] * one
    again = guided_scores(experiment, "radius", "mean", 16, zeta, 0)["success"].mean()
    assert float(again) == pytest.approx(found["success"][0][at], abs=1e-6)
    other = guided_scores(experiment, "radius", "mean", 16, zeta, 0, 0.0)["success"].mean()
    assert abs(float(other - again)) > 0.1


def test_the_mean_given_a_coordinate_is_the_denoiser_with_the_exact_guidance():
    """E[x | x_t, x₁ = y] = D + t² ∇ ln p(y | x_t), and the sampler with it rarely fails."""
    oracle, g = TwoRings().oracle, torch.Generator().manual_seed(0)
    x, t = oracle.sample(64, g).double(), torch.full((64,), 0.7).double()
    x_t = (x + 0.7 * torch.randn(x.shape, generator=g)).requires_grad_()
    below = plots_posterior.posterior(oracle, x_t, t)
    parts = torch.distributions.Normal(below.means[..., 0], below.stds).log_prob(x[:, :1])
    (gradient,) = torch.autograd.grad((below.weights.log() + parts).logsumexp(1).sum(), x_t)
    right = oracle.denoise(x_t.detach(), t) + 0.7**2 * gradient
    torch.testing.assert_close(given_coordinate(oracle, x[:, 0])(x_t.detach(), t), right)
    assert exactly_guided(16, seed=0, samples=200) > 0.95


def test_a_recording_of_a_race_holds_one_row_a_seed_and_the_whole_tuning():
    found = compare_estimate("race-rings", small(), "cm", (4, 8), (0.0, 1.0))
    assert found["success"].shape == (3, 4, 2) and found["zeta"].shape == (4, 2)
    assert found["tuning"].shape == (2, 4, 2, 2) and found.record["calls a step"] == 2
    best = found["tuning"].mean(0).argmax(-1)
    assert np.array_equal(found["zetas"][best], found["zeta"])


@pytest.mark.parametrize("name", ["rings", "digits"])
@pytest.mark.parametrize("arm", ["mean", "cm"])
def test_the_kept_races_were_tuned_on_other_seeds(name, arm):
    found = read(f"race-{name}", arm)
    assert found.record["seeds"] == [0, 1, 2] and found.record["tuning seeds"] == [10, 11]
    goal = found["tuning"].mean(0)
    best = (goal.argmax(-1) if name == "rings" else goal.argmin(-1)).reshape(found["zeta"].shape)
    assert np.array_equal(found["zetas"][best], found["zeta"])


def test_the_race_is_drawn_from_its_recordings():
    runs_ = {arm: read("race-rings", arm) for arm in ("mean", "cm")}
    tasks = runs_["mean"].record["tasks"]
    exact = np.full((3, len(runs_["mean"]["steps"])), 0.9)
    figure = races.success_by_calls(runs_, "t", {"one coordinate": exact})
    assert [ax.get_title(loc="left") for ax in figure.axes] == tasks
    assert np.allclose(figure.axes[0].lines[0].get_ydata(), 0.9)
    line = figure.axes[1].lines[0]
    assert np.allclose(line.get_ydata(), runs_["mean"]["success"][:, 1].mean(0))
    mean, end = (np.asarray(drawn.get_xdata()) for drawn in figure.axes[1].lines[:2])
    assert np.array_equal(end, 2 * mean)  # two calls a step
    assert races.success_by_zeta(runs_, "radius", 32).axes[0].lines


def test_the_text_says_that_the_posteriors_components_are_narrower_than_the_datas():
    """v = s² σ² / (s² + σ²) is below s² at every noise level."""
    s2, sigma2 = 0.1**2, torch.tensor([0.02, 0.5, 2.0, 80.0]).double() ** 2
    assert (s2 * sigma2 / (s2 + sigma2) < s2).all()
    text = lab("13").read_text(encoding="utf-8")
    assert "with the same spread" not in text and "components are narrower" in text
