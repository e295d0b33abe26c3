"""The exact laws: each claim against a closed form, a quadrature, or a solver of another make."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from cmlab import gaussian_mixture
from cmlab.data.toy import TOYS, Bumps, Ring
from cmlab.gaussian_mixture import Components
from cmlab.metrics.wasserstein import sliced, wasserstein
from cmlab.oracle import Empirical, Gaussian, Mixture, Mixture1D, _require_levels


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def lopsided():
    """Three Gaussians in space, all unlike."""
    means = tensor([0, 0, 1], [1, 0, 0], [-1, 0.5, 0.3])
    return Mixture(tensor(0.5, 0.3, 0.2), means, tensor(0.1, 0.3, 0.2))


def on_a_line():
    return Mixture1D(tensor(0.3, 0.5, 0.2), tensor(-1.2, 0.2, 1.4), tensor(0.15, 0.25, 0.1))


def few_points():
    return Empirical(tensor([[0, 1], [1, 0]], [[1, 1], [0, 0]], [[-1, 0], [0.5, -1]]))


LAWS = [
    Gaussian(tensor([0.3, -1], [2, 0]), 0.7),
    Gaussian(tensor(0.3, -1), 0.0),
    lopsided(),
    Ring().oracle,
    on_a_line(),
    few_points(),
]
NAMES = ["gaussian", "one point", "lopsided", "ring", "line", "points"]
every_law = pytest.mark.parametrize("law", LAWS, ids=NAMES)


def noisy(law, level, n=40):
    """Exact draws from p_σ at one level for all, float64, and the levels."""
    x = law.sample(n).double()
    return x + level * torch.randn_like(x), torch.full((n,), float(level), dtype=torch.float64)


def norm(x):
    return x.flatten(1).norm(dim=1)


# ---- score, denoiser, density


@every_law
@pytest.mark.parametrize("level", [0.02, 0.3, 3.0])
def test_the_score_is_the_gradient_of_the_log_density(law, level):
    x, t = noisy(law, level)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(law.log_density(x, t).sum(), x)
    torch.testing.assert_close(law.score(x.detach(), t), gradient, rtol=1e-7, atol=1e-7 / level)


@every_law
def test_denoiser_velocity_and_score_are_one_thing(law):
    x, t = noisy(law, 0.4)
    shape = (-1, *(1,) * (x.ndim - 1))
    mean = law.denoise(x, t)
    torch.testing.assert_close((mean - x) / t.reshape(shape) ** 2, law.score(x, t))
    torch.testing.assert_close((x - mean) / t.reshape(shape), law.velocity(x, t))


def test_the_denoiser_is_the_posterior_mean_by_quadrature():
    law, clean = on_a_line(), np.linspace(-4, 4, 40001)
    prior = sum(
        w / s * np.exp(-((clean - m) ** 2) / (2 * s**2))
        for w, m, s in [(0.3, -1.2, 0.15), (0.5, 0.2, 0.25), (0.2, 1.4, 0.1)]
    )
    for level in (0.1, 0.5, 2.0):
        for x in (-2.0, -0.4, 0.9, 3.0):
            posterior = prior * np.exp(-((x - clean) ** 2) / (2 * level**2))
            mean = float((clean * posterior).sum() / posterior.sum())
            assert float(law.denoise(tensor(x), tensor(level))) == pytest.approx(mean, abs=1e-9)


def test_the_denoiser_is_the_best_guess_of_the_clean_sample():
    law = lopsided()
    x = law.sample(20_000).double()
    level = torch.full((len(x),), 0.5, dtype=torch.float64)
    x_t = x + 0.5 * torch.randn_like(x)
    mean = law.denoise(x_t, level)
    # The residual of a conditional mean is orthogonal to every function of x_t.
    for feature in (torch.ones_like(x_t), x_t, x_t**2, mean):
        product = (x - mean) * feature
        assert product.mean().abs() < 4 * product.std() / math.sqrt(product.numel())


def test_the_ideal_denoiser_of_points_is_a_softmax_over_them():
    law = few_points()
    x, level = noisy(law, 0.7)
    away = (x[:, None] - law.points).flatten(2).square().sum(2)
    share = (-away / (2 * 0.7**2)).softmax(1)
    torch.testing.assert_close(
        law.denoise(x, level), torch.einsum("bn,nij->bij", share, law.points)
    )


def test_a_density_integrates_to_one_and_matches_the_distribution_function():
    law, x = on_a_line(), torch.linspace(-9, 9, 20001, dtype=torch.float64)
    level = torch.full_like(x, 0.3)
    mass = torch.cumulative_trapezoid(law.log_density(x, level).exp(), x)
    torch.testing.assert_close(law.cdf(x, level)[1:], mass, rtol=0, atol=1e-7)


def test_samples_have_the_mean_the_spread_and_the_shape_of_their_law():
    for law in LAWS:
        x = law.sample(20_000, torch.Generator().manual_seed(1))
        assert x.shape == (20_000, *law.shape) and x.dtype == torch.get_default_dtype()
        assert float(x.var(0).mean().sqrt()) == pytest.approx(law.sigma_data, rel=0.02)
    assert Ring().oracle.sigma_data == pytest.approx(math.sqrt(0.51))


def test_samples_repeat_with_their_generator():
    a, b = (lopsided().sample(9, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b)


# ---- the flow


def test_the_flow_of_a_gaussian_has_its_closed_form():
    law, x, t = Gaussian(tensor(0.0), 0.5), tensor(100.0), tensor(80.0)
    factor = math.sqrt((0.002**2 + 0.25) / (80**2 + 0.25))
    assert float(law.consistency(x[:, None], t)) == pytest.approx(100 * factor, rel=1e-12)
    # Karras et al.'s example to level 0, where Heun's 18 steps give 0.6595 instead.
    assert float(law.flow(x[:, None], t, tensor(0.0))) == pytest.approx(0.624987793, abs=1e-9)


def test_one_component_flows_as_a_gaussian():
    mean = tensor(0.3, -1.0)
    gaussian = Gaussian(mean, 0.4)
    mixture = Mixture(tensor(1.0), mean[None], tensor(0.4))
    x, t = noisy(gaussian, 5.0)
    for to in (0.0, 0.01, 1.0, 40.0):
        s = torch.full_like(t, to)
        torch.testing.assert_close(
            mixture.flow(x, t, s), gaussian.flow(x, t, s), rtol=1e-6, atol=1e-6
        )
    line = Mixture1D(tensor(1.0), mean[:1], tensor(0.4))
    torch.testing.assert_close(
        line.flow(x[:, :1], t, 0 * t), Gaussian(mean[:1], 0.4).flow(x[:, :1], t, 0 * t)
    )


def test_a_lone_point_is_seen_through_eps_over_t():
    law = Gaussian(tensor(0.3, -1.0), 0.0)
    x, t = noisy(law, 2.0)
    torch.testing.assert_close(law.consistency(x, t), 0.002 / 2 * x + (1 - 0.002 / 2) * law.mean)
    cloud = Empirical(law.mean[None])
    torch.testing.assert_close(cloud.consistency(x, t), law.consistency(x, t), rtol=0, atol=1e-6)


def test_on_the_line_the_quantile_map_solves_the_ode():
    line = on_a_line()
    plane = Mixture(line.weights, line.means[:, None], line.stds)
    x, t = noisy(line, 3.0, 200)
    for to in (0.0, 0.002, 0.4, 8.0):
        s = torch.full_like(t, to)
        torch.testing.assert_close(line.flow(x, t, s), plane.flow(x, t, s), rtol=0, atol=1e-5)


def test_the_quantile_map_keeps_every_quantile_into_the_far_tails():
    law = on_a_line()
    x = torch.linspace(-300, 300, 2001, dtype=torch.float64)  # up to 100 standard deviations
    t, s = torch.full_like(x, 3.0), torch.full_like(x, 0.002)
    y = law.flow(x, t, s)
    assert bool((y.diff() > 0).all())
    torch.testing.assert_close(law.flow(y, s, t), x, rtol=1e-9, atol=1e-9)
    for side in (1.0, -1.0):
        before, after = (law._tail(v[:, None], u[:, None], side) for v, u in ((x, t), (y, s)))
        seen = (before < math.log(0.6)).squeeze()  # the tail that the solver works in
        torch.testing.assert_close(after[seen], before[seen], rtol=1e-10, atol=1e-10)
    assert law.flow(x[:, None], t, s).squeeze(1).equal(y)


def test_a_symmetric_law_keeps_its_centre():
    law = Mixture1D(tensor(0.5, 0.5), tensor(-1.0, 1.0), tensor(0.05, 0.05))
    assert float(law.consistency(tensor(0.0), tensor(10.0))) == 0


def reference(law, x, t, to):
    """The PF-ODE dx/dσ = (x - D)/σ by scipy's method of order 8, from numpy's own denoiser."""
    weights, means, stds = (v.numpy() for v in (law.weights, law.means, law.stds))

    def slope(level, flat):
        x = flat.reshape(-1, means.shape[1])
        v = stds**2 + level**2
        away = ((x[:, None] - means) ** 2).sum(2)
        log = np.log(weights) - away / (2 * v) - means.shape[1] / 2 * np.log(v)
        share = np.exp(log - log.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        centre = (level**2 * means + stds[:, None] ** 2 * x[:, None]) / v[:, None]
        return ((x - (share[..., None] * centre).sum(1)) / level).ravel()

    flat = x.numpy().ravel()
    end = integrate.solve_ivp(slope, (t, to), flat, "DOP853", rtol=1e-10, atol=1e-12).y[:, -1]
    return torch.from_numpy(end).reshape(x.shape)


@pytest.mark.parametrize("name", ["ring", "checkerboard", "spiral", "lopsided"])
def test_a_solved_flow_is_within_1e_5_of_a_solver_of_order_8(name):
    law = lopsided() if name == "lopsided" else TOYS[name].oracle
    x, t = noisy(law, 10.0, 64)
    end = law.consistency(x, t)
    assert float(norm(end - reference(law, x, 10.0, 0.002)).max()) < 1e-5
    up = law.flow(end[:16], 0 * t[:16] + 0.002, 0 * t[:16] + 1)
    assert float(norm(up - reference(law, end[:16], 0.002, 1.0)).max()) < 1e-5


@pytest.mark.parametrize("name", TOYS)
def test_a_hundred_times_less_tolerance_moves_no_end_by_1e_5(name, monkeypatch):
    law = TOYS[name].oracle
    x = law.sample(1500).double()
    t = 0.002 * 5000 ** torch.rand(len(x)).double()
    x = x + t[:, None] * torch.randn_like(x)
    loose = law.consistency(x, t)
    monkeypatch.setattr(gaussian_mixture, "TOLERANCE", 1e-9)
    assert float(norm(loose - law.consistency(x, t)).max()) < 1e-5


@every_law
def test_flows_compose_return_and_stand_still(law):
    x, t = noisy(law, 2.0)
    s, r = torch.full_like(t, 0.5), torch.full_like(t, 0.05)
    x_s = law.flow(x, t, s)
    torch.testing.assert_close(law.flow(x_s, s, r), law.flow(x, t, r), rtol=0, atol=1e-5)
    torch.testing.assert_close(law.flow(x_s, s, t), x, rtol=0, atol=1e-5)
    torch.testing.assert_close(law.flow(x, t, t), x, rtol=0, atol=1e-12)


@every_law
def test_the_consistency_function_is_constant_along_a_path(law):
    x, _ = noisy(law, 5.0, 10)
    levels = torch.logspace(math.log10(5.0), math.log10(0.002), 9, dtype=torch.float64)
    path = law.path(x, levels)
    assert path.shape == (9, *x.shape)
    torch.testing.assert_close(path[0], x, rtol=0, atol=1e-11)
    ends = law.consistency(path.flatten(0, 1), levels.repeat_interleave(10)).reshape(path.shape)
    torch.testing.assert_close(ends, path[-1:].expand_as(ends), rtol=0, atol=1e-5)
    back = law.path(path[-1], levels.flip(0))
    torch.testing.assert_close(back.flip(0), path, rtol=0, atol=2e-5)


@every_law
def test_the_velocity_is_the_slope_of_the_path(law):
    x, t = noisy(law, 0.8)
    near = [law.flow(x, t, t + h) for h in (-1e-3, 1e-3)]
    slope = (near[1] - near[0]) / 2e-3
    torch.testing.assert_close(slope, law.velocity(x, t), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("law", [lopsided(), on_a_line(), few_points()])
def test_a_flow_stretches_space_as_it_thins_the_density(law):
    """ln p_s(f(x)) + ln |det ∂f/∂x| = ln p_t(x): mass is neither made nor lost."""
    x, t = noisy(law, 1.0, 12)
    s, eye = torch.full_like(t, 0.4), torch.eye(x[0].numel()).double().reshape(-1, *x.shape[1:])
    columns = [(law.flow(x + 1e-4 * e, t, s) - law.flow(x - 1e-4 * e, t, s)) / 2e-4 for e in eye]
    jacobian = torch.stack([c.flatten(1) for c in columns], 2)
    after = law.log_density(law.flow(x, t, s), s) + torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(after, law.log_density(x, t), rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", ["ring", "moons"])
def test_a_flow_carries_one_marginal_to_the_other(name):
    law = TOYS[name].oracle
    x, t = noisy(law, 10.0, 4096)
    fresh, s = noisy(law, 0.3, 4096)
    assert sliced(law.flow(x, t, s), fresh) < 0.07  # two fresh clouds differ by 0.02 to 0.05


def test_on_the_line_a_flow_carries_one_marginal_to_the_other():
    law = on_a_line()
    x, t = noisy(law, 10.0, 20_000)
    rank = (torch.arange(20_000).double() + 0.5) / 20_000
    moved = law.cdf(law.flow(x, t, 0 * t + 0.3), 0 * t + 0.3)
    assert float(wasserstein(moved, rank)) < 0.01  # the ranks of a right law are uniform


def test_level_zero_is_a_level_like_others_for_a_law_with_spread():
    law = lopsided()
    x, t = noisy(law, 1.0)
    end = law.flow(x, t, 0 * t)
    assert float(norm(end - law.flow(x, t, 0 * t + 1e-5)).max()) < 1e-5
    torch.testing.assert_close(law.flow(end, 0 * t, t), x, rtol=0, atol=1e-5)
    assert law.denoise(end, 0 * t).equal(end)
    assert bool(law.velocity(end, 0 * t).eq(0).all())


def test_the_paths_of_a_data_set_end_in_its_points():
    law = few_points()
    x, t = noisy(law, 5.0)
    away = (law.consistency(x, t)[:, None] - law.points).flatten(2).norm(dim=2).amin(1)
    assert float(away.quantile(0.9)) < 0.02


def test_points_are_a_mixture_whose_spread_vanishes():
    law = few_points()
    x, t = noisy(law, 0.5)
    thin = torch.full((3,), 1e-5, dtype=torch.float64)
    limit = Mixture(torch.full_like(thin, 1 / 3), law.points.flatten(1), thin)
    torch.testing.assert_close(limit.denoise(x.flatten(1), t), law.denoise(x, t).flatten(1))
    torch.testing.assert_close(limit.consistency(x, t), law.consistency(x, t), rtol=0, atol=1e-4)


def test_an_answer_has_the_dtype_of_the_question_and_no_other_rounding():
    law = Ring().oracle
    x, t = (v.float() for v in noisy(law, 10.0))
    for ask in (law.flow, lambda x, t, s: law.denoise(x, t)):
        s = torch.full_like(t, 0.5)
        assert ask(x, t, s).dtype == torch.float32
        assert ask(x, t, s).equal(ask(x.double(), t.double(), s.double()).float())


def test_an_answer_does_not_depend_on_the_rest_of_the_batch(monkeypatch):
    law = lopsided()
    x, t = noisy(law, 4.0, 15)
    together = law.consistency(x, t)
    alone = torch.cat([law.consistency(x[i : i + 1], t[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    monkeypatch.setattr("cmlab.oracle.ENTRIES", 21)  # seven rows at once
    torch.testing.assert_close(law.consistency(x, t), together, rtol=0, atol=1e-12)
    assert law.consistency(x[:0], t[:0]).shape == (0, 3)


# ---- the solvers


def test_the_tableau_is_dormand_and_prince():
    method = integrate.RK45
    np.testing.assert_array_equal(method.C[1:], gaussian_mixture.NODES[:-1])
    for row, theirs in zip(gaussian_mixture.ROWS[:-1], method.A[1:], strict=True):
        np.testing.assert_allclose(row, theirs[: len(row)], rtol=1e-15)
    np.testing.assert_allclose(gaussian_mixture.ROWS[-1], method.B, rtol=1e-15)
    np.testing.assert_allclose(gaussian_mixture.ERROR, -method.E, rtol=1e-15)


def test_a_step_is_of_order_five_and_its_error_estimate_too():
    def slope(x, u):
        return u.cos() * x

    x, u = tensor([1.0]), tensor([0.3])
    exact = [math.exp(math.sin(0.3 + h) - math.sin(0.3)) for h in (0.2, 0.1)]
    steps = [gaussian_mixture.step(slope, x, u, tensor([h]), slope(x, u)) for h in (0.2, 0.1)]
    wrong = [abs(float(s[0]) - e) for s, e in zip(steps, exact, strict=True)]
    assert math.log2(wrong[0] / wrong[1]) == pytest.approx(6, abs=0.5)
    assert math.log2(float(steps[0][2] / steps[1][2])) == pytest.approx(5, abs=0.5)


def test_samples_with_levels_of_their_own_go_up_down_and_nowhere_in_one_call():
    x = tensor([1.0], [1.0], [1.0])
    start, stop = tensor([0.0], [0.0], [2.0]), tensor([1.0], [-1.0], [2.0])
    end = gaussian_mixture.ode(lambda x, u: x, x, start, stop, 1e-9)
    torch.testing.assert_close(end, (stop - start).exp(), rtol=1e-8, atol=0)


def test_a_path_without_end_is_an_error_and_not_a_hang():
    one = tensor([1.0])
    with pytest.raises(ArithmeticError, match="does not end"):
        gaussian_mixture.ode(lambda x, u: x * math.nan, one, 0 * one, one, 1e-7)


def test_a_root_is_found_where_newton_alone_would_leave():
    low, high = tensor([-50.0]), tensor([70.0])
    found = gaussian_mixture.root(lambda y: (y.atan() - 1, 1 / (1 + y**2)), low, high)
    assert float(found) == pytest.approx(math.tan(1), abs=1e-12)


# ---- what is refused


@pytest.mark.parametrize(
    ("weights", "means", "stds", "words"),
    [
        ((0.5, 0.4), ([0.0], [1.0]), (0.1, 0.1), "sum to 0.9: divide"),
        ((1.5, -0.5), ([0.0], [1.0]), (0.1, 0.1), "smallest weight is -0.5"),
        ((0.5, 0.5), ([0.0], [1.0]), (0.1, -0.1), "smallest std is -0.1"),
        ((0.5, 0.5), ([0.0], [1.0]), (0.1, math.nan), "std is nan"),
        ((0.5, 0.5), ([0.0], [1.0]), (0.1,), "2 means came with"),
        ((1.0,), ([0.0], [1.0]), (0.1, 0.1), "2 means came with"),
        ((0.5, 0.5), (0.0, 1.0), (0.1, 0.1), "give finite"),
        ((0.5, 0.5), ([0.0], [math.inf]), (0.1, 0.1), "give finite"),
    ],
)
def test_a_law_that_is_none_is_refused_in_one_sentence(weights, means, stds, words):
    with pytest.raises(ValueError, match=words) as caught:
        Mixture(tensor(*weights), tensor(*means), tensor(*stds))
    assert "\n" not in str(caught.value)


def test_a_negative_spread_and_an_empty_cloud_are_refused():
    with pytest.raises(ValueError, match="smallest std is -1"):
        Gaussian(tensor(0.0), -1.0)
    with pytest.raises(ValueError, match="K > 0"):
        Empirical(torch.zeros(0, 2))
    with pytest.raises(ValueError, match="sum to 2"):
        Bumps(weights=(1.0, 0.5, 0.5))
    with pytest.raises(ValueError, match="Ring.modes must be a whole number in"):
        Ring(modes=-1)


def test_samples_and_levels_that_do_not_fit_are_refused():
    law = lopsided()
    x, t = noisy(law, 1.0, 4)
    with pytest.raises(ValueError, match=r"samples of shape \(2,\) do not fit this distribution"):
        law.denoise(x[:, :2], t)
    with pytest.raises(ValueError, match="noise level is -1: give levels of at least 0"):
        law.flow(x, t, -t)
    with pytest.raises(ValueError, match="not finite"):
        law.flow(x * math.nan, t, t)
    with pytest.raises(ValueError, match="has std 0: stay above 0"):
        few_points().flow(few_points().points, t[:3], 0 * t[:3])
    with pytest.raises(ValueError, match=r"5 samples came with levels of shape \(3,\)"):
        _require_levels(torch.ones(3), 5, 0.1)


def test_components_are_normalised_and_wide():
    law = Components(torch.ones(3) / 3, torch.zeros(3, 2), torch.ones(3))
    assert law.weights.dtype == law.means.dtype == torch.float64
    assert float(law.weights.sum()) == pytest.approx(1, abs=1e-15)
