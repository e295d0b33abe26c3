"""Solvers and samplers: known ends, measured orders, counted calls, and the law of the samples."""

from math import log2, sqrt

import pytest
import torch

from cmlab.data.toy import Ring
from cmlab.noise_levels import KarrasGrid
from cmlab.process import RectifiedFlow, TrigFlow, VarianceExploding, VariancePreserving
from cmlab.sampling import FewSteps, ddim, heun, multistep, ode
from cmlab.teacher import OracleTeacher

PROCESSES = [VarianceExploding(), TrigFlow(), RectifiedFlow(), VariancePreserving()]
SD = 0.5


class Counted:
    """A denoiser that counts its calls."""

    def __init__(self, denoise):
        self.denoise, self.calls = denoise, 0

    def __call__(self, x_t, t):
        self.calls += 1
        return self.denoise(x_t, t)


def posterior(x_t, t):
    """E[x | x_t] of N(0, σ_d²) under EDM."""
    return x_t * (SD**2 / (t**2 + SD**2))[:, None]


def consistency(x_t, t):
    """f*(x_t, t → 0) of N(0, σ_d²) under EDM."""
    return x_t * (SD / (t**2 + SD**2).sqrt())[:, None]


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_heun_with_18_steps_ends_where_edm_says_after_35_calls():
    denoise, x = Counted(posterior), double(100.0)[:, None]
    *path, end = ode(VarianceExploding(), denoise, x, KarrasGrid().down(18))
    assert end.item() == pytest.approx(0.659530796251, abs=1e-11)
    assert denoise.calls == 35 and len(path) == 18 and path[0] is x
    exact = consistency(x, double(80.0)).item()
    assert exact == pytest.approx(0.624987793, abs=1e-9)


@pytest.mark.parametrize("solver, order, calls", [(ddim, 1, 1), (heun, 2, 2)])
@pytest.mark.parametrize("process", PROCESSES, ids=repr)
def test_a_solver_has_its_order_under_every_clock(process, solver, order, calls):
    def error(steps):
        times = process.time(torch.logspace(0.5, -0.5, steps + 1, dtype=torch.float64))
        teacher = OracleTeacher(Ring(), process)
        denoise = Counted(teacher.denoise)
        alpha, _ = process(times[[0, -1]])
        *_, end = ode(process, denoise, x * alpha[0], times, solver)
        assert denoise.calls == calls * steps
        return (end / alpha[1] - exact).norm().item()

    x = 3 * torch.randn(4, 2, dtype=torch.float64)
    levels = [torch.full((4,), 10.0**p, dtype=torch.float64) for p in (0.5, -0.5)]
    exact = Ring().oracle.flow(x, *levels)
    coarse, fine = error(32), error(64)
    assert log2(coarse / fine) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("process", PROCESSES[1:], ids=repr)
@pytest.mark.parametrize("solver", [ddim, heun])
def test_every_clock_walks_the_same_path(process, solver):
    levels, x = KarrasGrid(0.01, 10).down(9), 10 * torch.randn(5, 2, dtype=torch.float64)
    times = process.time(levels)
    alpha, _ = process(times)
    here = list(ode(process, OracleTeacher(Ring(), process).denoise, x * alpha[0], times, solver))
    there = list(ode(VarianceExploding(), OracleTeacher(Ring()).denoise, x, levels, solver))
    for a, ours, theirs in zip(alpha, here, there, strict=True):
        torch.testing.assert_close(ours / a, theirs, rtol=1e-5, atol=1e-6)


def test_one_step_to_zero_is_the_denoiser():
    x, times = torch.randn(3, 2, dtype=torch.float64), double(2.0, 0.0)
    *_, end = ode(VarianceExploding(), posterior, x, times)
    torch.testing.assert_close(end, posterior(x, double(2, 2, 2)))


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_multistep_calls_once_for_each_time_and_gives_each_answer(calls):
    denoise, times = Counted(consistency), FewSteps().levels(calls)
    answers = list(
        multistep(VarianceExploding(), denoise, torch.randn(4, 2, dtype=torch.float64), times)
    )
    assert denoise.calls == len(answers) == calls


def test_the_last_answer_is_the_networks_own_with_no_noise_added():
    constant = torch.full((4, 2), 0.25)
    *_, x = multistep(
        VarianceExploding(), lambda x_t, t: constant, torch.randn(4, 2), torch.tensor([5.0, 1.0])
    )
    assert x is constant
    before = torch.get_rng_state()
    list(multistep(VarianceExploding(), lambda x_t, t: constant, constant, torch.tensor([5.0])))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_an_exact_consistency_function_samples_the_law_itself(calls):
    n = 40_000
    x = FewSteps(80.0, 0.5)(
        VarianceExploding(), consistency, torch.randn(n, 1, dtype=torch.float64), calls
    )
    variance = x.var().item()
    assert variance == pytest.approx(SD**2, abs=5 * SD**2 * sqrt(2 / n))
    assert x.mean().item() == pytest.approx(0, abs=5 * SD / sqrt(n))
    # A denoiser in its place answers with the mean: its samples are far too narrow.
    mean = FewSteps(80.0, 0.5)(
        VarianceExploding(), posterior, torch.randn(n, 1, dtype=torch.float64), calls
    )
    assert mean.var() < 0.6 * SD**2


@pytest.mark.parametrize("process", PROCESSES[1:], ids=repr)
def test_few_steps_start_from_the_noise_of_their_clock(process):
    def exact(x_t, t):
        alpha, _ = process(t)
        return consistency(x_t / alpha[:, None], process.level(t))

    z = torch.randn(7, 2, dtype=torch.float64)
    torch.manual_seed(1)
    here = FewSteps(10.0, 0.8)(process, exact, z, 2)
    torch.manual_seed(1)
    there = FewSteps(10.0, 0.8)(VarianceExploding(), consistency, z, 2)
    torch.testing.assert_close(here, there, rtol=1e-9, atol=1e-9)


def test_few_steps_stand_on_a_karras_grid():
    assert FewSteps().levels(1).tolist() == [80]
    assert FewSteps().levels(2).tolist() == pytest.approx([80, 0.821])
    four = FewSteps(80, 0.002).levels(4)
    torch.testing.assert_close(four, KarrasGrid().up(4).flip(0))
    assert four.dtype == torch.float64


def test_wrong_times_are_refused_with_the_remedy():
    x, up = torch.randn(2, 2), torch.tensor([0.1, 1.0])
    for times in (up, up.flip(0).repeat(2), torch.ones(2), torch.ones(2, 2), torch.ones(0)):
        for sampler in (ode, multistep):
            with pytest.raises(ValueError, match=r"strictly descending.*try times\.flip\(0\)"):
                list(sampler(VarianceExploding(), lambda x_t, t: x_t, x, times))
    with pytest.raises(ValueError, match="at least one call, not 0"):
        FewSteps().levels(0)
