"""Lab 03: its checks name each slip, its bench shows the boundary, its figures draw the losses."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from cmlab_labs.common.plots_line import quantile_points
from cmlab_labs.lab03_boundary import checks
from cmlab_labs.lab03_boundary.checks import WRONG, slips
from cmlab_labs.lab03_boundary.explorer import explorer, parametrisations, untrained
from cmlab_labs.lab03_boundary.figures import FLOOR, boundary, collapse, variances
from cmlab_labs.lab09_ect.figures import mean_functions
from exercises import answers, lab, solutions, stubs

from cmlab.data.toy import Bumps
from cmlab.model import CMPrecond
from cmlab.noise_levels import KarrasGrid

LAB = lab("03")
CHECKS = (checks.cm_coefficients, checks.anchored)


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_stubs_are_not_attempted_and_the_solutions_pass():
    for check, stub, solution in zip(
        CHECKS, answers(LAB, stubs(LAB)), answers(LAB, solutions(LAB)), strict=True
    ):
        assert check(stub).state == "not attempted yet"
        assert check(solution).passed, check(solution)


def test_the_bound_of_d_hardly_depends_on_the_number_of_levels():
    line, sums = Bumps().oracle, {}
    for n in (18, 144):
        sums[n] = 0.0
        for r, t in pairwise(KarrasGrid(0.002, 10.0).up(n)):
            x_t = quantile_points(line, float(t), 500)
            t, r = t.expand(500), r.expand(500)
            change = line.denoise(x_t, t) - line.denoise(line.flow(x_t, t, r), r)
            sums[n] += float(change.square().mean().sqrt())
    said = f"for D it is {sums[18]:.2f} with these 18 and {sums[144]:.2f} with 144"
    assert said in LAB.read_text()


def test_means_of_scattered_targets_shrink_less_on_finer_grids():
    line = Bumps().oracle
    x, spread = quantile_points(line, 10.0, 300), {}
    for n in (18, 144):
        down = KarrasGrid(0.002, 10.0).up(n).flip(0).tolist()
        spread[n] = float(mean_functions(line, down)[-1](x[:, 0].double()).std())
    exact = float(line.consistency(x, row(10.0).expand(300)).std())
    assert 0.8 < spread[18] < spread[144] < exact < 1


SLIPS = [slip for slip, *_ in slips(row(1.0), 0.7, 0.1)]


@pytest.mark.parametrize("number", range(len(SLIPS)))
def test_each_slip_in_the_coefficients_gets_its_own_message(number):
    def wrong(t, s, eps):
        found = dict(zip(("c_skip", "c_out", "c_in"), CMPrecond(s, eps)(t)[:3], strict=True))
        _, name, value = slips(t, s, eps)[number]
        return tuple((found | {name: value}).values())

    verdict = checks.cm_coefficients(wrong)
    assert verdict.state == "slip" and verdict.message == SLIPS[number]
    assert len(set(SLIPS)) == len(SLIPS)


def scaled(skip=1.0, out=1.0, c_in=1.0):
    def wrong(t, s, eps):
        a, b, c, _ = CMPrecond(s, eps)(t)
        return skip * a, out * b, c_in * c

    return wrong


OTHER_SLIPS = {
    "c_skip(ε) is 2 and must be 1": scaled(skip=2.0),
    "c_out is not the paper's": scaled(out=2.0),
    "input has variance 1.4": scaled(c_in=1.2),
    "c_out(ε) is 0.1 and must be 0": lambda t, s, e: (
        CMPrecond(s, e)(t)[0], t, CMPrecond(s, e)(t)[2]
    ),
    "return three things": lambda t, s, e: CMPrecond(s, e)(t),
    "the shape of t": lambda t, s, e: tuple(c[:, None] for c in CMPrecond(s, e)(t)[:3]),
    "at σ_d = 0.5, ε = 0.002": lambda t, s, e: CMPrecond(s, 0.1 if e == 0.002 else e)(t)[:3],
}  # fmt: skip


@pytest.mark.parametrize("message", OTHER_SLIPS)
def test_other_wrong_coefficients_are_told_apart(message):
    verdict = checks.cm_coefficients(OTHER_SLIPS[message])
    assert verdict.state == "slip" and message in verdict.message, verdict


@pytest.mark.parametrize("message", WRONG)
def test_each_half_test_of_the_boundary_gets_its_own_message(message):
    verdict = checks.anchored(WRONG[message])
    assert verdict.state == "slip" and verdict.message == message


def test_asking_at_zero_and_other_wrong_tests_are_named():
    at_zero = checks.anchored(lambda skip, out, eps: abs(skip(0) - 1) + abs(out(0)) < 1e-6)
    assert "the boundary is at ε" in at_zero.message
    odd = checks.anchored(lambda skip, out, eps: abs(skip(eps) - 1) < 1e-6 and eps < 0.2)
    assert odd.state == "slip" and "you answer" in odd.message


@pytest.fixture(scope="module")
def seen():
    return explorer()


def at_boundary(seen):
    """How far the networks' lines on the first of the small panels are from f = x."""
    *lines, identity = seen.picture.figure.axes[1].lines
    return max(np.abs(li.get_ydata() - identity.get_ydata()).max() for li in lines), len(lines)


