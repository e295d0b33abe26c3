"""The curriculum's law of levels and the momentum's decay: identities, and the trainer's bits."""

from dataclasses import replace

import pytest
import torch
from scipy import stats

from cmlab.methods import EDM as Denoising
from cmlab.methods.faster_training import (
    Axis,
    Compensation,
    MomentumDecay,
    NoiseCurriculum,
    NormalDensity,
    ProcessTime,
    Quantiles,
    ScheduleProduct,
    UniformDensity,
)
from cmlab.metrics.denoiser import quantile_levels
from cmlab.noise_levels import DenoisingPairs, KarrasGrid, LogNormal
from cmlab.ops import seeded
from cmlab.presets import PRESETS, faster, toy
from cmlab.process import VarianceExploding
from cmlab.schedules import Constant, Warmup
from cmlab.train.recipe import from_dict, to_dict

CPU = torch.device("cpu")
TAUS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
U = torch.linspace(0, 1, 20_001, dtype=torch.float64)


def at(tau, **fields):
    return NoiseCurriculum(Constant(tau), **fields)


def test_momentum_and_rate_have_the_published_numbers():
    beta = MomentumDecay(0.9, 100)
    rate = Compensation(beta)
    steps = [round(100 * tau) for tau in TAUS]
    assert [beta(k) for k in steps] == pytest.approx(
        [0.9, 0.870968, 0.818182, 0.692308, 0.473684, 0], abs=1e-6
    )
    assert [rate(k) for k in steps] == pytest.approx([1, 0.775, 0.55, 0.325, 0.19, 0.1])


@pytest.mark.parametrize("beta0", [0.5, 0.9, 0.99])
def test_the_memory_falls_evenly_and_so_does_the_rate(beta0):
    beta = MomentumDecay(beta0, 40)
    rate = Compensation(beta)
    for k in range(41):
        tau = k / 40
        memory = beta(k) / (1 - beta(k))
        assert memory == pytest.approx((1 - tau) * beta0 / (1 - beta0), abs=1e-12)
        assert rate(k) == pytest.approx(1 - beta0 * tau)
        assert rate(k) * (1 - beta(k)) == pytest.approx(1 - beta0)


def test_after_its_end_the_momentum_stays_at_nothing():
    assert MomentumDecay(0.9, 10)(25) == 0
    assert Compensation(MomentumDecay(0.9, 10))(25) == pytest.approx(0.1)


def test_constant_momentum_needs_no_compensation():
    assert Compensation(Constant(0.9))(123) == 1


@pytest.mark.parametrize("beta0, total", [(1.0, 10), (-0.1, 10), (0.9, -1)])
def test_a_momentum_that_cannot_be_is_refused(beta0, total):
    with pytest.raises(ValueError, match=r"\.(beta0|total) must be a "):
        MomentumDecay(beta0, total)


def test_schedules_multiply():
    assert ScheduleProduct(Warmup(10), Constant(3.0))(5) == 1.5


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("last", [NormalDensity(), NormalDensity(0.5, 0.1), UniformDensity()])
def test_the_density_sums_to_one_and_is_the_slope_of_the_distribution(tau, last):
    easing = at(tau, last=last)
    p, F = easing.density(U, 0), easing.cdf(U, 0)
    assert float(torch.trapezoid(p, U)) == pytest.approx(1, abs=1e-7)
    assert float(F[0]) == pytest.approx(0, abs=1e-12)
    assert float(F[-1]) == pytest.approx(1, abs=1e-12)
    assert torch.allclose(torch.cumulative_trapezoid(p, U), F[1:], atol=1e-7)


@pytest.mark.parametrize("tau", TAUS)
def test_what_is_drawn_follows_the_density(tau):
    easing = at(tau)
    u = easing.draw(torch.rand(20_000, dtype=torch.float64), 0)
    assert 0 <= float(u.min()) and float(u.max()) <= 1
    found = stats.kstest(u.numpy(), lambda v: easing.cdf(torch.from_numpy(v), 0).numpy())
    assert found.pvalue > 0.01


def test_a_law_that_is_not_the_drawn_one_is_noticed():
    u = at(0.5).draw(torch.rand(20_000, dtype=torch.float64), 0)
    assert stats.kstest(u.numpy(), "uniform").pvalue < 1e-6


def test_the_inverse_undoes_the_distribution():
    bump = NormalDensity()
    assert torch.allclose(bump.cdf(bump.at(U)), U, atol=1e-12)


