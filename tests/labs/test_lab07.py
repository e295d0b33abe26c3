"""Lab 07: the ladder's order on its recordings, its checks, its bench and its figures."""

import numpy as np
import pytest
import torch
from cmlab_labs.common.studies_shared import (
    CT_TO_ICT,
    DOUBLING,
    ICT_ABLATIONS,
    LADDER_CONTROLS,
    LADDER_STEPS,
    SQRT,
    UNIFORM_INDEX,
)
from cmlab_labs.common.study import read
from cmlab_labs.lab07_ict import checks
from cmlab_labs.lab07_ict.explorer import CHANGES, SideBySide, explorer
from cmlab_labs.lab07_ict.figures import (
    compare_scores,
    dropout,
    effective_weight,
    effective_weights,
    exact_differences,
    feature_similarity,
    features,
    grid_sizes,
    improvement_factors,
    label_places,
    ladder,
    pulled,
    pulls,
    where_and_when,
)
from exercises import answers, lab, solutions, stubs

from cmlab.losses import SquaredL2, Uniform
from cmlab.methods.ict import Doubling, InverseGap, PseudoHuber
from cmlab.nets.embedding import Fourier, Waves
from cmlab.noise_levels import AdjacentLevels, LogNormal
from cmlab.ops import seeded
from cmlab.presets.toy import GRID, LEVELS, RING
from cmlab.schedules import Constant

LAB = lab("07")
CHECKS = (checks.ict_steps, checks.level_masses)


@pytest.fixture(scope="module")
def rmse():
    return {
        arm: read("ladder", arm).score("rmse")
        for arm in CT_TO_ICT | ICT_ABLATIONS | LADDER_CONTROLS
    }


@pytest.mark.parametrize(
    "before, after", [("huber", "weight"), ("weight", "lognormal"), ("lognormal", "ict")]
)
def test_weight_lognormal_and_doubling_each_lower_the_mean_error(rmse, before, after):
    assert len(rmse[after]) == 3 and rmse[after].mean() < rmse[before].mean()


def test_a_slow_teacher_inside_ict_raises_the_error_more_than_four_times(rmse):
    assert rmse["ict-ema-0.999"].mean() > 4 * rmse["ict"].mean()
    assert rmse["ict-flat"].min() > rmse["ict-ema-ct"].max() > 2 * rmse["ict"].mean()


@pytest.mark.parametrize("points", [11, 161, 1281])
def test_doubling_beats_a_fixed_grid_in_the_mean(rmse, points):
    assert rmse["ict"].mean() < rmse[f"ict-n-{points}"].mean()


def test_the_prediction_is_answered_by_the_recordings(rmse):
    order = [rmse[arm].mean() for arm in ("ict-flat", "ict-l2", "ict-index", "lognormal", "ict")]
    assert order == sorted(order, reverse=True)
    assert rmse["huber"].mean() > rmse["no-ema"].mean()  # which the lab says, too


def test_pseudo_huber_helps_with_the_weight_and_not_without_it(rmse):
    for l2_flat, huber_flat, l2_weighed, huber_weighed in (
        ("no-ema", "huber", "l2-weight", "weight"), ("ict-l2-flat", "ict-flat", "ict-l2", "ict"),
    ):  # fmt: skip
        assert rmse[huber_weighed].max() < rmse[l2_weighed].min() < rmse[l2_flat].min()
        assert rmse[huber_flat].mean() > 0.95 * rmse[l2_flat].mean()


def test_what_the_lab_says_about_the_distance_and_the_weight_is_what_was_recorded():
    error = {n: read("ladder", n)["average_error"] for n in ("no-ema", "huber", "ict", "ict-flat")}
    t = read("ladder", "ict")["levels"][0]
    before, after = error["no-ema"], error["huber"]  # "below t = 0.1 it stays as it was"
    low, high = (t > 0.005) & (t < 0.1), t > 1
    assert (after.min(0)[low] < before.max(0)[low]).all()
    assert (after.mean(0) > 1.1 * before.mean(0))[high].all()
    assert np.mean(after.min(0)[high] > before.max(0)[high]) > 0.5
    ratio = (error["ict-flat"].mean(0) / error["ict"].mean(0))[(t > 0.005) & (t < 0.03)]
    assert 3 < ratio.mean() < 4
    short = read("target", "mu-0.9-n-0").score("rmse")  # "within the range of the seeds"
    assert short.min() < read("ladder", "ict").score("rmse").max()


