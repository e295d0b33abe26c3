"""Proposals, grids and pairs against the papers' tables and against their own laws."""

from math import erfc, log

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as some

from cmlab.methods.ect import ECTMapping, Stages
from cmlab.methods.ict import InverseGap
from cmlab.noise_levels import (
    AdjacentLevels,
    At,
    DenoisingPairs,
    KarrasGrid,
    LogNormal,
    UniformIndex,
)
from cmlab.process import RectifiedFlow, TrigFlow, VarianceExploding, VariancePreserving
from cmlab.schedules import Constant

ICT = LogNormal(-1.1, 2.0)
KARRAS_18 = [
    80, 57.5859847212, 40.7855737965, 28.3745846042, 19.3524529803, 12.9100823808,
    8.4009353091, 5.3151945218, 3.25682151977, 1.92333983704, 1.08817063655, 0.585348123195,
    0.296442284479, 0.139516468731, 0.0599473112355, 0.0229345183723, 0.00752801996278, 0.002,
]  # fmt: skip
MASSES_9 = [
    0.07683723, 0.22038819, 0.27069950, 0.20763549, 0.12123739, 0.06012866, 0.02700145,
    0.01141523, 0.00465684,
]  # fmt: skip
MASSES_10 = [
    0.06263299, 0.18173698, 0.24550142, 0.21349445, 0.14244606, 0.08060462, 0.04107991,
    0.01958009, 0.00894387, 0.00397961,
]  # fmt: skip
T = [0.01, 0.1, 0.5, 0.821, 1, 2, 5, 80]
N_OF_T = [4.98000017, 4.80016650, 4.02032535, 3.44441143, 3.15153137, 1.95362338, 1.05354281, 1]
R_OF_T = {  # stage of q = 2 -> r(t)
    0: [0, 0, 0, 0, 0, 0.0463766238, 2.36614298, 40],
    1: [0, 0, 0, 0.114034554, 0.212117157, 1.02318831, 3.68307149, 60],
    2: [0.00377499979, 0.0399979187, 0.248729666, 0.467517277, 0.606058579, 1.51159416,
        4.34153575, 70],
    3: [0.0068874999, 0.0699989594, 0.374364833, 0.644258638, 0.803029289, 1.75579708,
        4.67076787, 75],
    7: [0.00980546874, 0.098124935, 0.492147802, 0.809953665, 0.987689331, 1.98473732,
        4.97942299, 79.6875],
}  # fmt: skip


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def batch(n, dtype=torch.float64):
    return torch.zeros(n, 2, dtype=dtype)


def test_the_sampler_grid_of_18_levels_is_edms():
    torch.testing.assert_close(
        KarrasGrid().down(18), double([*KARRAS_18, 0]), rtol=1e-10, atol=1e-10
    )


def test_the_middle_levels_of_two_step_sampling_lie_on_icts_last_grid():
    levels = KarrasGrid().up(1281)
    assert levels[492].item() == pytest.approx(0.820866841291, abs=1e-11)
    assert levels[571].item() == pytest.approx(1.525766243896, abs=1e-11)


@settings(deadline=None)
@given(
    low=some.floats(1e-4, 0.1),
    high=some.floats(0.5, 200),
    rho=some.floats(1, 10),
    points=some.integers(2, 1500),
)
def test_a_grid_rises_from_its_lowest_to_its_highest_level(low, high, rho, points):
    levels = KarrasGrid(low, high, rho).up(points)
    assert len(levels) == points and bool((levels.diff() > 0).all())
    assert levels[0].item() == pytest.approx(low, rel=1e-12)
    assert levels[-1].item() == pytest.approx(high, rel=1e-12)
    assert levels.float()[[0, -1]].tolist() == torch.tensor([low, high]).tolist()


