"""Lab 01: its checks name each slip, its explorer answers, and its figures show what they say."""

import statistics
from time import process_time

import numpy as np
import pytest
import torch
from cmlab_labs.common import plots_line
from cmlab_labs.lab01_flow import checks, figures
from cmlab_labs.lab01_flow import explorer as trajectory
from cmlab_labs.lab01_flow.analysis import end_error, share_errors, step_errors
from cmlab_labs.lab01_flow.checks import slips
from exercises import answers, lab, solutions, stubs

from cmlab.data.toy import Bumps, Ring
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Mixture1D
from cmlab.sampling import ddim, heun

LAB = lab("01")
GRID = KarrasGrid(trajectory.LOW, trajectory.HIGH)
CHECKS = (checks.karras_sigmas, checks.heun_step)


def test_the_stubs_are_not_attempted_yet():
    for check, stub in zip(CHECKS, answers(LAB, stubs(LAB)), strict=True):
        assert check(stub).state == "not attempted yet"


def test_the_solutions_pass():
    for check, solution in zip(CHECKS, answers(LAB, solutions(LAB)), strict=True):
        assert check(solution).passed, check(solution)


def right(n, low, high, rho):
    share = torch.linspace(0, 1, n).double()
    return (high ** (1 / rho) + share * (low ** (1 / rho) - high ** (1 / rho))) ** rho


def by_index(first, parts):
    """Levels at the shares i / parts(n), i = first, first + 1, …"""

    def levels(n, low, high, rho):
        share = (torch.arange(n).double() + first) / parts(n)
        return (high ** (1 / rho) + share * (low ** (1 / rho) - high ** (1 / rho))) ** rho

    return levels


LEVEL_SLIPS = {
    "swap the two ends": lambda n, low, high, rho: right(n, low, high, rho).flip(0),
    "raise to the power ρ at the end": lambda n, low, high, rho: right(
        n, low ** (1 / rho), high ** (1 / rho), 1.0
    ),
    "take the ρ-th roots of both ends": lambda n, low, high, rho: right(n, low, high, 1.0) ** rho,
    "so ρ has no effect": lambda n, low, high, rho: right(n, low, high, 1.0),
    "the power 1/ρ comes first": lambda n, low, high, rho: right(n, low, high, 1 / rho),
    "divide by n − 1 and not by n": by_index(0, lambda n: n),
    "so count from 0": by_index(1, lambda n: n),
    "count i from 0 to n − 1": lambda n, low, high, rho: right(n + 1, low, high, rho),
    "the sampler adds that one itself": lambda n, low, high, rho: torch.cat(
        [right(n, low, high, rho), torch.zeros(1)]
    ),
    "a power written as a fixed number": lambda n, low, high, rho: right(n, low, high, 7.0),
    "0 / (n − 1) is 0 / 0 there": by_index(0, lambda n: n - 1),
    "do not fall strictly": lambda n, low, high, rho: torch.tensor([high] + [low] * (n - 1)),
    "evenly in the ρ-th root": lambda n, low, high, rho: (
        torch.logspace(np.log10(high), np.log10(low), n) if rho > 1 else right(n, low, high, rho)
    ),
}


@pytest.mark.parametrize("slip", LEVEL_SLIPS)
def test_a_slip_in_the_noise_levels_is_named(slip):
    verdict = checks.karras_sigmas(LEVEL_SLIPS[slip])
    assert verdict.state == "slip" and slip in verdict.message, verdict


def test_plain_python_levels_pass_and_its_division_by_zero_is_named():
    def listed(n, low, high, rho, last=None):
        a, b = high ** (1 / rho), low ** (1 / rho)
        return [(a + i / (last or n - 1) * (b - a)) ** rho for i in range(n)]

    assert "0 / 0" in checks.karras_sigmas(listed).message
    assert checks.karras_sigmas(lambda n, *ends: listed(n, *ends, last=max(n - 1, 1))).passed


STEP_SLIPS = 10


@pytest.mark.parametrize("number", range(STEP_SLIPS))
def test_a_slip_in_the_step_is_named(number):
    def wrong(denoise, x, t, r):
        return slips(denoise, x, t, r)[number][1]

    expected = slips(lambda x, t: x / 2, torch.ones(2, 1), 2.0, 1.0)
    assert len(expected) == STEP_SLIPS
    verdict = checks.heun_step(wrong)
    assert verdict.state == "slip" and verdict.message == expected[number][0]


def test_a_step_of_order_one_with_no_known_slip_fails_by_the_order_itself():
    def damped(denoise, x, t, r):
        d = (x - denoise(x, t)) / t
        euler = x + (r - t) * d
        return x + (r - t) * (0.4 * d + 0.6 * (euler - denoise(euler, r)) / r)

    assert "order two would divide it by 4" in checks.heun_step(damped).message


