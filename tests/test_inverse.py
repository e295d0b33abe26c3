"""Guided sampling, and the exact posterior that it is held against."""

import math

import pytest
import torch
from cmlab_labs.common.plots_posterior import PathEnd, point_statistics, posterior, three_points
from cmlab_labs.lab13_inverse.analysis import (
    Task,
    gradient_quantiles,
    guided_scores,
    measurement_errors,
    noisy_samples,
    on_mode,
    parity_logits,
    rings_experiment,
    statistics_by_level,
    tuned_zeta,
)

from cmlab.data.toy import TwoRings
from cmlab.methods.posterior_sampling import (
    Absolute,
    Classifier,
    CrossEntropy,
    Mask,
    Measurement,
    Radius,
    ResidualNorm,
    Square,
    ancestral,
    pull,
    restore,
)
from cmlab.noise_levels import KarrasGrid
from cmlab.oracle import Gaussian, Mixture, Mixture1D

FIRST = Mask(torch.tensor([1.0, 0.0]))
LAW = TwoRings().oracle


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# the posterior


@pytest.fixture(scope="module")
def pair():
    return Mixture1D(row(0.5, 0.5), row(-1, 1), row(0.1, 0.1))


@pytest.mark.parametrize(
    "level, mean, density, end, at_end, square",
    [(2.0, 0.0752, -42.1, 0.8748, -0.09, 1.005), (1.0, 0.2887, None, 0.8942, None, 0.9919)],
)
def test_two_modes_on_the_line_give_the_published_numbers(
    pair, level, mean, density, end, at_end, square
):
    x_t, t, zero = row([0.3]), row(level), row(0.0)
    found = three_points(pair, x_t, t, torch.Generator().manual_seed(0))
    D, f = found["posterior mean"], found["endpoint"]
    assert float(D) == pytest.approx(mean, abs=1e-4) and float(f) == pytest.approx(end, abs=2e-4)
    below = posterior(pair, x_t, t)
    exact = (below.weights * (below.means[..., 0] ** 2 + below.stds**2)).sum()
    assert float(exact) == pytest.approx(square, abs=5e-4)
    if density is not None:
        assert float(pair.log_density(D, zero)) == pytest.approx(density, abs=0.05)
        assert float(pair.log_density(f, zero)) == pytest.approx(at_end, abs=0.01)
        A = Square()
        assert float(A(D)) == pytest.approx(0.0057, abs=1e-4)
        assert float(A(f)) == pytest.approx(0.765, abs=1e-3)
        assert float(f - D) == pytest.approx(0.80, abs=0.005)  # a linear A is off by this


def test_on_two_circles_the_mean_loses_its_radius_and_the_paths_end_does_not():
    table = statistics_by_level(LAW, row(2.0, 1.0, 0.5, 0.25), Radius(), 2000)
    assert table["posterior mean"][:, 0].tolist() == pytest.approx(
        [0.191, 0.353, 0.557, 0.691], abs=0.02
    )
    for name in ("endpoint", "posterior sample"):
        assert table[name][:, 0].tolist() == pytest.approx([0.75] * 4, abs=0.02)


def test_the_mean_of_the_exact_posterior_is_the_denoisers_answer():
    x_t, t = draw(6, 2), row(0.05, 0.2, 0.5, 1, 3, 9)
    assert torch.allclose(posterior(LAW, x_t, t).mean, LAW.denoise(x_t, t), atol=1e-10)


def test_the_posterior_is_bayes_rule():
    x_t, t, grid = row([0.4, 0.7]), row(0.3), torch.linspace(-2.5, 2.5, 501).double()
    x = torch.cartesian_prod(grid, grid)
    prior = LAW.log_density(x, torch.zeros(len(x)).double())
    joint = (prior - (x - x_t).square().sum(1) / (2 * 0.3**2)).exp()
    radius = float((joint * x.norm(dim=1)).sum() / joint.sum())
    g = torch.Generator().manual_seed(0)
    mine = float(posterior(LAW, x_t, t).expect(Radius(), 40_000, g))
    assert mine == pytest.approx(radius, abs=0.005)


def test_posterior_samples_of_noisy_data_are_data_again():
    x_t, t, g = noisy_samples(LAW, row(0.8)[0], 4000, 0)
    x = posterior(LAW, x_t, t).sample(1, g)[:, 0]
    assert float(x.norm(dim=1).mean()) == pytest.approx(0.755, abs=0.01)
    assert float(on_mode(LAW, x).double().mean()) == pytest.approx(1 - math.exp(-4.5), abs=0.005)


