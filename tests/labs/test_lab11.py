"""Lab 11: its checks tell answers from slips, its planner says where it ends, its figures draw."""

import numpy as np
import pytest
import torch
from cmlab_labs.common import explorers_steps, plots_steps
from cmlab_labs.common.studies_shared import phased_ring
from cmlab_labs.lab11_phases import checks
from cmlab_labs.lab11_phases.analysis import SecondCall, off_modes, ternary
from exercises import answers, lab, solutions, stubs
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cmlab.data.toy import Bumps, Ring
from cmlab.methods.pcm import Phases
from cmlab.metrics.plots import STUDENT
from cmlab.metrics.toy import ExactJumps, against, exact_ends
from cmlab.process import VarianceExploding
from cmlab.sampling import ddim, multistep, ode

LAB = lab("11")
CHECKS = (checks.phased_pair, checks.middle)
TOP = 10.0


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


def slipped(slip):
    """The points of the loss with one thing wrong."""

    def run(f, step, x_t, t, r, edges):
        points = checks.PairCase()
        points.f, points.step = f, step
        first, second = points.pair(x_t, t, r, edges, slip)
        return first, second.detach()

    return run


def changed(change):
    """The right points, changed afterwards."""
    return lambda *given: change(*slipped("")(*given))


PAIR_SLIPS = {message: slipped(name) for name, message in checks.PAIR_SLIPS.items()} | {
    "return two points": changed(lambda first, second: first),
    "the student's point comes first": changed(lambda first, second: (second, first)),
    "has lost its gradient": changed(lambda first, second: (first.detach(), second)),
    "detach it": changed(lambda first, second: (first, first * 0 + second)),
    "both times inside one phase": changed(lambda first, second: (first, second + 1)),
}


