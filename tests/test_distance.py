"""Metrics and weights: their published numbers, their derivatives, and what they sum over."""

from math import log, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from cmlab.losses import L1, GemanMcClure, SquaredL2, Uniform
from cmlab.methods.ect import ECTMapping
from cmlab.methods.edm import EDMWeight
from cmlab.methods.ict import InverseGap, PseudoHuber
from cmlab.methods.slct import Cauchy

METRICS = [
    SquaredL2(), PseudoHuber(), PseudoHuber(0.3), PseudoHuber(1e-8), Cauchy(0.3),
    GemanMcClure(0.3),
]  # fmt: skip
by_metric = pytest.mark.parametrize("metric", METRICS, ids=repr)
C = 0.00054 * sqrt(3072)  # 0.0299298379548, CIFAR-10
HUBER = {  # r: (value, norm of the gradient)
    C / 10: (1.49276925804e-4, 0.099503719021),
    C / sqrt(3): (0.00463016204521, 0.5),
    C: (0.0123973448005, 0.707106781187),
    1.0: (0.970517959384, 0.999552403094),
    10.0: (9.9701149517, 0.999995521054),
}
CAUCHY = {  # c: the value at (0.3, -0.4)
    0.1: 2.6026896854,
    0.5: 0.4054651081,
    1.0: 0.1177830357,
}
ECT_WEIGHT = {
    0.01: 5140.562077, 0.1: 533.3148340, 0.5: 127.3528770, 0.821: 90.52776248,
    1.0: 81.23035117, 2.0: 65.51928154, 5.0: 48.59793042, 80.0: 3.2,
}  # fmt: skip


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def gradient(metric, a, b):
    a = a.clone().requires_grad_()
    return torch.autograd.grad(metric(a, b).sum(), a)[0]


def at_distance(r, shape=(1, 3, 32, 32), dtype=torch.float64):
    """Two images r apart."""
    z = torch.randn(shape, dtype=dtype)
    b = torch.randn(shape, dtype=dtype)
    return b + r * z / z.norm(), b


@pytest.mark.parametrize("r", HUBER)
def test_pseudo_huber_and_its_gradient_have_icts_numbers(r):
    value, slope = HUBER[r]
    a, b = at_distance(r)
    assert PseudoHuber()(a, b).item() == pytest.approx(value, rel=1e-9)
    assert gradient(PseudoHuber(), a, b).norm().item() == pytest.approx(slope, rel=1e-9)


@settings(deadline=None)
@given(r=some.floats(0, 1e3), c=some.floats(1e-6, 10))
def test_pseudo_huber_lies_below_both_of_its_limits_and_pulls_with_less_than_one(r, c):
    a, b = double([[r, 0]]), double([[0.0, 0]])
    value = PseudoHuber(c)(a, b).item()
    assert value <= min(r, r**2 / (2 * c)) * (1 + 1e-12)
    assert value >= (r - c) * (1 - 1e-12)
    assert gradient(PseudoHuber(c), a, b).norm().item() <= 1 + 1e-15


@pytest.mark.parametrize("c", CAUCHY)
def test_cauchy_has_its_numbers_with_the_squares_summed(c):
    a, b = double([[0.3, -0.4]]), double([[0.0, 0]])
    assert Cauchy(c)(a, b).item() == pytest.approx(CAUCHY[c], rel=1e-9)
    pull = a / (c**2 + 0.25 / 2)
    torch.testing.assert_close(gradient(Cauchy(c), a, b), pull, rtol=1e-12, atol=0)
    if c == 0.1:
        assert pull.flatten().tolist() == pytest.approx([2.2222222222, -2.9629629630])


def test_cauchy_pulls_hardest_at_root_two_c():
    c, r = 0.2, torch.linspace(0.01, 2, 2000, dtype=torch.float64)
    pull = gradient(Cauchy(c), r[:, None], torch.zeros_like(r)[:, None]).flatten()
    assert r[pull.argmax()].item() == pytest.approx(sqrt(2) * c, abs=1e-3)
    assert pull.max().item() == pytest.approx(1 / (sqrt(2) * c), rel=1e-5)


@by_metric
def test_gradients_agree_with_differences_at_zero_and_away_from_it(metric):
    b = torch.randn(3, 2, 2, dtype=torch.float64)
    away = b + torch.randn_like(b)
    assert torch.autograd.gradcheck(lambda a: metric(a, b), away.requires_grad_())
    if metric != PseudoHuber(1e-8):  # its kink is narrower than a difference quotient
        assert torch.autograd.gradcheck(lambda a: metric(a, b), b.clone().requires_grad_())