def test_the_law_moves_with_the_step_and_then_stays():
    easing = NoiseCurriculum(Warmup(100))
    peak = torch.tensor([0.3], dtype=torch.float64)
    heights = [float(easing.density(peak, k)) for k in (0, 50, 100, 500)]
    assert heights[0] == 1 < heights[1] < heights[2] == heights[3]


def test_at_its_start_the_curriculum_draws_the_levels_of_edm_to_the_bit():
    x, law = torch.zeros(500, 2), LogNormal(-1.2, 1.2)
    levels = []
    for pairs in (DenoisingPairs(law), NoiseCurriculum(Warmup(10), axis=Quantiles(law))):
        with seeded(CPU, 3):
            levels.append(pairs(VarianceExploding(), x, 0))
    for plain, eased in zip(*levels, strict=True):
        assert torch.equal(plain, eased)


def test_a_curriculum_that_never_begins_trains_to_the_same_bits():
    recipe = faster.plane(12, 4)
    pairs = NoiseCurriculum(Constant(0.0), axis=Quantiles(toy.LEVELS))
    eased = replace(recipe, method=Denoising(pairs, weight=recipe.method.weight))
    for a, b in zip(*(weights(r) for r in (recipe, eased)), strict=True):
        assert torch.equal(a, b)


def test_even_over_the_quantiles_is_the_law_itself():
    law = LogNormal(-1.1, 2.0, 0.002, 10.0)
    level = Quantiles(law).at(U[1:-1])
    low, high = law.cdf(torch.tensor([0.002, 10.0])).tolist()
    assert torch.allclose((law.cdf(level) - low) / (high - low), U[1:-1], atol=1e-9)
    assert torch.allclose(
        quantile_levels(law, 4), Quantiles(law).at(torch.tensor([1, 3, 5, 7]) / 8)
    )


@pytest.mark.parametrize("axis", [Quantiles(), ProcessTime(), KarrasGrid()])
def test_every_axis_rises_from_data_to_noise(axis):
    level = axis.at(U[1:-1])
    assert isinstance(axis, Axis) and bool((level.diff() > 0).all()) and float(level[0]) > 0


def test_three_tenths_of_the_way_is_another_noise_on_every_axis():
    u = torch.tensor([0.3])
    levels = [float(axis.at(u)) for axis in (Quantiles(), ProcessTime(), KarrasGrid())]
    assert levels == pytest.approx([0.1605, 1.2385, 0.3183], abs=1e-3)


def weights(recipe):
    return recipe.trainer().fit().model.state_dict().values()


def test_without_a_schedule_for_it_momentum_is_what_the_optimizer_says():
    recipe = faster.plane(12, 4)
    given = replace(recipe, train=replace(recipe.train, momentum=Constant(0.9)))
    other = replace(recipe, train=replace(recipe.train, momentum=Constant(0.5)))
    none, same, less = (list(weights(r)) for r in (recipe, given, other))
    assert all(torch.equal(a, b) for a, b in zip(none, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(none, less, strict=True))


def test_the_trainer_uses_the_momentum_and_the_rate_of_its_step():
    trainer = faster.ring(20, 0).trainer()
    beta, lr = MomentumDecay(0.9, 20), trainer.config.optimizer.lr
    for _ in trainer.run():
        k, group = trainer.step - 1, trainer.optimizer.param_groups[0]
        assert group["betas"][0] == beta(k)
        assert group["lr"] == pytest.approx(lr * Warmup(2)(k) * (1 - 0.9 * k / 20))


@pytest.mark.parametrize("name", ["toy.edm-fast", "digits.edm-fast", "shapes.edm-fast"])
def test_a_preset_with_both_techniques_can_be_written_down(name):
    recipe = PRESETS[name]()
    assert to_dict(from_dict(to_dict(recipe))) == to_dict(recipe)
    assert isinstance(recipe.method.pairs, NoiseCurriculum)
    assert isinstance(recipe.train.momentum, MomentumDecay)


def test_a_short_run_with_both_techniques_denoises():
    """The exact denoiser has an excess of 0 and the untrained network one of 0.2 and more."""
    recipe = faster.ring(250, 0)
    before = recipe.evaluator(recipe.build(), recipe.data, recipe.sampler)
    after = recipe.evaluator(recipe.trainer().fit().model, recipe.data, recipe.sampler)
    assert after["excess"] < before["excess"] / 2
    assert after["ed"] < before["ed"] / 3
