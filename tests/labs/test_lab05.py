"""Lab 05: its checks name each slip, its exact targets are right, its sampler shows them."""

import numpy as np
import pytest
import torch
from cmlab_labs.common.plots_line import path_plane, quantile_points
from cmlab_labs.common.study import ranged
from cmlab_labs.lab05_training import checks
from cmlab_labs.lab05_training.analysis import (
    euler,
    fixed_point,
    fresh,
    losses,
    mean_of,
    median_of,
    posterior,
    shared,
    target,
    target_cdf,
)
from cmlab_labs.lab05_training.checks import (
    bias_slips,
    finite_slips,
    moments,
    scatter_slips,
)
from cmlab_labs.lab05_training.explorer import HIGH, explorer, live_training, place_of
from cmlab_labs.lab05_training.figures import (
    by_gap,
    draw_errors,
    fixed_point_on_grid,
    fixed_points,
    follow,
    mean_and_median,
    median_of_points,
    networks_and_fixed_points,
    order,
    orders,
    pairs,
    rms,
    slopes,
    table,
    target_errors,
    targets,
    targets_on_path,
)
from cmlab_labs.lab05_training.study import STUDY
from exercises import answers, lab, solutions, stubs

from cmlab.data.toy import Bumps
from cmlab.metrics.plots import STUDENT
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Empirical, Mixture1D

LAB = lab("05")
CHECKS = (checks.best_answer, checks.bias_and_scatter)


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


LAW = Bumps().oracle


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


FINITE = (row(0.3, -0.4), 0.8, 0.5, torch.randn(7, 2).double())
FINITE_SLIPS = list(finite_slips(*FINITE))


@pytest.mark.parametrize("number", range(len(FINITE_SLIPS)))
def test_each_slip_in_the_mean_target_gets_its_own_message(number):
    verdict = checks.best_answer(
        lambda x_t, t, r, data, f_r: [*finite_slips(x_t, t, r, data).values()][number]
    )
    assert verdict.state == "slip" and verdict.message == FINITE_SLIPS[number], verdict
    assert len(set(FINITE_SLIPS)) == len(FINITE_SLIPS)


def test_other_wrong_answers_are_told_apart():
    assert "of the shape of x_t" in checks.best_answer(lambda *given: torch.zeros(7)).message
    assert "and yours is [0.0, 0.0]" in checks.best_answer(lambda *given: torch.zeros(2)).message


def test_the_best_answer_on_finite_data_is_d_at_the_bottom_and_f_r_at_the_top():
    answer, _ = answers(LAB, solutions(LAB))
    x_t, t, _, data = FINITE
    D = Empirical(data).denoise(x_t[None], row(t))[0]
    assert torch.allclose(answer(x_t, t, 1e-9, data, lambda x: x), D)
    assert torch.allclose(answer(x_t, t, t, data, torch.sin), torch.sin(x_t))


def number_of(x_t, t, r):
    """The check's own law, read from what it hands over."""
    return Mixture1D(row(0.3, 0.7), row(-0.9, 0.8), row(0.25, 0.35)), x_t, t, r


SLIPS = [slip for slip, _ in bias_slips(*number_of(0.4, 1.0, 0.5))]
SCATTER = [slip for slip, _ in scatter_slips(*number_of(0.4, 1.0, 0.5))]


@pytest.mark.parametrize("number", range(len(SLIPS)))
def test_each_slip_in_the_bias_gets_its_own_message(number):
    def wrong(x_t, t, r, density, f):
        case = number_of(x_t, t, r)
        return bias_slips(*case)[number][1], moments(*case)[1]

    verdict = checks.bias_and_scatter(wrong)
    assert verdict.state == "slip" and verdict.message == SLIPS[number], verdict
    assert len(set(SLIPS)) == len(SLIPS)


@pytest.mark.parametrize("number", range(len(SCATTER)))
def test_each_slip_in_the_scatter_gets_its_own_message(number):
    def wrong(x_t, t, r, density, f):
        case = number_of(x_t, t, r)
        return moments(*case)[0], scatter_slips(*case)[number][1]

    verdict = checks.bias_and_scatter(wrong)
    assert verdict.state == "slip" and verdict.message == SCATTER[number], verdict


