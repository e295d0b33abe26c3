"""Lab 02: its checks tell answers from slips, its explorer moves, its figures draw the truth."""

import re

import numpy as np
import pytest
import torch
from cmlab_labs.common.plots_line import between_modes, exact_paths, maps, point, quantile_points
from cmlab_labs.lab02_consistency import checks
from cmlab_labs.lab02_consistency.explorer import explorer, from_noise_to_data
from cmlab_labs.lab02_consistency.figures import (
    basins,
    gap_curves,
    nearest_mode,
    quantile_map,
    rms_gap,
    slope_of_f,
)
from exercises import answers, lab, solutions, stubs

from cmlab.oracle import Mixture, Mixture1D

LAB = lab("02")
CHECKS = (checks.f_gaussian, checks.two_time)


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture(scope="module")
def law():
    return Mixture1D(row(0.4, 0.6), row(-1.2, 1.0), row(0.2, 0.2))


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


GAUSSIAN_SLIPS = {
    "Take the root": lambda x, t, m, s, e: m + (x - m) * (s**2 + e**2) / (s**2 + t**2),
    "forgot ε": lambda x, t, m, s, e: m + (x - m) * s / (s**2 + t**2).sqrt(),
    "forgot the mean": lambda x, t, m, s, e: x * ((s**2 + e**2) / (s**2 + t**2)).sqrt(),
    "add m again": lambda x, t, m, s, e: (x - m) * ((s**2 + e**2) / (s**2 + t**2)).sqrt(),
    "upside down": lambda x, t, m, s, e: m + (x - m) * ((s**2 + t**2) / (s**2 + e**2)).sqrt(),
    "posterior mean": lambda x, t, m, s, e: m + (x - m) * s**2 / (s**2 + t**2),
    "must be x": lambda x, t, m, s, e: m + (x - m) * (e / t) / 2,
    "yours moves": lambda x, t, m, s, e: x,
    "wrong for another": lambda x, t, m, s, e: (
        0.7 + (x - 0.7) * ((0.25 + e**2) / (0.25 + t**2)).sqrt()
    ),
    "stopped with RuntimeError": lambda x, t, m, s, e: x @ t[:1],
}


@pytest.mark.parametrize("message", GAUSSIAN_SLIPS)
def test_each_slip_in_the_gaussian_gets_its_own_message(message):
    verdict = checks.f_gaussian(GAUSSIAN_SLIPS[message])
    assert verdict.state == "slip" and message in verdict.message


def halved(x, goal, s, cdf, far=1000.0, rounds=80, upside_down=False):
    low, high = torch.full_like(x, -far), torch.full_like(x, far)
    for _ in range(rounds):
        middle = (low + high) / 2
        below = (cdf(middle, s) < goal) ^ upside_down
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


TWO_TIME_SLIPS = {
    "the times are swapped": lambda x, t, s, F: halved(x, F(x, s), t, F),
    "always ends at the data": lambda x, t, s, F: halved(x, F(x, t), 0 * s + 0.002, F),
    "never moves": lambda x, t, s, F: halved(x, F(x, t), t, F),
    "the other half": lambda x, t, s, F: halved(x, F(x, t), s, F, upside_down=True),
    "make it wider": lambda x, t, s, F: halved(x, F(x, t), s, F, far=6.0),
    "more often": lambda x, t, s, F: halved(x, F(x, t), s, F, rounds=17),
    "the same rank": lambda x, t, s, F: x * s / t,
    "upwards": lambda x, t, s, F: halved(x, F(x, t), s.minimum(t), F),
}


@pytest.mark.parametrize("message", TWO_TIME_SLIPS)
def test_each_slip_in_the_two_time_map_gets_its_own_message(message):
    verdict = checks.two_time(TWO_TIME_SLIPS[message])
    assert verdict.state == "slip" and message in verdict.message


def test_along_the_path_f_stays_and_off_it_f_leaps(law):
    seen = explorer(law)
    before = seen.image.value
    ends = []
    for t in (0.05, 0.7, 2.9):
        seen.knobs["t"].value = t
        (marked,) = [li for li in seen.picture.figure.axes[0].lines if li.get_marker() == "s"]
        ends.append(float(marked.get_ydata()[0]))
    assert max(ends) - min(ends) < 1e-9 and seen.image.value != before
    assert "Offset 0" in seen.picture.reading
    seen.knobs["offset"].value = -1.5
    off = [li for li in seen.picture.figure.axes[0].lines if li.get_marker() == "s"][0]
    assert ends[0] > 0.3 and float(off.get_ydata()[0]) < -0.6
    assert "another path" in seen.picture.reading


def test_the_explorer_draws_the_end_of_the_tangent_and_can_hide_it(law):
    seen = explorer(law)
    drawn = [
        li.get_ydata()[0] for li in seen.picture.figure.axes[0].lines if li.get_marker() == "v"
    ]
    at = next(li for li in seen.picture.figure.axes[0].lines if li.get_markersize() == 9)
    x, t = row(float(at.get_ydata()[0])), row(1.5)
    assert drawn == pytest.approx([float(x - t * law.velocity(x, t))], abs=1e-9)
    seen.knobs["mean"].value = False
    assert [li for li in seen.picture.figure.axes[0].lines if li.get_marker() == "v"] == []


