"""Which noise meets which data: the least total distance, and nothing else changed."""

from itertools import permutations

import pytest
import torch

from cmlab.methods.slct import Independent, MinibatchOT
from cmlab.ops import sum_squares

X = torch.tensor([[0.0, 0], [1, 0], [0, 1]])
Z = torch.tensor([[0.9, 0.2], [0.1, 0.8], [-0.2, -0.1]])


def test_independent_noise_stays_in_its_order():
    assert Independent()(X, Z) is Z


def test_three_points_meet_the_noise_next_to_them():
    z = MinibatchOT()(X, Z)
    assert torch.equal(z, Z[[2, 0, 1]])
    assert sum_squares(X - z).sum().item() == pytest.approx(0.15)
    assert sum_squares(X - Z).sum().item() == pytest.approx(3.55)


def test_no_permutation_costs_less():
    for _ in range(5):
        x, z = torch.randn(2, 6, 3, dtype=torch.float64)
        costs = [sum_squares(x - z[list(order)]).sum() for order in permutations(range(6))]
        assert sum_squares(x - MinibatchOT()(x, z)).sum() == pytest.approx(min(costs))


def test_each_noise_is_used_once_and_keeps_its_shape_and_dtype():
    x, z = torch.randn(2, 32, 1, 4, 4)
    coupled = MinibatchOT()(x, z)
    assert coupled.shape == z.shape and coupled.dtype == z.dtype
    assert torch.equal(coupled.flatten(1).sum(1).sort()[0], z.flatten(1).sum(1).sort()[0])


def test_the_pairs_do_not_depend_on_the_scale_of_the_noise():
    x, z = torch.randn(2, 64, 2)
    assert torch.equal(MinibatchOT()(x, 10 * z), 10 * MinibatchOT()(x, z))


def test_the_gain_falls_with_the_dimension():
    def ratio(dim):
        x, z = torch.randn(2, 128, dim)
        return (sum_squares(x - MinibatchOT()(x, z)).sum() / sum_squares(x - z).sum()).item()

    plane, many = ratio(2), ratio(512)
    assert plane < 0.4 and 0.8 < many < 1
