"""Curricula against the papers' tables, and the promise that they are pure functions."""

import random
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from cmlab.methods.ct import GridDecay, SqrtGrowth
from cmlab.methods.ect import Stages
from cmlab.methods.ict import Doubling
from cmlab.schedules import Constant, PowerDecay, Warmup, WarmupCosine

# k: (N(k), μ(k)) of the paper's formulas, K = 800,000, s0 = 2, s1 = 150, μ0 = 0.9
CT = {
    0: (2, 0.9),
    1: (3, 0.932169752),
    1_000: (6, 0.965489385),
    10_000: (17, 0.987681151),
    100_000: (54, 0.996105363),
    400_000: (107, 0.998032582),
    800_000: (151, 0.998605470),
}
SCHEDULES = [
    Constant(18),
    SqrtGrowth(),
    GridDecay().on_grid(SqrtGrowth()),
    Doubling(),
    Stages(),
    Warmup(1_000),
    WarmupCosine(5_000, 200),
    PowerDecay(),
]


@pytest.mark.parametrize("step", CT)
def test_ct_counts_and_decays_as_in_its_appendix(step):
    points, decay = CT[step]
    assert SqrtGrowth()(step) == points
    assert GridDecay().on_grid(SqrtGrowth())(step) == pytest.approx(decay, abs=1e-9)


@settings(deadline=None)
@given(s0=some.integers(2, 20), more=some.integers(0, 1500), total=some.integers(1, 10**6))
def test_ct_goes_from_s0_to_s1_plus_1_points_and_stays(s0, more, total):
    points = SqrtGrowth(s0, s0 + more, total)
    assert points(0) == s0
    assert points(total) == points(total + 1) == points(10 * total) == s0 + more + 1


@pytest.mark.parametrize("stage", range(8))
def test_ict_doubles_at_the_steps_of_its_table(stage):
    points = Doubling()
    assert points(50_000 * stage) == 10 * 2**stage + 1
    assert points(50_000 * (stage + 1) - 1) == 10 * 2**stage + 1
    assert Doubling(total=10_000)(1_250 * stage) == 10 * 2**stage + 1


def test_ict_stays_on_the_finest_grid_when_the_stages_do_not_divide_the_run():
    points = Doubling(total=100)
    assert points(83) == 641 and points(84) == points(99) == 1281
    assert Doubling()(400_000) == Doubling()(10**7) == 1281


@settings(deadline=None)
@given(s0=some.integers(1, 50), doublings=some.integers(0, 7), length=some.integers(1, 1000))
def test_doubling_has_one_plateau_for_each_power_of_two(s0, doublings, length):
    total = length * (doublings + 1)
    points = Doubling(s0, s0 * 2**doublings, total)
    plateaus = [points(k) for k in range(0, total, length)]
    assert plateaus == [s0 * 2**i + 1 for i in range(doublings + 1)]
    assert [points(k) for k in range(length - 1, total, length)] == plateaus


def test_ect_reaches_the_same_gap_by_any_base():
    two, four, many = Stages(2.0, 10), Stages(4.0, 10, last=4), Stages(256.0, 10, last=1)
    assert [two(10 * s) for s in range(8)] == [2.0 ** -(s + 1) for s in range(8)]
    assert two(70) == four(30) == many(0) == 1 / 256
    assert two(10) == four(0) and two(30) == four(10)
    assert two(10**6) == 1 / 256
    assert Stages(first=0)(0) == 1  # the paper's first stage: all of t


def test_warm_ups_start_small_and_end_at_one():
    assert [Warmup(4)(k) for k in (0, 1, 4, 9)] == [0, 0.25, 1, 1]
    assert Warmup(0)(0) == 1
    rate = WarmupCosine(total=110, warmup=10, floor=0.1)
    assert rate(0) == pytest.approx(0.1) and rate(9) == rate(10) == 1
    assert rate(60) == pytest.approx(0.55)
    assert rate(110) == rate(999) == pytest.approx(0.1)


def test_a_power_decay_weights_step_s_by_s_to_the_gamma():
    gamma, steps = 3.0, 2_000
    decay, weights, kept = PowerDecay(gamma), [], 1.0
    for k in reversed(range(steps)):
        weights.append(kept * (1 - decay(k)))
        kept *= decay(k)
    weights.reverse()
    assert sum(weights) == pytest.approx(1)
    # The weight of step s is proportional to s^γ, up to a share of 1/s.
    assert weights[1_999] / weights[999] == pytest.approx(2**gamma, rel=5e-3)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_a_schedule_is_a_function_of_the_step_and_of_no_earlier_call(schedule):
    steps = list(range(0, 6_000, 7))
    forward = {k: schedule(k) for k in steps}
    random.shuffle(steps)
    assert {k: schedule(k) for k in steps} == forward
    assert hash(schedule) == hash(deepcopy(schedule))