def test_for_a_linear_operator_the_mean_has_no_bias_and_no_scatter():
    A = {"linear": FIRST, "radius": Radius()}
    found = measurement_errors(LAW, row(1.0)[0], A, 500)
    bias, rms = found["linear"]["posterior mean"]
    assert abs(bias) < 0.01 and rms < 0.04  # what is left is the reference's Monte Carlo
    assert found["linear"]["endpoint"][1] > 0.2
    assert found["radius"]["posterior mean"][0] < -0.35 < found["radius"]["endpoint"][0]
    assert abs(found["radius"]["endpoint"][0]) < 0.04


def test_the_solved_path_ends_where_the_exact_one_does_and_has_its_slope():
    x_t, t = 0.9 * draw(40, 2), torch.full((40,), 0.6).double()
    off = (PathEnd(LAW, 16)(x_t, t) - LAW.consistency(x_t, t)).norm(dim=1)
    assert float(off.median()) < 0.005
    bell = Gaussian(row(0.2, -0.1), 0.5)
    slope = 0.5 / math.sqrt(0.25 + 4.0)  # f = μ + (x - μ) s / √(s² + t²)
    end = lambda x, t: PathEnd(bell, 24)(x, t)  # noqa: E731
    quantiles = gradient_quantiles(bell, end, row(2.0), 20)
    assert quantiles.flatten().tolist() == pytest.approx([slope] * 2, rel=0.02)


def test_seen_tells_radius_density_and_measurement():
    x = row([0.5, 0.0], [0.0, 0.0])
    found = point_statistics(LAW, x, Absolute())
    assert found.radius.tolist() == [0.5, 0] and torch.equal(found.measured, x.abs())
    assert found.log_density[0] > 0 > -20 > found.log_density[1]


# the guided sampler


def test_without_a_pull_it_is_the_plain_sampler():
    x_t, levels = 10 * draw(50, 2), KarrasGrid(0.02, 10.0).down(12)
    measured = Measurement(Radius(), Radius()(draw(50, 2)))
    torch.manual_seed(4)
    guided = list(restore(LAW.denoise, PathEnd(LAW), measured, x_t, levels, 0.0))
    torch.manual_seed(4)
    x = x_t
    for t, r, same in zip(levels[:-1], levels[1:], guided, strict=True):
        both = t.expand(50), r.expand(50)
        x = ancestral(x, LAW.denoise(x, both[0]), *both, torch.randn_like(x))
        assert torch.equal(x, same)


def test_the_plain_sampler_samples():
    torch.manual_seed(0)
    nothing = Measurement(FIRST, FIRST(draw(3000, 2)))
    grid = KarrasGrid(0.02, 10.0).down(60)
    *_, x = restore(LAW.denoise, LAW.denoise, nothing, 10 * draw(3000, 2), grid, 0.0)
    assert float(on_mode(LAW, x).double().mean()) > 0.97
    assert float(x.norm(dim=1).mean()) == pytest.approx(0.755, abs=0.03)
    assert x.mean(0).abs().max() < 0.05


def test_an_ancestral_step_keeps_the_right_amount_of_noise():
    n, t, r = 40_000, 2.0, 0.7
    x, z = torch.zeros(n, 1).double(), draw(n, 1)
    x_r = ancestral(t * z, x, row(t).expand(n), row(r).expand(n), draw(n, 1, seed=1))
    assert float(x_r.std()) == pytest.approx(r, rel=0.02)


def test_the_pull_is_the_slope_of_the_norm_not_squared_by_x_t():
    x_t, t = draw(4, 2), row(0.4, 0.6, 0.9, 1.5)
    measured = Measurement(Absolute(), Absolute()(draw(4, 2, seed=1)))
    h, gradient, far = pull(LAW.denoise, measured, x_t, t)
    assert torch.equal(h, LAW.denoise(x_t, t)) and not gradient.requires_grad
    assert torch.allclose(far, (measured.y - h.abs()).norm(dim=1), atol=1e-7)
    for axis in torch.eye(2).double():
        ahead, behind = (measured.mismatch(LAW.denoise(x_t + s * axis, t)) for s in (1e-5, -1e-5))
        slope = (ahead - behind) / 2e-5
        assert torch.allclose(slope, (gradient * axis).sum(1), rtol=1e-4, atol=1e-6)


def test_guiding_asks_each_estimate_once_a_step_and_the_mean_serves_both():
    asked = []

    def counted(x_t, t):
        asked.append(t[0].item())
        return LAW.denoise(x_t, t)

    measured, levels = Measurement(FIRST, FIRST(draw(3, 2))), KarrasGrid(0.1, 5.0).down(4)
    list(restore(counted, counted, measured, draw(3, 2), levels, 0.1))
    assert asked == levels[:-1].tolist()