def test_icts_masses_are_the_log_normals():
    for points, masses in ((10, MASSES_9), (11, MASSES_10)):
        found = ICT.masses(KarrasGrid().up(points))
        torch.testing.assert_close(found, double(masses), rtol=0, atol=1e-8)
    levels = KarrasGrid().up(1281)
    fine = ICT.masses(levels)
    assert fine[0].item() == pytest.approx(1.4982e-4, rel=1e-4)
    assert fine[-1].item() == pytest.approx(2.01094745e-5, rel=1e-8)
    assert fine.argmax() == 329 and levels[329].item() == pytest.approx(0.1860889, rel=1e-6)
    assert fine.max().item() == pytest.approx(0.00195568886, rel=1e-8)


@settings(deadline=None)
@given(points=some.integers(2, 1500), mean=some.floats(-2, 0), std=some.floats(0.8, 3))
@example(points=877, mean=-1.9921875, std=0.8)
def test_the_masses_of_a_proposal_are_positive_and_sum_to_one(points, mean, std):
    grid = KarrasGrid()
    for proposal in (LogNormal(mean, std), UniformIndex(grid)):
        masses = proposal.masses(grid.up(points))
        assert len(masses) == points - 1 and bool((masses > 0).all())
        assert masses.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("mean", [-10.0, 5.0])
def test_a_mass_in_a_tail_is_as_exact_as_one_in_the_middle(mean):
    levels = KarrasGrid().up(41)
    z = [(log(level) - mean) / (0.8 * 2**0.5) for level in levels.tolist()]
    pairs = zip(z[1:], z[:-1], strict=True)
    tails = [erfc(-a) - erfc(-b) if b < 0 else erfc(b) - erfc(a) for a, b in pairs]
    assert min(tails) < 1e-30, "here torch's ndtr is 0 or 1"
    torch.testing.assert_close(
        LogNormal(mean, 0.8).masses(levels), double(tails) / sum(tails), rtol=1e-11, atol=0
    )


def test_the_mass_between_the_ends_does_not_depend_on_the_grid():
    for points in (11, 81, 1281):  # the differences telescope: erf's total is 1.983326300459
        assert 2 * ICT.cdf(KarrasGrid().up(points)).diff().sum().item() == pytest.approx(
            1.983326300459, abs=1e-12
        )


def test_icts_weight_is_the_inverse_of_the_grids_gap():
    for points, first, last in ((11, 67.9313065, 0.0288298545), (1281, 25584.7238, 2.93603127)):
        levels = KarrasGrid().up(points)
        weight = InverseGap()(levels[1:], levels[:-1])
        assert weight[0].item() == pytest.approx(first, rel=1e-8)
        assert weight[-1].item() == pytest.approx(last, rel=1e-8)


@pytest.mark.parametrize("stage", R_OF_T)
def test_ects_second_time_is_its_authors(stage):
    pairs, t = ECTMapping(Stages(2.0, every=10)), double(T)
    torch.testing.assert_close(
        t * pairs.ratio(t, 10 * stage), double(R_OF_T[stage]), rtol=1e-7, atol=1e-11
    )


