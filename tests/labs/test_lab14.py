"""Lab 14: its checks tell answers from slips, its figures draw what was recorded."""

import numpy as np
import pytest
import torch
from cmlab_labs.lab14_pretraining import checks, figures
from cmlab_labs.lab14_pretraining import figures as laws
from cmlab_labs.lab14_pretraining.analysis import (
    agreement,
    pairwise_distances,
    shuffle_test,
    stability_limit,
    stationary_variance,
)
from cmlab_labs.lab14_pretraining.explorer import (
    PAIRS,
    STARTS,
    available,
    compared,
    explorer,
    modes,
)
from cmlab_labs.lab14_pretraining.study import PACES, RecordedNetwork, starting_points
from cmlab_labs.registry import STUDIES
from exercises import answers, lab, solutions, stubs

from cmlab.data.digits import Digits
from cmlab.methods import EDM
from cmlab.methods.faster_training import (
    Compensation,
    MomentumDecay,
    NoiseCurriculum,
    NormalDensity,
    ProcessTime,
    Quantiles,
)
from cmlab.noise_levels import KarrasGrid
from cmlab.presets import toy
from cmlab.schedules import Warmup
from cmlab.train.recipe import to_dict

LAB = lab("14")
CHECKS = (checks.fair_p, checks.schedule)


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


SLIPS = [slip for slip, _ in checks.slips()]


@pytest.mark.parametrize("number", range(len(SLIPS)))
def test_each_slip_in_the_pace_gets_its_own_message(number):
    table = dict(zip(checks.CASES, checks.slips()[number][1], strict=True))
    verdict = checks.schedule(lambda tau, beta0: table[tau, beta0])
    assert verdict.state == "slip" and verdict.message == SLIPS[number]
    assert len(set(SLIPS)) == len(SLIPS)


def test_other_wrong_paces_are_told_by_a_property():
    assert "a linear fall has" in checks.schedule(lambda t, b: (b * (1 - t) ** 2, 1.0)).message
    half = checks.schedule(lambda t, b: (checks.exact(t, b)[0], 0.5))
    assert "a gradient does" in half.message
    assert "must lie in [0, 1)" in checks.schedule(lambda t, b: (1.2, 1.0)).message
    assert "two numbers" in checks.schedule(lambda t, b: b).message
    unguarded = checks.schedule(lambda t, b: (b ** (1 / (1 - t)), 1.0))
    assert "divides by zero at τ = 1" in unguarded.message


def test_in_the_heavy_ball_a_gradient_does_in_sum_what_the_exercise_says():
    for tau, beta0 in ((0.0, 0.9), (0.5, 0.9), (0.9, 0.5)):
        beta, factor = checks.exact(tau, beta0)
        theta, v = 0.0, 1.0
        for _ in range(400):
            theta, v = theta + factor * v, beta * v
        assert theta == pytest.approx(1 / (1 - beta0))
        assert beta ** ((1 - tau) * checks.half_life(beta0)) == pytest.approx(0.5)


def p_slips():
    def of(count, keep=lambda same: same.all(1), exponent=1):
        def p(a, b, labels, orders):
            fair = orders[keep(labels[orders] == labels)]
            now = (a - b).norm(dim=1).pow(exponent).mean()
            shuffled = (a - b[fair]).norm(dim=2).pow(exponent).mean(1)
            return count((shuffled <= now).sum(), (shuffled >= now).sum(), len(fair))

        return p

    def counted(near, far, n):
        return (1 + near) / (1 + n)

    def both(a, b, labels, orders):
        now = (a - b).norm(dim=1).mean()
        shuffled = (a[orders] - b[orders]).norm(dim=2).mean(1)
        return (1 + (shuffled <= now * (1 + 1e-9)).sum()) / (1 + len(orders))

    return {
        "shuffles across classes": of(counted, lambda same: same.all(1) | True),
        "still in the denominator": of(lambda near, far, n: (1 + near) / 720),
        "not any": of(counted, lambda same: same.any(1)),
        "add 1 above and below": of(lambda near, far, n: near / n),
        "the 1 is missing below": of(lambda near, far, n: (1 + near) / n),
        "the 1 is missing above": of(lambda near, far, n: near / (1 + n)),
        "the wrong side is counted": of(lambda near, far, n: (1 + far) / (1 + n)),
        "this doubles p": of(lambda near, far, n: min(1.0, 2 * (1 + near) / (1 + n))),
        "both sides were shuffled alike": both,
        "squared distances": of(counted, exponent=2),
        "and counting gives": of(lambda near, far, n: 0.5),
    }