def test_other_ways_to_fail_a_step_are_named_too():
    def costly(denoise, x, t, r):
        denoise(x, t)
        d = (x - denoise(x, t)) / t
        euler = x + (r - t) * d
        return x + (r - t) * (d + (euler - denoise(euler, r)) / r) / 2

    assert "needs two calls" in checks.heun_step(costly).message
    assert "another path" in checks.heun_step(lambda denoise, x, t, r: x).message
    assert "came back as" in checks.heun_step(lambda denoise, x, t, r: x[:, 0]).message


def test_another_method_of_order_two_passes():
    def midpoint(denoise, x, t, r):
        half = (t + r) / 2
        middle = x + (half - t) * (x - denoise(x, t)) / t
        return x + (r - t) * (middle - denoise(middle, half)) / half

    assert checks.heun_step(midpoint).passed


def test_a_single_step_of_a_solver_of_order_k_misses_the_path_by_the_power_k_plus_1():
    line, x = Bumps().oracle, torch.linspace(-8, 9, 40).double()[:, None]
    for solver, power in ((ddim, 2), (heun, 3)):
        whole, half = (
            float(step_errors(line, x, torch.tensor([10.0, r]).double(), solver))
            for r in (9.8, 9.9)
        )
        assert np.log2(whole / half) == pytest.approx(power, abs=0.1)


def test_eulers_step_on_one_gaussian_misses_most_at_its_spread_times_the_root_of_2():
    row = (torch.tensor([v], dtype=torch.float64) for v in (1.0, 0.1, 0.94))
    t = torch.linspace(1.0, 1.7, 71).flip(0).double()
    missed = share_errors(Mixture1D(*row), torch.tensor([[9.0]]).double(), t, 0.001)[:, 0]
    assert t[missed.argmax()] == pytest.approx(2**0.5 * 0.94, abs=0.011)
    levels = torch.tensor([2.0, 1.0]).double()
    short, long = (
        share_errors(Bumps().oracle, torch.tensor([[9.0]]).double(), levels, s)
        for s in (0.001, 0.002)
    )
    assert long / short == pytest.approx(4 * torch.ones(2, 1), rel=0.01)


@pytest.mark.parametrize("top", [10.0, 80.0])
def test_rho_3_makes_the_errors_of_single_steps_most_nearly_equal(top):
    line = Bumps().oracle
    x = top * torch.special.ndtri((torch.arange(64).double() + 0.5) / 64)[:, None]
    uneven = {
        rho: step_errors(line, x, KarrasGrid(0.002, top, rho).down(18)[:-1]).log10().std()
        for rho in (1, 3, 5, 7, 10)
    }
    assert min(uneven, key=uneven.get) == 3 and uneven[3] > 0.5


@pytest.fixture(scope="module")
def explorer():
    return trajectory.explorer()


def test_the_explorer_opens_on_a_start_that_ends_in_the_wrong_mode(explorer):
    assert (
        "nearest to the middle mode, the exact path nearest to the upper one"
        in explorer.picture.reading
    )
    assert "6 network calls" in explorer.picture.reading


def test_the_errors_that_the_lab_folds_away_are_those_of_the_explorer(explorer):
    text, opened = LAB.read_text(encoding="utf-8"), {n: k.value for n, k in explorer.knobs.items()}

    def errors(solver, start, steps):
        knobs = opened | {"solver": solver, "start": start}
        seen = [trajectory.draw(**knobs | {"steps": n}).reading for n in steps]
        *first, last = (line.split("error ")[1].split(".\n")[0] for line in seen)
        return f"{', '.join(first)} and {last}"

    for solver, start, steps in (("Euler", 0.85, (6, 12, 24, 48, 96)),
                                 ("Euler", 0.3, (6, 12, 24, 48, 96)),
                                 ("Heun", 0.85, (8, 16, 32, 64))):  # fmt: skip
        assert errors(solver, start, steps) in text


MIDDLE = {"start": 0.3, "steps": 18, "rho": 3, "solver": "Heun", "lower": -2.0, "upper": 2.5,
          "below": 0.1, "above": 0.4, "width": 0.5}  # fmt: skip


@pytest.mark.parametrize("name", MIDDLE)
def test_every_knob_changes_the_solvers_path_and_the_picture(explorer, name):
    before, image = drawn(explorer), explorer.image.value
    explorer.knobs[name].value = MIDDLE[name]
    assert drawn(explorer).shape != before.shape or not np.allclose(drawn(explorer), before)
    assert explorer.image.value != image
    assert ink(explorer.image.value) > 1000