def test_pairs_near_the_data_pull_hundreds_of_times_as_hard_and_squares_pull_in_the_middle():
    g, f, levels = torch.Generator().manual_seed(0), RING.oracle.consistency, GRID.up(161)
    pull, length, gap = [], [], levels.diff()
    for i in (0, 80, 88, 159):  # t = 0.002, 0.5, 0.7, 10
        x, z = RING.sample(128, g)[0].double(), torch.randn(128, 2, generator=g).double()
        x_t, x_r = x + levels[i + 1] * z, x + levels[i] * z
        ends = [f(y, v.expand(128)) for y, v in ((x_t, levels[i + 1]), (x_r, levels[i]))]
        size = (ends[0] - ends[1]).norm(dim=1)
        length.append(size.mean())
        pull.append((size / (size**2 + 2 * 0.00054**2).sqrt()).mean() / gap[i])
    assert 200 < pull[0] / pull[-1] < 1400
    assert min(length[1:3]) > 10 * length[0] and min(length[1:3]) > 5 * length[-1]


def test_the_pull_is_the_product_with_the_mean_gradient_and_moves_to_low_noise():
    made = four(41)
    delta = exact_differences(RING, made["CT"].levels, each=32)
    square, huber = (pulled(made["CT"], m, delta) for m in (SquaredL2(), PseudoHuber()))
    assert torch.allclose(square.weight, 2 * delta.norm(dim=2).mean(1))
    assert (huber.weight <= 1 + 1e-9).all() and huber.weight[20:].min() > 0.9
    assert 0.5 < square.quantile(square.share, 0.5) < 1.3
    seen = pulled(made["iCT"], PseudoHuber(), delta)
    assert seen.quantile(seen.share, 0.5) < 0.05
    drawn_four = pulls(dict.fromkeys(("a", "b", "c"), huber) | {"d": seen}).axes[0]
    assert len(drawn_four.patches) == 4 and len(drawn_four.texts) == 4


def test_a_verdict_needs_separate_ranges():
    low, high = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert compare_scores(high, low) == "confirmed here"
    assert compare_scores(low, high) == "not seen at this scale: higher for every seed"
    overlap = "not seen at this scale: indistinguishable, lower for "
    assert compare_scores(high, np.array([2.0, 3.5])) == overlap + "2 of 2 seeds"
    assert compare_scores(low, low + 0.5) == overlap + "0 of 2 seeds"


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


@pytest.mark.parametrize("message", checks.WRONG_STEPS)
def test_each_slip_in_the_number_of_points_gets_its_own_message(message):
    verdict = checks.ict_steps(checks.WRONG_STEPS[message])
    assert verdict.state == "slip" and verdict.message == message


def counter():
    """A tempting slip: a count that doubles whenever a stage is over."""
    seen = {}

    def steps(k, K, s0, s1):
        length = int(K // checks.stages(s0, s1))
        now = seen.setdefault((K, s0, s1), [s0, 0])
        if k // length > now[1] and now[0] < s1:
            now[:] = [min(Doubling(s0, s1, K)(k) - 1, s1), k // length]
        return now[0] + 1

    return steps


def test_a_schedule_with_a_memory_is_caught_by_asking_in_another_order():
    steps = counter()
    assert [steps(k, 400, 10, 1280) for k in (0, 50, 399)] == [11, 21, 1281]  # once it is right
    verdict = checks.ict_steps(counter())
    assert verdict.state == "slip" and "depends on the calls before it" in verdict.message


def falling(k, K, s0, s1):
    return {0: s0 + 1, K: s1 + 1}.get(k, max(s0 + 1, 500 - k))


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda k, K, s0, s1: float(Doubling(s0, s1, K)(k)), "return an int, not a float"),
        (lambda k, K, s0, s1: s0 + 2, "N(0) is 12"),
        (lambda k, K, s0, s1: s0 + 1, "should be s1 + 1"),
        (lambda k, K, s0, s1: falling(k, K, s0, s1), "falls somewhere"),
        (lambda k, K, s0, s1: s1 + 1 if k else s0 + 1, "N(49999) is 1281 and should be 11"),
    ],
)
def test_other_wrong_numbers_of_points_are_told_apart(wrong, message):
    assert message in checks.ict_steps(wrong).message


