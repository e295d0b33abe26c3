"""Lab 09: its checks tell answers from slips, its ladder is exact, its curves start in time."""

import math
import re

import numpy as np
import pytest
import torch
from cmlab_labs.common import plots_recordings
from cmlab_labs.common.study import Recording, ranged, write
from cmlab_labs.lab09_ect import checks, figures
from cmlab_labs.lab09_ect.explorer import (
    WALKERS,
    denoising_limit,
    explorer,
    walking,
    walking_picture,
)
from cmlab_labs.registry import STUDIES
from exercises import answers, lab, solutions, stubs

from cmlab.data.toy import Bumps
from cmlab.methods.ect import ECTMapping
from cmlab.noise_levels import LogNormal
from cmlab.schedules import Constant

LAB = lab("09")
NOTEBOOK_00 = LAB.parents[1] / "00_start_here.ipynb"
CHECKS = (checks.denoising_share, checks.walk)
TOP = 10.0


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


def stage(a, K=8.0):
    return ECTMapping(Constant(2.0**-a), K=K)


@pytest.fixture(scope="module")
def law():
    return Bumps().oracle


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


SHARE_SLIPS = list(checks.share_slips(*checks.INSIDE[0]))


def denoising(wrong):
    """An answer that is right at both limits and `wrong` between them."""

    def answer(*case):
        return wrong(*case) if case in checks.INSIDE else checks.exact_share(*case)

    return answer


@pytest.mark.parametrize("slip", SHARE_SLIPS)
def test_each_slip_in_the_share_gets_its_own_message(slip):
    def wrong(*case):
        value = checks.share_slips(*case)[slip]
        return checks.exact_share(*case) if math.isnan(value) else value

    verdict = checks.denoising_share(denoising(wrong))
    assert verdict.state == "slip" and verdict.message == slip


def test_wrong_limits_and_other_shares_are_told_apart():
    everywhere = denoising(checks.exact_share)
    zero = checks.denoising_share(lambda a, *rest: everywhere(a, *rest) if a else 0.5)
    assert "the share is 1" in zero.message
    late = checks.denoising_share(lambda a, *rest: everywhere(a, *rest) or 0.01)
    assert "never reaches" in late.message
    fixed = checks.denoising_share(lambda a, q, K, b, m, s: checks.exact_share(a, q, K, b, m, 2.0))
    assert "q = 4, K = 7" in fixed.message


@pytest.mark.parametrize("case", [*checks.INSIDE, *checks.ALL, *checks.NONE])
def test_the_share_is_that_of_the_package_map(case):
    a, q, K, b, mean, std = case
    t = torch.exp(mean + std * torch.special.ndtri((row(*range(20_000)) + 0.5) / 20_000))
    zero = ECTMapping(Constant(q**-a), K=K, b=b).ratio(t, 0) == 0
    assert float(zero.double().mean()) == pytest.approx(checks.exact_share(*case), abs=1e-4)


def walker(chances, leap=lambda r, t: r / t):
    """Random walks with these chances of a data point."""

    def walk(x, levels, data):
        for t, r in zip(levels, levels[1:], strict=False):
            drawn = data[torch.multinomial(chances(x, t, r), 1)[:, 0]]
            x = leap(r, t) * x + (1 - leap(r, t)) * drawn
        return x

    return walk


@pytest.mark.parametrize("message", checks.WALK_SLIPS)
def test_each_slip_in_the_walk_gets_its_own_message(message):
    verdict = checks.walk(walker(checks.WALK_SLIPS[message]))
    assert verdict.state == "slip" and verdict.message == message


def mean_way(x, levels, data):
    for t, r in zip(levels, levels[1:], strict=False):
        x = r / t * x + (1 - r / t) * checks.bayes(x, t) @ data
    return x


OTHER_WALKS = {
    checks.ONE_LEAP: lambda x, down, data: walker(checks.bayes)(x, [down[0], down[-1]], data),
    "all walks end at the same point": mean_way,
    "every walk should end at a data point": walker(checks.bayes, lambda r, t: (r + 0.1) / t),
    "one end for each walk": lambda x, down, data: x[:2],
    "of your walks end at": lambda x, down, data: data[torch.arange(len(x)) % 2],
}


