"""Preconditionings against their tables and each other; the boundary; the change of clock."""

from dataclasses import dataclass
from math import atan, sqrt

import pytest
import torch
from torch import nn

from cmlab.data.toy import Ring
from cmlab.methods.edm import EDMWeight
from cmlab.model import CMPrecond, Denoiser, EDMPrecond, ProcessAdapter, TrigPrecond, UnitVariance
from cmlab.nets import MLP
from cmlab.process import RectifiedFlow, TrigFlow, VarianceExploding, VariancePreserving
from cmlab.teacher import OracleTeacher

EDM_TABLE = {  # σ: c_skip, c_out, c_in, c_noise, λ
    0.002: (0.999984000256, 0.00199998400019, 1.99998400019, -1.55365202461, 250004),
    0.5: (0.5, 0.353553390593, 1.41421356237, -0.17328679514, 8),
    1.0: (0.2, 0.4472135955, 0.894427191, 0, 5),
    80.0: (3.90609741807e-5, 0.499990234661, 0.0124997558665, 1.09550665867, 4.00015625),
}
CM_TABLE = {  # (σ_min, σ): c_skip, c_out
    (0.002, 0.002): (1, 0),
    (0.002, 0.5): (0.502003999968, 0.352139177031),
    (0.002, 1.0): (0.200641410461, 0.446319168309),
    (0.002, 80.0): (3.90629272264e-5, 0.499977734905),
    (0.003, 0.821): (0.27199812, 0.425478566),
    (0.003, 80.0): (3.90639038e-5, 0.499971485),
}
PROCESSES = [VarianceExploding(), TrigFlow(), RectifiedFlow(), VariancePreserving()]
by_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def wild(dim=2):
    """A network whose answers are large and depend on all that it is told."""
    net = MLP(dim, width=16)
    for weight in net.parameters():
        nn.init.normal_(weight)
    return net


@pytest.mark.parametrize("sigma", EDM_TABLE)
def test_edm_coefficients_are_its_table(sigma):
    *expected, weight = EDM_TABLE[sigma]
    found = torch.cat(EDMPrecond(0.5)(double(sigma)))
    torch.testing.assert_close(found, double(*expected), rtol=1e-9, atol=1e-11)
    assert weight * found[1].item() ** 2 == pytest.approx(1)  # λ c_out² = 1
    assert EDMWeight(0.5)(double(sigma), double(0)).item() == pytest.approx(weight, rel=1e-9)


@pytest.mark.parametrize("case", CM_TABLE)
def test_cm_coefficients_are_its_table(case):
    low, sigma = case
    skip, out, c_in, c_noise = CMPrecond(0.5, low)(double(sigma))
    assert skip.item() == pytest.approx(CM_TABLE[case][0], rel=1e-7)
    assert out.item() == pytest.approx(CM_TABLE[case][1], rel=1e-8, abs=1e-15)
    edm = EDMPrecond(0.5)(double(sigma))
    assert (c_in, c_noise) == (edm[2], edm[3])