def test_every_knob_has_a_label_and_no_place_is_out_of_reach(law):
    seen = explorer(law)
    assert all(knob.description for knob in seen.knobs.values())
    for path, t, offset in ((1, 3.0, -2.0), (99, 0.05, 2.0), (41, 0.05, 0.0)):
        for name, value in (("path", path), ("t", t), ("offset", offset)):
            seen.knobs[name].value = value
        assert "role='status'" in seen.words.value


def test_ranked_points_have_evenly_spaced_ranks(law):
    x = quantile_points(law, 2.0, 50)
    assert torch.allclose(law.cdf(x, row(2.0).expand(50)), (torch.arange(50).double() + 0.5) / 50)


def test_every_path_of_a_fan_has_one_f(law):
    levels, ways = exact_paths(law, 3.0, 9, levels=12)
    f = torch.stack(
        [law.consistency(x[:, None], t.expand(9)) for x, t in zip(ways, levels, strict=True)]
    )
    assert float((f - f[0]).abs().max()) < 1e-9


def test_the_gap_between_f_and_D_grows_as_the_noise_squared_up_to_the_spread_of_the_data(law):
    assert rms_gap(law, 0.02) / rms_gap(law, 0.01) == pytest.approx(4, rel=0.05)
    assert rms_gap(law, 80.0) == pytest.approx(law.sigma_data, rel=0.03)
    assert between_modes(law, row(-0.1, 1.0, -1.2, 5.0)[:, None]).tolist() == [True] + [False] * 3


def test_the_end_of_the_path_is_not_the_mean_but_is_for_the_mean_of_one_gaussian():
    one = Mixture1D(row(1.0), row(0.3), row(0.5))
    here, there = point(one, 0.3, 2.0), point(one, 1.3, 2.0)
    assert here.f == pytest.approx(here.mean) and abs(there.f - there.mean) > 0.1


def test_the_figures_draw_what_they_were_given(law):
    assert len(maps(law, high=2.0).axes) == 5  # three panels, two colour bars
    curves = gap_curves({"a": law, "b": law}, [0.1, 1.0, 10.0]).axes[0].lines
    assert curves[0].get_ydata()[1] == pytest.approx(rms_gap(law, 1.0))
    ring = Mixture(row(0.5, 0.5), torch.eye(2).double(), row(0.1, 0.1))
    figure = basins(ring, 5 * torch.randn(50, 2).double(), high=5.0, cells=20)
    shares = nearest_mode(ring, row(0.9, 0.2, 0.1, 0.8).reshape(2, 2))
    assert shares.tolist() == [0, 1]
    assert {text.get_text() for text in figure.axes[0].texts} == {"1", "2"}
    disc = figure.axes[1].patches[0]  # as the text says, two standard deviations
    assert disc.center == (1.0, 0.0) and disc.radius == pytest.approx(0.2)


def test_the_title_says_how_many_answers_of_f_and_d_lie_in_the_gap(law):
    seen = explorer(law)
    x, t = quantile_points(law, 1.5, 4000), row(1.5).expand(4000)
    many = 100 * float(between_modes(law, law.denoise(x, t)).double().mean())
    title = seen.picture.figure.axes[1].get_title(loc="left")
    shares = re.fullmatch(r"In the gap: D (\d+) %, f 0 %", title)
    assert float(shares[1]) == pytest.approx(many, abs=1)
    seen.knobs["mean"].value = False
    title = seen.picture.figure.axes[1].get_title(loc="left")
    assert title == "0 % of the answers of f lie in the gap"


def test_across_from_one_distribution_function_to_the_other_is_f(law):
    figure = quantile_map(law, 2.0, (-2.6, 2.3))
    left, right = figure.axes
    ends = [float(line.get_xdata()[0]) for line in left.lines if line.get_marker() == "s"]
    exact = law.consistency(row(-2.6, 2.3)[:, None], row(2.0, 2.0))[:, 0]
    assert ends == pytest.approx(exact.tolist(), abs=1e-9)
    seen = [li for li in right.lines if li.get_marker() == "s"]
    assert [float(li.get_ydata()[0]) for li in seen] == pytest.approx(ends)


def test_the_drawn_slope_is_that_of_f(law):
    ax, plot = slope_of_f(law, (2.0,)).axes
    x, f = ax.lines[0].get_data()
    far = abs(f - 1.0) < 0.2  # where f is not steep, so that differences are exact enough
    measured = np.gradient(f[far], x[far])[1:-1]
    assert measured == pytest.approx(plot.lines[0].get_ydata()[far][1:-1], rel=0.01)


def test_points_on_their_way_from_noise_to_data_keep_their_order_and_leave_the_gap(law):
    seen = from_noise_to_data(law)
    assert "of 15 points lie where the data have a gap" in seen.picture.reading
    for t in (1.2, 0.0):
        seen.knobs["t"].value = t
        x = seen.picture.figure.axes[1].lines[0].get_ydata()
        assert (np.diff(x) > 0).all()
    assert x == pytest.approx(quantile_points(law, 0.002, 15)[:, 0].numpy(), abs=1e-6)
    assert "None of the 15 points lies in the gap" in seen.picture.reading