def test_other_wrong_moments_are_told_apart():
    def scaled(a, b):
        def wrong(x_t, t, r, density, f):
            bias, scatter = moments(*number_of(x_t, t, r))
            return a * bias, b * scatter

        return checks.bias_and_scatter(wrong).message

    assert "is the grid wide" in scaled(0.9, 1)
    assert "the standard deviation of the target" in scaled(1, 0.9)
    assert "two numbers" in checks.bias_and_scatter(lambda *given: torch.zeros(5)).message
    assert "of shapes" in checks.bias_and_scatter(lambda *given: (torch.zeros(5), 1.0)).message


def test_for_one_gaussian_bias_and_scatter_are_those_of_the_solution_on_paper():
    s, x_t, t, r = 0.5, 1.3, 1.0, 0.7
    found = moments(Mixture1D(row(1.0), row(0.0), row(s)), x_t, t, r)
    v_t, v_r = s**2 + t**2, s**2 + r**2
    slope = (1 - (t - r) * t / v_t) / v_r**0.5 - 1 / v_t**0.5
    assert found[0] == pytest.approx(s * x_t * slope, rel=1e-3)
    assert found[1] == pytest.approx((t - r) * s**2 / (v_t * v_r) ** 0.5, rel=1e-3)


def test_the_law_of_a_neighbour_is_that_of_samples():
    g = torch.Generator().manual_seed(0)
    x, z = LAW.sample(400_000, g).double(), torch.randn(400_000, 2, generator=g).double()
    x_t, t, r = x[:, 0] + z[:, 0], row(1.0), row(0.6)
    near = (x_t - 0.5).abs() < 0.02
    for neighbour, x_r in ((shared, x[:, 0] + 0.6 * z[:, 0]), (fresh, x[:, 0] + 0.6 * z[:, 1])):
        blend = neighbour(LAW, row(0.5), t, r)
        assert float(blend.mean) == pytest.approx(float(x_r[near].mean()), abs=0.03)
        assert float(blend.std) == pytest.approx(float(x_r[near].std()), rel=0.03)
        assert float(blend.cdf(blend.median()[:, None])) == pytest.approx(0.5, abs=1e-9)


def test_the_posterior_mean_is_the_denoiser_and_r_at_zero_is_denoising():
    x_t, t, low = row(-2.0, 0.1, 1.7), row(0.3, 1.0, 3.0), row(0.002, 0.002, 0.002)
    D = LAW.denoise(x_t[:, None], t)[:, 0]
    assert torch.allclose(posterior(LAW, x_t, t).mean, D, atol=1e-12)
    mean, _ = target(LAW, shared(LAW, x_t, t, low), low)
    assert torch.allclose(mean, D, atol=0.005)


def test_the_mean_target_is_that_of_its_distribution_function():
    x_t, t, r, y = row(0.9), row(1.0), row(0.5), torch.linspace(-2.5, 2.7, 4000).double()
    blend = shared(LAW, x_t, t, r)
    cdf = target_cdf(LAW, blend, 0.5, y)[0]
    by_parts = float(y[-1]) - float(torch.trapezoid(cdf, y))
    assert float(target(LAW, blend, r)[0]) == pytest.approx(by_parts, abs=1e-3)


def test_at_a_typical_point_the_scatter_is_of_order_one_and_the_bias_of_order_two():
    gaps = [0.05, 0.025, 0.0125, 0.00625]
    bias_, scatter = ([median_of_points(v) for v in rows] for rows in by_gap(LAW, 1.0, gaps))
    assert order(gaps, bias_) == pytest.approx(2, abs=0.1)
    assert order(gaps, scatter) == pytest.approx(1, abs=0.1)


def test_the_two_losses_differ_by_the_scatter_and_their_gradients_tend_to_the_same():
    x_t, t = quantile_points(LAW, 1.0, 60)[:, 0], torch.ones(60)
    (cd, ct, far), (_, _, near) = (
        losses(LAW, LAW.denoise, x_t, t, t * (1 - gap)) for gap in (0.05, 0.0125)
    )
    assert ct > 1.5 * cd and near < far / 3


