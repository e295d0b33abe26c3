"""The Fréchet distance: the closed form, its symmetries, and its limits."""

import pytest
import torch

from cmlab.metrics.frechet import frechet, frechet_gaussians


def gaussian(d: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    half = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(d, generator=generator, dtype=torch.float64), half @ half.T


def test_commuting_covariances_give_the_difference_of_standard_deviations():
    mean_a, mean_b = torch.tensor([1.0, 2.0, 0.0]).double(), torch.tensor([0.0, 0.0, 0.0]).double()
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 1.0, 9.0]).double()
    # ‖μ_a - μ_b‖² + Σ (√a - √b)² = 5 + 1 + 1 + 0
    assert frechet_gaussians(mean_a, a.diag(), mean_b, b.diag()) == pytest.approx(7.0, abs=1e-12)


def test_two_by_two_matrices_agree_with_the_formula_by_trace_and_determinant():
    (mean_a, a), (mean_b, b) = gaussian(2, 1), gaussian(2, 2)
    # tr √M = √(tr M + 2 √det M) for a 2×2 matrix with eigenvalues ≥ 0, here M = Σ_a Σ_b
    product = a @ b
    cross = (product.trace() + 2 * product.det().sqrt()).sqrt()
    expected = (mean_a - mean_b).square().sum() + a.trace() + b.trace() - 2 * cross
    assert frechet_gaussians(mean_a, a, mean_b, b) == pytest.approx(float(expected), rel=1e-10)


def test_the_distance_is_symmetric_and_zero_only_between_equals():
    (mean_a, a), (mean_b, b) = gaussian(8, 1), gaussian(8, 2)
    there, back = frechet_gaussians(mean_a, a, mean_b, b), frechet_gaussians(mean_b, b, mean_a, a)
    assert there == pytest.approx(back, rel=1e-9)
    assert there > 1
    assert frechet_gaussians(mean_a, a, mean_a, a) < 1e-9


def test_a_shift_costs_its_square_and_a_rotation_costs_nothing():
    x = torch.randn(500, 6).double()
    rotation = torch.linalg.qr(torch.randn(6, 6).double())[0]
    y = torch.randn(400, 6).double() * 2
    assert frechet(x, x + 3) == pytest.approx(54.0, rel=1e-9)
    assert frechet(x @ rotation, y @ rotation) == pytest.approx(frechet(x, y), rel=1e-9)


def test_singular_covariances_are_no_obstacle():
    flat = torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0])).double()
    other = torch.diag(torch.tensor([0.0, 0.0, 1.0, 1.0])).double()
    zero = torch.zeros(4).double()
    assert frechet_gaussians(zero, flat, zero, other) == pytest.approx(4.0)
    x = torch.randn(50, 3).double()
    twice = torch.cat([x, x], dim=1)
    assert frechet(twice, twice) < 1e-8


def test_samples_approach_the_distance_of_their_gaussians_from_above():
    a = torch.randn(4000, 5)
    small = sum(frechet(a[i : i + 50], torch.randn(50, 5)) for i in range(0, 2000, 50)) / 40
    assert frechet(a, torch.randn(4000, 5)) < 0.02 < small


def test_too_few_samples_and_unequal_features_are_one_sentence():
    x = torch.randn(40, 8)
    with pytest.raises(ValueError, match="at least 9"):
        frechet(x, x[:8])
    with pytest.raises(ValueError, match="same features"):
        frechet(x, x[:, :4])
