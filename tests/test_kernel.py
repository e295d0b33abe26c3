"""The kernel distance: an independent reference, no bias, and blocks that change nothing."""

import pytest
import torch
from sklearn.metrics.pairwise import polynomial_kernel

from cmlab.metrics import frechet
from cmlab.metrics.frechet import kernel_distance, mmd2, parts


def test_it_is_the_double_sum_over_pairs_of_different_samples():
    a, b = torch.randn(40, 6) * 1.3, torch.randn(25, 6) + 0.4
    k = {(p, q): polynomial_kernel(x.double(), y.double(), degree=3, gamma=1 / 6, coef0=1)
         for p, x in (("a", a), ("b", b)) for q, y in (("a", a), ("b", b))}  # fmt: skip
    n, m = 40, 25
    within_a = sum(k["a", "a"][i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_b = sum(k["b", "b"][i, j] for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    across = sum(k["a", "b"][i, j] for i in range(n) for j in range(m)) / (n * m)
    assert mmd2(a, b) == pytest.approx(within_a + within_b - 2 * across, rel=1e-10)


def test_blocks_of_rows_change_nothing(monkeypatch):
    a, b = torch.randn(50, 4), torch.randn(61, 4) + 1
    whole = mmd2(a, b)
    monkeypatch.setattr(frechet, "ROWS", 7)
    assert mmd2(a, b) == pytest.approx(whole, rel=1e-12)


def test_for_equal_laws_its_mean_is_zero_at_any_sample_count():
    for n in (3, 30):
        found = torch.tensor([mmd2(torch.randn(n, 3), torch.randn(n, 3)) for _ in range(600)])
        assert abs(found.mean()) < 3 * found.std() / 600**0.5
        assert 0.4 < (found < 0).double().mean() < 0.8


def test_for_a_shift_on_the_line_it_is_the_closed_form():
    # E (ab + 1)³ over independent a, b: 1 + 3 μμ' + 3 (1 + μ²)(1 + μ'²) + (μ³ + 3μ)(μ'³ + 3μ')
    def mean(p, q):
        return 1 + 3 * p * q + 3 * (1 + p * p) * (1 + q * q) + (p**3 + 3 * p) * (q**3 + 3 * q)

    expected = mean(0, 0) + mean(0.5, 0.5) - 2 * mean(0, 0.5)
    value, error = kernel_distance(torch.randn(8000, 1), torch.randn(8000, 1) + 0.5)
    assert error < 0.1 * expected
    assert value == pytest.approx(expected, abs=3 * error)


def test_its_standard_error_is_the_spread_of_repeated_draws():
    found = [kernel_distance(torch.randn(500, 5), torch.randn(500, 5) + 0.3) for _ in range(150)]
    values, errors = torch.tensor(found).T
    assert float(errors.square().mean().sqrt() / values.std()) == pytest.approx(1, abs=0.2)


def test_a_rotation_costs_nothing_and_the_unit_counts():
    a, b = torch.randn(100, 5).double(), torch.randn(100, 5).double() + 1
    rotation = torch.linalg.qr(torch.randn(5, 5).double())[0]
    assert mmd2(a @ rotation, b @ rotation) == pytest.approx(mmd2(a, b), rel=1e-9)
    assert mmd2(2 * a, 2 * b) > 4 * mmd2(a, b)


def test_the_parts_hold_every_sample_once_in_an_order_of_the_seed():
    dealt = parts(103)
    assert sorted(torch.cat(dealt).tolist()) == list(range(103))
    assert {len(part) for part in dealt} == {10, 11}
    assert not torch.equal(dealt[0], parts(103, seed=1)[0])


def test_unequal_features_and_too_few_samples_are_one_sentence():
    with pytest.raises(ValueError, match="same features"):
        mmd2(torch.randn(9, 2), torch.randn(9, 3))
    with pytest.raises(ValueError, match="two or more"):
        mmd2(torch.randn(1, 2), torch.randn(9, 2))
    with pytest.raises(ValueError, match="at least 20"):
        kernel_distance(torch.randn(19, 2), torch.randn(40, 2))