@pytest.mark.parametrize("rule", [mean_of(shared), euler, median_of(shared)])
def test_one_point_of_data_is_learned_at_once_by_every_rule(rule):
    narrow = Mixture1D(row(1.0), row(0.3), row(1e-4))
    limit = fixed_point(narrow, KarrasGrid(0.002, 10.0).up(12), rule, places=101)
    assert limit.error() < 1e-3


def test_one_level_of_the_mean_is_the_posterior_mean_of_the_targets():
    """Against Bayes' rule on a fine grid, with targets that bend."""
    law, x_t = Bumps().oracle, torch.linspace(-2, 2, 9).double()
    t, r = (torch.full((9,), level).double() for level in (1.0, 0.5))
    x = torch.linspace(-6, 6, 20_001).double()
    weight = law.log_density(x[:, None], torch.zeros_like(x)).exp()
    weight = weight * (-((x_t[:, None] - x) ** 2) / 2).exp()
    target = torch.tanh(3 * (x + 0.5 * (x_t[:, None] - x)))
    exact = (weight * target).sum(1) / weight.sum(1)
    found = mean_of(shared)(law, lambda x_r: torch.tanh(3 * x_r), x_t, t, r)
    assert torch.allclose(found, exact, atol=1e-6)


def test_for_one_gaussian_the_fixed_point_is_a_product_of_euler_steps():
    """There E[f(x_r)] is linear, and so the mean goes where an exact teacher's Euler steps go."""
    one, levels = Mixture1D(row(1.0), row(0.0), row(0.5)), KarrasGrid(0.002, 10.0).up(12)
    slope = torch.ones(()).double()
    for r, t in zip(levels[:-1], levels[1:], strict=True):
        slope = slope * (1 + (r - t) * t / (0.25 + t**2))
    x = row(-3.0, 5.0)
    for rule in (mean_of(shared), euler, median_of(shared)):
        assert torch.allclose(fixed_point(one, levels, rule)(x), slope * x, atol=1e-6)


def test_shared_noise_tends_to_f_and_fresh_noise_to_a_constant():
    near = [fixed_point_on_grid(mean_of(shared), n).error() for n in (2, 5, 20, 80)]
    assert near == sorted(near, reverse=True) and near[-1] < 0.12
    strangers = fixed_point_on_grid(mean_of(fresh), 20)
    assert float(strangers(row(-20.0, 20.0)).diff().abs()) < 0.05
    assert strangers.error() == pytest.approx(LAW.sigma_data, rel=0.01)


def test_the_typical_and_the_worst_error_of_a_fixed_point_are_those_of_samples():
    g = torch.Generator().manual_seed(0)
    limits = [fixed_point_on_grid(mean_of(shared), n) for n in (20, 80)]
    x = LAW.sample(20_000, g).double() + 10 * torch.randn(20_000, 1, generator=g).double()
    exact = LAW.consistency(x, torch.full((20_000,), 10.0).double())[:, 0]
    for limit in limits:
        gap = (limit(x[:, 0]) - exact).abs().sort().values
        middle, worst = limit.typical_and_worst()
        assert middle == pytest.approx(float(gap.median()), rel=0.05)
        square = gap.square()
        assert worst == pytest.approx(float(square[18_000:].sum() / square.sum()), abs=0.03)
    (coarse, wide), (fine, narrow) = (limit.typical_and_worst() for limit in limits)
    assert fine < coarse / 3.5 and narrow > 1.2 * wide  # the points improve, the cliffs remain


def test_pseudo_hubers_fixed_point_hardly_improves_as_the_text_says():
    coarse, fine = (fixed_point_on_grid(median_of(shared), n).rms() for n in (20, 80))
    assert f"only from {coarse:.2f} to {fine:.2f}" in LAB.read_text(encoding="utf-8")


def test_the_answers_of_the_explorer_are_those_that_the_lab_folds_away():
    text, scene = LAB.read_text(encoding="utf-8"), path_plane(LAW, HIGH)

    def at(ratio, place=41, same=True):
        return pairs(scene, place_of(LAW, place, 1.5), 1.5, ratio * 1.5, same)

    near, far, fresh_ = at(0.8), at(0.4), at(0.8, same=False)
    said = [f"D = {near.average:.2f}", f"({far.mean:.2f})", f"f* = {near.exact:.2f}",
            f"scatter by {near.scatter:.2f}", f"scatter by {fresh_.scatter:.2f}",
            f"mean is {fresh_.mean:.2f}"]  # fmt: skip
    bias = [one.mean - one.exact for one in (at(0.9, place) for place in (29, 31, 79))]
    said.append("the bias is {:.2f}, {:.2f} and {:.2f}".format(*bias))
    assert [words for words in said if words.replace("-", "−") not in text] == []