@pytest.mark.parametrize("number", range(len(checks.WRONG_MASSES)))
@pytest.mark.parametrize("normalised", [True, False])
def test_each_slip_in_the_masses_gets_its_own_message(number, normalised):
    message, wrong = checks.WRONG_MASSES[number]

    def answer(levels, mean, std):
        mass = wrong(levels, mean, std).double()
        return mass / mass.sum() if normalised else mass

    verdict = checks.level_masses(answer)
    assert verdict.state == "slip" and verdict.message == message


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda v, m, s: torch.cat([LogNormal(m, s).masses(v), v[:1]]), "one mass for each"),
        (lambda v, m, s: LogNormal(m, s).cdf(v).diff(), "sum to 0.9917, not 1"),
        (lambda v, m, s: -LogNormal(m, s).masses(v), "a mass is negative"),
        (lambda v, m, s: LogNormal(m, 1.1 * s).masses(v), "and should be"),
        (lambda v, m, s: LogNormal(m, s).masses(v) / 0, "not finite"),
    ],
)
def test_other_wrong_masses_are_told_apart(wrong, message):
    assert message in checks.level_masses(wrong).message


def four(points=161):
    looks = {"uniform": UNIFORM_INDEX, "log-normal": LEVELS}
    pairs = {k: AdjacentLevels(Constant(points), p, GRID) for k, p in looks.items()}
    return {
        "CT": effective_weight(pairs["uniform"], Uniform(), 0),
        "weight alone": effective_weight(pairs["uniform"], InverseGap(), 0),
        "log-normal alone": effective_weight(pairs["log-normal"], Uniform(), 0),
        "iCT": effective_weight(pairs["log-normal"], InverseGap(), 0),
    }


def test_the_effective_weight_is_the_normalised_product_and_its_density_integrates_to_one():
    for seen in four().values():
        assert torch.allclose(seen.share.sum(), torch.tensor(1.0).double())
        assert torch.allclose(seen.share, seen.mass * seen.weight / (seen.mass @ seen.weight))
        area = seen.density(seen.share) @ seen.levels.log().diff()
        assert float(area) == pytest.approx(1)
        assert float(seen.share[seen.levels[1:] <= seen.quantile(seen.share, 0.5)].sum()) < 0.5001


def test_the_weight_moves_the_work_down_and_the_proposal_lifts_it_on_every_grid():
    for points in (11, 161, 1281):
        middle = {name: seen.quantile(seen.share, 0.5) for name, seen in four(points).items()}
        assert middle["weight alone"] < middle["iCT"] < middle["log-normal alone"] < middle["CT"]


@pytest.fixture(scope="module")
def bench():
    return explorer()


def turn(bench, **values):
    for name, value in values.items():
        bench.knobs[name].value = value


def outlines(bench):
    """The stairs of the panel below: CT's product, p(i), and the product twice."""
    return [stairs.get_data().values for stairs in bench.picture.figure.axes[2].patches]


def test_the_bench_shows_the_schedules_of_the_package(bench):
    turn(bench, step=2000)
    left, top, below = bench.picture.figure.axes
    assert left.lines[1].get_ydata() == [DOUBLING(2000)]
    levels = GRID.up(161)
    assert np.allclose(top.patches[0].get_data().values, InverseGap()(levels[1:], levels[:-1]))
    _, mass, _, share = outlines(bench)
    assert np.allclose(mass, LEVELS.masses(levels) / levels.log().diff())
    assert share.argmax() < mass.argmax()
    assert "half of the effective weight lies below t = 0.018" in bench.picture.reading


@pytest.mark.parametrize(
    "knob, value",
    [("kind", "square root"), ("kind", "constant"), ("proposal", "uniform"), ("weight", "1"),
     ("s0", 20), ("s1", 160), ("step", 0), ("mean", 1.1), ("std", 1.0)],
)  # fmt: skip
def test_every_knob_changes_the_picture(bench, knob, value):
    start = {"kind": "doubling", "proposal": "log-normal", "weight": "1/(t − r)", "s0": 10}
    turn(bench, **start, s1=1280, step=2000, mean=-1.1, std=2.0)
    before = bench.image.value
    turn(bench, **{knob: value})
    assert bench.image.value != before and bench.knobs[knob].description


def test_the_sign_slip_is_seen_on_the_bench(bench):
    turn(bench, kind="doubling", proposal="log-normal", weight="1", s0=10, s1=1280, step=2000)
    centre = []
    for mean in (-1.1, 1.1):
        turn(bench, mean=mean)
        centre.append(bench.picture.figure.axes[2].lines[0].get_xdata()[0])
    assert centre[1] > 4 * centre[0]


def test_likeness_is_the_mean_cosine_between_the_features():
    with seeded(torch.device("cpu"), 7):
        waves = Waves(Fourier(10_000, 16.0))
    for ratio in (1.02, 1.05, 1.2):
        a, b = waves(torch.tensor([0.2, 0.2 * ratio]).log() / 4)
        cosine = torch.nn.functional.cosine_similarity(a, b, dim=0)
        assert float(cosine) == pytest.approx(
            float(feature_similarity(16.0, torch.tensor(ratio))), abs=0.02
        )


