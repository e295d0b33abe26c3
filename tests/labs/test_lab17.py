"""Lab 17: its checks tell answers from slips, verdicts need ranges apart, its explorer draws."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from cmlab_labs.common.explorers_steps import OraclePhasedModel
from cmlab_labs.common.prediction import prediction
from cmlab_labs.lab17_atlas import checks, figures
from cmlab_labs.lab17_atlas import explorer as widget
from cmlab_labs.lab17_atlas.benchmark import (
    DIFFUSION,
    ENTRIES,
    GUESSES,
    Generation,
    read_rows,
    score,
)
from exercises import answers, lab, solutions, stubs

from cmlab.methods import pcm
from cmlab.metrics.plots import sheet
from cmlab.metrics.toy import exact_ends
from cmlab.presets import toy

LAB = lab("17")
CHECKS = (checks.paired, checks.worth_the_price)
NAN = float("nan")


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


def mean(errors):
    return sum(errors) / len(errors)


def judge(least=9, read=lambda errors: errors, below=lambda x, y: x < y):
    """The paired verdict with one thing wrong."""

    def answer(a, b):
        a, b = read(a), read(b)
        if sum(map(below, a, b)) >= least:
            return "lower"
        return "higher" if sum(map(below, b, a)) >= least else "indistinguishable"

    return answer


def by_ranges(a, b):
    if max(a) < min(b):
        return "lower"
    return "higher" if max(b) < min(a) else "indistinguishable"


PAIR_SLIPS = {
    "you compare the ranges": by_ranges,
    "you compare the means": lambda a, b: (
        "lower" if mean(a) < mean(b) else "higher" if mean(b) < mean(a) else "indistinguishable"
    ),
    "you sort before you compare": judge(read=sorted),
    "lower is better": judge(below=lambda x, y: x > y),
    "nine of ten are enough": judge(least=10),
    "eight of ten are too few": judge(least=8),
    "speaks for neither": judge(below=lambda x, y: x <= y),
    "answer with 'lower'": lambda a, b: True,
    "lower on eight": judge(below=lambda x, y: x < y - 0.015),
}


@pytest.mark.parametrize("message", PAIR_SLIPS)
def test_each_slip_in_the_pairs_gets_its_own_message(message):
    verdict = checks.paired(PAIR_SLIPS[message])
    assert verdict.state == "slip", verdict
    if message != "lower on eight":
        assert message in verdict.message, verdict


def fronts(
    price=lambda before, after: before + after,
    may=lambda b, a: b <= a,
    worse=lambda b, a: max(b) < min(a),
    back=False,
):
    """The front with one thing wrong."""

    def answer(methods):
        cost = {name: price(before, after) for name, (before, after, _) in methods.items()}
        of = {name: errors for name, (_, _, errors) in methods.items()}
        left = [
            a
            for a in of
            if not any(a != b and may(cost[b], cost[a]) and worse(of[b], of[a]) for b in of)
        ]
        return sorted(left, key=lambda name: cost[name], reverse=back)  # fmt: skip

    return answer


PRICE_SLIPS = {
    "the pre-training is not counted": fronts(price=lambda before, after: after),
    "prices are not looked at": fronts(may=lambda b, a: True),
    "the prices are compared the wrong way round": fronts(may=lambda b, a: b >= a),
    "at equal prices the better one beats the other": fronts(may=lambda b, a: b < a),
    "means alone decide": fronts(worse=lambda b, a: mean(b) < mean(a)),
    "a more expensive method that is indistinguishable was not beaten": fronts(
        worse=lambda b, a: not max(a) < min(b)
    ),
    "these are errors: lower is better": fronts(worse=lambda b, a: min(b) > max(a)),
    "but not in order: the cheapest comes first": fronts(back=True),
    "worth their price are": lambda methods: list(methods),
}


@pytest.mark.parametrize("message", PRICE_SLIPS)
def test_each_slip_in_the_price_gets_its_own_message(message):
    verdict = checks.worth_the_price(PRICE_SLIPS[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


def test_no_two_named_slips_are_the_same_rule():
    fronts = {slip: str([sorted(rule(t)) for t in checks.PRICED.values()])
              for slip, rule in checks.FRONT_SLIPS.items()}  # fmt: skip
    pairs = {slip: str([rule(a, b) for a, b in checks.PAIRS.values()])
             for slip, rule in checks.PAIR_SLIPS.items()}  # fmt: skip
    for found in (fronts, pairs):
        assert len(set(found.values())) == len(found)


def test_one_beats_another_only_if_every_run_does():
    assert figures.beats([0.1, 0.2], [0.3, 0.4]) and not figures.beats([0.3, 0.4], [0.1, 0.2])
    assert not figures.beats([0.1, 0.3], [0.3, 0.4])
    assert not figures.beats([0.1, NAN], [0.3, 0.4]) and figures.beats([0.3], [NAN, NAN])


def separated(a, b):
    return figures.beats(a, b) or figures.beats(b, a)


def test_two_of_twenty_divisions_of_six_runs_are_separated():
    runs = np.random.default_rng(0).normal(size=6)
    divisions = [(runs[list(k)], np.delete(runs, k)) for k in combinations(range(6), 3)]
    assert (sum(separated(a, b) for a, b in divisions), len(divisions)) == (2, 20)


def test_whatever_the_runs_of_a_seed_share_at_most_a_quarter_of_equal_pairs_is_separated():
    """Equal methods: to exchange the two runs of a seed changes nothing, so count exchanges."""

    def share(pairs):
        sides = [np.array([p[::s] for p, s in zip(pairs, x, strict=True)]).T
                 for x in product((1, -1), repeat=3)]  # fmt: skip
        return sum(separated(a, b) for a, b in sides) / len(sides)

    g = np.random.default_rng(0)
    found = [share(g.normal(size=(3, 1)) * g.exponential() + g.normal(size=(3, 2)))
             for _ in range(200)]  # fmt: skip
    assert set(found) == {0, 1 / 4} and share(((0.0, 9.0), (1.0, 8.0), (2.0, 7.0))) == 1 / 4


def test_the_methods_of_one_seed_are_tested_with_the_same_noise_and_fresh_data():
    one, other = (exact_ends(toy.RING, top, 32, seed=2) for top in (toy.SIGMA_MAX, 1.0))
    assert torch.equal(one.z, other.z) and torch.equal(one.fresh, other.fresh)


def test_the_lowest_mean_is_never_beaten_and_beaten_ones_have_a_victor():
    g = np.random.default_rng(0)
    for _ in range(50):
        scores = {name: g.lognormal(g.normal(), 0.3, 3) for name in "abcdef"}
        kept = figures.unbeaten(scores)
        assert kept[0] == min(scores, key=lambda name: scores[name].mean())
        for name in set(scores) - set(kept):
            assert any(figures.beats(scores[b], scores[name]) for b in kept)


def test_the_front_of_equal_prices_is_what_nobody_beats():
    g = np.random.default_rng(1)
    scores = {name: g.lognormal(g.normal(), 0.3, 3) for name in "abcd"}
    front = figures.front(dict.fromkeys(scores, 1.0), scores)
    assert sorted(front) == sorted(figures.unbeaten(scores))
    assert figures.front({"a": 1.0, "b": 2.0}, {"a": np.ones(3), "b": 2 * np.ones(3)}) == ["a"]


def test_a_call_is_worth_what_it_beats_and_less_than_what_beats_it():
    curve = {n: np.array([1.0, 1.1, 1.2]) / n for n in (1, 2, 4, 8, 16)}
    at_four = np.array([0.22, 0.23, 0.24])
    assert figures.worth(curve, at_four) == (4, 8)
    assert figures.worth(curve, curve[4]) == (2, 8)
    assert figures.worth(curve, np.array([0.01])) == (16, None)


def test_a_verdict_needs_three_seeds_and_every_comparison():
    low, high = np.array([0.1, 0.2, 0.1]), np.array([0.3, 0.4, 0.5])
    assert figures.verdict([(low, high), (low, high)]) == "confirmed here"
    assert figures.verdict([(low, high), (low, low)]).startswith("partly: 1 of 2")
    assert figures.verdict([(high, low)]) == "not seen at this scale: beaten"
    assert figures.verdict([(low[:2], high)]) == "too few seeds yet"


def test_contestants_are_told_with_their_calls_together():
    names = ["iCT, 2 calls", "PCM-4, 4 calls", "iCT, 1 call", "iCT, 4 calls"]
    assert figures.grouped_text(names) == "iCT in 1, 2 or 4 calls; PCM-4 in 4 calls"
    assert figures.listed(["a"]) == "a" and figures.listed("abc") == "a, b and c"


def test_no_name_of_a_method_breaks_a_list():
    titles = [entry.title for entry in ENTRIES.values()]
    assert not any(set(",;:") & set(title) for title in titles) and len(set(titles)) == len(titles)


@pytest.fixture(scope="module")
def rows():
    return read_rows()


def test_the_answer_to_the_first_prediction_is_in_the_table(rows):
    ddim, heun = (figures.by_calls(rows, "edm", way) for way in ("ddim", "heun"))
    assert figures.worth(heun, one(rows, "ict")) == (17, 35)
    assert figures.worth(ddim, one(rows, "ict")) == (8, None)
    for calls in (16, 32):
        assert figures.compare(ddim[calls], one(rows, "ict")) == "indistinguishable"
    assert prediction("17.1").right == "Between nine and thirty-five"


def test_contestants_can_be_told_by_another_number(rows):
    near = figures.candidates(rows, ["ict"], 2, "near_mode")
    assert list(near) == ["iCT, 1 call", "iCT, 2 calls"]
    two = figures.by_calls(rows, "ict", name="near_mode")[2]
    assert near["iCT, 2 calls"].tolist() == two.tolist()


def test_the_league_has_every_method_that_draws_samples(rows):
    told = {t: figures.students(rows, t) for t in figures.GROUPS}
    drawn = {arm for arm, entry in ENTRIES.items() if isinstance(entry.asked, Generation)}
    assert {a for arms in told.values() for a in arms} == drawn - set(DIFFUSION)
    panels = [figures.StudentPanel("t", "edm", arms[1:], arms[:1]) for arms in told.values()]
    figure = figures.errors_by_calls(rows, panels)
    for ax, arms in zip(figure.axes, told.values(), strict=True):
        names = [text.get_text() for text in ax.texts]
        assert {ENTRIES[arm].title for arm in arms[1:]} <= set(names)
        assert ENTRIES[arms[0]].title not in names
        lines = [line for line in ax.lines if tuple(line.get_xdata()) in ((1, 2, 4), (1,))]
        means = {float(figures.by_calls(rows, arm)[1].mean()) for arm in arms}
        assert {line.get_ydata()[0] for line in lines} == means and len(lines) == len(arms)


def one(rows, arm, name="sliced_w2", calls=1):
    return figures.by_calls(rows, arm, name=name)[calls]


def off(rows, arm, calls=1):
    return 1 - one(rows, arm, "near_mode", calls)


def test_a_method_may_have_the_right_distribution_and_the_wrong_map(rows):
    arms = [a for t in figures.GROUPS for a in figures.students(rows, t)]
    figure = figures.map_and_law(rows, arms, {"sct": "right", "dmd": "left"}, "t")
    names = {text.get_text() for text in figure.axes[0].texts}
    assert {"sCT", "DMD"} <= names and "Drifting" not in names
    sct, drifting = (one(rows, a) for a in ("sct", "drifting"))
    assert figures.compare(drifting, sct) == "indistinguishable"
    assert 3 < one(rows, "drifting", "end").mean() / one(rows, "sct", "end").mean() < 4
    for name in ("sliced_w2", "end"):
        assert figures.beats(one(rows, "lmd", name), one(rows, "drifting", name))


def test_without_the_batch_mean_lsd_does_not_lead(rows):
    single, ict, sct, lsd, lmd = (one(rows, a) for a in ("lsd-sample", "ict", "sct", "lsd", "lmd"))
    for a, b in ((single, ict), (single, sct), (ict, sct)):
        assert figures.compare(a, b) == "indistinguishable"
    for name in ("sliced_w2", "end"):
        assert figures.beats(one(rows, "lsd", name), one(rows, "lsd-sample", name))
    assert 0 < ict.min() - lsd.max() < 0.1 * (ict.max() - ict.min())
    assert 0.0005 < ict.min() - lsd.max() < 0.0015
    assert figures.beats(one(rows, "lmd", "end"), one(rows, "lsd", "end"))
    for name in ("cd", "scd"):
        assert figures.compare(lmd, one(rows, name)) == "indistinguishable"
    assert figures.compare(one(rows, "cd"), one(rows, "scd")) == "indistinguishable"


def test_two_measures_give_two_rankings(rows):
    floor, real = score(rows, "truth", "sliced_w2", "truth"), float(np.exp(-4.5))
    for name, calls in (("pcm-4", 4), ("imm", 4), ("lmd", 4), ("cd", 1)):
        assert figures.compare(one(rows, name, calls=calls), floor) == "indistinguishable"
        assert off(rows, name, calls).min() > 2 * real
    assert figures.beats(floor, one(rows, "cd", calls=4))
    assert figures.compare(one(rows, "lsd"), one(rows, "lsd", calls=4)) == "indistinguishable"
    assert figures.beats(off(rows, "lsd"), off(rows, "lsd", 4))
    assert figures.compare(one(rows, "ict"), one(rows, "sct")) == "indistinguishable"
    assert figures.beats(off(rows, "sct"), off(rows, "ict"))
    assert figures.beats(off(rows, "ict", 4), off(rows, "ict"))


def test_a_method_may_be_indistinguishable_from_real_data_and_beaten(rows):
    floor = score(rows, "truth", "sliced_w2", "truth")
    for name in ("cd", "scd", "lmd"):
        assert figures.compare(one(rows, name), floor) == "indistinguishable"
    assert figures.beats(figures.by_calls(rows, "exact", "heun")[35], one(rows, "cd"))
    errors = [e for a in figures.present(rows) if ENTRIES[a].parts and a not in GUESSES
              for way, n in figures.evaluated_calls(rows, a)
              for e in (score(rows, a, "sliced_w2", way, n),)]  # fmt: skip
    for found in errors:  # so one run in the grey area is enough
        grey = found.min() <= floor.max()
        assert grey == (figures.compare(found, floor) == "indistinguishable")


def test_the_advice_for_b_names_what_is_indistinguishable_from_it(rows):
    for name in ("sliced_w2", "end"):
        found = one(rows, "pcm-2", name, 2), one(rows, "pcm-4", name, 4)
        assert figures.compare(*found) == "indistinguishable"
    assert figures.beats(off(rows, "pcm-4", 4), off(rows, "pcm-2", 2))


def test_from_no_teacher_to_the_exact_one_both_distances_fall(rows):
    for student, alone in (("cd", "ict"), ("scd", "sct")):
        for name in ("sliced_w2", "end"):
            assert figures.beats(one(rows, student, name), one(rows, alone, name))
    assert figures.beats(one(rows, "lsd"), one(rows, "sct"))
    assert figures.compare(off(rows, "lsd"), off(rows, "sct")) == "indistinguishable"


def test_the_solution_names_the_methods_that_are_worth_their_price(rows):
    priced = figures.prices(rows, figures.students(rows, ""))
    for free in (False, True):
        methods = {ENTRIES[a].title: (before * (not free), rest, list(one(rows, a)))
                   for a, (before, rest) in priced.items()}  # fmt: skip
        kept = checks.exact_front(methods)
        named = ["Shortcut", "ECT", "iCT", "Drifting", "sCT", "LSD (single)"]
        assert kept == ["TCM"] * free + named
    assert priced["tcm"][1] == pytest.approx(8, abs=0.5)
    source = Path(__file__).parents[2] / "labs" / "src" / "17_atlas.py"
    words = "It keeps Shortcut, ECT, iCT, Drifting, sCT and LSD (single)."
    assert words in source.read_text(encoding="utf-8")


def test_the_answer_to_the_second_prediction_is_in_the_table(rows):
    assert figures.beats(one(rows, "cd"), one(rows, "pcm-4"))
    assert figures.beats(one(rows, "pcm-4", calls=4), one(rows, "cd", calls=4))
    assert prediction("17.2").right == "CD at one call, PCM at four"
    assert figures.compare(one(rows, "ict"), one(rows, "ict", calls=4)) == "indistinguishable"


def test_the_other_figures_draw_what_they_are_given(rows):
    errors = {"ict": np.array([0.1, 0.2, 0.3]), "ct": np.array([NAN, 0.2, 0.2])}
    figure = figures.errors_by_cost(rows, errors, {"ict": "right"}, "t")
    assert "iCT" in [text.get_text() for text in figure.axes[0].texts]
    assert "CT" not in [text.get_text() for text in figure.axes[0].texts]
    figure = figures.two_measures(rows, {"imm": "below"}, "t")
    path = figure.axes[0].lines[1].get_xydata()
    assert path == pytest.approx(
        np.array(
            [[one(rows, "imm", calls=n).mean(), off(rows, "imm", n).mean()] for n in (1, 2, 4)]
        )
    )
    trios = {"LSD": ("lsd-sample", "lsd", "lmd")}
    left, right = figures.by_teacher(rows, trios, ("a", "b")).axes
    for ax, name in ((left, "sliced_w2"), (right, "end")):
        means = [one(rows, arm, name).mean() for arm in trios["LSD"]]
        assert list(ax.lines[0].get_ydata()) == pytest.approx(means)


def test_every_method_has_a_look_of_its_own():
    looks = [(r.color, r.marker) for arm, r in figures.LOOK.items() if arm not in GUESSES]
    assert set(figures.LOOK) == set(ENTRIES) - {"truth"} and len(set(looks)) == len(looks)


def test_names_in_a_column_keep_apart():
    figure, axes = sheet()
    ax = axes[0, 0]
    ax.set(xscale="log", yscale="log", xlim=(1, 40), ylim=(0.01, 1))
    figures.name_curves(
        ax, [figures.CurveLabel(4, 0.02 + i / 1000, str(i), "k") for i in range(5)], 6, 0.06
    )
    places = sorted(np.log(text.xyann[1]) for text in ax.texts)
    assert min(np.diff(places)) == pytest.approx(0.06 * np.log(100)) and places[0] > np.log(0.01)


@pytest.fixture(scope="module")
def seen():
    return widget.explorer()


def turn(seen, **values):
    return seen.turn(values).picture


def far(picture, line=0):
    return float(picture.reading.splitlines()[line].split("exact ends ")[1].split(",")[0])


def test_the_explorer_knows_that_a_student_jumps_and_a_denoiser_walks(seen):
    first = turn(seen, method="iCT", other="EDM", calls=1, seed=0)
    assert far(first) < 0.15 < far(first, 1)
    last = turn(seen, calls=32)
    assert far(last, 1) < 0.1 and far(last) > 0.5  # small steps keep the path, fresh noise not


def test_a_phased_network_is_nearest_in_its_own_number_of_calls(seen):
    away = [far(turn(seen, method="PCM-4", calls=n)) for n in (1, 2, 4, 8)]
    assert min(away) == away[2] < 0.1


KNOBS = {"method": "ECT", "other": "CD", "calls": 2, "seed": 5}


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_changes_the_picture(seen, knob):
    turn(seen, method="iCT", other="EDM", calls=1, seed=0)
    image = seen.image.value
    turn(seen, **{knob: KNOBS[knob]})
    assert seen.image.value != image and seen.knobs[knob].description


def test_two_panels_of_one_method_are_the_same_points(seen):
    left, right = turn(seen, method="CD", other="CD", calls=4).figure.axes
    assert np.array_equal(left.lines[-1].get_xydata(), right.lines[-1].get_xydata())


def test_the_reading_quotes_the_table(seen, rows):
    shown = turn(seen, method="iCT", calls=2).reading
    assert f"{figures.by_calls(rows, 'ict')[2].mean():.3f}" in shown
    assert "Not recorded for this number of calls" in turn(seen, calls=8).reading.splitlines()[0]


def test_the_explorers_ends_are_nearly_the_oracles():
    ends = exact_ends(toy.RING, toy.SIGMA_MAX, 64)
    top = torch.full((64,), toy.SIGMA_MAX)
    x = OraclePhasedModel(pcm.Phases((0.0, toy.SIGMA_MAX)), widget.EXACT_STEPS)(
        toy.SIGMA_MAX * ends.z, top
    )
    assert (x.double() - ends.exact).norm(dim=1).mean() < 0.001
