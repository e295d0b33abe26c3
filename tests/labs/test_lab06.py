"""Lab 06: the closed form is autograd's, checks name each slip, explorers replay what was seen."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from cmlab_labs.common.plots_recordings import spread_labels
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab06_ema import checks
from cmlab_labs.lab06_ema.analysis import PointMass
from cmlab_labs.lab06_ema.checks import WRONG
from cmlab_labs.lab06_ema.explorer import EMATraining, explorer, recorded_run, springs
from cmlab_labs.lab06_ema.figures import (
    DECAY_STYLE,
    ErrorHistory,
    error_by_decay,
    front,
    front_arrival,
    gradient_by_points,
    labelled_samples,
    snapshot,
    steps_by_points,
    unlabelled_losses,
    wavefronts,
)
from cmlab_labs.lab06_ema.study import DECAYS, GRIDS, LossObserver, ict_variant, variant_name
from exercises import answers, lab, solutions, stubs

from cmlab.losses import Uniform
from cmlab.noise_levels import KarrasGrid, LogNormal

LAB = lab("06")
CHECKS = (checks.ema_update, checks.steps_to_go)


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


# The closed form


@pytest.mark.parametrize("points, a, b", [
    (11, 1.763353099, 0.1784585986),
    (18, 1.819037158, 0.09260993548),
    (1281, 1.855312751, 7.882767392e-4),
])  # fmt: skip
def test_the_pulls_of_the_unweighted_loss_are_the_reference_values(points, a, b):
    assert PointMass(points, Uniform()).pulls == pytest.approx((a, b), rel=1e-8)


@pytest.mark.parametrize("z", [0.0, 2.5])
def test_the_gradient_is_what_autograd_finds_for_any_noise(z):
    theta = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    target, xi, levels = 1.7, -1.0, KarrasGrid().up(18)

    def f(theta, level):
        share = levels[0] / level
        return share * (xi + level * z) + (1 - share) * theta

    gap = f(theta, levels[1:]) - f(target, levels[:-1])
    gap.square().mean().backward()
    assert PointMass(18, Uniform()).gradient(2.0, target, xi) == pytest.approx(float(theta.grad))
    assert float(theta.grad) == pytest.approx(0.8235409538992)


def test_five_per_cent_behind_turns_the_gradient_round_and_no_lag_leaves_it_finite():
    lag, none = ([PointMass(n).gradient(1, 1 + s, 0) for n in (161, 641, 2561)] for s in (0.05, 0))
    assert lag == pytest.approx([0.86, -23.4, -117.3], rel=0.01)
    assert none == pytest.approx([8.63, 7.86, 7.66], rel=0.01)


def test_the_fixed_point_is_the_truth_for_every_mu():
    for mu in DECAYS:
        assert max(map(abs, PointMass(161).after(mu, 10**6))) < 1e-12


def test_steps_to_reach_is_what_stepping_finds():
    a, b = PointMass(161).pulls
    theta = target = 1.0
    steps = 0
    while theta > 0.05:
        theta -= 0.1 / (a + b) * (a * (theta - target) + b * theta)
        target = 0.99 * target + 0.01 * theta
        steps += 1
    assert steps == PointMass(161).steps_to_reach(0.99) == 6086
    assert PointMass(161).after(0.99, steps) == pytest.approx((theta, target))


def test_without_a_lag_the_right_step_size_makes_every_grid_as_fast_and_a_lag_does_not():
    pulls = {n: PointMass(n).pulls for n in (11, 161, 1281)}
    free = {PointMass(n).steps_to_reach(0, rate=0.1 * (a + b) / b) for n, (a, b) in pulls.items()}
    assert free == {29}
    toy, (a, b) = PointMass(161), pulls[161]
    assert toy.steps_to_reach(0.99, rate=1.9) > 0.9 * toy.steps_to_reach(0.99)
    assert abs(toy.after(0.99, 1000, rate=2.2)[0]) > 1e6
    assert np.log(20) * (a + b) / (b * 0.01) == pytest.approx(5700, rel=0.01)  # exercise B


# The checks


def moved(edit):
    """An answer that is right but for an edit: edit(slow, fast, μ) writes the parameters."""

    @torch.no_grad()
    def wrong(target, online, mu):
        for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
            edit(slow, fast, mu)
        for kept, new in zip(target.buffers(), online.buffers(), strict=True):
            kept.copy_(new)
        return target

    return wrong


def right(target, online, mu):
    return moved(lambda slow, fast, mu: slow.lerp_(fast, 1 - mu))(target, online, mu)


def swapped(target, online, mu):
    right(online, target, mu)
    return target


def renamed(target, online, mu):
    for p, q in zip(target.parameters(), online.parameters(), strict=True):
        p = mu * p + (1 - mu) * q  # noqa: F841
    return target


def buffers(edit):
    @torch.no_grad()
    def wrong(target, online, mu):
        for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
            slow.lerp_(fast, 1 - mu)
        edit(target, online, mu)
        return target

    return wrong


def averaged(target, online, mu):
    target.scale.lerp_(online.scale, 1 - mu)


def with_history(target, online, mu):
    for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
        slow.mul_(mu).add_((1 - mu) * fast)
    for kept, new in zip(target.buffers(), online.buffers(), strict=True):
        kept.copy_(new)
    return target


def fresh(target, online, mu):
    return right(deepcopy(target), online, mu)


def reassigned(target, online, mu):
    for key, q in online.named_parameters():
        p = getattr(target, key)
        setattr(target, key, torch.nn.Parameter((mu * p + (1 - mu) * q).detach()))
    return target


def tied(target, online, mu):
    with torch.no_grad():
        for key, q in online.named_parameters():
            p = getattr(target, key)
            p.lerp_(q, 1 - mu)
        target.scale, target.seen = online.scale, online.seen
    return target


def silent(target, online, mu):
    right(target, online, mu)


EMA_SLIPS = {
    "μ and 1 − μ are exchanged": moved(lambda slow, fast, mu: slow.lerp_(fast, mu)),
    "the roles are swapped": swapped,
    "copied as a whole": moved(lambda slow, fast, mu: slow.copy_(fast)),
    "nothing moves": renamed,
    "only the first parameter": moved(
        lambda slow, fast, mu: slow.lerp_(fast, 1 - mu) if slow > 0 else None
    ),
    "the parameters are [2.0, -4.0]": moved(lambda slow, fast, mu: slow.mul_(1 + 4 * (1 - mu))),
    "left behind": buffers(lambda target, online, mu: None),
    "buffers are averaged": buffers(averaged),
    "the buffers are [8.0, 3.0]": buffers(lambda t, o, mu: t.scale.copy_(o.scale)),
    "gradient history": with_history,
    "these are new tensors": fresh,
    "code that holds": reassigned,
    "shares memory": tied,
    "end with `return target`": silent,
    "not for 20 updates": moved(lambda slow, fast, mu: slow.lerp_(fast, 0.25)),
}


@pytest.mark.parametrize("message", EMA_SLIPS)
def test_each_slip_in_the_update_gets_its_own_message(message):
    verdict = checks.ema_update(EMA_SLIPS[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


@pytest.mark.parametrize("message", WRONG)
def test_each_slip_in_the_number_of_steps_gets_its_own_message(message):
    verdict = checks.steps_to_go(WRONG[message])
    assert verdict.state == "slip" and verdict.message == message
    assert len(set(WRONG)) == len(WRONG)


def test_other_wrong_numbers_of_steps_are_told_apart():
    assert "you say 3 steps" in checks.steps_to_go(lambda a, b, mu: 3.0).message


# The front and the figures


def test_the_front_is_the_level_up_to_which_the_error_is_small():
    levels = np.array([0.01, 0.1, 1.0, 10.0])
    error = np.array([[0.0, 0.1, 0.3, 0.1], [0.0, 0.1, 0.1, 0.1], [0.5, 0.1, 0.1, 0.1]])
    assert front(levels, error, 0.2) == pytest.approx([10**-0.5, 10.0, 0.01])
    assert np.isnan(front(levels, np.full((1, 4), np.nan), 0.2)).all()


def run_of(error, loss=(np.nan, 1.0)):
    levels, error = np.array([0.01, 0.1, 1.0]), np.array(error, dtype=float)
    return ErrorHistory(0.0, np.array([0, 100]), levels, error, np.tile(loss, (len(error), 1)))


def test_arrival_says_when_the_front_stays_at_the_top_or_where_it_ends():
    assert (
        front_arrival(run_of([[[0, 0.5, 1], [0, 0.1, 0.1]]])) == "is at the top from step 100 on"
    )
    assert front_arrival(run_of([[[0, 0.1, 0.1], [0, 0.1, 0.3]]])).startswith("reaches t = 0.3")
    early, late = [[0, 0.1, 0.1], [0, 0.1, 0.1]], [[0, 0.1, 0.25], [0, 0.1, 0.1]]
    assert (
        front_arrival(run_of([early, late]))
        == "is at the top from step 0 on (every seed from 100)"
    )
    never = [[0, 0.1, 0.1], [0, 0.1, 0.25]]
    assert front_arrival(run_of([early, never])) == "is at the top from step 0 on (not every seed)"


def test_the_figures_draw_what_they_were_given():
    run = run_of([[[0, 0.5, 1], [0, 0.1, 0.1]], [[0, 0.5, 1], [0, 0.1, 0.1]]])
    panel = wavefronts({"a": run}).axes[0]
    assert panel.collections[0].get_array().shape == (3, 2) and len(panel.lines) == 3
    assert snapshot(run, 0).axes[2].get_title(loc="left") == "No loss yet"
    other = run_of(run.error, (np.nan, 2.0))
    whole, late = unlabelled_losses({"A": run, "B": other}).axes
    assert [line.get_label() for line in whole.lines] == ["A", "B"]
    assert {text.get_text(): text.xy[1] for text in late.texts} == {"A": 1.0, "B": 2.0}
    title = (
        labelled_samples({"a": run}, {"a": np.zeros((4, 2))}, np.eye(2))
        .axes[0]
        .get_title(loc="left")
    )
    assert title == "a\nerror at t = 1: 0.10\nloss 1.000, the lowest"
    scores = {mu: np.array([0.1, 0.2]) * (1 + place) for place, mu in enumerate(DECAY_STYLE)}
    left, right = error_by_decay({"N = 1": scores, "N = 2": scores, "c": scores}, scores,
                              np.array([0.1])).axes  # fmt: skip
    assert list(left.lines[0].get_ydata()) == pytest.approx([0.15, 0.3, 0.45, 0.6])
    said = right.get_title(loc="left")
    assert said.endswith("μ = 0.9 does not help,\nμ = 0.999 multiplies the error by 4.0")
    (pull,) = gradient_by_points((11, 21, 41), {0.05: [1.0, -1.0, -2.0]}).axes
    assert "5 % flips the sign from N = 21" in pull.get_title(loc="left")
    (pace,) = steps_by_points((11, 21, 41), {0.0: [5, 7, 10], 0.999: [10, 9, 40]}, [3, 3, 3]).axes
    assert "needs 4 times" in pace.get_title(loc="left")
    assert list(pace.lines[-1].get_ydata()) == [3, 3, 3]


def test_labels_that_would_meet_are_moved_apart():
    assert spread_labels({"b": 1.01, "a": 1.0, "c": 2.0}, 0.1) == pytest.approx(
        {"a": 1.0, "b": 1.1, "c": 2.0}
    )


# What was recorded


def test_the_folded_answers_and_the_traps_are_what_was_recorded():
    assert front_arrival(recorded_run(0.999, 161)) == "reaches t = 0.29"
    assert front_arrival(recorded_run(0.999, 0)) == "reaches t = 0.35"
    ring = KarrasGrid(0.002, 10.0)
    for n, seen in ((11, 0.46), (161, 0.015)):
        a, b = PointMass(n, proposal=LogNormal(-1.1, 2.0), grid=ring).pulls
        assert b / a == pytest.approx(seen, rel=0.04)
    last = np.stack([read("target", variant_name(mu, 161))["loss"][:, -1] for mu in DECAYS])
    assert set(last.argmax(0)) == {DECAYS.index(0.99)}  # for each seed, says the lab
    mild, none = (read("target", variant_name(mu, 161)).score("rmse") for mu in (0.99, 0.0))
    assert mild.min() > 3 * none.max()


def test_inside_the_recipe_a_target_of_decay_0999_costs_more_than_four_times():
    fast, slow = (read("target", variant_name(mu, 0)).score("rmse") for mu in (0.0, 0.999))
    assert slow.mean() > 4 * fast.mean() and slow.min() > fast.max()


def test_the_collapsed_run_has_the_lowest_loss_on_every_seed():
    last = {mu: read("target", variant_name(mu, 0))["loss"][:, -1] for mu in DECAYS}
    assert last[0.999].max() < min(last[mu].min() for mu in DECAYS[:3])


def test_the_low_loss_of_the_collapsed_run_is_low_against_its_own_target_alone():
    slow, plain = (read("loss-parts", variant_name(mu, 0))["parts"].T for mu in (0.999, 0.0))
    own, itself, exact = slow
    assert own.max() < 0.8 * itself.min() and itself.min() > plain[1].max() > exact.max()
    assert np.array_equal(plain[0], plain[1])  # there the target is the network itself
    own, itself, _ = read("loss-parts", variant_name(0.99, 161))["parts"].T
    assert 0.97 < (own / itself).min() and (own / itself).max() < 0.99  # smaller, but not by much


@pytest.mark.parametrize(("mu", "same"), [(0.0, True), (0.999, False)])
def test_the_parts_of_the_loss_differ_where_the_target_lags(mu, same):
    recipe = ict_variant(mu, 11)(0)
    recipe = replace(recipe, train=replace(recipe.train, steps=20, batch=32))
    trainer = recipe.trainer()
    trainer.fit()
    own, itself, exact = LossObserver(256).observe_end(trainer, recipe)["parts"]
    assert (own == itself) == same and exact > 0


def test_every_kind_of_run_is_there_with_three_seeds_and_the_same_moments():
    for n in GRIDS:
        for mu in DECAYS:
            run = recorded_run(mu, n)
            assert run.error.shape == (3, 41, 32) and run.steps[-1] == 4000


# The explorers


@pytest.fixture(scope="module")
def seen():
    return explorer()


def turn(seen, **values):
    for knob, value in values.items():
        seen.knobs[knob].value = value


def profile(seen):
    return seen.picture.figure.axes[1].lines


@pytest.mark.parametrize("knob, value", [("mu", 0.999), ("points", 11), ("step", 3000)])
def test_every_knob_changes_the_picture(seen, knob, value):
    turn(seen, mu=0.99, points=161, step=1200)
    before, image = profile(seen)[1].get_ydata(), seen.image.value
    turn(seen, **{knob: value})
    assert seen.image.value != image and seen.knobs[knob].description
    assert not np.allclose(before, profile(seen)[1].get_ydata())


def test_the_explorer_shows_the_recording_at_the_step(seen):
    turn(seen, mu=0.999, points=0, step=2000)
    run = recorded_run(0.999, 0)
    assert profile(seen)[1].get_ydata() == pytest.approx(run.mean[20])
    assert profile(seen)[0].get_ydata() == pytest.approx(recorded_run(0.0, 0).mean[20])
    assert "a grid of 161 points" in seen.picture.reading
    assert ranged(run.loss[:, 20]) in seen.picture.reading
    turn(seen, mu=0.0, step=0)
    assert len(profile(seen)) == 2 and "not measured yet" in seen.picture.reading


def test_retraining_waits_for_start_and_a_turned_knob_begins_again():
    own = EMATraining()
    assert not own.live.running and own.live.trainer.step == 0
    while own.live.trainer.step < 3:
        own.live.work(0.01)
    own.live.show()
    assert len(own.seen) == 2 and np.isnan(own.run(4000).loss[0, -1])
    own.knobs["mu"].value = 0.9
    assert own.live.trainer.step == 0 and len(own.seen) == 1
    assert own.live.trainer.method.target.decay(0) == 0.9
    assert "μ = 0.9" in own.live.picture.reading


@pytest.mark.parametrize("mu", DECAYS)
def test_the_course_of_the_point_mass_goes_where_its_matrix_power_says(mu):
    toy = PointMass(161)
    course = toy.course(mu, 300)
    assert course.shape == (301, 2) and course[0] == pytest.approx([1, 1])
    assert course[[1, 40, 300]] == pytest.approx(
        np.array([toy.after(mu, k) for k in (1, 40, 300)])
    )


def test_the_springs_say_how_far_the_student_is_and_how_far_it_would_be_without_a_lag():
    toy = springs()
    turn(toy, mu=0.99, points=161, step=500)
    student, target = PointMass(161).after(0.99, 500)
    reading = toy.picture.reading
    assert f"{student:.2f} from the truth and the target {target:.2f}" in reading
    assert f"would be {PointMass(161).after(0.0, 500)[0]:.2f} from" in reading
    turn(toy, step=0)
    assert "100 % of the way" in toy.picture.figure.axes[0].get_title("left")
