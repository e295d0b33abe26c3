"""The average of the weights: its memory, its beginning, and what it never does."""

from dataclasses import replace
from math import log

import pytest
import torch
from torch import nn

from cmlab.presets import cifar10, cifar10_paper, toy
from cmlab.presets.cifar10_paper import half_life
from cmlab.schedules import Constant, EarlyAverage, HalfLifeRamp
from cmlab.teacher import EMA
from cmlab.train.config import TrainConfig
from cmlab.train.recipe import canonical, from_dict, to_dict


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))
        self.drop = nn.Dropout()


def moved(model, ema, step):
    """One step of training: both weights rise by 1."""
    with torch.no_grad():
        model.weight += 1
        model.count += 1
    ema.update(step)


@pytest.mark.parametrize(
    "decay, steps", [(0.9993, 989.9), (0.9999, 6931.1), (0.99993, 9901.8), (0.99997, 23104.6)]
)
def test_a_constant_decay_forgets_half_in_its_half_life(decay, steps):
    assert log(0.5) / log(decay) == pytest.approx(steps, abs=0.05)
    model = Line()
    ema = EMA(model, Constant(decay))
    with torch.no_grad():
        model.weight.zero_()
    for step in range(10**6, 10**6 + round(steps)):  # far from the beginning
        ema.update(step)
    share = ema.model.weight / torch.tensor([1.0, 2.0])
    assert share.tolist() == pytest.approx([0.5, 0.5], abs=1e-3)


def test_openai_s_decay_is_a_half_life_of_fifty_million_samples():
    assert 0.5 ** (4096 / 50e6) == pytest.approx(0.99994321899507, abs=1e-14)


def test_an_average_is_young_while_the_run_is_young():
    model = Line()
    ema = EMA(model, Constant(0.999))
    slow = 1.0
    for step in range(30):
        moved(model, ema, step)
        decay = min(0.999, (1 + step) / (10 + step))
        slow = decay * slow + (1 - decay) * (2 + step)
    assert ema.model.weight[0].item() == pytest.approx(slow)
    assert slow > 25  # a decay of 0.999 from the start would still be below 2


def test_buffers_are_copied_and_the_average_neither_trains_nor_drops_units():
    model = Line()
    ema = EMA(model, Constant(0.5))
    moved(model, ema, 0)
    assert ema.model.count.item() == 1 and not ema.model.training
    assert not ema.model.weight.requires_grad and model.weight.requires_grad
    assert model.training


def test_updating_the_average_leaves_the_model_alone():
    model = Line()
    ema = EMA(model, Constant(0.5))
    moved(model, ema, 0)
    before = model.weight.clone()
    ema.update(1)
    assert torch.equal(model.weight, before)
    assert ema.model.weight.data_ptr() != model.weight.data_ptr()


def followed(ramp, decay, steps):
    """The decays that an average was in fact moved by, from how much of a constant it forgot."""
    model = Line()
    ema = EMA(model, Constant(decay), ramp)
    with torch.no_grad():
        model.weight.zero_()
    found = []
    for step in range(steps):
        before = ema.model.weight[1].item()
        ema.update(step)
        found.append(ema.model.weight[1].item() / before if before else 0.0)
    return found


def test_without_a_ramp_the_decay_is_the_stated_one_from_the_first_step_on():
    """As in ECT's and openai's code."""
    assert followed(Constant(1.0), 0.9999, 3) == pytest.approx([0.9999] * 3, abs=1e-12)


def test_the_young_average_of_the_default_acts_for_long_where_the_decay_is_close_to_one():
    young = EarlyAverage()
    assert followed(young, 0.9999, 3) == pytest.approx([1 / 10, 2 / 11, 3 / 12])
    assert [min(0.9999, young(k)) < 0.9999 for k in (0, 89_000, 89_989, 89_991)] == [
        True, True, True, False,
    ]  # fmt: skip
    assert TrainConfig().ema_ramp == young


def test_edms_ramp_is_a_half_life_of_five_per_cent_of_the_images_seen():
    batch, halflife = 512, 0.5e6
    ramp, decay = HalfLifeRamp(0.05), half_life(batch, halflife)
    for step in (0, 1, 2, 100, 10_000, 19_531, 19_532, 10**6):
        nimg = min(halflife, step * batch * 0.05)
        theirs = 0.5 ** (batch / max(nimg, 1e-8))
        assert min(decay(step), ramp(step)) == pytest.approx(theirs, rel=1e-12, abs=1e-300)


def test_paper_presets_ramp_as_their_papers_do_and_the_others_as_the_default():
    edm, ect, ict = cifar10_paper.edm(), cifar10_paper.ect(), cifar10_paper.ict()
    assert edm.train.ema_ramp == ect.start.train.ema_ramp == HalfLifeRamp(0.05)
    none = [ect, ict, cifar10_paper.sct(), cifar10_paper.scd()]
    assert all(recipe.train.ema_ramp == Constant(1.0) for recipe in none)
    assert toy.ict().train.ema_ramp == cifar10.ect().train.ema_ramp == EarlyAverage()


def test_records_without_a_ramp_are_read_with_the_default_and_keep_their_hash():
    config = TrainConfig(steps=3)
    record = to_dict(config)
    del record["ema_ramp"]
    assert from_dict(record) == config
    assert "ema_ramp" not in canonical(config)
    assert "ema_ramp" in canonical(replace(config, ema_ramp=HalfLifeRamp()))
