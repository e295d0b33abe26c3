"""A trained denoiser in another clock: the same function, the same pictures."""

from dataclasses import replace

import pytest
import torch

from cmlab.data.toy import Ring
from cmlab.methods import SCM
from cmlab.model import (
    CMPrecond,
    Denoiser,
    EDMPrecond,
    ProcessAdapter,
    QuarterLog,
    TrigPrecond,
    carried,
)
from cmlab.nets import MLP, UNet
from cmlab.presets import digits, toy
from cmlab.process import TrigFlow
from cmlab.teacher import NetworkTeacher
from cmlab.train import runs

SD = 0.5
TRIG = TrigPrecond(SD, QuarterLog())
SIGMA_TO_T = {  # arctan(σ / 0.5)
    0.002: 0.0039999787, 0.06: 0.1194289260, 0.5: 0.7853981634,
    1.0: 1.1071487178, 10.0: 1.5208379311, 80.0: 1.5645464082,
}  # fmt: skip


def a_denoiser(net=None):
    net = net or MLP(2, width=16)
    return Denoiser(net, EDMPrecond(SD)).double()


def test_an_angle_is_the_arctangent_of_the_level():
    level = torch.tensor(list(SIGMA_TO_T), dtype=torch.float64)
    t = TrigFlow(SD).time(level)
    assert t.tolist() == pytest.approx(list(SIGMA_TO_T.values()), abs=6e-11)
    torch.testing.assert_close(TrigFlow(SD).level(t), level, rtol=1e-10, atol=0)


@pytest.mark.parametrize("net", [MLP(2, width=16), UNet(width=8)], ids=["mlp", "unet"])
def test_a_network_carried_over_is_its_negative_and_the_denoiser_the_same_function(net):
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    edm = a_denoiser(net)
    shape = (32, 2) if isinstance(net, MLP) else (32, 1, 8, 8)
    sigma, x = torch.logspace(-2, 1.9, 32).double(), torch.randn(shape).double()
    trig, t = carried(edm, TRIG), TrigFlow(SD).time(sigma)
    cos = t.cos().reshape(-1, *(1,) * (x.ndim - 1))
    torch.testing.assert_close(trig.raw(cos * x, t), -edm.raw(x, sigma), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(trig(cos * x, t), edm(x, sigma), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ProcessAdapter(edm, TrigFlow(SD))(cos * x, t), edm(x, sigma))
    back = carried(trig, EDMPrecond(SD))
    assert torch.equal(back(x, sigma), edm(x, sigma))
    assert edm.raw(x, sigma).abs().max() > 0.1


def test_carrying_leaves_the_original_as_it_was():
    edm = a_denoiser()
    before = {name: value.clone() for name, value in edm.state_dict().items()}
    carried(edm, TRIG)
    assert all(torch.equal(value, before[name]) for name, value in edm.state_dict().items())


def test_between_preconditionings_of_one_sign_the_network_is_copied():
    edm = a_denoiser()
    cm = carried(edm, CMPrecond(SD))
    assert cm.net is not edm.net and torch.equal(cm.net.last.weight, edm.net.last.weight)


@pytest.mark.parametrize(
    "old, new",
    [
        (EDMPrecond(SD), TrigPrecond(SD)),  # the angle, where the network knows ln(σ)/4
        (EDMPrecond(SD), TrigPrecond(0.7, QuarterLog())),
        (TrigPrecond(SD), EDMPrecond(SD)),
        (TrigPrecond(SD), TRIG),
        (CMPrecond(SD), TRIG),
    ],
    ids=repr,
)
def test_a_network_that_would_be_told_something_else_is_not_carried_over(old, new):
    with pytest.raises(ValueError, match="cannot be carried over.*QuarterLog.*ProcessAdapter"):
        carried(Denoiser(MLP(2), old), new)


def test_a_checkpoint_of_toy_edm_teaches_and_begins_a_distillation(tmp_path):
    recipe = toy.edm(steps=20)
    runs.finish(runs.fit(recipe), recipe, tmp_path, {})
    edm, _, _ = runs.load(tmp_path)
    precond = TrigPrecond(Ring().sigma_data, QuarterLog())
    trig = carried(edm, precond)
    method = SCM(NetworkTeacher(carried(edm, precond)), toy.ANGLES)
    trainer = toy.plane(Ring(), precond, method, 5, 0).trainer(trig).fit()
    assert trainer.step == 5
    x_t, t = torch.randn(4, 2), torch.full((4,), 0.7)
    assert not torch.equal(trainer.model(x_t, t), carried(edm, precond)(x_t, t))


def test_a_recipe_under_trigflow_may_start_from_one_under_edm():
    start = digits.edm(steps=2)
    recipe = replace(
        digits.image(SCM(), 1, 0),
        precond=TrigPrecond(digits.DATA.sigma_data, QuarterLog()),
        start=start,
    )
    model, edm = runs.begin(recipe, None, 1, False).eval(), runs.fit(start).ema.model
    x, t = torch.randn(3, 1, 8, 8), torch.full((3,), 0.9)
    level, cond = recipe.precond.process.level(t), torch.tensor([1, 2, 3])
    torch.testing.assert_close(
        model(t.cos()[0] * x, t, cond), edm(x, level, cond), rtol=1e-4, atol=1e-5
    )