def test_every_arm_of_the_study_differs_in_its_grid_or_its_noise_alone():
    recipes = {name: make(3) for name, make in STUDY.variants.items()}
    assert all(type(r.method.metric).__name__ == "SquaredL2" for r in recipes.values())
    assert [int(r.method.pairs.points(0)) for r in recipes.values()] == [5, 20, 80, 320, 1280, 20]
    x, t, r = torch.zeros(2000, 1), torch.ones(2000), torch.full((2000,), 0.5)
    model = recipes["fresh-20"].build()
    x_r = recipes["fresh-20"].method.solver(model.process, lambda x_t, t: x, x + 1, t, r)
    assert float(x_r.std()) == pytest.approx(0.5, rel=0.1) and abs(float(x_r.mean())) < 0.05


@pytest.fixture(scope="module")
def seen():
    return explorer(LAW)


def turn(seen, **values):
    for name, value in values.items():
        seen.knobs[name].value = value


def test_the_sampler_draws_what_the_quadrature_finds(seen):
    turn(seen, noise="shared", t=1.5, ratio=0.8, place=41)
    ax = seen.picture.figure.axes[1]
    exact, mean, average = (float(line.get_ydata()[0]) for line in ax.lines)
    x_t = quantile_points(LAW, 1.5, 50)[20]
    here = target_errors(LAW, x_t, row(1.5), row(1.2))
    assert exact == pytest.approx(float(here.exact), abs=1e-6)
    assert mean == pytest.approx(float(here.mean), abs=1e-3)
    assert average == pytest.approx(float(LAW.denoise(x_t[:, None], row(1.5))), abs=1e-6)
    assert sum(ax.patches[0].get_data().values) == pytest.approx(1, abs=0.01)


def test_the_title_says_by_how_much_the_mean_target_misses_f(seen):
    turn(seen, noise="shared", t=1.5, ratio=0.5, place=41)
    _, ax = seen.picture.figure.axes
    exact, mean = (float(line.get_ydata()[0]) for line in ax.lines[:2])
    assert mean < exact
    assert ax.get_title(loc="left") == f"The mean target is {exact - mean:.2f} below f*"
    turn(seen, ratio=0.98)
    title = seen.picture.figure.axes[1].get_title(loc="left")
    assert title == "The mean target is within 0.01 of f*"


def test_fresh_noise_and_denoising_are_said_in_words(seen):
    turn(seen, noise="fresh", ratio=0.8)
    assert "noise of its own" in seen.picture.reading
    turn(seen, noise="shared", ratio=0.0)
    assert "this is denoising" in seen.picture.reading
    turn(seen, ratio=0.98)
    assert "Targets to average" in seen.picture.reading


@pytest.mark.parametrize(
    "knob, value", [("noise", "fresh"), ("t", 3.0), ("ratio", 0.0), ("place", 99)]
)
def test_every_knob_has_a_label_and_changes_the_picture(seen, knob, value):
    turn(seen, noise="shared", t=1.0, ratio=0.5, place=41)
    before = seen.image.value
    turn(seen, **{knob: value})
    assert seen.image.value != before and seen.knobs[knob].description
    assert "role='status'" in seen.words.value