def drawn(explorer):
    """The solver's path on the last panel."""
    return explorer.picture.figure.axes[1].lines[1].get_xydata()


def ink(png):
    from io import BytesIO

    from matplotlib.image import imread

    return int((imread(BytesIO(png))[..., :3].mean(2) < 0.3).sum())


def test_the_reading_says_what_the_picture_shows(explorer):
    explorer.knobs["steps"].value, explorer.knobs["solver"].value = 18, "Heun"
    exact, walked = (line.get_xydata() for line in explorer.picture.figure.axes[1].lines)
    assert f"Endpoint {walked[-1, 1]:.4f}, exact endpoint {exact[-1, 1]:.4f}" in (
        explorer.picture.reading
    )
    assert "35 network calls" in explorer.picture.reading
    assert len(walked) == 19 and np.allclose(walked[0], exact[0])


def test_the_more_steps_the_nearer_the_end():
    law, _ = trajectory.mixture(((-1.0, 0.5, 0.2), (1.0, 0.5, 0.2)))
    x = torch.tensor([[4.0]]).double()
    exact = law.flow(x, torch.tensor([10.0]).double(), torch.zeros(1).double()).item()
    ends = [trajectory.solve(law, x, GRID.down(n), "Heun")[0][-1] for n in (8, 32, 128)]
    gaps = [abs(float(end) - exact) for end in ends]
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]


def test_one_step_goes_straight_to_the_posterior_mean():
    law, _ = trajectory.mixture(((-1.0, 0.5, 0.2), (1.0, 0.5, 0.2)))
    x, top = torch.tensor([[4.0]]).double(), torch.tensor([10.0]).double()
    walked, calls = trajectory.solve(law, x, GRID.down(1), "Heun")
    assert calls == 1 and torch.allclose(walked[-1], law.denoise(x, top))


def test_every_corner_of_the_knobs_gives_a_picture(explorer):
    for side in (min, max):
        knobs = {name: knob for name, knob in explorer.knobs.items() if name != "solver"}
        picture = trajectory.draw(
            solver="Heun", **{name: side(k.min, k.max) for name, k in knobs.items()}
        )
        assert "nan" not in picture.reading


def test_the_explorer_answers_quickly(explorer):
    """In seconds of this process, which on a busy machine are more than on a quiet one."""
    times = []
    for steps in (5, 6, 7, 8, 9):
        start = process_time()
        explorer.knobs["steps"].value = steps
        times.append(process_time() - start)
    assert statistics.median(times) < 0.6


def test_end_error_has_order_one_with_euler_and_two_with_heun():
    law, x = Bumps().oracle, torch.linspace(-9, 9, 20).double()[:, None]
    grid = KarrasGrid(sigma_max=10.0)
    for solver, slope in ((ddim, -1), (heun, -2)):
        errors = [float(end_error(law, x, grid.down(n), solver).mean()) for n in (32, 64, 128)]
        assert plots_line.slope((32, 64, 128), errors) == pytest.approx(slope, abs=0.25)


def test_end_error_is_the_distance_in_the_plane():
    x = 10 * torch.randn(16, 2, dtype=torch.float64)
    errors = end_error(Ring().oracle, x, KarrasGrid(sigma_max=10.0).down(64))
    assert errors.shape == (16,) and float(errors.max()) < 0.02


def test_the_measured_slope_is_the_exponent():
    assert plots_line.slope((4, 16, 32, 64), [9.0, 16**-2.0, 32**-2.0, 64**-2.0]) == pytest.approx(
        -2
    )


def test_heun_overtakes_euler_where_its_error_is_first_below():
    calls = {"Euler": (4, 8, 16, 32), "Heun": (3, 7, 15, 31)}
    errors = {"Euler": (0.8, 0.4, 0.2, 0.1), "Heun": (9.0, 3.0, 0.1, 0.02)}
    assert figures.crossover_calls(calls, errors) == 15


def test_a_density_is_1_on_its_ridge_at_every_level():
    x = torch.linspace(-5, 5, 201).double()
    shade = figures.relative_density(Bumps().oracle, torch.tensor([0.0, 0.5, 3.0]).double(), x)
    assert shade.shape == (201, 3) and np.allclose(shade.max(0), 1)


def test_the_paths_of_a_fan_never_cross():
    t, x = figures.paths_from_noise(Bumps().oracle, 10.0, 12)
    assert x.shape == (len(t), 12) and bool((x.diff(dim=1) > 0).all())
    assert t[0] == 10 and t[-1] == 0