@by_metric
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_is_zero_and_finite_where_both_agree(metric, dtype):
    a = torch.randn(4, 3, dtype=dtype)
    assert torch.equal(metric(a, a), torch.zeros(4, dtype=dtype))
    assert torch.equal(gradient(metric, a, a), torch.zeros_like(a))


@by_metric
def test_a_metric_sees_the_whole_vector_and_not_its_elements(metric):
    a, b = at_distance(0.7, (1, 8))
    turn, _ = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))
    # ‖a - b‖ does not change when both are turned; a sum over elements would.
    torch.testing.assert_close(metric(a @ turn, b @ turn), metric(a, b), rtol=1e-10, atol=0)


@by_metric
def test_a_metric_answers_per_sample_whatever_the_batch(metric):
    a, b = torch.randn(2, 5, 1, 4, 4, dtype=torch.float64)
    alone = torch.cat([metric(a[i : i + 1], b[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(metric(a, b), alone, rtol=1e-14, atol=0)
    assert alone.shape == (5,) and alone.unique().numel() == 5


def test_icts_constant_follows_the_size_of_a_sample():
    for shape in ((2, 2), (2, 3, 32, 32), (2, 1, 28, 28)):
        a, b = torch.randn(2, *shape, dtype=torch.float64)
        explicit = PseudoHuber(0.00054 * sqrt(a[0].numel()))
        assert torch.equal(PseudoHuber()(a, b), explicit(a, b))


@pytest.mark.parametrize("r", [2e-5, 1e-4, 1e-2])
def test_small_values_are_exact_in_float32(r):
    a, b = torch.tensor([[r, 0.0]]), torch.zeros(1, 2)
    exact = sqrt(r**2 + 0.03**2) - 0.03 if r > 1e-3 else r**2 / 0.06 - r**4 / (8 * 0.03**3)
    assert PseudoHuber(0.03)(a, b).item() == pytest.approx(exact, rel=1e-5)
    x = r**2 / 2
    assert Cauchy(1.0)(a, b).item() == pytest.approx(x - x**2 / 2, rel=1e-5)
    assert Cauchy(1e-3)(a, b).item() == pytest.approx(log(1 + r**2 / 2e-6), rel=1e-5)


@pytest.mark.parametrize("t", ECT_WEIGHT)
def test_ects_weight_in_its_last_stage_has_its_authors_numbers(t):
    time = double([t])
    r = time * ECTMapping().ratio(time, 10**9)
    assert InverseGap()(time, r).item() == pytest.approx(ECT_WEIGHT[t], rel=1e-9)


def test_edms_weight_has_its_table_and_uniform_is_one():
    t = double([0.002, 0.5, 1, 80])
    expected = double([250004, 8, 5, 4.00015625])
    torch.testing.assert_close(EDMWeight(0.5)(t, t * 0), expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(
        EDMWeight(0.7)(t, t * 0), (t**2 + 0.49) / (t * 0.7) ** 2, rtol=1e-12, atol=0
    )
    assert torch.equal(Uniform()(t, t / 2), torch.ones_like(t))


def test_l1_is_the_sum_of_absolute_differences():
    a, b = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    per_sample = torch.nn.functional.l1_loss(a, b, reduction="none").sum((1, 2, 3))
    assert torch.allclose(L1()(a, b), per_sample)
    assert not torch.allclose(L1()(a, b), PseudoHuber(1e-8)(a, b))  # which is the norm


def test_geman_mcclure_is_quadratic_near_and_bounded_far():
    near, far = at_distance(1e-4), at_distance(1e4)
    metric = GemanMcClure(0.5)
    assert metric(*near).item() == pytest.approx((1e-4 / 0.5) ** 2, rel=1e-4)
    assert metric(*far).item() == pytest.approx(1, abs=1e-8)
    assert metric(*at_distance(0.5)).item() == pytest.approx(0.5)


def test_geman_mcclure_pulls_hardest_at_c_over_root_three():
    pull = [
        gradient(GemanMcClure(0.5), *at_distance(r)).norm() for r in (0.25, 0.5 / 3**0.5, 0.35)
    ]
    assert pull[1] > pull[0] and pull[1] > pull[2]