def test_the_figures_draw_what_they_were_given():
    g = torch.Generator().manual_seed(0)
    x, z = LAW.sample(20_000, g).flatten().double(), torch.randn(20_000, generator=g).double()
    assert len(slopes(LAW, 1.0, x, z).axes[0].lines) == 3
    panel = targets(LAW, 38, {5: "a", 20: "b"}).axes[1]
    assert panel.get_title(loc="left") == "N = 20: b"
    assert np.allclose(panel.lines[1].get_ydata(), targets_on_path(LAW, 38, 20)[1].mean)
    fine = targets(LAW, 38, {5: "a", 80: "c"}).axes[1]  # where all is one line, enlarged 10 times
    assert np.ptp(panel.get_ylim()) == pytest.approx(10 * np.ptp(fine.get_ylim()))
    seen = orders(LAW, 1.0, [0.05, 0.025, 0.0125, 0.00625]).axes[0].get_title(loc="left")
    assert seen == "Typical point: bias of order 2, scatter of order 1"
    limit = fixed_point_on_grid(mean_of(shared), 5)
    figure = fixed_points("a", [limit], STUDENT, near=2.4)
    t = float(limit.levels[3])
    drawn = figure.axes[0].lines[2].get_ydata()
    assert np.allclose(drawn, limit(torch.linspace(-2.4 * t, 2.4 * t, 600), 3))
    found = np.array([0.1, 0.2, 0.3])
    assert ranged(found) == "0.200 (0.100 to 0.300)"
    assert "| 5 | 0.200 (0.100 to 0.300) | 0.2" in table({"a": ({5: limit}, {5: found})})
    draw_errors(figure.axes[0], {5: limit}, {5: found}, STUDENT)
    assert figure.axes[0].lines[-1].get_ydata() == [pytest.approx(0.2)]
    drawn = networks_and_fixed_points(
        {"a": ("pairs", "shared-20", limit), "b": ("pairs", "no-such-arm", limit)}
    )
    assert len(drawn.axes) == 1 and len(drawn.axes[0].lines) == 5


def test_along_the_mean_slope_a_path_ends_at_f_and_along_the_median_elsewhere():
    levels = KarrasGrid(0.002, 2.0, 3.0).down(400).double()[:-1]
    x = row(-1.3, 0.4, 3.0)
    exact = LAW.consistency(x[:, None], torch.full_like(x, 2.0))[:, 0]
    mean, median = (follow(LAW, x, levels, middle)[-1] for middle in ("mean", "median"))
    assert torch.allclose(mean, exact, atol=0.02)
    assert float((median - exact).abs()[0]) > 0.5
    drawn = mean_and_median(LAW, -1.3, 2.0).axes[0].lines
    D = float(LAW.denoise(row(-1.3)[:, None], row(2.0)))
    assert float(drawn[0].get_xdata()[0]) == pytest.approx((-1.3 - D) / 2)


def test_the_bias_over_all_points_starts_at_the_distance_of_d_from_f_and_falls_all_the_way():
    x, one = quantile_points(LAW, 1.0, 100)[:, 0].double(), torch.ones(100).double()
    levels = (0.002, 0.5, 0.8, 0.9, 0.95, 0.975)
    seen = [rms(target_errors(LAW, x, one, r * one).bias) for r in levels]
    gap = LAW.denoise(x[:, None], one) - LAW.consistency(x[:, None], one)
    assert seen[0] == pytest.approx(rms(gap), abs=0.002)
    assert seen == sorted(seen, reverse=True) and seen[-1] < 0.02


def test_at_the_point_of_the_table_bias_and_scatter_fall_all_the_way_to_f():
    levels, (x, one) = (0.002, 0.5, 0.8, 0.9, 0.95, 0.975), (row(-1.3), row(1.0))
    seen = [target_errors(LAW, x, one, row(r)) for r in levels]
    bias, scatter = (
        [float(v) for v in column]
        for column in ((s.bias for s in seen), (s.scatter for s in seen))
    )
    assert bias == sorted(bias, reverse=True) and scatter == sorted(scatter, reverse=True)
    assert bias[-2] / bias[-1] == pytest.approx(4, abs=0.2)
    assert scatter[-2] / scatter[-1] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("noise", ["shared", "fresh"])
def test_live_training_moves_towards_the_fixed_point_of_its_own_loss(noise):
    watched = live_training(noise, points=5)
    first = watched.picture.reading
    assert first.startswith(f"Step 0, {noise} noise")
    while watched.trainer.step < 150:
        watched.work()
    watched.show()
    far = [float(r.split("and ")[1].split()[0]) for r in (first, watched.picture.reading)]
    assert far[1] < 0.8 * far[0]
    watched.reset()
    assert len(watched.picture.figure.axes[1].lines[0].get_xdata()) == 1