@pytest.mark.parametrize("level", T)
def test_ect_labels_with_data_exactly_where_n_is_at_least_the_inverse_gap(level):
    n = N_OF_T[T.index(level)]
    for stage in range(8):
        gap = 2.0 ** -(stage + 1)
        ratio = ECTMapping(Constant(gap)).ratio(double([level]), 0).item()
        assert (ratio == 0) == (n >= 1 / gap)
        assert ratio == pytest.approx(max(0, 1 - gap * n), abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(stage=some.integers(1, 8), step=some.integers(0, 100))
def test_r_is_below_t_and_never_negative_in_float32(stage, step):
    pairs = ECTMapping(Stages(2.0, every=10, first=stage))
    t, r = pairs(VarianceExploding(), batch(512, torch.float32), step)
    assert t.dtype == r.dtype == torch.float32
    assert bool((r >= 0).all() and (r < t).all())


def test_the_second_time_only_rises_as_training_goes_on():
    level = torch.logspace(-3, 2, 100, dtype=torch.float64)
    ratios = torch.stack([ECTMapping(Stages(every=1)).ratio(level, k) for k in range(8)])
    assert bool((ratios.diff(dim=0) >= 0).all()) and bool((ratios[-1] > 0.98).all())


def kolmogorov(sample, cdf):
    """The largest gap between the law of a sample and a distribution function, times √n."""
    u = cdf(sample.sort().values)
    steps = torch.arange(1, len(u) + 1, dtype=torch.float64) / len(u)
    return (u - steps).abs().max().item() * len(u) ** 0.5


def test_a_log_normal_has_its_law():
    level = ICT.sample(batch(20_000))
    assert kolmogorov(level, ICT.cdf) < 1.95  # exceeded once in 1000 draws
    assert kolmogorov(level, LogNormal(-1.0, 2.0).cdf) > 1.95


def test_a_restricted_log_normal_is_the_law_between_its_ends():
    law = LogNormal(-1.1, 2.0, 0.002, 10.0)
    level = law.sample(batch(20_000))
    low, high = law.cdf(double([0.002, 10.0])).tolist()
    assert 0.002 <= level.min() and level.max() <= 10
    assert kolmogorov(level, lambda v: (law.cdf(v) - low) / (high - low)) < 1.95
    assert kolmogorov(level, law.cdf) > 1.95


def test_the_continuous_law_of_a_grid_is_uniform_in_its_coordinate():
    grid = KarrasGrid(0.002, 10.0)
    level = UniformIndex(grid).sample(batch(20_000))
    low, high = 0.002 ** (1 / 7), 10 ** (1 / 7)
    assert kolmogorov(level, lambda v: (v ** (1 / 7) - low) / (high - low)) < 1.95


def test_neighbours_are_neighbours_and_come_as_often_as_their_mass():
    pairs, n = AdjacentLevels(Constant(11)), 50_000
    t, r = pairs(VarianceExploding(), batch(n), 0)
    levels = KarrasGrid().up(11)
    i = (t[:, None] - levels).abs().argmin(1)
    assert torch.equal(t, levels[i]) and torch.equal(r, levels[i - 1])
    share = torch.bincount(i - 1, minlength=10) / n
    spread = (double(MASSES_10) / n).sqrt()
    assert bool(((share - double(MASSES_10)).abs() < 4.5 * spread).all())


PROCESSES = [VarianceExploding(), TrigFlow(), RectifiedFlow(), VariancePreserving()]


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize(
    "pairs", [AdjacentLevels(Constant(41)), ECTMapping(), DenoisingPairs(), At(0.3, 0.5)]
)
def test_pairs_hold_the_same_noise_levels_in_every_clock(process, pairs):
    torch.manual_seed(1)
    t, r = pairs(process, batch(64), 0)
    torch.manual_seed(1)
    level, below = pairs(VarianceExploding(), batch(64), 0)
    torch.testing.assert_close(process.level(t), level, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(process.level(r), below, rtol=1e-9, atol=1e-9)


def test_denoising_pairs_end_at_the_data_and_at_pairs_stay_put():
    t, r = DenoisingPairs()(VarianceExploding(), batch(2_000), 0)
    assert torch.equal(r, torch.zeros_like(r))
    assert t.log().mean().item() == pytest.approx(-1.2, abs=5 * 1.2 / 2_000**0.5)
    t, r = At(0.3, 0.5)(VarianceExploding(), batch(4), 0)
    assert t.tolist() == [0.3] * 4 and r.tolist() == [0.15] * 4


def test_a_level_can_be_drawn_far_in_the_tails_without_an_infinity():
    for law in (LogNormal(-1.1, 2.0), LogNormal(0.0, 20.0, 1e-6, 1e6)):
        level = law.sample(batch(50_000, torch.float32))
        assert bool(level.isfinite().all()) and bool((level > 0).all())
    assert ICT.cdf(double([0.0])).item() == 0
