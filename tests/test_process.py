"""The four moves of every process, and the relations between the clocks."""

from math import atan, pi, tan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from cmlab.ops import expand
from cmlab.process import RectifiedFlow, TrigFlow, VarianceExploding, VariancePreserving

PROCESSES = [VarianceExploding(), TrigFlow(), TrigFlow(1.0), RectifiedFlow(), VariancePreserving()]
PROCESSES += [VariancePreserving(0.5, 0.5)]  # constant β
every = pytest.mark.parametrize("process", PROCESSES, ids=repr)
level_range = some.floats(0.002, 60)


def at(process, *levels):
    """Times with these noise levels, in float64."""
    return process.time(torch.tensor(levels, dtype=torch.float64))


def some_data(b=5):
    return torch.randn(2, b, 1, 3, 3, dtype=torch.float64)


def close(a, b, rtol=1e-9, atol=1e-9):
    torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


@every
@settings(deadline=None, max_examples=25)
@given(level=level_range)
def test_the_time_of_a_level_has_that_level(process, level):
    t = at(process, level)
    assert process.level(t).item() == pytest.approx(level, rel=1e-9)
    close(process.time(process.level(t)), t)
    assert process.level(t.float()).item() == pytest.approx(level, rel=1e-3)


@every
def test_time_rises_with_the_level_from_zero(process):
    t = at(process, *torch.logspace(-3, 1.7, 200).tolist())
    assert bool((t.diff() > 0).all())
    zero = at(process, 0.0)
    assert zero.item() == pytest.approx(0, abs=1e-12)
    alpha, sigma = process(zero)
    assert (alpha.item(), sigma.item()) == (pytest.approx(1), pytest.approx(0, abs=1e-9))


@every
def test_a_small_level_keeps_its_digits_in_float32(process):
    level = torch.tensor([0.002, 0.01, 0.1])
    exact = process.time(level.double())
    close(process.time(level).double(), exact, rtol=3e-6, atol=0)


@every
@settings(deadline=None, max_examples=25)
@given(level=level_range, to=level_range)
def test_the_moves_agree_with_each_other(process, level, to):
    (x, z), t, r = some_data(), at(process, *[level] * 5), at(process, *[to] * 5)
    x_t = process.perturb(x, z, t)
    close(process.noise(x_t, x, t), z, 1e-8, 1e-8)
    close(process.transport(x_t, x, t, r), process.perturb(x, z, r), 1e-8, 1e-8)
    back = process.transport(process.transport(x_t, x, t, r), x, r, t)
    close(back, x_t, 1e-7, 1e-7)


@every
def test_transport_to_the_same_time_and_to_level_zero(process):
    (x, z), t, zero = some_data(), at(process, *[0.7] * 5), at(process, *[0.0] * 5)
    x_t = process.perturb(x, z, t)
    close(process.transport(x_t, x, t, t), x_t)
    close(process.transport(x_t, x, t, zero), x)
    assert bool(process.transport(x, x, zero, t).isfinite().all())


@every
@pytest.mark.parametrize("level", [0.05, 0.7, 20.0])
def test_velocity_is_the_difference_quotient_of_perturb(process, level):
    (x, z), t = some_data(), at(process, *[level] * 5)
    h = 1e-5 * t
    ends = process.perturb(x, z, t + h) - process.perturb(x, z, t - h)
    velocity = process.velocity(process.perturb(x, z, t), x, t)
    close(velocity, ends / expand(2 * h, x), 1e-6, 1e-6)


def test_velocities_have_their_textbook_forms():
    (x, z), t = some_data(), torch.linspace(0.2, 0.9, 5, dtype=torch.float64)
    edm, trig, flow = VarianceExploding(), TrigFlow(0.5), RectifiedFlow()
    x_t = edm.perturb(x, z, t)
    close(edm.velocity(x_t, x, t), (x_t - x) / expand(t, x))
    rotated = expand(t.cos(), x) * 0.5 * z - expand(t.sin(), x) * x
    close(trig.velocity(trig.perturb(x, z, t), x, t), rotated)
    close(flow.velocity(flow.perturb(x, z, t), x, t), z - x)


def test_trigflow_transport_is_a_rotation():
    (x, z), process = some_data(), TrigFlow(0.5)
    t, s = torch.full((2, 5), 0.0, dtype=torch.float64) + torch.tensor([[1.1], [0.3]])
    x_t = process.perturb(x, z, t)
    v = process.velocity(x_t, x, t)
    turned = expand((t - s).cos(), x) * x_t - expand((t - s).sin(), x) * v
    close(process.transport(x_t, x, t, s), turned)


def test_trigflow_and_edm_are_one_process_on_two_clocks():
    edm, trig = VarianceExploding(), TrigFlow(0.5)
    table = {0.002: 0.0039999787, 0.06: 0.1194289260, 0.5: 0.7853981634, 1.0: 1.1071487178,
             10.0: 1.5208379311, 80.0: 1.5645464082}  # fmt: skip
    for level, angle in table.items():
        assert at(trig, level).item() == pytest.approx(angle, abs=1e-10)
        assert 0.5 * tan(angle) == pytest.approx(level, rel=1e-5)
    (x, z), level = some_data(), torch.logspace(-2, 1.5, 5, dtype=torch.float64)
    t = trig.time(level)
    close(trig.perturb(x, z, t) / expand(t.cos(), x), edm.perturb(x, z, level))
    # √(σ² + σ_d²) = σ_d / cos t, so both networks see the same tensor.
    close((level**2 + 0.25).sqrt(), 0.5 / t.cos())
    assert at(trig, 1e9).item() < pi / 2 and atan(80 / 0.5) == pytest.approx(1.5645464082)


def test_variance_preserving_preserves_variance():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    alpha, sigma = VariancePreserving()(t)
    close(alpha**2 + sigma**2, torch.ones_like(t), 1e-14, 0)
    # The log of α² is minus the integral of β, here by the trapezoid rule (β is linear).
    beta = 0.1 + t * 19.9
    integral = torch.cumulative_trapezoid(beta, t)
    close(alpha[1:].log() * 2, -integral)


def test_rectified_flow_is_a_straight_line_of_unit_length_in_time():
    flow, t = RectifiedFlow(), torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    alpha, sigma = flow(t)
    close(alpha + sigma, torch.ones_like(t), 0, 1e-15)
    close(flow.time(t / (1 - t)), t)