def turn(seen, **values):
    for name, value in values.items():
        seen.knobs[name].value = value


def test_only_the_forms_with_a_boundary_hold_every_network_at_epsilon(seen):
    held = {}
    for form in ("CM form", "EDM form", "ε/t form", "bare"):
        turn(seen, form=form, sigma_data=0.5, eps=0.05)
        held[form], lines = at_boundary(seen)
        assert lines == 5
    assert max(held["CM form"], held["ε/t form"]) < 1e-12
    assert 0.01 < held["EDM form"] < 0.3 < held["bare"]


def test_the_reading_says_what_the_bench_shows(seen):
    turn(seen, form="EDM form", sigma_data=0.5, eps=0.002)
    assert "c_skip(ε) = 0.999984" in seen.picture.reading
    assert "nearly holds" in seen.picture.reading
    turn(seen, form="CM form")
    assert "holds for every network" in seen.picture.reading
    turn(seen, form="bare")
    assert "no boundary" in seen.picture.reading


@pytest.mark.parametrize("knob, value", [("form", "ε/t form"), ("sigma_data", 1.7), ("eps", 0.3)])
def test_every_knob_changes_the_picture(seen, knob, value):
    turn(seen, form="CM form", sigma_data=0.94, eps=0.002)
    before, image = seen.picture.figure.axes[0].lines[2].get_xydata(), seen.image.value
    turn(seen, **{knob: value})
    after = seen.picture.figure.axes[0].lines[2].get_xydata()
    assert seen.image.value != image and not np.allclose(before, after)
    assert seen.knobs[knob].description


def test_the_same_seed_is_the_same_network_whose_answers_are_of_size_one():
    a, b = (untrained(parametrisations(0.5, 0.002)["bare"], 3) for _ in range(2))
    x, t = torch.randn(500, 1, dtype=torch.float64), torch.full((500,), 0.5, dtype=torch.float64)
    f = a(x, t).detach()
    assert torch.equal(f, b(x, t)) and 0.2 < float(f.square().mean().sqrt()) < 3


def test_the_figures_draw_what_they_were_given():
    losses = {"exact f": [0.0, 0.0], "identity": [0.1, 0.2]}
    figure = boundary(row(0.01, 1.0, 2.0), parametrisations(0.5, 0.01), losses)
    skip, out, loss = figure.axes
    t = torch.as_tensor(skip.lines[0].get_xdata())
    assert np.allclose(skip.lines[0].get_ydata(), CMPrecond(0.5, 0.01)(t)[0])
    assert np.allclose(out.lines[0].get_ydata(), CMPrecond(0.5, 0.01)(t)[1])
    assert [list(li.get_ydata()) for li in loss.lines] == [[FLOOR, FLOOR], [0.1, 0.2]]
    assert any("exactly 0: exact f" in text.get_text() for text in loss.texts)
    assert len(variances(row(1.0, 2.0), {"right": [1, 1]}, {"right": [1, 1]}).axes) == 2
    spreads = {"a": {"bare": row(0.1, 0.2).expand(3, 2)}, "b": {"CM form": row(1, 1)[None]}}
    assert len(collapse(row(1.0, 2.0), row(1.0, 1.0), spreads).axes[0].lines) == 4
