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
from cmlab_labs.lab13_inverse.analysis import Experiment, rings_experiment
from cmlab_labs.lab13_inverse.study import compare_estimate
from exercises import answers, lab, solutions, stubs
from matplotlib.patches import Rectangle

from cmlab.methods import editing
from cmlab.methods.editing import slerp
from cmlab.train import runs

SOURCE = lab("13")
CHECKS = (checks.edit_step, checks.push)


def test_the_stubs_of_the_lab_are_not_attempted_yet():
    for check, stub in zip(CHECKS, answers(SOURCE, stubs(SOURCE)), strict=True):
        assert check(stub).state == "not attempted yet"


def test_the_solutions_of_the_lab_pass():
    for check, solution in zip(CHECKS, answers(SOURCE, solutions(SOURCE)), strict=True):
        assert check(solution).passed, check(solution)


def step(choose, noise=lambda x, r, z: x + r[:, None] * z):
    def answer(f, x_t, t, r, y, missing, A, back, z):
        x = choose(f(x_t, t), y, missing > 0, A, back)
        return noise(x, r, z)

    return answer


def right(x, y, on, A, back):
    return back(torch.where(on, A(x), A(y)))


EDITS = {
    "the mask is inverted": step(lambda x, y, on, A, back: back(torch.where(on, A(y), A(x)))),
    "still in the basis": step(lambda x, y, on, A, back: torch.where(on, A(x), A(y))),
    "Ω is applied to the pixels": step(lambda x, y, on, A, back: torch.where(on, x, y)),
    "y is taken as it is": step(lambda x, y, on, A, back: back(torch.where(on, A(x), y))),
    "the given part is not put back": step(lambda x, y, on, A, back: x),
    "no noise is added": step(right, lambda x, r, z: x),
    "not scaled": step(right, lambda x, r, z: x + z),
    "your answer has shape": step(right, lambda x, r, z: x[:2]),
    "none of the usual mistakes": step(right, lambda x, r, z: 2 * x),
    "noise is added before": lambda f, x_t, t, r, y, m, A, back, z: right(
        f(x_t, t) + r[:, None] * z, y, m > 0, A, back
    ),
    "the noise has level t": lambda f, x_t, t, r, y, m, A, back, z: (
        right(f(x_t, t), y, m > 0, A, back) + t[:, None] * z
    ),
    "f was never called": lambda f, x_t, t, r, y, m, A, back, z: (
        right(x_t, y, m > 0, A, back) + r[:, None] * z
    ),
}


@pytest.mark.parametrize("message", EDITS)
def test_each_slip_in_editing_gets_its_own_message(message):
    verdict = checks.edit_step(EDITS[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


def pushed(size, scale=lambda t, zeta: -zeta * t[:, None]):
    def answer(f, A, y, x_t, t, zeta):
        x_t = x_t.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(size(y - A(f(x_t, t))), x_t)
        return scale(t, zeta) * gradient

    return answer


def norms(off):
    return off.flatten(1).norm(dim=1)


def by_h(f, A, y, x_t, t, zeta):
    h = f(x_t, t).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(norms(y - A(h)).sum(), h)
    return -zeta * t[:, None] * gradient


def through_nothing(f, A, y, x_t, t, zeta):
    x_t = x_t.requires_grad_()
    return -torch.autograd.grad(norms(y - A(f(x_t, t).detach())).sum(), x_t)[0]


PUSHES = {
    "the sign is wrong": pushed(lambda off: norms(off).sum(), lambda t, zeta: zeta * t[:, None]),
    "the norm is squared:": pushed(lambda off: off.square().sum()),
    "squared and halved": pushed(lambda off: off.square().sum() / 2),
    "t is missing": pushed(lambda off: norms(off).sum(), lambda t, zeta: -zeta),
    "t is squared": pushed(lambda off: norms(off).sum(), lambda t, zeta: -zeta * t[:, None] ** 2),
    "ζ is missing": pushed(lambda off: norms(off).sum(), lambda t, zeta: -t[:, None]),
    "over the whole batch": pushed(lambda off: off.norm()),
    "the mean over the batch": pushed(lambda off: norms(off).mean()),
    "the gradient is taken with respect to h": by_h,
    "stopped with RuntimeError": through_nothing,
    "one vector for each sample": lambda f, A, y, x_t, t, zeta: norms(y),
    "none of the usual mistakes": lambda f, A, y, x_t, t, zeta: x_t,
}


@pytest.mark.parametrize("message", PUSHES)
def test_each_slip_in_the_push_gets_its_own_message(message):
    verdict = checks.push(PUSHES[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


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
    slopes = plots_posterior.jacobian_norms(
        levels, {"posterior mean": rows, "path's end": 2 * rows}
    )
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
    figure = races.success_by_calls(runs_, {task: "t" for task in tasks})
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
