"""Teachers and targets: what they answer, what they remember, and what gets no gradient."""

from dataclasses import dataclass, replace
from math import cos, sin

import pytest
import torch
from torch import nn

from cmlab.data.toy import Ring
from cmlab.methods import CT, ICT
from cmlab.methods.ct import SqrtGrowth
from cmlab.model import Denoiser, EDMPrecond
from cmlab.nets import MLP
from cmlab.noise_levels import AdjacentLevels, DenoisingPairs
from cmlab.oracle import Gaussian
from cmlab.process import TrigFlow, VarianceExploding
from cmlab.schedules import Constant
from cmlab.teacher import EMATarget, NetworkTeacher, OracleTeacher, SampleTeacher, StopGrad


class Line(nn.Module):
    """Two parameters and a buffer: f(x, t) = weight x + bias."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(weight)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))
        self.register_buffer("count", torch.tensor(0))

    @property
    def process(self):
        return VarianceExploding()

    def forward(self, x_t, t, cond=None):
        return self.weight * x_t + self.bias


@dataclass(frozen=True)
class Bell:
    std: float

    @property
    def oracle(self):
        return Gaussian(torch.zeros(3), self.std)


def batch(b=6, d=2):
    return torch.randn(b, d), torch.rand(b) + 0.1


def test_a_moving_average_is_the_weighted_sum_of_all_weights_so_far():
    model, target = Line(1, 0), EMATarget(Constant(0.9))
    target.attach(model)
    slow = [1.0, 0.0]
    for step in range(5):
        with torch.no_grad():
            model.weight += 1
            model.bias -= 0.5
            model.count += 3
        target.update(model, step)
        slow = [
            0.9 * s + 0.1 * f for s, f in zip(slow, (2 + step, -0.5 * (1 + step)), strict=True)
        ]
        kept = target.networks()["target"]
        assert [kept.weight.item(), kept.bias.item()] == pytest.approx(slow)
        assert kept.count.item() == model.count.item()


def test_a_moving_average_follows_its_schedule_and_answers_with_its_own_weights():
    model, target = Line(1, 0), EMATarget(lambda step: float(step == 0))
    target.attach(model)
    with torch.no_grad():
        model.weight.fill_(5)
    x, t = batch()
    target.update(model, 0)
    assert torch.equal(target(model)(x, t), x)
    target.update(model, 1)
    assert torch.equal(target(model)(x, t), 5 * x)


@pytest.mark.parametrize("training", [True, False])
def test_a_target_trains_along_even_when_its_model_was_loaded_for_sampling(training):
    target = EMATarget()
    target.attach(Line(1, 0).train(training))
    assert target.attached().training  # else student and target would differ in dropout


@pytest.mark.parametrize("target", [StopGrad(), EMATarget()], ids=["stopgrad", "average"])
def test_no_gradient_reaches_the_target(target):
    model = Line(2, 1)
    target.attach(model)
    x, t = batch()
    answer = target(model)(x, t)
    assert not answer.requires_grad and torch.equal(answer, model(x, t))
    assert not any(
        p.requires_grad for kept in target.networks().values() for p in kept.parameters()
    )


@pytest.mark.parametrize("method", [ICT(), CT()], ids=["ict", "ct"])
def test_the_gradient_of_a_loss_is_that_against_a_constant_label(method):
    torch.manual_seed(3)
    model, x = Denoiser(MLP(2, width=8), EDMPrecond()).double(), batch()[0].double()
    method.target.attach(model)
    torch.manual_seed(4)
    method.loss(model, x, 0).sum().backward()
    found = [p.grad.clone() for p in model.parameters()]

    torch.manual_seed(4)
    t, r = method.pairs(VarianceExploding(), x, 0)
    z = torch.randn_like(x)
    label = model(x + r[:, None] * z, r).detach()
    loss = method.weight(t, r) * method.metric(model(x + t[:, None] * z, t), label)
    for ours, theirs in zip(
        found, torch.autograd.grad(loss.sum(), list(model.parameters())), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_target_without_its_copy_says_what_to_call():
    with pytest.raises(RuntimeError, match=r"call target\.attach\(model\) first"):
        EMATarget()(Line(1, 0))


def test_one_sample_answers_with_the_data():
    x, t = batch()
    assert SampleTeacher()(x)(torch.randn_like(x), t) is x


def test_a_pretrained_teacher_is_frozen_and_passes_the_condition_on():
    net = Denoiser(MLP(2, width=8, classes=3), EDMPrecond())
    teacher, (x, t) = NetworkTeacher(net), batch(3)
    cond = torch.tensor([0, 1, 2])
    answer = teacher(x, cond)(x.requires_grad_(), t)
    assert torch.equal(answer, net(x, t, cond)) and not answer.requires_grad
    assert not net.training and not any(p.requires_grad for p in net.parameters())


def test_the_exact_teacher_is_one_function_on_two_clocks():
    t = torch.linspace(0.01, 1.5, 6, dtype=torch.float64)
    x_t, trig = torch.randn(6, 2, dtype=torch.float64), TrigFlow(0.5)
    on_trig = OracleTeacher(Ring(), trig)(x_t)(x_t, t)
    on_edm = OracleTeacher(Ring()).denoise(x_t / t.cos()[:, None], 0.5 * t.tan())
    torch.testing.assert_close(on_trig, on_edm, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("t, share", [(0.8, 0.27388431), (1.1, 0.13409087)])
def test_the_exact_teacher_of_a_gaussian_shrinks_by_its_posterior_share(t, share):
    assert share == pytest.approx(
        cos(t) * 0.25**2 / (cos(t) ** 2 * 0.25**2 + sin(t) ** 2 * 0.25), rel=1e-6
    )
    x_t = torch.randn(4, 3, dtype=torch.float64)
    answer = OracleTeacher(Bell(0.25), TrigFlow(0.5)).denoise(x_t, torch.full((4,), t).double())
    torch.testing.assert_close(answer, share * x_t, rtol=1e-6, atol=1e-9)


def test_the_targets_decay_reads_its_grid_from_the_pairs_whatever_they_are_changed_to():
    method = CT(pairs=AdjacentLevels(SqrtGrowth(2, 150, 4000)))
    for one in (method, replace(CT(), pairs=method.pairs), ICT(method.pairs, target=CT().target)):
        assert one.target.decay.points == method.pairs.points
    assert method.target.decay(4000) > CT().target.decay(4000)
    other = replace(method, pairs=AdjacentLevels(Constant(3)))
    assert other.target.decay(0) == pytest.approx(0.9 ** (2 / 3))
    assert method.target.decay(0) == pytest.approx(0.9)  # the one it was made from is untouched


def test_a_target_with_another_decay_stays_the_same_object():
    target = EMATarget(Constant(0.9))
    assert CT(target=target).target is target
    with pytest.raises(ValueError, match="have none; use AdjacentLevels"):
        CT(pairs=DenoisingPairs())