def test_at_scale_16_neighbours_share_little_even_on_a_fine_grid():
    levels = {n: GRID.up(n) for n in (11, 161, 1281)}
    near = {n: int((t < 0.3).sum()) for n, t in levels.items()}
    alike = {
        n: float(feature_similarity(16.0, t[near[n]] / t[near[n] - 1])) for n, t in levels.items()
    }
    assert alike[11] < 0.01 and 0.4 < alike[161] < 0.5 and alike[1281] > 0.95


def drawn(line):
    return np.asarray(line.get_data())


def test_the_figures_draw_what_they_were_given():
    left, right = grid_sizes({"CT": SQRT, "iCT": DOUBLING}, LADDER_STEPS, GRID, (11, 21)).axes
    assert drawn(left.lines[1])[1, -1] == 1281 and drawn(right.lines[1]).shape == (2, 21)
    assert len(effective_weights(four()).axes[2].patches) == 4
    w = {s: s * torch.linspace(0.1, 3, 8) for s in (0.02, 0.3, 16.0)}
    assert len(features(w, GRID.up(30), {"N = 11": 0.5}).axes) == 4
    rows = torch.rand(3, 2) + 0.1
    line = dropout([0.2, 0.1, 0.05], rows, rows + 1).axes[0].lines[0]
    assert np.allclose(line.get_ydata(), rows.mean(1) + 1)


def test_the_ladder_draws_each_seed_and_each_cloud():
    scores = {"a": np.array([0.4, 0.5]), "b": np.array([0.1, 0.2])}
    assert improvement_factors(scores) == {"a": 1.0, "b": pytest.approx(1 / 3)}
    clouds = {name: np.random.default_rng(0).normal(size=(9, 2)) for name in scores}
    more = {"c": np.array([0.3])}
    left, right, *panels = ladder(scores, scores, more, clouds, np.zeros((1, 2))).axes
    assert [list(drawn(line)[0]) for line in left.lines[1::2]] == [[0.4, 0.5], [0.1, 0.2]]
    assert "by a factor of 3.0" in left.get_title("left") and len(panels) == 2
    assert [tick.get_text() for tick in right.get_yticklabels()] == ["b", "a", "c"]
    assert right.get_title("left") == "Of CT's five, a costs most: × 3.0"


def test_progress_says_where_and_when_and_keeps_labels_apart():
    levels, steps = np.geomspace(0.01, 10, 5), np.arange(7) * 100
    by_level = {name: np.full((3, 5), v) for name, v in zip("abcd", (4, 3, 2, 1.9), strict=True)}
    by_step = {name: np.full((3, 7), v) for name, v in zip("efgh", (9, 3, 2, 1), strict=True)}
    left, right = where_and_when(levels, by_level, steps, by_step).axes
    assert left.get_title("left").endswith("every level")
    assert right.get_title("left").startswith("With e the error")
    places = label_places([1.0, 1.01, 5.0], 1.2)
    assert places == pytest.approx([1.0, 1.2, 5.0])


def steps_of(rings, count):
    while rings.live.trainer.step < count:
        rings.live.work(0.01)
    rings.live.show()
    return rings.course[-1]


def test_two_rings_without_a_change_stay_equal_and_with_one_they_differ():
    rings = SideBySide()
    assert not rings.live.running and rings.live.trainer.step == 0 and rings.changes == {}
    _, left, right = steps_of(rings, 3)
    assert left == right
    rings.knobs["weight"].value = "1"
    assert rings.live.trainer.step == 0 and len(rings.course) == 1
    _, left, again = steps_of(rings, 3)
    assert left != again and rings.changes == {"weight": "1"}
    assert "weight λ: 1" in rings.live.picture.reading


@pytest.mark.parametrize("name", CHANGES)
def test_every_option_of_the_rings_is_a_run_and_the_first_is_icts(name):
    first, *others = CHANGES[name]
    assert CHANGES[name][first] == {}
    rings = SideBySide(**{name: others[-1]})
    assert rings.changes == {name: others[-1]} and others[-1] in rings.live.picture.reading


def test_the_total_pull_moves_up_on_a_fine_grid_as_the_answer_says():
    """Differences fall below c there: half of the total pull lies below 0.018, then 0.051."""
    for points, median in ((11, 0.018), (1281, 0.051)):
        pairs = AdjacentLevels(Constant(points), LEVELS, GRID)
        seen = effective_weight(pairs, InverseGap(), 0)
        found = pulled(seen, PseudoHuber(), exact_differences(RING, seen.levels))
        assert found.quantile(found.share, 0.5) == pytest.approx(median, rel=0.05)
