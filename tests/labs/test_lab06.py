"""Lab 06: the closed form is autograd's, checks name each slip, explorers replay what was seen."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from cmlab_labs.common.plots_recordings import spread_labels
from cmlab_labs.common.studies_shared import CT_2023, DOUBLING, UNIFORM_INDEX
from cmlab_labs.common.study import ranged, read
from cmlab_labs.lab06_ema import checks
from cmlab_labs.lab06_ema.analysis import PointMass, course
from cmlab_labs.lab06_ema.checks import BACK, WRONG
from cmlab_labs.lab06_ema.explorer import (
    explorer,
    recorded,
    recorded_run,
    springs,
)
from cmlab_labs.lab06_ema.figures import (
    ErrorHistory,
    front,
    front_arrival,
    labelled_samples,
    left_by_step,
    share_left,
    snapshot,
    unlabelled_losses,
    wavefronts,
)
from cmlab_labs.lab06_ema.study import (
    DECAYS,
    GRIDS,
    LossObserver,
    ct_variant,
    ict_variant,
    springs_left,
    variant_name,
)
from exercises import answers, lab, solutions, stubs

from cmlab.losses import Uniform
from cmlab.noise_levels import KarrasGrid, UniformIndex
from cmlab.presets import toy
from cmlab.schedules import Constant

LAB = lab("06")
CHECKS = (checks.set_back, checks.steps_to_go)
PAPERS = KarrasGrid()  # to 80
papers_mass = partial(PointMass, weight=Uniform(), proposal=UniformIndex(PAPERS), grid=PAPERS)


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
    assert papers_mass(points).pulls == pytest.approx((a, b), rel=1e-8)


@pytest.mark.parametrize("z", [0.0, 2.5])
def test_the_gradient_is_what_autograd_finds_for_any_noise(z):
    theta = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    target, xi, levels = 1.7, -1.0, KarrasGrid().up(18)

    def f(theta, level):
        share = levels[0] / level
        return share * (xi + level * z) + (1 - share) * theta

    gap = f(theta, levels[1:]) - f(target, levels[:-1])
    gap.square().mean().backward()
    assert papers_mass(18).gradient(2.0, target, xi) == pytest.approx(float(theta.grad))
    assert float(theta.grad) == pytest.approx(0.8235409538992)


def test_five_per_cent_behind_turns_the_gradient_round_and_no_lag_leaves_it_finite():
    lag, none = ([PointMass(n).gradient(1, 1 + s, 0) for n in (41, 81, 161)] for s in (0.05, 0))
    assert lag == pytest.approx([1.27, -2.89, -10.56], rel=0.01)  # "from N = 81 on", says the lab
    assert none == pytest.approx([4.95, 4.54, 4.34], rel=0.01)


def test_the_point_mass_has_the_levels_of_the_runs():
    pairs = ict_variant(0.99, 161)(0).method.pairs
    mass = PointMass(161)
    assert (mass.proposal, mass.grid) == (pairs.proposal, pairs.grid) == (toy.LEVELS, toy.GRID)
    assert type(mass.weight) is type(ict_variant(0.99, 161)(0).method.weight)


def test_at_the_balance_the_gradient_is_zero_and_the_fixed_point_is_the_truth_alone():
    for n in (11, 161):
        toy_mass = PointMass(n)
        assert toy_mass.gradient(toy_mass.balance * 1.7 + 0.3, 2.0, 0.3) == pytest.approx(
            0, abs=1e-9
        )
        assert 0 < toy_mass.balance < 1  # so that each step leads nearer, whatever μ is below 1
    assert PointMass(161).gradient(0.3, 0.3, 0.3) == 0


@pytest.mark.parametrize("mu", DECAYS)
def test_the_course_is_that_of_descent_to_the_lowest_loss_and_its_steps_are_counted_right(mu):
    toy_mass, theta, target = PointMass(11), 1.0, 1.0
    for seen in course(Constant(mu), Constant(11), 60)[1:]:
        theta -= toy_mass.gradient(theta, target, 0.0) / sum(toy_mass.pulls)
        target = mu * target + (1 - mu) * theta
        assert seen == pytest.approx((theta, target))
    counted = toy_mass.steps_to_reach(mu)
    student = course(Constant(mu), Constant(11), counted)[:, 0]
    assert student[counted] <= 0.05 < student[counted - 1]
    assert student[1:] == pytest.approx([toy_mass.left(mu, k) for k in range(1, counted + 1)])


def test_slower_in_proportion_to_the_grid_and_to_the_memory():
    steps = {
        (n, mu): PointMass(n).steps_to_reach(mu) for n in (11, 161, 641) for mu in (0.99, 0.999)
    }
    assert (steps[11, 0.99], steps[161, 0.99]) == (836, 20784)  # as the lab says
    assert steps[641, 0.99] / steps[161, 0.99] == pytest.approx(4, rel=0.05)
    assert steps[161, 0.999] / steps[161, 0.99] == pytest.approx(10, rel=0.01)
    a, b = PointMass(161).pulls
    assert np.log(20) * (a + b) / (b * 0.01) == pytest.approx(20900, rel=0.002)  # exercise B
    assert (a, b, b / (a + b)) == pytest.approx((297.9, 4.34, 0.0143), rel=0.005)


@pytest.mark.parametrize("n", [11, 161])
def test_the_balance_of_lengths_is_where_their_sum_is_lowest(n):
    levels, places = toy.GRID.up(n), torch.linspace(0.5, 1, 50_001, dtype=torch.float64)
    a, mass = 1 - levels[0] / levels, toy.LEVELS.masses(levels) / levels.diff()
    loss = (mass * (a[1:] * places[:, None] - a[:-1]).abs()).sum(1)
    assert PointMass(n, squared=False).balance == pytest.approx(
        float(places[loss.argmin()]), abs=2e-5
    )
    assert PointMass(n, squared=False).balance > PointMass(n).balance  # a smaller lag


def test_a_refined_grid_takes_the_student_back_and_a_kept_one_never_does():
    first = course(Constant(0.999), DOUBLING, 1100)[:, 0]
    assert first[501] / first[500] == pytest.approx(1.25, rel=0.01)  # exercise A
    assert first[1001] / first[1000] == pytest.approx(1.09, rel=0.01)
    assert (np.diff(course(Constant(0.999), Constant(11), 1100)[:, 0]) < 0).all()


# The checks


@pytest.mark.parametrize("message", BACK)
def test_each_slip_in_the_set_back_gets_its_own_message(message):
    verdict = checks.set_back(BACK[message])
    assert verdict.state == "slip" and verdict.message == message


@pytest.mark.parametrize("message", WRONG)
def test_each_slip_in_the_number_of_steps_gets_its_own_message(message):
    verdict = checks.steps_to_go(WRONG[message])
    assert verdict.state == "slip" and verdict.message == message
    assert len(set(WRONG)) == len(WRONG)


def test_other_wrong_numbers_of_steps_are_told_apart():
    assert "you say 3 steps" in checks.steps_to_go(lambda a, b, mu: 3.0).message
    assert "from N = 11 to 21 you say 3.000" in checks.set_back(lambda coarse, fine: 3.0).message


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
    free, slow = (run_of([[[0, 2, 2], [0, last, last]]] * 2) for last in (1, 1.5))
    assert share_left(slow, free) == pytest.approx(np.array([[1, 0.5], [1, 0.5]]))
    course_of = {0.9: np.linspace(1, 0.25, 101)}
    (pace,) = left_by_step({"N = 5": ({0.0: free, 0.9: slow}, course_of)}).axes
    assert pace.get_title("left") == "N = 5: μ = 0.9 leaves 50 %"
    assert list(pace.lines[1].get_ydata()) == pytest.approx([1, 0.5])


def test_labels_that_would_meet_are_moved_apart():
    assert spread_labels({"b": 1.01, "a": 1.0, "c": 2.0}, 0.1) == pytest.approx(
        {"a": 1.0, "b": 1.1, "c": 2.0}
    )


# What was recorded


def test_the_folded_answers_and_the_traps_are_what_was_recorded():
    assert front_arrival(recorded_run(0.999, 161)) == "reaches t = 0.29"
    assert front_arrival(recorded_run(0.999, 0)) == "reaches t = 0.35"
    last = np.stack([read("target", variant_name(mu, 161))["loss"][:, -1] for mu in DECAYS])
    assert set(last.argmax(0)) == {DECAYS.index(0.99)}  # for each seed, says the lab
    mild, none = (read("target", variant_name(mu, 161)).score("rmse") for mu in (0.99, 0.0))
    assert mild.min() > 3 * none.max()


def test_two_springs_leave_what_the_runs_of_ict_leave_and_only_their_order_in_plain_ct():
    far = []
    for n in GRIDS:
        for mu in DECAYS[1:]:
            left = share_left(recorded_run(mu, n), recorded_run(0.0, n))[:, -1].mean()
            the_springs = springs_left(ict_variant(mu, n))[-1]
            assert left == pytest.approx(the_springs, abs=0.05)
            far.append(abs(left - springs_left(ict_variant(mu, n), squared=False)[-1]))
            arrived = mu == 0.9 or (mu, n) == (0.99, 11)  # four runs, says the lab
            assert (the_springs < 0.005) == (left < 0.025) == arrived
    assert len(far) == 9 and 0.265 < max(far) < 0.275  # 27 hundredths, says the lab
    runs = [("target", f"ct-mu-{mu:g}", ct_variant(mu)) for mu in DECAYS[1:]]
    runs.insert(2, ("ladder", "ct", CT_2023))
    free = recorded(0.0, "ct-mu-0")
    left = [share_left(recorded(0.0, name, study), free)[:, -1].mean() for study, name, _ in runs]
    model = [springs_left(variant)[-1] for _, _, variant in runs]
    assert sorted(left) == left and sorted(model) == model  # the same order
    assert model[1] - left[1] > 0.4


def test_other_draws_and_distances_leave_other_shares_in_the_same_order():
    kinds = ({}, {"squared": False}, {"proposal": UNIFORM_INDEX})
    left = [PointMass(161, **kind).left(0.99, 4000) for kind in kinds]
    assert left == pytest.approx([0.555, 0.777, 0.242], abs=0.001)  # 78 % of lengths, says the lab
    runs = ((0.9, 161), (0.99, 0), (0.999, 11), (0.99, 161), (0.999, 0), (0.999, 161))
    grids = {n: Constant(n) if n else DOUBLING for n in GRIDS}
    for kind in kinds:
        mass = partial(PointMass, **kind)
        ends = [course(Constant(mu), grids[n], 4000, mass)[-1, 0] for mu, n in runs]
        assert sorted(ends) == ends


@pytest.mark.parametrize("kind", [{"squared": False}, {"proposal": UNIFORM_INDEX}])
def test_with_any_distance_and_draws_a_refinement_sets_back_and_a_finer_grid_slows(kind):
    ends = course(Constant(0.999), DOUBLING, 510, partial(PointMass, **kind))[:, 0]
    assert ends[501] > 1.05 * ends[500]
    slow, slower = (PointMass(n, **kind).steps_to_reach(0.99) for n in (161, 641))
    assert slower / slow == pytest.approx(4, rel=0.1)


def test_under_a_slow_target_the_first_doubling_undoes_what_was_learned_on_every_seed():
    error = {mu: np.sqrt((recorded_run(mu, 0).error ** 2).mean(-1)) for mu in (0.99, 0.999)}
    assert (recorded_run(0.999, 0).steps[[5, 6]] == [500, 600]).all()
    assert (error[0.999][:, 6] > error[0.999][:, 5] + 0.02).all()
    assert (error[0.99][:, 6] < error[0.99][:, 5]).all()


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


def test_the_springs_say_how_far_the_student_is_and_how_far_it_would_be_without_a_lag():
    toy = springs()
    turn(toy, mu=0.99, points=161, step=500)
    student, target = course(Constant(0.99), Constant(161), 500)[-1]
    reading = toy.picture.reading
    assert f"{student:.2f} from the truth and the target {target:.2f}" in reading
    assert f"would be {PointMass(161).balance ** 500:.2f} from" in reading
    turn(toy, step=0)
    assert "100 % of the way" in toy.picture.figure.axes[0].get_title("left")