def test_unit_variance_on_edm_is_edm():
    t = torch.logspace(-3, 2, 50, dtype=torch.float64)
    for ours, theirs in zip(
        UnitVariance(0.7, VarianceExploding())(t), EDMPrecond(0.7)(t), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_unit_variance_on_trigflow_is_trigflows_with_the_sign_of_the_network_turned():
    t = torch.linspace(0.01, 1.56, 50, dtype=torch.float64)
    ours, theirs = UnitVariance(0.7, TrigFlow(0.7))(t), TrigPrecond(0.7)(t)
    for i, sign in enumerate((1, -1, 1)):
        torch.testing.assert_close(ours[i], sign * theirs[i], rtol=1e-10, atol=1e-12)


@by_process
def test_unit_variance_gives_the_network_unit_variance_in_and_out(process):
    s, t = 0.7, process.time(torch.logspace(-2, 1.5, 20, dtype=torch.float64))
    (alpha, sigma), (skip, out, c_in, _) = process(t), UnitVariance(s, process)(t)
    ones = torch.ones_like(t)
    torch.testing.assert_close(c_in**2 * (alpha**2 * s**2 + sigma**2), ones)
    residual = (1 - skip * alpha) ** 2 * s**2 + skip**2 * sigma**2  # of x - c_skip x_t
    torch.testing.assert_close(residual / out**2, ones)


@pytest.mark.parametrize(
    "precond", [EDMPrecond(), TrigPrecond(), UnitVariance(0.5, VarianceExploding())]
)
def test_at_level_zero_the_answer_is_x_itself_and_the_gradient_is_finite(precond):
    model, x = Denoiser(wild(), precond), torch.randn(6, 2)
    answer = model(x, torch.zeros(6))
    assert torch.equal(answer, x)
    answer.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_a_consistency_function_is_the_identity_at_sigma_min_whatever_its_network():
    model, x = Denoiser(wild(), CMPrecond(0.5, 0.002)), torch.randn(6, 2)
    torch.testing.assert_close(model(x, torch.full((6,), 0.002)), x, rtol=0, atol=1e-6)
    assert (model(x, torch.full((6,), 0.5)) - x).abs().max() > 0.1


def test_the_exact_consistency_function_of_a_gaussian_asks_a_golden_multiple_of_the_network():
    for t, share in ((1.0, (sqrt(5) - 1) / 2), (0.5, sqrt(2) - 1)):

        class Multiple(nn.Module):
            def forward(self, x, c_noise, cond=None):
                return share * x  # noqa: B023

        x = torch.randn(4, 3, dtype=torch.float64)
        exact = x * 0.5 / sqrt(t**2 + 0.25)
        found = Denoiser(Multiple(), EDMPrecond(0.5))(x, double(*[t] * 4))
        torch.testing.assert_close(found, exact)


def test_the_network_is_told_the_scaled_input_the_level_and_the_condition():
    heard = []

    class Ear(nn.Module):
        def forward(self, x, c_noise, cond=None):
            heard.append((x, c_noise, cond))
            return x

    x, t, cond = torch.randn(3, 1, 4, 4), torch.tensor([0.1, 1.0, 9.0]), torch.tensor([0, 1, 2])
    model = Denoiser(Ear(), EDMPrecond(0.5))
    model(x, t, cond)
    seen, c_noise, label = heard[0]
    torch.testing.assert_close(seen, x / (t**2 + 0.25).sqrt()[:, None, None, None])
    torch.testing.assert_close(c_noise, t.log() / 4)
    assert label is cond and model.process == VarianceExploding()


@dataclass
class Clocked:
    """An exact denoiser as a model."""

    exact: OracleTeacher

    @property
    def process(self):
        return self.exact.process

    def __call__(self, x_t, t, cond=None):
        return self.exact.denoise(x_t, t)


@by_process
def test_an_exact_edm_denoiser_read_by_another_clock_is_exact_there(process):
    level = torch.logspace(-2, 1, 8, dtype=torch.float64)
    t, x_t = process.time(level), torch.randn(8, 2, dtype=torch.float64)
    expected = OracleTeacher(Ring(), process).denoise(x_t, t)
    found = ProcessAdapter(Clocked(OracleTeacher(Ring())), process)(x_t, t)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_reading_a_model_by_its_own_clock_changes_nothing_and_there_and_back_is_itself():
    model = Denoiser(wild().double(), EDMPrecond())
    x, t = torch.randn(5, 2, dtype=torch.float64), double(0.01, 0.1, 1, 5, 10)
    assert torch.equal(ProcessAdapter(model, VarianceExploding())(x, t), model(x, t))
    there_and_back = ProcessAdapter(ProcessAdapter(model, TrigFlow()), VarianceExploding())
    torch.testing.assert_close(there_and_back(x, t), model(x, t), rtol=1e-9, atol=1e-9)


def test_an_edm_network_is_a_trigflow_network_with_its_sign_turned():
    model = Denoiser(wild().double(), EDMPrecond(0.5))
    u, t = torch.randn(5, 2, dtype=torch.float64), double(0.1, 0.4, 0.8, 1.1, 1.5)
    x_t, level = 0.5 * u, TrigFlow(0.5).level(t)
    angle = t[:, None]
    answer = ProcessAdapter(model, TrigFlow(0.5))(x_t, t)
    velocity = (angle.cos() * x_t - answer) / (0.5 * angle.sin())  # F under TrigFlow
    torch.testing.assert_close(
        velocity, -model.raw(x_t / angle.cos(), level), rtol=1e-8, atol=1e-8
    )
    assert level[2].item() == pytest.approx(0.5 * 1.0296385570503641)
    assert atan(level[2].item() / 0.5) == pytest.approx(0.8)