def test_samples_do_not_pull_at_each_other():
    y, levels = FIRST(draw(6, 2)), KarrasGrid(0.1, 5.0).down(1)
    x_t = 5 * draw(6, 2, seed=2)
    torch.manual_seed(0)
    (together,) = restore(LAW.denoise, LAW.denoise, Measurement(FIRST, y), x_t, levels, 1.0)
    for k in range(6):
        one = Measurement(FIRST, y[k : k + 1])
        (alone,) = restore(LAW.denoise, LAW.denoise, one, x_t[k : k + 1], levels, 1.0)
        assert torch.allclose(alone, together[k : k + 1], atol=1e-10)


@pytest.mark.parametrize("estimate", ["mean", "end"])
def test_on_a_gaussian_guidance_finds_the_exact_posterior_of_an_exact_measurement(estimate):
    bell = Gaussian(row(0.2, -0.1), 0.5)
    h = bell.denoise if estimate == "mean" else PathEnd(bell, 4)
    y = FIRST(row([0.9, 0.0])).expand(2000, 2)
    torch.manual_seed(0)
    grid = KarrasGrid(0.02, 10.0).down(60)
    *_, x = restore(bell.denoise, h, Measurement(FIRST, y), 10 * draw(2000, 2), grid, 1.0)
    assert float(x[:, 0].mean()) == pytest.approx(0.9, abs=0.01) and float(x[:, 0].std()) < 0.02
    assert float(x[:, 1].mean()) == pytest.approx(-0.1, abs=0.04)
    assert float(x[:, 1].std()) == pytest.approx(0.5, rel=0.1)


def test_one_strength_a_sample_is_as_good_as_one_run_each():
    x_t, levels = 5 * draw(2, 2), KarrasGrid(0.1, 5.0).down(1)
    measured = Measurement(FIRST, FIRST(draw(2, 2, seed=1)))
    (both,) = restore(LAW.denoise, LAW.denoise, measured, x_t, levels, row(0.0, 2.0))
    for k, zeta in enumerate((0.0, 2.0)):
        (one,) = restore(LAW.denoise, LAW.denoise, measured, x_t, levels, zeta)
        assert torch.allclose(one[k], both[k])


FAULTS = {
    "ζ = -0.1 pushes away": lambda: list(
        restore(
            LAW.denoise, LAW.denoise, Measurement(FIRST, draw(2, 2)), draw(2, 2), row(1, 0), -0.1
        )
    ),
    "measure y with the same operator": lambda: Measurement(Radius(), draw(2, 2)).mismatch(
        draw(2, 2)
    ),
    "one whole number a sample": lambda: CrossEntropy()(draw(2, 3), draw(2)),
    "one level at a time": lambda: PathEnd(LAW)(draw(2, 2), row(1, 2)),
    "strictly descending": lambda: list(
        restore(LAW.denoise, LAW.denoise, Measurement(FIRST, draw(2, 2)), draw(2, 2), row(0, 1), 1)
    ),
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_what_does_not_fit_is_said_in_one_sentence(sentence):
    with pytest.raises(ValueError, match=r".+") as caught:
        FAULTS[sentence]()
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_the_norm_has_a_gradient_where_the_measurement_is_met():
    a = draw(2, 3).requires_grad_()
    ResidualNorm()(a, a.detach()).sum().backward()
    assert a.grad is not None and torch.equal(a.grad, torch.zeros_like(a))


# the race


def test_the_classifier_of_the_race_tells_even_modes_from_odd():
    places = LAW.components.means
    assert parity_logits(LAW)(places).argmax(1).tolist() == [0, 1] * 4 + [1, 0] * 4
    task = Task(Classifier(parity_logits(LAW)), classes=True)
    measured = task.measure(places)
    assert bool(task.met(places, measured).all())
    assert not bool(task.met(places.roll(1, 0)[1:2], Measurement(*_only(measured, 1))).any())


def _only(measured, k):
    return measured.operator, measured.y[k : k + 1], measured.metric


def test_a_race_is_repeatable_and_ζ_0_is_worse_than_the_best():
    experiment, zetas = rings_experiment(64, 6), row(0.0, 1.0)
    best, table = tuned_zeta(experiment, "radius", "mean", 16, zetas, (10,))
    assert best == 1.0 and table.shape == (1, 2) and table[0, 1] > table[0, 0] + 0.2
    again = guided_scores(experiment, "radius", "mean", 16, zetas, 10)
    assert torch.equal(again["success"].mean(1), table[0])
    assert torch.equal(again["success"], again["on"] * again["met"])


def test_a_mixture_as_data_is_made_of_two_circles():
    radii = LAW.components.means.norm(dim=1)
    assert radii.tolist() == pytest.approx([0.5] * 8 + [1.0] * 8) and isinstance(LAW, Mixture)
