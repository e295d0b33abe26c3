"""The optimizers take the steps that their papers state."""

from math import sqrt

import pytest
import torch
from torch import nn

from cmlab.train.config import Adam, RAdam

RECTIFIER = {6: 0.02582, 100: 0.21534, 1000: 0.64533, 5000: 0.98288}  # β2 = 0.999


def steps_of(optimizer, steps):
    """How far one weight under the constant gradient 1 goes in each step, over lr."""
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    real, sizes = optimizer([weight]), []
    for _ in range(steps):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        real.step()
        sizes.append((before - weight.item()) / optimizer.lr)
    return sizes


def test_radams_rectifier_is_a_warm_up():
    sizes = steps_of(RAdam(lr=1e-4), 5000)
    assert sizes[:5] == pytest.approx([1] * 5)  # plain momentum, no rectifier yet
    for step, share in RECTIFIER.items():
        assert sizes[step - 1] == pytest.approx(share, abs=1.5e-5)


def test_adams_steps_under_a_constant_gradient_are_its_learning_rate():
    assert steps_of(Adam(lr=1e-3), 20) == pytest.approx([1] * 20, rel=1e-6)


@pytest.mark.parametrize("record", [Adam(2e-3, 0.8, 0.95, 1e-6), RAdam(2e-3, 0.8, 0.95, 1e-6)])
def test_a_record_is_what_it_builds(record):
    group = record([nn.Parameter(torch.zeros(2))]).param_groups[0]
    assert group["lr"] == record.lr == 2e-3
    assert group["betas"] == (0.8, 0.95) and group["eps"] == 1e-6
    assert group["weight_decay"] == 0


def test_adam_follows_its_formula_for_changing_gradients():
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    real, m, v, expected = Adam(0.1, 0.9, 0.99, 1e-8)([weight]), 0.0, 0.0, 0.0
    for step, slope in enumerate((1.0, -2.0, 0.5, 3.0), start=1):
        weight.grad = torch.full_like(weight, slope)
        real.step()
        m, v = 0.9 * m + 0.1 * slope, 0.99 * v + 0.01 * slope**2
        expected -= 0.1 * (m / (1 - 0.9**step)) / (sqrt(v / (1 - 0.99**step)) + 1e-8)
    assert weight.item() == pytest.approx(expected)