@pytest.mark.parametrize("message", p_slips())
def test_each_slip_in_the_test_gets_its_own_message(message):
    verdict = checks.fair_p(p_slips()[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


def test_a_fair_shuffle_is_right_where_the_noise_means_nothing_and_one_across_classes_is_not():
    """Over many draws without any tie, p ≤ 0.1 for about a tenth of them, or for most."""
    cases = [checks.asked(2 * seed, 0.0) for seed in range(60)]
    fair = [checks.counted(*case) for case in cases]
    across = [shuffle_test(pairwise_distances(a, b), orders).p for a, b, _, orders in cases]
    assert np.mean(np.array(fair) <= 0.1) < 0.25 and np.mean(np.array(across) <= 0.1) > 0.8


def momentum_descent(rates, betas, h, noise, start=0.0):
    """θ after each of k steps on h θ² / 2: rates and betas (k,), gradient noise (k, n)."""
    theta, m, seen = torch.full_like(noise[0], start), torch.zeros_like(noise[0]), []
    for rate, beta, z in zip(rates, betas, noise, strict=True):
        m = beta * m + (1 - beta) * (h * theta + z)
        theta = theta - rate * m
        seen.append(theta)
    return torch.stack(seen)


def test_the_spread_at_rest_is_that_of_a_long_walk():
    rate, beta, h = 0.8, 0.7, 1.5
    noise = torch.randn(400, 20_000, dtype=torch.float64)
    steps = torch.ones(400, dtype=torch.float64)
    theta = momentum_descent(rate * steps, beta * steps, h, noise)[-1]
    assert float(theta.var()) == pytest.approx(stationary_variance(rate, beta, h), rel=0.05)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_beyond_the_limit_the_walk_runs_away_and_below_it_not(beta):
    steps, still = torch.ones(3000, dtype=torch.float64), torch.zeros(3000, 1).double()
    for factor, runs_away in ((0.98, False), (1.02, True)):
        rate = factor * stability_limit(beta)
        theta = momentum_descent(rate * steps, beta * steps, 1.0, still, start=1.0)
        assert (float(theta[-1].abs()) > 1) == runs_away
        assert np.isinf(stationary_variance(rate, beta, 1.0)) == runs_away


def test_with_the_compensation_a_new_gradient_does_at_once_what_it_did():
    momentum = MomentumDecay(0.9, 4000)
    beta = torch.tensor([momentum(k) for k in range(4000)], dtype=torch.float64)
    rate = torch.tensor([Compensation(momentum)(k) for k in range(4000)], dtype=torch.float64)
    for first in (0, 1000, 2000, 3000):
        gradient = torch.zeros(4000 - first, 1, dtype=torch.float64)
        gradient[0] = -1.0  # and none after it
        moved = momentum_descent(rate[first:], beta[first:], 0.0, gradient)
        assert float(moved[0]) == pytest.approx(0.1)
        memory = float(beta[first] / (1 - beta[first]))
        assert float(moved[-1] / moved[0] - 1) == pytest.approx(memory, rel=0.02)


def test_arms_differ_in_what_their_names_say():
    arms = {name: make(3) for name, make in STUDIES["pretraining-toy"].variants.items()}
    base = arms["uniform-constant"]
    for name, recipe in arms.items():
        law, _, pace = name.partition("-")
        assert (recipe.method.pairs != base.method.pairs) == (law != "uniform")
        assert (recipe.train.momentum is not None) == (pace in ("both", "momentum"))
        assert (recipe.train.rate != base.train.rate) == (pace in ("both", "rate"))
        assert recipe.net == base.net and recipe.train.seed == 3
    assert set(PACES) <= {name.partition("-")[2] for name in arms}
    assert isinstance(base.method, EDM)
    pairs, u = arms["last-constant"].method.pairs, torch.linspace(0, 1, 9).double()
    for step in (0, 700, 2000):
        assert torch.allclose(pairs.density(u, step), NormalDensity().density(u))


def test_the_rates_are_the_paces_at_other_rates():
    for name, make in STUDIES["pretraining-rates"].variants.items():
        pace, thousandths = name.split("-")
        mine = to_dict(make(1))
        other = to_dict(STUDIES["pretraining-toy"].variants[f"uniform-{pace}"](1))
        assert mine["train"]["optimizer"]["lr"] == int(thousandths) / 1000
        other["train"]["optimizer"]["lr"] = int(thousandths) / 1000
        assert mine == other


def test_halves_share_neither_scans_nor_seeds():
    a, b = (STUDIES["twins-digits"].variants[arm](2) for arm in ("half-a", "half-b"))
    assert a.data != b.data and a.train.seed != b.train.seed and a.net == b.net


def test_shared_starts_are_the_same_in_any_precision_and_pure_noise_at_the_top():
    usual = torch.get_default_dtype()
    one = starting_points(toy.RING, 6)
    starting_points.cache_clear()
    torch.set_default_dtype(torch.float64)
    other = starting_points(toy.RING, 6)
    torch.set_default_dtype(usual)
    assert torch.equal(one.x, other.x) and torch.equal(one.z, other.z)
    assert torch.equal(one.at(10.0, 10.0), 10 * one.z)
    assert torch.equal(one.at(0.5, 10.0), one.x + 0.5 * one.z)


def test_steps_to_a_goal_lie_between_the_looks():
    steps = np.array([0, 100, 200])
    falling = figures.VariantScores(steps, np.array([[1.0, 0.1, 0.01], [1.0, 0.5, 0.4]]))
    found = falling.until([0.1**0.5, 0.3])
    assert found[0] == pytest.approx(50) and np.isnan(found[1])
    assert figures.speed_up(falling, falling) == pytest.approx([1, 1])
    assert figures.speed_up_text(falling, falling) == "1.00 (1.00 to 1.00)"
    never = figures.VariantScores(steps, np.ones((2, 3)))
    assert figures.speed_up_text(falling, never) == "0 of 2 seeds"


def test_the_figures_draw_what_they_were_given():
    law = NoiseCurriculum(Warmup(10))
    axes = {"q": Quantiles(), "c": ProcessTime(), "k": KarrasGrid()}
    left, right = laws.curriculum_densities(law, (0, 10), 10, axes).axes
    assert np.allclose(left.lines[1].get_ydata(), NormalDensity().density(laws.U))
    assert np.allclose(right.lines[0].get_ydata(), Quantiles().at(laws.INNER))
    momentum = MomentumDecay(0.9, 1000)
    left, right = laws.momentum_decay(momentum).axes
    assert left.lines[0].get_ydata()[100] == pytest.approx(momentum(500))
    assert right.lines[2].get_ydata()[-1] == pytest.approx(2, rel=1e-6)
    for drawn in laws.stationary_spread(1.0, momentum, 0.9).axes[0].lines[2:]:  # with the rate
        assert drawn.get_ydata()[0] == pytest.approx(0.19 / 2, rel=0.01)
    arm = figures.VariantScores(np.array([0, 9]), np.array([[1.0, 0.2], [1.0, 0.4]]))
    drawn, empty = figures.score_curves({"a": {"constant": arm}, "b": {}}, "m").axes
    assert drawn.lines[0].get_ydata()[-1] == pytest.approx(0.3)
    assert "not recorded" in empty.texts[0].get_text()
    at = {"constant": {0.002: np.array([1.0, 3.0]), 0.004: np.array([1.0, 1.0])}}
    assert figures.scores_by_rate(at, "m", "t").axes[0].lines[0].get_ydata() == pytest.approx(
        [2, 1]
    )


def test_pairs_are_joined_and_the_test_is_marked():
    a = torch.randn(30, 2)
    b = a + 0.01
    test = agreement(a, b, 99)
    left, middle, right = figures.pairs_and_test(a, b, torch.zeros(8, 2), test, "abc", 12).axes
    joined = np.stack(left.collections[1].get_segments())
    assert np.allclose(joined[:, 0], a[:12], atol=1e-6)
    assert np.allclose(joined[:, 1], b[:12], atol=1e-6)
    assert right.lines[0].get_xdata()[0] == pytest.approx(test.distance)
    images = Digits(train=False).images[:8]
    assert len(figures.image_pairs(images, images.flip(0), test, "ab").axes) == 2
    apart = torch.zeros(30, dtype=torch.bool)
    apart[:3] = True
    figure = figures.mode_borders(a, modes(a), apart, 1.0, "t")
    assert len(figure.axes[0].collections[-1].get_offsets()) == 3


@pytest.fixture(scope="module")
def twin_nets():
    return explorer()


def turn(box, **values):
    for name, value in values.items():
        box.knobs[name].value = value


def test_the_explorer_opens_on_recorded_networks_that_agree(twin_nets):
    turn(twin_nets, pair="ring: two seeds", start="pure noise", draw=0)
    found = compared("ring: two seeds", 0)
    assert found.test.p == 0.001 and found.share > 0.7 > found.chance
    assert "p = 0.001" in twin_nets.picture.reading
    assert f"{found.test.distance:.3f}" in twin_nets.picture.reading


@pytest.mark.parametrize("knob, value", [("start", "half"), ("draw", 4)])
def test_every_knob_changes_the_picture(twin_nets, knob, value):
    turn(twin_nets, pair="ring: two seeds", start="pure noise", draw=0)
    image = twin_nets.image.value
    turn(twin_nets, **{knob: value})
    assert twin_nets.image.value != image and twin_nets.knobs[knob].description
    segments = twin_nets.picture.figure.axes[0].collections[1].get_segments()
    assert len(segments) == 48


@pytest.mark.parametrize("pair", PAIRS)
def test_every_recorded_pair_can_be_shown_from_every_start(twin_nets, pair):
    if pair not in available():
        pytest.skip("not recorded yet")
    for start in STARTS:
        turn(twin_nets, pair=pair, start=start)
        assert "p = " in twin_nets.picture.reading
    assert not RecordedNetwork("pretraining-toy", "nothing", 0).recorded


def test_a_claim_is_confirmed_only_if_its_control_is_beaten_too():
    scores = {"a": [1.0, 1.1, 1.2], "b": [2.0, 2.1, 2.2], "as good": [1.1, 1.2, 1.3]}
    found = {key: np.array(values) for key, values in scores.items()} | {"worse": np.full(3, 3.0)}
    assert figures.claim_row("c", found, "a", "b", ".1f", "worse").endswith("| confirmed here |")
    row = figures.claim_row("c", found, "a", "b", ".1f", "as good")
    assert row.endswith("; as good 1.2 (1.1 to 1.3) | partly: ahead, but not of *as good* |")