@pytest.mark.parametrize("message", PAIR_SLIPS)
def test_each_slip_in_the_two_points_gets_its_own_message(message):
    verdict = checks.phased_pair(PAIR_SLIPS[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


def thirds(score, low, high, rounds, wrong=False, cut=1 / 3, more=0, value=False):
    """The search with one thing wrong."""
    for _ in range(rounds):
        left, right = low + (high - low) * cut, high - (high - low) * cut
        beside_left = score(left) < score(right)
        for _ in range(more):
            score(left)
        if beside_left != wrong:
            high = right
        else:
            low = left
    place = (low + high) / 2
    return score(left) if value else place


MIDDLE_SLIPS = {
    "the wrong third was dropped": lambda s, a, b, n: thirds(s, a, b, n, wrong=True),
    "at one third and at two thirds": lambda s, a, b, n: thirds(s, a, b, n, cut=0.25),
    "two per round are enough": lambda s, a, b, n: thirds(s, a, b, n, more=1),
    "outside the interval": lambda s, a, b, n: thirds(s, -b, b, n),
    "was never evaluated": lambda s, a, b, n: (a + b) / 2,
    "return the place": lambda s, a, b, n: s(
        ternary(s, a, b, n - 1) if n > 1 else (b - a) / 3 + a
    ),
    "is not within": lambda s, a, b, n: thirds(s, a, b, n) + b / 2,
}


@pytest.mark.parametrize("message", MIDDLE_SLIPS)
def test_each_slip_in_the_search_gets_its_own_message(message):
    verdict = checks.middle(MIDDLE_SLIPS[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


def test_a_ternary_search_keeps_two_thirds_a_round_and_the_lowest_place():
    asked = []
    place = ternary(lambda t: asked.append(t) or abs(t - 0.3), 0.0, 9.0, 30)
    assert place == pytest.approx(0.3, abs=9 * (2 / 3) ** 30) and len(asked) == 60
    assert asked[:2] == pytest.approx([3.0, 6.0])


@pytest.fixture(scope="module")
def seen():
    return explorers_steps.explorer()


def turn(seen, **values):
    for name, value in values.items():
        seen.knobs[name].value = value


def test_the_planner_keeps_the_sample_by_phases_and_loses_it_by_noise(seen):
    turn(seen, calls=4, spread=explorers_steps.EVEN_SHARES, way="phased, exact")
    assert "mean distance 0.00" in seen.picture.reading and "100 %" in seen.picture.reading
    turn(seen, way="phased, network of 4")
    assert "the same mode for 9" in seen.picture.reading
    turn(seen, way="CM, exact f")
    assert "4 calls, at noise levels 10, 2.52, 0.452, 0.0461" in seen.picture.reading
    share = float(seen.picture.reading.split("the same mode for ")[1].split("%")[0])
    assert share < 40


KNOBS = {"way": "CM, bad network", "calls": 3, "spread": explorers_steps.OWN_LEVELS, "level2": 0.3}


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_changes_the_picture(seen, knob):
    own = explorers_steps.OWN_LEVELS if knob == "level2" else explorers_steps.EVEN_SHARES
    turn(seen, way="CM, good network", calls=2, spread=own, level2=2.5)
    image = seen.image.value
    turn(seen, **{knob: KNOBS[knob]})
    assert seen.image.value != image and seen.knobs[knob].description


def test_the_planner_uses_as_many_sliders_as_calls_and_sorts_them(seen):
    turn(
        seen,
        way="DDIM, exact denoiser",
        spread=explorers_steps.OWN_LEVELS,
        calls=3,
        level2=0.5,
        level3=2.0,
    )
    top = seen.picture.figure.axes[0].lines[-1]
    assert list(top.get_ydata()) == pytest.approx([10.0, 2.0, 0.5], rel=0.02)
    image = seen.image.value
    turn(seen, level5=0.02)
    assert seen.image.value == image  # the third call is the last


def test_the_planners_exact_answers_are_nearly_the_oracles():
    x, law = 3 * torch.randn(64, 2), Ring().oracle
    t = torch.full((64,), 3.0)
    torch.testing.assert_close(
        explorers_steps.ring_denoiser(x, t), law.denoise(x, t), rtol=1e-4, atol=1e-5
    )
    for phases in (Phases((0.0, TOP)), Phases((0.0, 0.5, TOP))):
        gap = explorers_steps.OraclePhasedModel(phases)(x, t) - ExactJumps(law, phases)(x, t)
        assert gap.norm(dim=1).mean() < 0.03


def test_ends_that_are_exact_have_no_distance_and_foreign_ones_have():
    ends = exact_ends(Ring(), TOP, n=512)
    found = against(Ring(), ends.exact, ends)
    assert found["end"] == found["rms"] == 0 and found["same"] == 1
    foreign = against(Ring(), ends.fresh, ends)
    assert foreign["end"] > 1 and foreign["same"] < 0.2
    assert foreign["sw"] == 0 and found["sw"] < 0.1


def test_routes_by_lines_are_ddims_and_phased_ones_stay_on_the_path():
    law, levels = Bumps().oracle, [10.0, 3.0, 0.8, 0.0]
    x_T = torch.tensor([[-4.0], [3.0]], dtype=torch.float64)
    by_ddim = plots_steps.by_transport(law.denoise, x_T, levels)
    *_, end = ode(VarianceExploding(), law.denoise, x_T, torch.tensor(levels).double(), ddim)
    torch.testing.assert_close(by_ddim.places[-1], end[:, 0])
    exact = plots_steps.by_transport(ExactJumps(law, Phases((0.0, 0.8, 3.0, 10.0))), x_T, levels)
    path = law.path(x_T, torch.tensor(levels).double())[..., 0]
    torch.testing.assert_close(exact.places, path, rtol=0, atol=1e-6)


def test_renoised_routes_go_down_to_the_data_and_up_by_the_noise_given():
    x_T, z = torch.ones(2, 1).double(), torch.ones(1, 2, 1).double()
    route = plots_steps.by_renoising(lambda x, t: 0 * x + 0.5, x_T, [5.0, 2.0], z)
    assert route.levels == [5.0, 0.0, 2.0, 0.0]
    assert route.places[:, 0].tolist() == [1.0, 0.5, 2.5, 0.5]
    figure = plots_steps.routes(Bumps().oracle, x_T, {"a": (route, STUDENT)})
    assert figure.axes[0].lines[-1].get_xdata()[0] == 5.0


def test_the_key_figure_draws_means_and_leaves_zeros_out():
    seeds = np.array([[0.2, 0.2, 0.1, 0.1], [0.4, 0.2, 0.3, 0.1]])
    zero = np.array([[0.0, 0.4, 1.0, 1.2]])
    figure = plots_steps.scores_by_calls(
        {"a": {"good f": seeds}, "b": {"exact f*": zero}}, ("x", "y"), (0.03, 0.0)
    )
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([0.3, 0.2, 0.2, 0.1])
    drawn = figure.axes[1].lines[0].get_ydata()
    assert np.isnan(drawn[0]) and drawn[1:] == pytest.approx([0.4, 1.0, 1.2])
    found, once = {"good f": (0.7, 0.05)}, {"good f": 0.3}
    panel = plots_steps.LevelPanel("x", {"good f": [0.2, 0.1]}, once, found, {}, (0.01, 0.02))
    figure = plots_steps.intermediate_level([0.1, 1.0], {"t": panel})
    answers = [line.get_xdata() for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert answers == [pytest.approx([0.7])]


def test_the_titles_of_the_planner_fit_into_its_picture(seen):
    turn(seen, way="DDIM, exact denoiser", calls=1)
    figure = seen.picture.figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    for ax in figure.axes:
        box = ax._left_title.get_window_extent(renderer)
        assert box.width and box.x1 < figure.bbox.x1 and box.y1 < figure.bbox.y1


def test_an_error_as_large_at_the_second_call_does_not_rule_out_a_gain():
    """The lab calls it a rule of thumb: data N(0, 1), f off by 0.2 at both levels."""

    def f(x, t):
        sign = torch.where(t > 5, 1.0, torch.sin(1000 * x).sign())
        return x / (1 + t**2).sqrt() + 0.2 * sign

    def w2(levels):
        torch.manual_seed(0)
        *_, x = multistep(VarianceExploding(), per_sample, start, torch.tensor(levels).double())
        rank = (torch.arange(len(x)).double() + 0.5) / len(x)
        return float((x[:, 0].sort().values - torch.special.ndtri(rank)).square().mean().sqrt())

    def per_sample(x, t):
        return f(x, t[:, None])

    start = 101**0.5 * torch.randn(20000, 1, generator=torch.Generator().manual_seed(1)).double()
    assert w2([10.0]) == pytest.approx(0.2, abs=0.02)
    assert w2([10.0, 1.0]) == pytest.approx(0.2 / 2**0.5, abs=0.02)
    text = LAB.read_text(encoding="utf-8")
    assert "no more than a rule of thumb" in text and "cannot give a better answer" not in text


def test_of_the_exact_f_a_second_call_leaves_no_more_samples_off_the_modes_than_data_have():
    two = SecondCall(explorers_steps.OraclePhasedModel(Phases((0.0, TOP))))
    real = off_modes(two.x)
    assert real == pytest.approx(np.exp(-4.5), abs=0.004)
    assert two.once[1] == pytest.approx(real, abs=0.005)
    assert two.scores(0.3)[1] == pytest.approx(real, abs=0.005)
    assert two.from_data(0.3) == pytest.approx(real, abs=0.005)
    torch.testing.assert_close(off_modes(torch.zeros(4, 2)), 1.0)


def test_the_text_says_what_w_stands_beside():
    """As in the authors' code the critic's term has no weight of the pairs; that of d is in it."""
    text, method = LAB.read_text(encoding="utf-8"), phased_ring(4, 0, critic=True).method
    weight = 1 / method.pairs.grid.up(64).diff()
    assert f"which on these 64 levels goes from {weight.min():.1f} to {weight.max():.0f}" in text
    assert "the adversarial term has no such weight" in text and method.share == 0.1
    assert "the weight of the authors" not in text