@pytest.mark.parametrize("message", OTHER_WALKS)
def test_other_wrong_walks_are_told_apart(message):
    verdict = checks.walk(OTHER_WALKS[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


def test_stage_0_asks_for_the_posterior_mean_and_the_last_for_nearly_the_exact_f(law):
    (only,) = figures.mean_functions(law, figures.level_sequence(stage(0), TOP))
    at = row(-8.0, 0.3, 5.0)
    mean = law.denoise(at[:, None], row(TOP).expand(3))[:, 0]
    assert torch.allclose(only(at), mean, atol=1e-8)
    levels = [figures.level_sequence(stage(a), TOP) for a in range(6)]
    off = [figures.rms_error(law, figures.mean_functions(law, down)[-1]) for down in levels]
    assert all(b < 0.85 * a for a, b in zip(off, off[1:], strict=False))


def test_the_ideal_answer_is_the_mean_end_of_the_walks(law):
    down = figures.level_sequence(stage(3), TOP)
    top = figures.mean_functions(law, down)[-1]
    g = torch.Generator().manual_seed(0)
    ends = figures.random_trajectories(law, row(3.0).expand(4000), down, g)[-1]
    assert float(top(row(3.0))) == pytest.approx(
        float(ends.mean()), abs=4 * float(ends.std()) / 63
    )


def test_with_the_norm_stage_0_answers_the_posterior_median(law):
    x = row(-2.0, 0.5, 4.0)
    median = figures.median_answers(law, x, figures.level_sequence(stage(0), 2.0))
    weights, means, stds = figures.posterior(law, x, 2.0)
    below = (weights * torch.special.ndtr((median[:, None] - means) / stds)).sum(1)
    assert torch.allclose(below, row(0.5).expand(3), atol=1e-6)


def test_the_boundary_is_not_given_away_above_its_exercise():
    above, below = LAB.read_text(encoding="utf-8").split("## Exercises")
    assert "ndtr" not in above and "K-1" not in above and "1-s" not in above
    for a, q, K, b in ((1, 2, 8, 1), (2, 2, 8, 1), (1, 4, 7, 0.5), (2, 1.5, 3, 2)):
        s = (q**a - 1) / K
        assert denoising_limit(q**-a, K, b) == pytest.approx(math.log((1 - s) / s) / b)


def test_walks_scatter_like_the_square_root_of_the_gap(law):
    def scatter(a):
        down, g = figures.level_sequence(stage(a), TOP, low=1.0), torch.Generator().manual_seed(0)
        walks = figures.random_trajectories(law, row(4.0).expand(2000), down, g)
        return float(walks[-1].std())

    found = [scatter(a) for a in (4, 5, 6, 7)]
    for wide, narrow in zip(found, found[1:], strict=False):
        assert narrow / wide == pytest.approx(0.5**0.5, rel=0.1)


def test_what_the_text_says_of_the_recorded_runs():
    """Farther from f* on the ring, fewer samples at a mode, no worse in W₂; the line's norm."""
    text = LAB.read_text(encoding="utf-8")
    ring = plots_recordings.recorded_variants("tuning-toy")
    for score, order in (("rmse", "higher"), ("hq", "lower"), ("sw1", "indistinguishable")):
        found = [ring[name].score(score) for name in ("tuned", "scratch")]
        assert plots_recordings.compare_seeds(*found) == order
    assert "the tuned network ends farther from f" in text
    assert "fewer of its samples lie at a mode" in text
    for score in ("rmse", "sw1", "hq"):  # "no better by any of the three measures"
        found = [ring[name].score(score) for name in ("tuned-long", "scratch-short")]
        assert plots_recordings.compare_seeds(*found) == "indistinguishable"
    law, run = Bumps().oracle, plots_recordings.recorded_variants("tuning-line")["norm"]
    x = figures.quantile_points(law, TOP, 60)[:, 0]
    exact = law.consistency(x[:, None], torch.full_like(x, TOP))[:, 0]
    ideal = figures.median_answers(law, x, figures.level_sequence(stage(6), TOP))  # as stage 8
    place = torch.from_numpy(run["place"][0]) * (TOP**2 + law.sigma_data**2) ** 0.5
    for f in torch.from_numpy(run["map"][:, -1]):
        off = figures.IdealFunction(TOP, place, f)(x) - exact
        assert off.square().mean() < (ideal - exact).square().mean()
    assert "a Fréchet distance of 325, lab 00" in text
    row = re.search(
        r"perfect denoiser[^|]*\| 1 \| ([\d.]+) \(", NOTEBOOK_00.read_text(encoding="utf-8")
    )
    assert round(float(row[1])) == 325


def test_the_ladder_ends_at_the_first_level_below_low():
    assert figures.level_sequence(stage(0), TOP) == [TOP, 0.0]
    down = figures.level_sequence(ECTMapping(Constant(0.5), K=0.0), 1.0, low=0.1)
    assert down == [1.0, 0.5, 0.25, 0.125, 0.0625]


@pytest.fixture(scope="module")
def seen():
    return explorer()


def turn(seen, **values):
    for name, value in values.items():
        seen.knobs[name].value = value


def test_the_explorer_says_where_r_is_zero(seen):
    turn(seen, stage=1, q=2, K=8.0, b=1.0, proposal="ECT (−1.1, 2.0)")
    assert "t up to 1.946: 81.1 %" in seen.picture.reading  # ln 7
    turn(seen, stage=2)
    assert "t up to 0.511: 58.5 %" in seen.picture.reading  # ln 5/3
    turn(seen, stage=3)
    assert "r > 0 for every t" in seen.picture.reading
    turn(seen, stage=0)
    assert "100.0 %" in seen.picture.reading and "1 step." in seen.picture.reading
    turn(seen, q=256, stage=8)
    assert "or more" in seen.picture.reading


KNOBS = {"stage": 4, "q": 4, "K": 2.0, "b": 3.0, "proposal": "EDM (−1.2, 1.2)"}


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_changes_the_picture(seen, knob):
    turn(seen, stage=1, q=2, K=8.0, b=1.0, proposal="ECT (−1.1, 2.0)")
    image = seen.image.value
    turn(seen, **{knob: KNOBS[knob]})
    assert seen.image.value != image and seen.knobs[knob].description
    shown = [li for li in seen.picture.figure.axes[1].lines if li.get_linewidth() > 2]
    pairs = ECTMapping(Constant(float(seen.knobs["q"].value) ** -seen.knobs["stage"].value),
                   K=seen.knobs["K"].value, b=seen.knobs["b"].value)  # fmt: skip
    assert np.allclose(shown[0].get_ydata(), pairs.ratio(figures.T, 0))


@pytest.mark.parametrize("gap, K, b", [(0.5, 8, 1), (0.3, 6, 2), (0.5, 8, 0), (0.9, 1, 1)])
def test_up_to_the_edge_r_is_zero_and_beyond_it_not(gap, K, b):
    pairs, last = ECTMapping(Constant(gap), K=K, b=b), denoising_limit(gap, K, b)
    if math.isinf(last):
        assert not pairs.ratio(figures.T, 0).any()
    else:
        assert (
            float(pairs.ratio(row(last * 0.999), 0))
            == 0
            < float(pairs.ratio(row(last * 1.001), 0))
        )


def fake(study, arm, values, seeds=3, **arrays):
    """A recording of two looks whose error or score is `values` at both."""
    recipe = STUDIES[study].variants[arm](0)
    steps = np.tile([0, recipe.train.steps], (seeds, 1))
    held = np.asarray(values, dtype=np.float32)[:, None, None]
    seen = "scores" if study != "tuning-toy" else "error"
    shown = np.broadcast_to(held, (seeds, 2, 4))
    record = {"study": study, "arm": arm, "seeds": list(range(seeds)), "samples": recipe.samples,
              "scores": [{"fd1": float(v), "b": 0.0, "c": 1.0, "d": 2.0} for v in values],
              "seconds": [1.0] * seeds, "command": ""}  # fmt: skip
    return Recording({"steps": steps, seen: shown, **arrays}, record)


def test_the_samples_before_tuning_are_counted():
    tuned = plots_recordings.score_curve(fake("tuning-toy", "tuned", [0.1, 0.2, 0.3]))
    recipe = STUDIES["tuning-toy"].variants["tuned"](0)
    assert tuned.before == recipe.start.samples == tuned.samples[0]
    scratch = plots_recordings.score_curve(fake("tuning-toy", "scratch", [0.1, 0.2, 0.3]))
    assert scratch.samples[0] == 0 and scratch.samples[-1] == tuned.samples[-1]
    digits = plots_recordings.score_curve(fake("tuning-digits", "tuned", [5.0, 6.0, 7.0]), "fd1")
    assert digits.values.tolist() == [[5, 5], [6, 6], [7, 7]] and digits.before > 0


def test_ranges_decide_and_two_seeds_do_not():
    assert plots_recordings.compare_seeds([1, 2, 3], [4, 5, 6]) == "lower"
    assert plots_recordings.compare_seeds([4, 5, 6], [1, 2, 3]) == "higher"
    assert plots_recordings.compare_seeds([1, 2, 4], [3, 5, 6]) == "indistinguishable"
    assert plots_recordings.compare_seeds([1, 2], [3, 4]) == "too few seeds"
    assert ranged([0.1, 0.2, 0.3], ".3g") == "0.2 (0.1 to 0.3)"


def test_what_is_not_recorded_is_left_out(tmp_path):
    assert plots_recordings.recorded_variants("tuning-digits", tmp_path) == {}
    write(fake("tuning-digits", "ict", [1.0, 2.0, 3.0]), tmp_path)
    assert list(plots_recordings.recorded_variants("tuning-digits", tmp_path)) == ["ict"]


def test_the_figures_draw_what_they_were_given(law):
    arms = {a: fake("tuning-toy", a, [0.1, 0.2, 0.3], cloud=np.zeros((3, 9, 2), np.float16))
            for a in ("tuned", "scratch")}  # fmt: skip
    panel = plots_recordings.BudgetPanel(
        "RMS", {a: plots_recordings.score_curve(r) for a, r in arms.items()}, 0.05
    )
    drawn, empty = plots_recordings.training_budgets(
        {"a": panel, "b": plots_recordings.BudgetPanel("RMS", {})}
    ).axes
    assert drawn.lines[0].get_ydata() == pytest.approx([0.2, 0.2])
    assert drawn.lines[0].get_xdata()[0] > 0 and "not recorded" in empty.texts[0].get_text()
    assert len(plots_recordings.sample_clouds(arms, torch.zeros(8, 2)).axes) == 2
    grey = {"tuned": fake("tuning-digits", "tuned", [1.0] * 3,
                          pictures=np.zeros((3, 40, 1, 8, 8), np.uint8))}  # fmt: skip
    assert len(plots_recordings.sample_images(grey, torch.zeros(10, 1, 8, 8), "t").axes) == 2
    stages = {a: ECTMapping(Constant(2.0**-a), LogNormal()) for a in range(3)}
    bold = [li for li in figures.curriculum(stages, 1).axes[1].lines if li.get_linewidth() > 2]
    assert np.allclose(bold[0].get_ydata(), stages[1].ratio(figures.T, 0))
    (top,) = figures.mean_functions(law, [TOP, 0.0], places=31)
    x = torch.linspace(-20, 20, 50).double()
    figure = figures.ideal_functions(x, x, {0: top}, [0.8, 0.4], [0.9, 0.6])
    assert np.allclose(figure.axes[0].lines[1].get_ydata(), top(x))


def test_walks_of_one_leap_end_at_the_posterior_mean_and_short_leaps_follow_the_path(law):
    begin = walking().knobs["start"].value

    def ends(stage):
        bars = walking_picture(stage, begin).figure.axes[1].patches
        count = np.array([bar.get_width() for bar in bars])
        middle = np.array([bar.get_y() + bar.get_height() / 2 for bar in bars])
        mean = (count * middle).sum() / count.sum()
        return mean, np.sqrt((count * (middle - mean) ** 2).sum() / count.sum())

    level, start = torch.full((1,), TOP), torch.full((1, 1), begin)
    mean, spread = ends(0)
    denoised = float(law.denoise(start.double(), level.double()))
    assert mean == pytest.approx(denoised, abs=4 * spread / WALKERS**0.5)
    near, narrow = ends(5)
    assert near == pytest.approx(float(law.consistency(start.double(), level.double())), abs=0.2)
    words = walking_picture(0, begin).reading
    assert narrow < spread / 2 and "1 leap " in words and "-0.00" not in words
    means = [ends(stage)[0] for stage in range(7)]
    assert means == sorted(means, reverse=True)  # "steadily"
